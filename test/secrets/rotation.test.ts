import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { credential, inTransaction, refusal } from '../extension/support/stage.js'
import {
  begun,
  endedWhileWaiting,
  fill,
  keyStage,
  keyStatus,
  read,
  tokens,
  until,
} from './support/keys.js'
import { anna, bert, share, type SecretStage } from './support/stage.js'

// Rotating data keys: as the tables' ordinary owner, while the application writes.

let on: SecretStage

beforeAll(async () => {
  on = await keyStage()
})
afterAll(() => on.drop())
beforeEach(() => fill(on))

const rotate = (batch = 5000) =>
  on.setUp.query('call tenantry.rotate_data_keys($1, batch_size => $2)', [share, batch])
const raw = () =>
  on.stored<{ id: number; token: string; email: string }>(
    'select id, token, email from vault order by id',
  )
const waiting = `select from pg_stat_activity where query like 'call tenantry.rotate%' and wait_event_type = 'Lock'`
const rowOf = (id: number) => `select from vault where id = ${id} for update`
const live = () =>
  on.stored<{ keys: number; entities: number }>(
    `select count(*)::int as keys, count(distinct (kind, id))::int as entities
       from tenantry_private.data_keys where superseded_at is null`,
  )
const settled = async () => {
  const [{ keys, entities } = { keys: -1, entities: 0 }] = await live()
  expect(keys).toBe(entities)
  expect((await keyStatus(on))[0]).toMatchObject({ superseded: 0 })
  expect(await on.stored('select from tenantry_private.engine_jobs')).toEqual([])
  expect(await on.stored(`select from pg_policy where polname = 'tenantry_engine'`)).toEqual([])
  expect(await on.check()).toEqual([])
}

async function plant(id: number, token: string): Promise<void> {
  await on.db.admin.query(
    `begin; set local session_replication_role = replica; update vault set token = '${token}' where id = ${id}; commit`,
  )
}

test('seals every value anew; the old versions are counted, and refused from then on', async () => {
  const before = await raw()
  const notices: string[] = []
  const listen = ({ message }: { message?: string | undefined }) => void notices.push(message ?? '')
  on.setUp.on('notice', listen)
  await rotate(7)
  on.setUp.off('notice', listen)
  expect(notices).toContain('rotate_data_keys: 2 new keys')
  expect(notices).toContain('rotate_data_keys: 120 values sealed anew, 2 old keys retired')
  const after = await raw()
  expect(after.filter(({ token }, i) => token === before[i]!.token)).toEqual([])
  expect(await on.holding(anna, read)).toEqual(tokens)
  expect(await on.holding(bert, read)).toEqual(tokens)
  expect((await keyStatus(on))[0]).toMatchObject({ data_keys: 4, retired: 2 })
  await settled()
  await plant(1, before[0]!.token)
  expect((await refusal(on.holding(anna, read))).code).toBe('TN006')
  await plant(1, after[0]!.token)
  expect(await on.holding(anna, read)).toEqual(tokens)
  const found = await on.holding(anna, (client) =>
    client.query(
      `select id from tenant.vault where email_index = tenantry.blind_index(
         (select column_id from tenantry.encrypted_columns where column_name = 'email'), 'm7@x')`,
    ),
  )
  expect(found.rows).toEqual([{ id: 7 }])
})

test('is for the tables’ owner with the share, and begins nothing otherwise', async () => {
  const other = await on.db.role('other', { allow: 'admin', ordinary: false })
  const call = 'call tenantry.rotate_data_keys($1)'
  const before = await on.stored(
    'select number, superseded_at from tenantry_private.data_keys order by 1',
  )
  expect((await refusal(other.pool().query(call, [share]))).code).toBe('42501')
  expect((await refusal(on.app.pool().query(call, [share]))).code).toBe('42501')
  for (const wrong of [null, Buffer.alloc(32, 1), Buffer.alloc(5)])
    expect((await refusal(on.setUp.query(call, [wrong]))).code).toBe('TN005')
  expect(
    (
      await refusal(
        on.setUp.query('call tenantry.rotate_data_keys($1, $2)', [share, 'user:nobody']),
      )
    ).code,
  ).toBe('TN009')
  expect(
    await on.stored('select number, superseded_at from tenantry_private.data_keys order by 1'),
  ).toEqual(before)
})

test('waits for a transaction that seals with the old key, and keeps nobody else waiting', async () => {
  const writer = await begun(on, anna)
  await writer.query(`insert into vault (id, token) values (50, 'before')`)
  const rotation = rotate()
  await until(on, waiting)
  await writer.query(`insert into vault (id, token) values (51, 'while it waits')`)
  await on.holding(bert, async (client) => {
    await client.query(`set local lock_timeout = '5s'`)
    await client.query(`insert into vault (id, token) values (150, 'of another')`)
  })
  await writer.query('commit')
  await rotation
  expect((await on.holding(anna, read)).slice(-2)).toEqual(['before', 'while it waits'])
  expect((await on.holding(bert, read)).slice(-1)).toEqual(['of another'])
  await settled()
})

test('whoever waits for a rotation to make the new key seals with that, and makes none', async () => {
  await on.setUp.query('begin')
  await on.setUp.query('select tenantry_private.supersede_data_keys($1, $2, 10)', [anna, share])
  const writer = await begun(on, anna)
  const written = writer.query(`insert into vault (id, token) values (50, 'just then')`)
  await until(
    on,
    `select from pg_stat_activity where query like 'insert into vault%' and wait_event_type = 'Lock'`,
  )
  await on.setUp.query('commit')
  await written
  await writer.query('commit')
  await rotate()
  expect(await on.holding(anna, read)).toEqual([...tokens, 'just then'])
  await settled()
})

test('ended, it goes on, for whichever entity it is called next', async () => {
  const cleo = 'user:6f1c0000-0000-4000-8000-00000000000c'
  await on.db.admin.query(`insert into users values ('${cleo.slice(5)}', 'Cleo')`)
  await on.holding(cleo, (client) =>
    client.query(`insert into vault (id, token) values (201, 'of Cleo')`),
  )
  // Owner by owner: Bert's values are done, and Anna's in front of them passed by, when it is ended at Cleo's.
  const held = `select from tenantry_private.data_keys where 'user:' || id = '${cleo}' for update`
  const call = 'call tenantry.rotate_data_keys($1, $2, 3)'
  await endedWhileWaiting(on, held, call, [share, bert])
  expect((await keyStatus(on))[0]).toMatchObject({ superseded: 1 })
  expect(await on.holding(anna, read)).toEqual(tokens)
  expect(await on.holding(bert, read)).toEqual(tokens)
  const before = await raw()
  await on.setUp.query(call, [share, anna])
  expect(await on.holding(anna, read)).toEqual(tokens)
  expect(await on.holding(bert, read)).toEqual(tokens)
  expect(await on.holding(cleo, read)).toEqual(['of Cleo'])
  // What had been sealed anew before the end stayed as it was, and so did what was never to be.
  const same = (await raw()).filter(({ token }, i) => token === before[i]!.token)
  expect(same.map(({ id }) => id)).toEqual([...Array.from({ length: 30 }, (_, i) => 101 + i), 201])
  await settled()
})

test('two at once are refused', async () => {
  const holder = await on.db.admin.connect()
  try {
    await holder.query('begin')
    await holder.query(rowOf(101))
    const first = rotate(10)
    await until(on, waiting)
    const second = await on.owner.connect()
    const { code, message } = await refusal(
      second.query('call tenantry.rotate_data_keys($1, $2)', [share, anna]),
    )
    expect({ code, message }).toEqual({
      code: '55P03',
      message: expect.stringContaining('somebody else is at this already: process'),
    })
    await holder.query('rollback')
    await first
    await second.query('call tenantry.rotate_data_keys($1, $2)', [share, anna])
  } finally {
    holder.release()
  }
  expect(await on.holding(anna, read)).toEqual(tokens)
  expect(await on.holding(bert, read)).toEqual(tokens)
  await settled()
})

test('loses nothing that is written meanwhile, short transactions and long ones', async () => {
  let stop = false
  const model = new Map(tokens.map((token, i) => [i + 1, token]))
  const enter = (client: { query: (text: string, values: unknown[]) => Promise<unknown> }) =>
    client.query('select tenantry.enter($1, $2)', [credential(on.db.name, anna), share])
  const short = (async () => {
    const client = await on.app.connect()
    for (let n = 0; !stop; n += 1) {
      const id = 1 + (n % 15)
      await inTransaction(client, async () => {
        await enter(client)
        await client.query('update vault set token = $1 where id = $2', [`short ${n}`, id])
      })
      model.set(id, `short ${n}`)
    }
  })()
  const long = (async () => {
    const client = await on.app.connect()
    for (let n = 0; !stop; n += 1) {
      const changes = new Map<number, string>()
      await inTransaction(client, async () => {
        await enter(client)
        // In the order of their ids: rows that are locked in any other may end in a deadlock with whatever else locks several.
        const ids = Array.from({ length: 6 }, (_, step) => 16 + ((n * 6 + step) % 15))
        for (const [step, id] of ids.sort((a, b) => a - b).entries()) {
          if (step % 3 === 0) await client.query('delete from vault where id = $1', [id])
          await client.query(
            `insert into vault (id, token) values ($1, $2) on conflict (id) do update set token = excluded.token`,
            [id, `long ${n}.${step}`],
          )
          changes.set(id, `long ${n}.${step}`)
          await client.query('select pg_sleep(0.003)')
        }
      })
      for (const [id, token] of changes) model.set(id, token)
    }
  })()
  try {
    for (const batch of [1, 4, 100]) await rotate(batch)
  } finally {
    stop = true
    await Promise.all([short, long])
  }
  const ids = [...model.keys()].sort((a, b) => a - b)
  expect(await on.holding(anna, read)).toEqual(ids.map((id) => model.get(id)))
  expect(await on.holding(bert, read)).toEqual(tokens)
  await settled()
})
