import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { type State, states } from '../../src/cli/rollout/states.js'
import { elizaosTruth } from '../fixtures/elizaos/generator.js'
import { random } from '../fixtures/elizaos/random.js'
import type { TestDatabase, TestRole } from '../support/database.js'
import { databaseOn } from '../support/database/clone.js'
import { fullLength } from '../support/full-length.js'
import { repositoryRoot } from '../support/repository.js'
import { crash } from '../support/server/crash.js'
import { startServer, type TestServer } from '../support/servers.js'
import { before, declareElizaos, rollOut } from './support/elizaos.js'

// The runner and the server are stopped at random moments of every step, forth and back; what is started again
// must come to the same end. TENANTRY_SEED repeats a run's moments.

const steps = [...states.slice(1), ...[...states].reverse().slice(1)]
const rounds = fullLength ? 5 : 1
const seed = Number(process.env.TENANTRY_SEED ?? Date.now() % 1_000_000)
const truth = elizaosTruth({ schema: 'before', size: 'demo' })

let server: TestServer
let db: TestDatabase
let owner: TestRole
const took = new Map<string, number>()
const killed = { session: 0, process: 0, server: 0 }
let caught = 0
let checksum: unknown

beforeAll(async () => {
  console.log(`TENANTRY_SEED=${seed}`)
  server = await startServer({ major: inject('server').major, sources: ['embedded', 'machine'] })
  db = await databaseOn(server, { template: before('demo') })
  // What a crash cuts is no surprise here.
  db.admin.on('error', () => undefined)
  await db.admin.query(`alter system set synchronous_commit = on`)
  await db.admin.query('select pg_reload_conf()')
  owner = await db.role('owner', { allow: 'admin', ordinary: false })
  await db.admin.query(`grant create, usage on schema public to "${owner.name}"`)
  const legacy = await db.role('legacy')
  await asOwner(async (client) => {
    await declareElizaos(db, client, owner, legacy)
    await client.query(
      `select tenantry.rollout('memories', 'owner_id', 'user', legacy_roles => elizaos.legacy_roles(),
         unchecked_references => '{entity_id, agent_id}', budget => 100)`,
    )
    for (const table of ['agents', 'entities', 'rooms']) await rollOut(client, table, 'backfilled')
    for (const [n, step] of steps.entries()) {
      const began = performance.now()
      await rollOut(client, 'memories', step, 500)
      took.set(`${n} ${step}`, performance.now() - began)
    }
  })
}, 240_000)

afterAll(async () => {
  console.log(`killed: ${JSON.stringify(killed)}, ${caught} before the step had ended`)
  await db.drop()
  await server.stop()
})

async function asOwner<T>(work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: owner.url })
  client.on('error', () => undefined)
  await client.connect()
  try {
    return await work(client)
  } finally {
    await client.end()
  }
}

/** A process of its own that calls rollout_to() as soon as it is told to. */
async function runner(state: string): Promise<ChildProcess> {
  const program = `
    const pg = require('pg')
    const client = new pg.Client({ connectionString: process.argv[1], application_name: 'runner' })
    client.on('error', () => process.exit(3))
    client.connect().then(() => {
      console.log('ready')
      process.stdin.once('data', () =>
        client.query('call tenantry.rollout_to($1, $2, 500)', ['memories', process.argv[2]]).then(
          () => process.exit(0), (error) => process.exit(error.code === 'TN012' ? 0 : 3)))
    })`
  const child = spawn(process.execPath, ['-e', program, owner.url, state], {
    cwd: repositoryRoot,
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  await once(child.stdout, 'data')
  return child
}

const sessions = `from pg_stat_activity where application_name = 'runner' and datname = current_database()`

async function kill(how: keyof typeof killed, child: ChildProcess): Promise<void> {
  killed[how] += 1
  if (how === 'server') await crash(server)
  else if (how === 'session') await db.admin.query(`select pg_terminate_backend(pid) ${sessions}`)
  else child.kill('SIGKILL')
}

/** The server notices that a client is gone when it next writes to it: the next runner has to wait for that. */
async function noRunner(): Promise<void> {
  for (let waited = 0; waited < 20_000; waited += 20) {
    if ((await db.admin.query(`select ${sessions}`)).rows.length === 0) return
    await sleep(20)
  }
  throw new Error('a runner that was killed works on after 20 seconds')
}

/** Every row once, as it was written, and with the owner that the truth knows or without one. */
async function compare(state: State): Promise<void> {
  const filled = states.indexOf(state) >= states.indexOf('backfilled')
  const owned = state === 'planned' ? 'null' : `'user:' || owner_id`
  const { rows } = await db.admin.query<{ id: string; owner: string | null }>(
    `select id, ${owned} as owner from memories`,
  )
  const wrong: string[] = []
  const found = new Map(rows.map(({ id, owner: has }) => [id, has]))
  for (const { key, owner: is } of truth.rows('memories')) {
    if (found.get(key) !== (filled ? is : null)) wrong.push(`${key}: ${found.get(key)}, not ${is}`)
  }
  expect(wrong).toEqual([])
  expect(rows).toHaveLength(truth.size.memories)
  const quarantine = await db.admin.query<{ key: string }>(
    `select key[1] as key from tenantry.rollout_quarantine where relation = 'memories'::regclass`,
  )
  expect(quarantine.rows.map(({ key }) => key).sort()).toEqual(
    filled ? [...truth.undecidable('memories').keys()].sort() : [],
  )
  const { rows: sums } = await db.admin.query<{ sum: unknown }>(
    `select sum(hashtextextended(row(id, type, created_at, content, entity_id, agent_id, room_id, world_id,
       metadata)::text, 0)) as sum from memories`,
  )
  checksum ??= sums[0]?.sum
  expect(sums[0]?.sum).toEqual(checksum)
}

describe('killed at random moments', () => {
  test(`${steps.length * rounds} times, a rollout goes on where it was`, async () => {
    await compare('planned')
    for (let round = 0; round < rounds; round++) {
      for (const [n, step] of steps.entries()) {
        const dice = random(seed, 'kill', round * steps.length + n)
        const how = (['session', 'process', 'server'] as const)[(n + round) % 3] ?? 'session'
        const moment = (dice.below(1000) / 1000) * (took.get(`${n} ${step}`) ?? 100)
        const child = await runner(step)
        const ended = once(child, 'exit')
        child.stdin?.write('go\n')
        await sleep(moment)
        await kill(how, child)
        const [code] = (await ended) as [number | null]
        if (code !== 0) caught += 1
        await noRunner()
        await asOwner((client) => rollOut(client, 'memories', step, 500))
        const status = await db.admin.query<{ state: string }>(
          `select state from tenantry.rollout_status where relation = 'memories'::regclass`,
        )
        expect(status.rows).toEqual([{ state: step }])
        await compare(step)
      }
    }
    expect(caught).toBeGreaterThan(0)
  }, 600_000)
})
