import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Entity } from '../../src/identity.js'
import { sqlState } from '../extension/support/stage.js'
import { elizaos, type Elizaos, rollOut } from './support/elizaos.js'
import { contextTraffic, legacyTraffic, percentile, type Traffic } from './support/traffic.js'

// Two applications work on the memories while these are rolled out, back from every state, and forth again: one
// that knows no context, until the table is strict, and one that enters, as soon as the table is isolated.

let on: Elizaos
let legacy: Traffic
let modern: Traffic
const truth = new Map<string, string>()
const report: string[] = []

beforeAll(async () => {
  on = await elizaos({ size: 'demo' })
  for (const [key, owner] of on.truth.owners('memories')) truth.set(key, owner)
  legacy = legacyTraffic(on, truth)
  modern = contextTraffic(on, (id) => truth.get(id) ?? legacy.written.get(id)?.owner)
  for (const table of ['agents', 'entities', 'worlds', 'rooms']) await on.to(table, 'backfilled')
  await on.setUp.query(
    `select tenantry.rollout('memories', 'owner_id', 'user', legacy_roles => elizaos.legacy_roles(),
       unchecked_references => '{entity_id, agent_id}', budget => 100)`,
  )
}, 180_000)

afterAll(async () => {
  await Promise.all([legacy.stop(), modern.stop()])
  console.log(report.join('\n'))
  await on.drop()
})

async function to(state: string): Promise<void> {
  const since = legacy.latencies.length
  await rollOut(on.setUp, 'memories', state, 500)
  await sleep(100)
  const during = legacy.latencies.slice(since)
  report.push(
    `to ${state}: ${during.length} operations, p99 ${percentile(during, 0.99).toFixed(1)} ms`,
  )
}

/** What anybody with a context gets from a table that is not isolated yet. */
async function refused(): Promise<string> {
  const [user] = on.truth.identities.users
  try {
    await on.as(user?.entity as Entity, (client) => client.query('select from memories'))
    return 'let in'
  } catch (error) {
    return sqlState(error)
  }
}

const clean = () => {
  expect([...legacy.errors, ...modern.errors]).toEqual([])
  expect([...legacy.foreign, ...modern.foreign]).toEqual([])
}

describe('while two applications work', () => {
  test('the memories are isolated, and opened again, from every state', async () => {
    await legacy.start(2)
    await sleep(1500)
    report.push(`idle: p99 ${percentile(legacy.latencies, 0.99).toFixed(1)} ms`)
    for (const state of ['prepared', 'planned', 'prepared', 'backfilled', 'prepared', 'backfilled'])
      await to(state)
    expect(await refused()).toBe('42501')
    clean()

    await to('transitional')
    await modern.start(2)
    await sleep(300)
    await modern.stop()
    await to('backfilled')
    expect(await refused()).toBe('42501')
    await to('transitional')
    await modern.start(2)
    for (const state of ['verified', 'transitional', 'verified']) await to(state)
    clean()

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
    clean()
    expect(legacy.latencies.length).toBeGreaterThan(500)
    expect(modern.latencies.length).toBeGreaterThan(100)
  }, 120_000)

  test('no write is lost, and every row is whose it is', async () => {
    const { rows } = await on.db.admin.query<{ id: string; owner: string | null; n: number }>(
      `select id, 'user:' || owner_id as owner, coalesce((content ->> 'n')::int, 0) as n from memories`,
    )
    const stored = new Map(rows.map((row) => [row.id, row]))
    const wrong: string[] = []
    const written = [...legacy.written, ...modern.written]
    for (const [id, { owner, number }] of written) {
      const row = stored.get(id)
      if (row?.owner !== owner || row.n !== number)
        wrong.push(`${id}: ${JSON.stringify(row)}, not ${number} of ${owner}`)
    }
    expect(wrong).toEqual([])
    expect(stored.size).toBe(written.length + on.truth.undecidable('memories').size)
    expect(written.length).toBeGreaterThan(truth.size + 100)
  })
})
