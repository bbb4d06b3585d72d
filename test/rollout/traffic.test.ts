import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Entity } from '../../src/identity.js'
import { sqlState } from '../extension/support/stage.js'
import { elizaos, type Elizaos, rollOut } from './support/elizaos.js'
import {
  contextTraffic,
  legacyTraffic,
  logs,
  memories,
  misplaced,
  percentile,
  type Traffic,
  type WorkedOn,
} from './support/traffic.js'

// Two applications work on a table while it is rolled out, back from every state, and forth again: one that knows no
// context, until the table is strict, and one that enters, as soon as it is isolated. Once the memories, and once the
// logs, which have no primary key: no trigger fills what is written there meanwhile, and every change gives a row that
// waits in quarantine another name.

let on: Elizaos
const running: Traffic[] = []
const report: string[] = []

beforeAll(async () => {
  on = await elizaos({ size: 'demo' })
  for (const table of ['agents', 'entities', 'worlds', 'rooms']) await on.to(table, 'backfilled')
}, 180_000)

afterAll(async () => {
  await Promise.all(running.map((each) => each.stop()))
  console.log(report.join('\n'))
  await on.drop()
})

interface Worked {
  readonly table: WorkedOn
  readonly legacy: Traffic
  readonly modern: Traffic
  to(state: string): Promise<void>
}

/** Undecidable rows are changed like all others. */
async function workOn(table: WorkedOn, references: string): Promise<Worked> {
  const { name } = table
  await on.setUp.query(
    `select tenantry.rollout('${name}', 'owner_id', 'user', legacy_roles => elizaos.legacy_roles(),
       unchecked_references => '${references}', budget => 100)`,
  )
  const truth = new Map<string, string | null>(on.truth.owners(name))
  for (const key of on.truth.undecidable(name).keys()) truth.set(key, null)
  const legacy = legacyTraffic(on, truth, table)
  const modern = contextTraffic(on, (id) => truth.get(id) ?? legacy.written.get(id)?.owner, table)
  running.push(legacy, modern)
  return {
    table,
    legacy,
    modern,
    async to(state) {
      const since = legacy.latencies.length
      await rollOut(on.setUp, name, state, 500)
      await sleep(100)
      const during = legacy.latencies.slice(since)
      report.push(
        `${name} to ${state}: ${during.length} operations, p99 ${percentile(during, 0.99).toFixed(1)} ms`,
      )
    },
  }
}

/** What anybody with a context gets from a table that is not isolated yet. */
async function refused({ name }: WorkedOn): Promise<string> {
  const [user] = on.truth.identities.users
  try {
    await on.as(user?.entity as Entity, (client) => client.query(`select from ${name}`))
    return 'let in'
  } catch (error) {
    return sqlState(error)
  }
}

/** Waits for work that goes on, and leaves it to the assertion to say that it did not come about. */
async function until(holds: () => boolean): Promise<void> {
  for (let waited = 0; waited < 30_000 && !holds(); waited += 50) await sleep(50)
}

function clean({ legacy, modern }: Worked): void {
  expect([...legacy.errors, ...modern.errors]).toEqual([])
  expect([...legacy.foreign, ...modern.foreign]).toEqual([])
}

/** Every row is there, as it was written last, and with the owner that it has; what nothing tells is in quarantine. */
async function complete({ table, legacy, modern }: Worked): Promise<void> {
  const { wrong, rows } = await misplaced(on, table, [legacy, modern])
  expect(wrong).toEqual([])
  expect(rows).toBe(legacy.written.size + modern.written.size)
  const undecided = on.truth.undecidable(table.name).size
  expect(undecided).toBeGreaterThan(0)
  const {
    rows: [status],
  } = await on.db.admin.query<{ quarantined: number; counts: Record<string, unknown> }>(
    'select quarantined::int, counts from tenantry.rollout_status where relation = $1::regclass',
    [table.name],
  )
  expect(status?.quarantined).toBe(undecided)
  expect(status?.counts).toMatchObject({ quarantined: undecided })
}

describe('while two applications work', () => {
  test('the memories are isolated, and opened again, from every state', async () => {
    const work = await workOn(memories, '{entity_id, agent_id}')
    const { legacy, modern, to } = work
    await legacy.start(2)
    await sleep(1500)
    report.push(`idle: p99 ${percentile(legacy.latencies, 0.99).toFixed(1)} ms`)
    for (const state of ['prepared', 'planned', 'prepared', 'backfilled', 'prepared', 'backfilled'])
      await to(state)
    expect(await refused(memories)).toBe('42501')
    clean(work)

    await to('transitional')
    await modern.start(2)
    await sleep(300)
    await modern.stop()
    await to('backfilled')
    expect(await refused(memories)).toBe('42501')
    await to('transitional')
    await modern.start(2)
    for (const state of ['verified', 'transitional', 'verified']) await to(state)
    clean(work)

    await legacy.stop()
    await to('strict')
    await sleep(300)
    await to('verified')
    await legacy.start(2)
    await sleep(300)
    await to('transitional')
    await to('verified')
    await legacy.stop()
    await to('strict')
    await modern.stop()
    clean(work)
    expect(legacy.latencies.length).toBeGreaterThan(500)
    expect(modern.latencies.length).toBeGreaterThan(100)
    await complete(work)
  }, 120_000)

  test('the logs, which have no primary key', async () => {
    const work = await workOn(logs, '{entity_id}')
    const { legacy, modern, to } = work
    const existing = legacy.written.size
    await legacy.start(2)
    for (const state of ['prepared', 'backfilled', 'prepared', 'backfilled']) await to(state)
    expect(await refused(logs)).toBe('42501')
    clean(work)

    await to('transitional')
    await modern.start(2)
    await sleep(300)
    await to('verified')
    await modern.stop()
    for (const state of ['backfilled', 'transitional']) await to(state)
    await modern.start(2)
    await to('verified')
    clean(work)

    // On a slow machine the states were passed before there was much to lose.
    await until(() => legacy.written.size - existing > 100)
    await legacy.stop()
    await to('strict')
    await sleep(300)
    await to('verified')
    await legacy.start(2)
    await sleep(300)
    await legacy.stop()
    await to('strict')
    await until(() => modern.latencies.length > 100)
    await modern.stop()
    clean(work)
    expect(legacy.written.size - existing).toBeGreaterThan(100)
    expect(modern.latencies.length).toBeGreaterThan(100)
    await complete(work)
  }, 120_000)
})
