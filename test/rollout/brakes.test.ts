import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { refusal, stage, type Stage } from '../extension/support/stage.js'
import { replica } from './support/replica.js'

// What a backfill waits for, the limits of it, and that they can be changed while it waits.

const anna = 'aaaaaaaa-0000-4000-8000-000000000001'
const letters = 3000

let on: Stage
const notices: string[] = []

beforeAll(async () => {
  on = await stage()
  // Who may not look at others' transactions and at replicas is not held back by them.
  await on.db.admin.query(`grant pg_read_all_stats to "${on.owner.name}"`)
  await on.setUp.query(`
    create table users (id uuid primary key);
    insert into users values ('${anna}');
    select tenantry.register_kind('user', 'users')`)
  on.setUp.on('notice', ({ message }) => notices.push(message ?? ''))
})
afterAll(() => on.drop())

const configure = (setting: string | null, value: string | null) =>
  on.db.admin.query('select tenantry.configure($1, $2)', [setting, value])

/** A table of letters that is prepared, and what fills it, in batches of 100 at first. */
async function prepared(table: string): Promise<() => Promise<unknown>> {
  await on.setUp.query(`
    create table ${table} (id int primary key, sender uuid);
    insert into ${table} select n, '${anna}' from generate_series(1, ${letters}) n;
    analyze ${table};
    select tenantry.rollout('${table}', 'owner_id', 'user');
    select tenantry.rollout_signal('${table}', 1, 'sender', tenantry.rollout_from_column('${table}', 'sender'))`)
  await on.setUp.query(`call tenantry.rollout_to('${table}', 'prepared')`)
  notices.length = 0
  return () => on.setUp.query(`call tenantry.rollout_to('${table}', 'backfilled', 100)`)
}

async function status(table: string) {
  const { rows } = await on.db.admin.query<{ brake: string | null; filled: string; done: string }>(
    'select brake, filled, done from tenantry.rollout_status where relation = $1::regclass',
    [table],
  )
  return rows[0]!
}

async function braked(table: string): Promise<string> {
  for (let attempt = 0; attempt < 400; attempt += 1) {
    const { brake } = await status(table)
    if (brake !== null) return brake
    await sleep(25)
  }
  throw new Error(`nothing held ${table} back`)
}

describe('the limits', () => {
  const defaults = {
    brake_replica_lag: '10 seconds',
    brake_wal_rate: '200 MB/s',
    brake_transaction_age: '5 minutes',
    brake_latency: '20 ms',
    brake_wait: '10 minutes',
  }

  it('are settings, seen by admins with their defaults', async () => {
    const settings = async () =>
      (
        await on.setUp.query<{ setting: string; value: string; is_default: boolean }>(
          `select setting, value, is_default from tenantry.settings where setting like 'brake%'`,
        )
      ).rows
    expect(await settings()).toEqual(
      Object.entries(defaults).map(([setting, value]) => ({ setting, value, is_default: true })),
    )
    await configure('brake_wal_rate', '50 MB')
    expect(await settings()).toContainEqual({
      setting: 'brake_wal_rate',
      value: '50 MB',
      is_default: false,
    })
    await configure('brake_wal_rate', null)
    expect(await settings()).toContainEqual({
      setting: 'brake_wal_rate',
      value: '200 MB/s',
      is_default: true,
    })
    expect((await refusal(on.asNobody((c) => c.query('select from tenantry.settings')))).code).toBe(
      '42501',
    )
  })

  it.each([
    ['brake_replica_lag', '30', '22023', 'needs a unit'],
    ['brake_replica_lag', '99 ms', '22023', 'must lie between'],
    ['brake_replica_lag', '31 days', '22023', 'must lie between'],
    ['brake_replica_lag', 'a while', '22007', 'invalid input syntax'],
    ['brake_wal_rate', '200', '22023', 'needs a unit'],
    ['brake_wal_rate', '1023 bytes', '22023', 'must lie between'],
    ['brake_wal_rate', '2 TB/s', '22023', 'must lie between'],
    ['brake_wal_rate', '2 seconds', '22023', 'invalid size'],
    ['brake_transaction_age', '', '22023', 'needs a unit'],
    ['brake_latency', '2 minutes', '22023', 'must lie between'],
    ['brake_wait', '-1 second', '22023', 'must lie between'],
    ['brake_wait', 'off', '22007', 'invalid input syntax'],
    ['brake', '1 second', '22023', 'there is no setting'],
  ])('%s cannot be %s', async (setting, value, code, message) => {
    const refused = await refusal(configure(setting, value))
    expect(refused).toMatchObject({ code, message: expect.stringContaining(message) as string })
    if (message === 'needs a unit') expect(refused.hint).toMatch(/^Such as '\d+ \D+'/)
  })

  it.each([
    ['brake_replica_lag', '100 ms'],
    ['brake_wal_rate', '1 kB/s'],
    ['brake_wal_rate', '1 TB'],
    ['brake_transaction_age', '00:10:00'],
    ['brake_latency', 'off'],
    ['brake_wait', '0 s'],
  ])('%s can be %s', async (setting, value) => {
    await configure(setting, value)
    await configure(setting, null)
  })

  it('hold back from beyond them on, where they are on', async () => {
    const reason = async (usual: number, probe: number, rate: number) =>
      (
        await on.setUp.query<{ reason: string | null }>(
          'select tenantry_private.brake_reason($1, $2, $3) as reason',
          [usual, probe, rate],
        )
      ).rows[0]!.reason
    expect(await reason(1, 19, 200 * 1024 ** 2)).toBeNull()
    // Beyond the limit, but not much slower than usual.
    expect(await reason(15, 50, 0)).toBeNull()
    expect(await reason(12, 50, 0)).toBe(
      'a look at one row takes 50.0 ms, usually 12.0 ms (brake_latency: 20 ms)',
    )
    expect(await reason(1, 1, 201 * 1024 ** 2)).toBe(
      '201 MB of WAL a second are written (brake_wal_rate: 200 MB/s)',
    )
    await configure('brake_latency', '60 ms')
    await configure('brake_wal_rate', 'off')
    expect(await reason(12, 50, 1e12)).toBeNull()
    expect(await reason(12, 61, 0)).toContain('(brake_latency: 60 ms)')
    await configure('brake_latency', 'off')
    expect(await reason(12, 1e9, 0)).toBeNull()
    await configure('brake_latency', null)
    await configure('brake_wal_rate', null)
  })
})

describe('a backfill', () => {
  // On a busy machine a look at one row takes as long as it takes.
  beforeAll(() => configure('brake_latency', 'off'))
  afterAll(() => configure('brake_latency', null))

  it('stands still while a transaction is open, until the limit is lifted', async () => {
    const fill = await prepared('held')
    const holder = await on.owner.connect()
    await holder.query('begin')
    await holder.query('select from users')
    await configure('brake_transaction_age', '200 ms')
    await sleep(250)
    const running = fill()
    const { rows } = await on.db.admin.query<{ pid: number }>(
      `select pid from pg_stat_activity where state = 'idle in transaction' and datname = current_database()`,
    )
    expect(await braked('held')).toMatch(
      new RegExp(
        `^process ${rows[0]!.pid} has a transaction open since .*brake_transaction_age: 200 ms`,
      ),
    )
    const before = await status('held')
    expect(Number(before.done)).toBeLessThan(letters)
    await sleep(600)
    expect((await status('held')).done).toBe(before.done)
    await configure('brake_transaction_age', '1 hour')
    await running
    await holder.query('rollback')
    expect(await status('held')).toMatchObject({ brake: null, filled: String(letters) })
    expect(notices.filter((each) => each.includes('held: waits, because process'))).toHaveLength(1)
    await configure('brake_transaction_age', null)
  })

  it('interrupted while it waits leaves the table to whoever comes next, though its session goes on', async () => {
    const fill = await prepared('abandoned')
    const { rows } = await on.setUp.query<{ pid: number }>('select pg_backend_pid() as pid')
    await configure('brake_wal_rate', '1 kB/s')
    const interrupted = refusal(fill())
    await braked('abandoned')
    const next = await on.owner.connect()
    const call = `call tenantry.rollout_to('abandoned', 'backfilled', 100)`
    expect((await refusal(next.query(call))).code).toBe('55P03')
    await on.db.admin.query('select pg_cancel_backend($1)', [rows[0]!.pid])
    expect((await interrupted).code).toBe('57014')
    await configure('brake_wal_rate', null)
    await next.query(call)
    await next.end()
    expect(await status('abandoned')).toMatchObject({ filled: String(letters) })
  })

  it('waits no longer than it may, and says that it goes on', async () => {
    const fill = await prepared('rushed')
    await configure('brake_wal_rate', '1 kB/s')
    await configure('brake_wait', '1 second')
    const began = performance.now()
    await fill()
    expect(performance.now() - began).toBeGreaterThan(1000)
    expect(await status('rushed')).toMatchObject({ brake: null, filled: String(letters) })
    expect(notices).toContainEqual(
      expect.stringMatching(/rushed: waits, because .* of WAL a second .*brake_wal_rate: 1 kB/),
    )
    // The time is given once, not for every batch.
    expect(notices.filter((each) => each.includes('goes on'))).toEqual([
      expect.stringMatching(/rushed: goes on after 00:00:01, although .*brake_wal_rate: 1 kB/),
    ])
    await configure('brake_wait', null)
    await configure('brake_wal_rate', null)
  })

  it('waits for a replica', async () => {
    const fill = await prepared('replicated')
    const { name } = on.db
    // No longer than it must: the server forgets places in its log while very many are on their way.
    const standby = await replica(on.db.url(), name, 600)
    const lag = async () =>
      (
        await on.setUp.query<{ behind: boolean }>(
          `select coalesce(max(replay_lag) > '400 ms', false) as behind from pg_stat_replication where application_name = left($1, 63)`,
          [name],
        )
      ).rows[0]!.behind
    try {
      await configure('brake_replica_lag', '300 ms')
      while (!(await lag())) {
        await on.setUp.query('update replicated set sender = sender where id = 1')
        await sleep(50)
      }
      const running = fill()
      expect(await braked('replicated')).toMatch(
        new RegExp(`^replica ${name} is 00:00:0[\\d.]+ behind \\(brake_replica_lag: 300 ms\\)`),
      )
      expect(Number((await status('replicated')).done)).toBeLessThan(letters)
      standby.delay(0)
      await running
      expect(await status('replicated')).toMatchObject({ brake: null, filled: String(letters) })
    } finally {
      await standby.end()
      await configure('brake_replica_lag', null)
    }
  })

  it('waits for neither by default', async () => {
    const holder = await on.owner.connect()
    await holder.query('begin; select from users')
    const standby = await replica(on.db.url(), on.db.name, 1000)
    const fill = await prepared('free')
    await fill()
    await standby.end()
    await holder.query('rollback')
    expect(notices.filter((each) => /process|replica /.test(each))).toEqual([])
    expect(await status('free')).toMatchObject({ brake: null, filled: String(letters) })
  })
})
