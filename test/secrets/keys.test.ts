import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { credential, inTransaction, outcome, refusal, stage } from '../extension/support/stage.js'
import { fill, keyStage, newShare, read, tokens } from './support/keys.js'
import { anna, bert, share, type SecretStage } from './support/stage.js'

// Where the application's share of the master key comes from: brought by each transaction, or a file of the server.

let on: SecretStage

beforeAll(async () => {
  on = await keyStage()
})
afterAll(() => on.drop())
beforeEach(() => fill(on))

const insert = (id: number) => `insert into vault (id, token) values (${id}, 'x')`
const written = () => on.stored('select id from vault where id >= 1000 order by id')
const wanted = async () =>
  (await on.stored<{ wanted: boolean }>('select tenantry.wants_key_share() as wanted'))[0]!.wanted

describe('the master key', () => {
  test('is made by an ordinary admin from a share of 32 bytes, once', async () => {
    const other = await stage()
    try {
      const make = (bytes: Buffer | null) =>
        other.setUp.query('select tenantry.create_master_key($1)', [bytes])
      const rows = async (query: string) => (await other.db.admin.query<object>(query)).rows
      const wants = () => rows('select tenantry.wants_key_share() as wants')
      expect(await wants()).toEqual([{ wants: false }])
      for (const wrong of [null, Buffer.alloc(0), Buffer.alloc(31), Buffer.alloc(33)]) {
        const { code, message, hint } = await refusal(make(wrong))
        expect(code).toBe('TN005')
        expect(message).toBe(`the key share is ${wrong?.length ?? 0} bytes long instead of 32`)
        expect(hint).not.toBe('')
      }
      const byApp = other.app.pool().query('select tenantry.create_master_key($1)', [share])
      expect((await refusal(byApp)).code).toBe('42501')
      await make(share)
      const keys = () => rows('select id, share, verifier, state from tenantry_private.master_keys')
      const made = await keys()
      expect(made).toHaveLength(1)
      expect(await wants()).toEqual([{ wants: true }])
      await make(share)
      const { code, message } = await refusal(make(newShare))
      expect(code).toBe('TN005')
      expect(message).toBe(`the key share is not the one this database's master key was made with`)
      expect(await keys()).toEqual(made)
    } finally {
      await other.drop()
    }
  })
})

describe('the share of a transaction', () => {
  test('missing, short, another: nothing is read or written', async () => {
    expect(await on.as(anna, (client) => outcome(client, insert(1000)))).toBe('TN005')
    for (const wrong of [Buffer.alloc(31), Buffer.alloc(33), Buffer.alloc(0), newShare]) {
      const write = on.holding(anna, (client) => client.query(insert(1000)), wrong)
      expect((await refusal(write)).code).toBe('TN005')
      expect((await refusal(on.holding(anna, read, wrong))).code).toBe('TN005')
    }
    expect(await written()).toEqual([])
    await on.holding(anna, (client) => client.query(insert(1000)))
    expect(await written()).toEqual([{ id: 1000 }])
  })

  test('cannot be read back, copied into another transaction, or set by hand', async () => {
    const kept = await on.holding(anna, async (client) => {
      const { rows } = await client.query<{ kept: string }>(
        `select current_setting('tenantry.key_share') as kept`,
      )
      expect(await outcome(client, insert(1000))).toBe('1 rows')
      return rows[0]!.kept
    })
    for (const form of ['hex', 'base64'] as const) expect(kept).not.toContain(share.toString(form))
    const other = kept.replace(/.$/, (last) => (last === '0' ? '1' : '0'))
    for (const value of [kept, other, share.toString('hex'), 'h1.', 'x']) {
      const result = await on.as(anna, async (client) => {
        await client.query(`select set_config('tenantry.key_share', $1, true)`, [value])
        return outcome(client, insert(1001))
      })
      expect(result).toBe('TN005')
    }
    expect(await written()).toEqual([{ id: 1000 }])
  })

  test('ends with the transaction, and with the savepoint that brought it', async () => {
    const client = await on.app.connect()
    const enter = (using: Buffer | null) =>
      using
        ? client.query('select tenantry.enter($1, $2)', [credential(on.db.name, anna), using])
        : client.query('select tenantry.enter($1)', [credential(on.db.name, anna)])
    await inTransaction(client, async () => {
      await enter(share)
      expect(await outcome(client, insert(1000))).toBe('1 rows')
    })
    await inTransaction(client, async () => {
      await enter(null)
      expect(await outcome(client, insert(1001))).toBe('TN005')
      await client.query('savepoint brought')
      await enter(share)
      expect(await outcome(client, insert(1001))).toBe('1 rows')
      await client.query('rollback to brought')
      expect(await outcome(client, insert(1001))).toBe('TN005')
    })
    expect(await written()).toEqual([{ id: 1000 }])
  })
})

describe('the key file', () => {
  const folder = mkdtempSync(join(tmpdir(), 'tenantry-key-'))
  const file = join(folder, 'share')
  const write = (text: string) => writeFileSync(file, text)
  const set = (path: string | null) =>
    on.db.admin.query(`select tenantry.set_key_provider('file', $1)`, [path])

  beforeAll(() => {
    chmodSync(folder, 0o755)
    write(`${share.toString('hex')}\n`)
  })
  afterAll(() => rmSync(folder, { recursive: true }))

  test('is taken only from a superuser, outside the data directory, with the share of this database', async () => {
    const [place] = await on.stored<{ d: string }>(`select current_setting('data_directory') as d`)
    const data = place!.d
    for (const path of [
      `${data}/share`,
      `/tmp/..${data}/share`,
      `/${data}/share`,
      `${folder}/./share`,
      `${folder}/`,
      'relative',
      null,
    ])
      expect([path, (await refusal(set(path))).code]).toEqual([path, 'TN011'])
    expect((await refusal(set(`${data}/share`))).message).toMatch(/in every base backup/)
    expect((await refusal(set(join(folder, 'absent')))).code).toBe('58P01')
    for (const [text, code] of [
      ['', 'TN011'],
      ['abcd', 'TN011'],
      [`${share.toString('hex')}0`, 'TN011'],
      ['x'.repeat(64), 'TN011'],
      [newShare.toString('hex'), 'TN005'],
    ] as const) {
      write(text)
      expect([text, (await refusal(set(file))).code]).toEqual([text, code])
    }
    write(`${share.toString('hex')}\n`)
    const byAdmin = on.setUp.query(`select tenantry.set_key_provider('file', $1)`, [file])
    expect((await refusal(byAdmin)).code).toBe('42501')
    const byApp = on.app.pool().query(`select tenantry.set_key_provider('session')`)
    expect((await refusal(byApp)).code).toBe('42501')
    expect(await wanted()).toBe(true)
  })

  test('opens secrets for a person in psql, who enters nothing', async () => {
    const person = await on.bound(anna)
    expect((await refusal(read(person))).code).toBe('TN005')
    await set(file)
    expect(await wanted()).toBe(false)
    expect(await read(person)).toEqual(tokens)
    await person.query(`update vault set token = 'by Anna' where id = 1`)
    await person.query(insert(1000))
    expect((await read(person))[0]).toBe('by Anna')
    expect(await on.check()).toEqual([])
    for (const way of [
      'select tenantry_private.key_file()',
      'select tenantry_private.current_share()',
      `select pg_read_file('${file}')`,
    ])
      expect((await refusal(person.query(way))).code).toBe('42501')

    // What a transaction brings comes first, right or wrong.
    expect((await refusal(on.holding(bert, read, newShare))).code).toBe('TN005')
    const junk = `begin; set local tenantry.key_share = 'junk'; select token from tenant.vault`
    expect((await refusal(person.query(junk))).code).toBe('TN005')
    await person.query('rollback')

    for (const spoil of [
      () => write(''),
      () => write('gone'),
      () => write(newShare.toString('hex')),
      () => chmodSync(file, 0),
      () => rmSync(file),
    ]) {
      spoil()
      const { code, message } = await refusal(read(person))
      expect(code).toBe('TN005')
      expect(message).not.toContain(file)
      expect((await refusal(person.query(insert(1001)))).code).toBe('TN005')
      expect(await on.holding(bert, read)).toEqual(tokens)
      rmSync(file, { force: true })
      write(share.toString('hex'))
      expect((await read(person))[0]).toBe('by Anna')
    }
    // An ordinary admin may go back; a superuser takes the function with the path away, too.
    await on.setUp.query(`select tenantry.set_key_provider('session')`)
    expect((await refusal(read(person))).code).toBe('TN005')
    await on.db.admin.query(`select tenantry.set_key_provider('session')`)
    const named = `select from pg_proc where proname = 'key_file' and strpos(prosrc, '${folder}') > 0`
    expect(await on.stored(named)).toEqual([])
    expect(await wanted()).toBe(true)
    expect(await written()).toEqual([{ id: 1000 }])
    expect(await on.check()).toEqual([])
  })
})
