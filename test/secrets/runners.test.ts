import type pg from 'pg'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { refusal } from '../extension/support/stage.js'
import { begun, fill, keyStage, read, tokens, until } from './support/keys.js'
import { anna, annaId, bert, share, type SecretStage } from './support/stage.js'

// Procedures that commit hold a lock beyond each of their transactions, but not beyond themselves, however they end.

let on: SecretStage
let first: pg.Client
let second: pg.Client

beforeAll(async () => {
  on = await keyStage()
  first = await on.owner.connect()
  second = await on.owner.connect()
})
afterAll(() => on.drop())

const wrong = Buffer.alloc(32, 1)
const locks = () =>
  on.stored(
    `select from pg_locks l join pg_database d on d.oid = l.database and d.datname = current_database()
      where l.locktype = 'advisory'`,
  )
const rotate = (client: pg.Client) =>
  client.query('call tenantry.rotate_data_keys($1, batch_size => 5)', [share])
const seal = (client: pg.Client, using = share) =>
  client.query(
    `call tenantry.encrypt_existing('letters', 'body', to_step => 'filled', key_share => $1, batch_size => 5)`,
    [using],
  )
const isFilled = async () =>
  expect(
    await on.stored(`select from tenantry.encrypted_columns where state = 'filled'`),
  ).toHaveLength(1)

/** Cancelled while it waits for what another transaction holds; its session goes on. */
async function cancelled(held: string, call: (client: pg.Client) => Promise<unknown>) {
  const holder = await on.db.admin.connect()
  try {
    await holder.query('begin')
    await holder.query(held)
    const { rows } = await first.query<{ pid: number }>('select pg_backend_pid() as pid')
    const pid = rows[0]!.pid
    const ended = refusal(call(first))
    await until(on, `select from pg_stat_activity where pid = ${pid} and wait_event_type = 'Lock'`)
    // Whoever comes meanwhile is refused: it is under way.
    expect(await refusal(call(second))).toMatchObject({
      code: '55P03',
      message: expect.stringContaining(`process ${pid}`) as string,
    })
    await on.stored(`select pg_cancel_backend(${pid})`)
    expect((await ended).code).toBe('57014')
  } finally {
    await holder.query('rollback')
    holder.release()
  }
}

beforeEach(async () => {
  await fill(on)
  await on.db.admin.query('drop table if exists letters cascade; select tenantry.sync()')
  await on.setUp
    .query(`create table letters (id int primary key, owner_id uuid not null references users, body text);
    select tenantry.protect('letters')`)
  await on.db.admin.query(
    `insert into letters select n, '${annaId}', 'body ' || n from generate_series(1, 20) n`,
  )
  await on.setUp.query(`select tenantry.encrypt_column('letters', 'body')`)
})

test('after an error another session goes on, while the first one is still there', async () => {
  expect((await refusal(seal(first, wrong))).code).toBe('TN005')
  expect(await locks()).toEqual([])
  await seal(second)
  await isFilled()
  expect(await locks()).toEqual([])
})

test('after an error the same session goes on, and holds nothing afterwards', async () => {
  for (let times = 0; times < 2; times += 1)
    expect((await refusal(seal(first, wrong))).code).toBe('TN005')
  await seal(first)
  await isFilled()
  expect(await locks()).toEqual([])
})

test('being cancelled is no different', async () => {
  const key = `select from tenantry_private.data_keys where 'user:' || id = '${anna}' for update`
  await on.setUp.query(
    `call tenantry.encrypt_existing('letters', 'body', to_step => 'dual', key_share => $1)`,
    [share],
  )
  await cancelled(key, seal)
  expect(await locks()).toEqual([])
  await seal(second)
  await isFilled()
})

test('a rotation that is cancelled, or ended in one of its jobs, leaves the next session to it', async () => {
  await on.setUp.query(`drop table letters cascade`)
  await cancelled(
    `select from tenantry_private.data_keys where 'user:' || id = '${bert}' for update`,
    rotate,
  )
  expect(await locks()).toEqual([])
  await rotate(second)
  // A damaged key: an error of the batches.
  const damage = (by: string) =>
    on.db.admin.query(
      `update tenantry_private.data_keys set wrapped = set_byte(wrapped, 5, get_byte(wrapped, 5) ${by} 255)
        where 'user:' || id = $1 and superseded_at is null`,
      [bert],
    )
  await on.setUp.query('select tenantry_private.supersede_data_keys($1, $2, 10)', [anna, share])
  await damage('#')
  expect(
    (await refusal(first.query('call tenantry.rotate_data_keys($1, $2)', [share, anna]))).code,
  ).toBe('TN006')
  await damage('#')
  expect(await locks()).toEqual([])
  for (const client of [second, first]) await rotate(client)
  expect(await locks()).toEqual([])
  for (const who of [anna, bert]) expect(await on.holding(who, read)).toEqual(tokens)
})

test('a transaction that holds the table keeps the job waiting, and nobody behind that', async () => {
  await on.setUp.query(
    `call tenantry.encrypt_existing('letters', 'body', to_step => 'dual', key_share => $1)`,
    [share],
  )
  const idle = await begun(on, anna)
  await idle.query('select count(*) from letters')
  const { rows } = await first.query<{ pid: number }>('select pg_backend_pid() as pid')
  const sealing = seal(first)
  await until(
    on,
    `select from pg_stat_activity where pid = ${rows[0]!.pid} and wait_event_type = 'Lock'`,
  )
  // Without that the first of them would wait as long as the idle one is there.
  for (let times = 0; times < 5; times += 1) {
    await on.holding(bert, async (client) => {
      await client.query(`set local lock_timeout = '2s'`)
      await client.query('select count(*) from letters')
      await client.query(`insert into letters values ($1, default, 'meanwhile')`, [100 + times])
    })
  }
  expect(await on.stored(`select from letters where body like 'body%'`)).toHaveLength(20)
  await idle.query('commit')
  await sealing
  await isFilled()
  expect(await on.stored(`select from letters where body not like 'tn1:%'`)).toEqual([])
})

test('in the end it says who holds the table, and another call goes on', async () => {
  const idle = await begun(on, anna)
  const { rows } = await idle.query<{ pid: number; name: string }>(
    'select pg_backend_pid() as pid, current_user as name from letters limit 1',
  )
  const lock = `select tenantry_private.lock_patiently('letters', 'letters', 3)`
  expect(await refusal(first.query(lock))).toMatchObject({
    code: '55P03',
    message: `other transactions have held public.letters for too long: process ${rows[0]!.pid} (${rows[0]!.name})`,
    hint: expect.stringMatching(/^Run it again when they have ended/) as string,
  })
  expect((await first.query<{ lock_timeout: string }>('show lock_timeout')).rows).toEqual([
    { lock_timeout: '0' },
  ])
  await idle.query('commit')
  await first.query(lock)
})
