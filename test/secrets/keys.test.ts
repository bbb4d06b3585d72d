import { chmodSync, mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type pg from 'pg'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { credential, inTransaction, outcome, refusal } from '../extension/support/stage.js'
import { anna, bert, secretStage, share, type SecretStage } from './support/stage.js'

// The life of keys: shares, the key file, both rotations, shredding.

let on: SecretStage
const newShare = Buffer.alloc(32, 0xcd)

beforeAll(async () => {
  on = await secretStage()
  await on.setUp.query(`
    create table vault (id int primary key, owner_id uuid not null references users, token text, email text);
    select tenantry.protect('vault');
    select tenantry.encrypt_column('vault', 'token');
    select tenantry.encrypt_column('vault', 'email', blind_index => true)`)
})
afterAll(() => on.drop())

let current = share

beforeEach(async () => {
  await on.db.admin.query('delete from vault')
  for (const [who, base] of [
    [anna, 0],
    [bert, 100],
  ] as const) {
    await on.holding(
      who,
      (client) =>
        client.query(
          `insert into vault (id, token, email) select n + $1, 'token ' || n, 'm' || n || '@x' from generate_series(1, 30) n`,
          [base],
        ),
      current,
    )
  }
})

const read = async (client: Pick<pg.ClientBase, 'query'>) =>
  (await client.query<{ token: string }>('select token from tenant.vault order by id')).rows.map(
    ({ token }) => token,
  )
const all = Array.from({ length: 30 }, (_, i) => `token ${i + 1}`)
const status = () =>
  on.stored(
    `select state, data_keys::int, superseded::int, retired::int, shredded::int from tenantry.key_status order by state`,
  )

describe('the share', () => {
  test('is refused when it is missing, short, another, copied or made up, and nothing is written', async () => {
    const insert = `insert into vault (id, token) values (1000, 'x')`
    expect(await on.as(anna, (client) => outcome(client, insert))).toBe('TN005')
    expect((await refusal(on.holding(anna, read, Buffer.alloc(31)))).code).toBe('TN005')
    expect(
      (await refusal(on.holding(anna, (client) => client.query(insert), Buffer.alloc(32)))).code,
    ).toBe('TN005')
    const kept = await on.holding(anna, async (client) => {
      expect(await outcome(client, insert)).toBe('1 rows')
      return (
        await client.query<{ kept: string }>(`select current_setting('tenantry.key_share') as kept`)
      ).rows[0]!.kept
    })
    for (const form of [share.toString('hex'), share.toString('base64')])
      expect(kept).not.toContain(form)
    const replayed = await on.as(anna, async (client) => {
      await client.query(`select set_config('tenantry.key_share', $1, true)`, [kept])
      return outcome(client, insert.replace('1000', '1001'))
    })
    expect(replayed).toBe('TN005')
    expect(await on.stored('select id from vault where id >= 1000')).toEqual([{ id: 1000 }])
  })

  test('a second master key is refused, the same share again is not', async () => {
    expect(
      (await refusal(on.db.admin.query('select tenantry.create_master_key($1)', [newShare]))).code,
    ).toBe('TN005')
    await on.db.admin.query('select tenantry.create_master_key($1)', [share])
  })
})

describe('the key file', () => {
  test('opens secrets for a person in psql, who enters nothing', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'tenantry-key-'))
    chmodSync(folder, 0o755)
    const file = join(folder, 'share')
    writeFileSync(file, `${share.toString('hex')}\n`)
    const person = await on.bound(anna)
    expect((await refusal(read(person))).code).toBe('TN005')
    const set = (path: string) =>
      on.db.admin.query(`select tenantry.set_key_provider('file', $1)`, [path])
    const folderOfData = (
      await on.stored<{ d: string }>(`select current_setting('data_directory') as d`)
    )[0]!.d
    expect((await refusal(set(join(folderOfData, 'share')))).message).toMatch(/data directory/)
    expect((await refusal(set('relative'))).code).toBe('TN011')
    writeFileSync(join(folder, 'short'), 'abcd')
    expect((await refusal(set(join(folder, 'short')))).message).toMatch(/does not hold a key share/)
    expect(
      (await refusal(on.setUp.query(`select tenantry.set_key_provider('file', $1)`, [file]))).code,
    ).toBe('42501')
    await set(file)
    expect(await read(person)).toEqual(all)
    await person.query(`update vault set token = 'by Anna' where id = 1`)
    expect((await read(person))[0]).toBe('by Anna')
    expect((await refusal(person.query('select tenantry_private.key_file()'))).code).toBe('42501')
    expect(await on.check()).toEqual([])
    writeFileSync(file, 'gone')
    expect((await refusal(read(person))).code).toBe('TN005')
    expect(await on.holding(bert, read)).toEqual(all)
    await on.db.admin.query(`select tenantry.set_key_provider('session')`)
    expect((await refusal(read(person))).code).toBe('TN005')
  })
})

describe('data keys', () => {
  const planted = async (id: number, token: string) => {
    await on.db.admin.query(
      `begin; set local session_replication_role = replica; update vault set token = '${token}' where id = ${id}; commit`,
    )
  }

  test('rotation seals every value anew; old versions are refused afterwards', async () => {
    const before = await on.stored<{ id: number; token: string }>(
      'select id, token from vault order by id',
    )
    await on.setUp.query('call tenantry.rotate_data_keys($1, batch_size => 7)', [share])
    const after = await on.stored<{ id: number; token: string }>(
      'select id, token from vault order by id',
    )
    expect(after.filter(({ token }, i) => token === before[i]!.token)).toEqual([])
    expect(await on.holding(anna, read)).toEqual(all)
    expect(await on.holding(bert, read)).toEqual(all)
    expect(
      await on.stored(`select polname from pg_policy where polname = 'tenantry_engine'`),
    ).toEqual([])
    expect((await status())[0]).toMatchObject({ retired: 2, superseded: 0 })
    await planted(1, before[0]!.token)
    expect((await refusal(on.holding(anna, read))).code).toBe('TN006')
    await planted(1, after[0]!.token)
    expect(await on.holding(anna, read)).toEqual(all)
  })

  test('a transaction that still seals with the old key makes it wait, and loses nothing', async () => {
    const writer = await on.app.connect()
    await writer.query('begin')
    await writer.query('select tenantry.enter($1, $2)', [credential(on.db.name, anna), share])
    await writer.query(`insert into vault (id, token) values (50, 'before')`)
    const rotation = on.setUp.query('call tenantry.rotate_data_keys($1)', [share])
    for (let tries = 0; tries < 1000; tries += 1) {
      if (
        (
          await on.stored(
            `select from pg_stat_activity where query like 'call tenantry.rotate%' and wait_event_type = 'Lock'`,
          )
        ).length
      )
        break
    }
    await writer.query(`insert into vault (id, token) values (51, 'while it waits')`)
    await writer.query('commit')
    await rotation
    expect((await on.holding(anna, read)).slice(-2)).toEqual(['before', 'while it waits'])
  })

  test('goes on after it was ended, one entity at a time if wanted, under a writing application', async () => {
    const runner = await on.owner.connect()
    runner.on('error', () => undefined)
    const { rows } = await runner.query<{ pid: number }>('select pg_backend_pid() as pid')
    let stop = false
    const writing = (async () => {
      const client = await on.app.connect()
      for (let n = 0; !stop; n += 1) {
        await inTransaction(client, async () => {
          await client.query('select tenantry.enter($1, $2)', [credential(on.db.name, anna), share])
          await client.query('update vault set token = $1 where id = $2', [
            `live ${n}`,
            1 + (n % 30),
          ])
        })
      }
    })()
    try {
      const ended = refusal(
        runner.query('call tenantry.rotate_data_keys($1, batch_size => 1)', [share]),
      )
      for (let tries = 0; tries < 1000; tries += 1) {
        if ((await on.stored(`select from tenantry_private.engine_jobs where done > 2`)).length)
          break
      }
      await on.db.admin.query('select pg_terminate_backend($1)', [rows[0]!.pid])
      expect((await ended).code).toBe('57P01')
      await on.setUp.query('call tenantry.rotate_data_keys($1, batch_size => 5)', [share])
    } finally {
      stop = true
      await writing
    }
    expect(await on.holding(bert, read)).toEqual(all)
    expect((await on.holding(anna, read)).length).toBe(30)
    expect(await on.check()).toEqual([])
    const numbers = await on.stored(
      `select count(*)::int as n from tenantry_private.data_keys where retired_at is null`,
    )
    expect(numbers).toEqual([{ n: 2 }])
    await on.setUp.query('call tenantry.rotate_data_keys($1, $2)', [share, anna])
    expect((await on.holding(anna, read)).length).toBe(30)
    expect(await on.holding(bert, read)).toEqual(all)
  })
})

describe('shredding', () => {
  test('destroys an entity’s secrets at once, says what remains where, and lets new ones be written', async () => {
    expect(
      (await refusal(on.db.admin.query(`select * from tenantry.shred($1, '')`, [bert]))).code,
    ).toBe('TN011')
    expect(
      (await refusal(on.setUp.query(`select * from tenantry.shred('user:nobody', 'x')`))).code,
    ).toBe('TN009')
    const client = await on.app.connect()
    await client.query('begin')
    await client.query('select tenantry.enter($1, $2)', [credential(on.db.name, bert), share])
    expect(await read(client)).toEqual(all)
    const { rows } = await on.db.admin.query<{ keys: number; still_readable: string }>(
      `select * from tenantry.shred($1, 'asked to be forgotten')`,
      [bert],
    )
    expect(rows[0]!.keys).toBeGreaterThan(0)
    expect(rows[0]!.still_readable).toMatch(/Backups.*rotate the master key/s)
    expect(await read(client)).toEqual(all.map(() => null))
    await client.query('commit')
    expect(await on.holding(anna, read)).toEqual(all)
    await on.holding(bert, (session) =>
      session.query(`update vault set token = 'new' where id = 101`),
    )
    expect((await on.holding(bert, read)).slice(0, 2)).toEqual(['new', null])
    expect(await on.check()).toEqual([])
  })
})

describe('the master key', () => {
  test('rotates without touching a row; both shares hold until it is finished, then the old one opens nothing', async () => {
    const rows = await on.stored('select id, token, email_index, xmin::text from vault order by id')
    await on.db.admin.query(`call tenantry.rotate_master_key($1, $2, 1)`, [share, newShare])
    expect(
      await on.stored('select id, token, email_index, xmin::text from vault order by id'),
    ).toEqual(rows)
    expect((await status()).map((row) => (row as { state: string }).state)).toEqual([
      'active',
      'retiring',
    ])
    for (const valid of [share, newShare]) {
      expect(await on.holding(anna, read, valid)).toEqual(all)
      await on.holding(
        anna,
        (client) => client.query(`update vault set token = 'token 1' where id = 1`),
        valid,
      )
    }
    // A key that is made with the old share meanwhile opens with the new one, too.
    await on.db.admin.query(
      `insert into users values ('6f1c0000-0000-4000-8000-0000000000cc', 'Cleo')`,
    )
    const cleo = 'user:6f1c0000-0000-4000-8000-0000000000cc' as const
    await on.holding(
      cleo,
      (client) => client.query(`insert into vault (id, token) values (500, 'of Cleo')`),
      share,
    )
    expect(await on.holding(cleo, read, newShare)).toEqual(['of Cleo'])
    const other = await refusal(
      on.db.admin.query(`call tenantry.rotate_master_key($1, $2)`, [share, Buffer.alloc(32, 9)]),
    )
    expect(other.code).toMatch(/^TN0(05|11)$/)
    expect(
      (await refusal(on.db.admin.query('select tenantry.finish_master_rotation($1)', [share])))
        .code,
    ).toBe('TN005')
    await on.db.admin.query('select tenantry.finish_master_rotation($1)', [newShare])
    expect((await refusal(on.holding(anna, read, share))).code).toBe('TN005')
    expect(await on.holding(anna, read, newShare)).toEqual(all)
    expect(await on.holding(cleo, read, newShare)).toEqual(['of Cleo'])
    expect(
      (await refusal(on.db.admin.query('select tenantry.finish_master_rotation($1)', [newShare])))
        .code,
    ).toBe('TN011')
    current = newShare
  })
})
