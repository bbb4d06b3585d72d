import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { outcome, refusal } from '../extension/support/stage.js'
import { counted, everything, letters, rows } from './support/letters.js'
import { library, type Library } from './support/library.js'

// Other sessions fill owners beside the runner: each ranges of its own, of which none is lost and none is filled twice.

let on: Library

beforeAll(async () => {
  on = await library()
})
afterAll(() => on.drop())

/** A session of the tables' owner that goes at it, and how that ends: an SQLSTATE, or ok. */
async function session(name: string, call: 'to' | 'help') {
  const client = new pg.Client({ connectionString: on.owner.url })
  client.on('error', () => undefined)
  await client.connect()
  const { rows: own } = await client.query<{ pid: number }>('select pg_backend_pid() as pid')
  const statement =
    call === 'to'
      ? `call tenantry.rollout_to('${name}', 'backfilled', 100)`
      : `call tenantry.rollout_help('${name}', 100)`
  const ended = refusal(client.query(statement)).then(
    // All are filled, and an index is missing, which the command line builds.
    ({ code, message }) => (code === 'TN012' ? 'ok' : `${code} ${message}`),
    () => 'ok',
  )
  return { pid: own[0]!.pid, ended: ended.finally(() => client.end()) }
}

/** Somebody holds a row of the first block: whoever is at its range cannot end it. */
async function holding(name: string): Promise<{ release(): Promise<void> }> {
  const client = await on.legacy.connect()
  await client.query('begin')
  await client.query(`select from ${name} where id = 1 for update`)
  return {
    async release() {
      await client.query('commit')
      await client.end()
    },
  }
}

const ranges = (name: string) =>
  on.stored<{ first: string; pid: number | null }>(
    `select r.first, tenantry_private.job_process(r.relation, 'rollout range ' || r.first) as pid
       from tenantry_private.rollout_ranges r where r.relation = '${name}'::regclass order by r.first`,
  )

async function until<T>(look: () => Promise<T>, holds: (seen: T) => boolean): Promise<T> {
  for (let waited = 0; waited < 20_000; waited += 20) {
    const seen = await look()
    if (holds(seen)) return seen
    await sleep(20)
  }
  throw new Error(`it did not come about: ${JSON.stringify(await look())}`)
}

/** Waits until nothing is left but the range of the row that somebody holds; says who is at it. */
async function allButOne(name: string): Promise<number | null | undefined> {
  const [seen] = await until(
    () =>
      on.stored<{ begun: boolean; n: number; pid: number | null }>(
        `select o.place >= pg_relation_size(o.relation) / 8192 as begun, count(*)::int as n,
                min(tenantry_private.job_process(r.relation, 'rollout range ' || r.first)) as pid
           from tenantry_private.rollouts o join tenantry_private.rollout_ranges r using (relation)
          where o.relation = '${name}'::regclass group by 1`,
      ),
    ([found]) => found?.begun === true && found.n === 1 && found.pid !== null,
  )
  return seen?.pid
}

/** A runner that is at the first range, of which somebody holds a row. */
async function stuck(name: string) {
  const runner = await session(name, 'to')
  await until(
    () => ranges(name),
    (seen) => seen[0]?.pid === runner.pid,
  )
  return runner
}

describe('a helper', () => {
  test('fills what the runner does not get to, and both end when nothing is left', async () => {
    const name = await letters(on)
    const held = await holding(name)
    const runner = await stuck(name)
    const helper = await session(name, 'help')
    // The runner can do no more than wait for the row.
    expect(await allButOne(name)).toBe(runner.pid)
    const [{ open } = { open: 0 }] = await on.stored<{ open: number }>(
      `select count(*)::int as open from ${name} where sender is not null and owner_id is null`,
    )
    expect(open).toBeLessThan(rows / 20)
    await held.release()
    expect([await runner.ended, await helper.ended]).toEqual(['ok', 'ok'])
    expect(await counted(on, name)).toEqual(everything)
  })

  test('that is killed leaves its range to the runner', async () => {
    const name = await letters(on)
    const held = await holding(name)
    const lost = await stuck(name)
    await on.db.admin.query('select pg_terminate_backend($1)', [lost.pid])
    expect(await lost.ended).toMatch(/^57P01/)
    const runner = await session(name, 'to')
    await until(
      () => ranges(name),
      (seen) => seen.length === 1 && seen[0]?.first === '0' && seen[0].pid === runner.pid,
    )
    await held.release()
    expect(await runner.ended).toBe('ok')
    expect(await counted(on, name)).toEqual(everything)
  })

  test('whose rollout is taken back meanwhile keeps nothing of its batch', async () => {
    const name = await letters(on)
    const held = await holding(name)
    const runner = await stuck(name)
    await on.setUp.query('select tenantry_private.drop_ranges($1)', [name])
    const before = await counted(on, name)
    await held.release()
    expect(await runner.ended).toMatch(/^TN011 the rollout of .* was taken back meanwhile/)
    expect(await counted(on, name)).toEqual(before)
    // And again from the beginning.
    expect(await (await session(name, 'to')).ended).toBe('ok')
    expect(await counted(on, name)).toMatchObject({ ...everything, progress: expect.anything() })
  })

  test('and a runner whose signal fails let the range go, though their sessions go on', async () => {
    const name = await letters(on)
    await on.setUp.query(
      `select tenantry.rollout_signal('${name}', 1, 'sender', 'select id, case when id = 3000 then (1 / (id - id))::text else sender::text end from public.${name}')`,
    )
    const fill = `call tenantry.rollout_to('${name}', 'backfilled', 100)`
    const failed = await on.owner.connect()
    expect((await refusal(failed.query(fill))).code).toBe('22012')
    expect((await refusal(on.setUp.query(fill))).code).toBe('22012')
    expect(await ranges(name)).toMatchObject([{ pid: null }])
    await on.setUp.query(
      `select tenantry.rollout_signal('${name}', 1, 'sender', tenantry.rollout_from_column('${name}', 'sender'))`,
    )
    expect(await (await session(name, 'to')).ended).toBe('ok')
    expect(await counted(on, name)).toEqual(everything)
    await failed.end()
  })

  test('does not go on when its runner has ended and the table has gone back', async () => {
    await on.db.admin.query(`grant pg_read_all_stats to "${on.owner.name}"`)
    // A column of its own, in which owners that were filled in vain would stay.
    const name = await letters(on, { owner: 'uuid' })
    const held = await holding(name)
    const runner = await stuck(name)
    const helper = await session(name, 'help')
    await until(
      () => ranges(name),
      (seen) => seen.some(({ pid }) => pid === helper.pid),
    )
    // It stands still between two batches while all this happens.
    await on.db.admin.query(`select tenantry.configure('brake_transaction_age', '100 ms')`)
    const old = await on.legacy.connect()
    await old.query('begin; select')
    await until(
      () =>
        on.stored<{ brake: string | null }>(
          `select brake from tenantry.rollout_status where relation = '${name}'::regclass`,
        ),
      ([seen]) => seen?.brake !== null,
    )
    await on.db.admin.query('select pg_cancel_backend($1)', [runner.pid])
    expect(await runner.ended).toMatch(/^57014/)
    await held.release()
    await on.to(name, 'planned')
    await on.db.admin.query(`select tenantry.configure('brake_transaction_age', null)`)
    expect(await helper.ended).toMatch(
      /^TN011 (the rollout of .* was taken back meanwhile|nobody fills the owners)/,
    )
    await old.query('rollback')
    await old.end()
    expect(await counted(on, name)).toMatchObject({ right: 0, wrong: 0, without: rows })
    await on.to(name, 'prepared')
    expect(await (await session(name, 'to')).ended).toBe('ok')
    expect(await counted(on, name)).toEqual(everything)
  })

  test('without a runner is refused, and so is anybody who may not run one', async () => {
    const name = await letters(on)
    const other = await on.db.role('clerk')
    const client = await other.connect()
    await client.query('begin')
    expect(await outcome(client, `call tenantry.rollout_help('${name}')`)).toBe('42501')
    await client.query('rollback')
    const helper = await session(name, 'help')
    expect(await helper.ended).toMatch(/^TN011 nobody fills the owners of /)
    expect(await counted(on, name)).toMatchObject({ right: 0 })
  }, 20_000)
})
