import { spawn, type ChildProcessByStdio } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { Progress } from '../../src/cli/rollout/events.js'
import { annaId, library, type Library } from '../rollout/support/library.js'
import { repositoryRoot } from '../support/repository.js'
import { cli } from './cli.js'

// What happens while a rollout runs: an index that is built meanwhile, others who wait, Ctrl-C, a second runner.

let on: Library

beforeAll(async () => {
  on = await library()
  await on.setUp.query(`
    create table parcels (id int primary key, sender uuid, body text not null);
    alter table parcels alter column body set storage plain;
    insert into parcels select n, '${annaId}', repeat('x', 7000) from generate_series(1, 1200) n;
    create table letters (id int primary key, sender uuid);
    insert into letters select n, '${annaId}' from generate_series(1, 2000) n;
    grant select, update on letters to "${on.legacy.name}";
    select tenantry.rollout('parcels', 'owner_id', 'user');
    select tenantry.rollout_signal('parcels', 1, 'sender', tenantry.rollout_from_column('parcels', 'sender'));
    select tenantry.rollout('letters', 'owner_id', 'user', legacy_roles => array['${on.legacy.name}']::name[]);
    select tenantry.rollout_signal('letters', 1, 'sender', tenantry.rollout_from_column('letters', 'sender'))`)
})
afterAll(() => on.drop())

const rollout = (...args: string[]) => cli(['rollout', ...args], { url: on.owner.url })

const indexes = (table: string) =>
  on.stored<{ definition: string; valid: boolean }>(
    `select pg_get_indexdef(indexrelid) as definition, indisvalid as valid from pg_index
      where indrelid = $1::regclass and not indisprimary`,
    [table],
  )

const statusOf = async (table: string) =>
  (
    await on.stored<{ state: string; done: string; filled: string }>(
      'select state, done, filled from tenantry.rollout_status where relation = $1::regclass',
      [table],
    )
  )[0]

interface Running {
  readonly child: ChildProcessByStdio<null, Readable, Readable>
  /** What it has printed, both streams. */
  readonly text: () => string
  readonly code: Promise<number | null>
}

/** The command in a process of its own, which signals can be sent to. */
function start(...args: string[]): Running {
  const main = join(repositoryRoot, 'src/cli/main.ts')
  const child = spawn(
    process.execPath,
    ['--import', 'tsx', main, 'rollout', ...args, '--url', on.owner.url],
    { cwd: repositoryRoot, stdio: ['ignore', 'pipe', 'pipe'] },
  )
  let text = ''
  child.stdout.on('data', (chunk: Buffer) => void (text += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => void (text += chunk.toString()))
  const code = once(child, 'close').then(([exit]) => exit as number | null)
  return { child, text: () => text, code }
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  for (let attempt = 0; attempt < 600; attempt += 1) {
    if (await holds()) return
    await sleep(25)
  }
  throw new Error('it did not come about')
}

it('builds the index of a larger table concurrently, and goes on', async () => {
  const { code, out } = await rollout('to', 'backfilled', 'parcels', '--json')
  expect(code).toBe(0)
  const events = out
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>)
  expect(events.filter(({ event }) => event === 'index')).toEqual([
    {
      event: 'index',
      table: 'parcels',
      statement: expect.stringMatching(/^create index concurrently .*parcels.*owner_id/) as string,
    },
  ])
  expect(events.filter(({ event }) => event === 'reached').map(({ state }) => state)).toEqual([
    'prepared',
    'backfilled',
  ])
  expect(await indexes('parcels')).toMatchObject([
    { definition: expect.stringContaining('(owner_id)') as string, valid: true },
  ])
  expect(await statusOf('parcels')).toMatchObject({ state: 'backfilled', filled: '1200' })
})

it('takes away what an interrupted attempt has left, and builds it again', async () => {
  const [built] = await on.stored<{ name: string }>(
    `select indexrelid::regclass::text as name from pg_index where indrelid = 'parcels'::regclass and not indisprimary`,
  )
  expect((await rollout('to', 'prepared', 'parcels')).code).toBe(0)
  await on.db.admin.query(`create index ${built!.name} on parcels (owner_id)`)
  await on.db.admin.query(
    `update pg_index set indisvalid = false where indexrelid = $1::regclass`,
    [built!.name],
  )
  const { code, err } = await rollout('to', 'backfilled', 'parcels')
  expect(code).toBe(0)
  expect(err).toMatch(/parcels: drop index concurrently .*\nparcels: create index concurrently /)
  expect(await indexes('parcels')).toMatchObject([{ valid: true }])
})

it('names the statements of others that waited for it', async () => {
  // The second signal takes its time once the first one's rows are locked: it is asked about the row that is left.
  await on.setUp.query(`
    create table cards (id int primary key, sender uuid);
    insert into cards select n, case when n > 1 then '${annaId}'::uuid end from generate_series(1, 20) n;
    grant select, update on cards to "${on.legacy.name}";
    select tenantry.rollout('cards', 'owner_id', 'user', legacy_roles => array['${on.legacy.name}']::name[]);
    select tenantry.rollout_signal('cards', 1, 'sender', tenantry.rollout_from_column('cards', 'sender'));
    select tenantry.rollout_signal('cards', 2, 'slow', 'select id, sender from public.cards where (select pg_sleep(0.4)) is null')`)
  const writer = await on.legacy.connect()
  let ended = false
  const running = rollout('to', 'backfilled', 'cards', '--json').finally(() => {
    ended = true
  })
  for (let times = 0; !ended; times++) {
    await writer.query('update cards set sender = sender where id = $1', [2 + (times % 19)])
    await sleep(5)
  }
  const { code, out } = await running
  expect(code).toBe(0)
  const report = JSON.parse(out.trim().split('\n').at(-1) ?? '') as {
    waits: { role: string; waited_ms: number }[]
  }
  expect(report.waits).not.toEqual([])
  for (const wait of report.waits) {
    expect(wait.role).toBe(on.legacy.name)
    expect(wait.waited_ms).toBeGreaterThan(50)
  }
  expect(report.waits[0]?.waited_ms).toBeGreaterThan(250)
})

it('shows how far it is and how long it takes still, to a program and to a person', async () => {
  // Two milliseconds a row.
  await on.setUp.query(`
    create table stamps (id int primary key, sender uuid);
    insert into stamps select n, '${annaId}' from generate_series(1, 1000) n;
    analyze stamps;
    select tenantry.rollout('stamps', 'owner_id', 'user');
    select tenantry.rollout_signal('stamps', 1, 'slow', 'select id, sender from public.stamps where pg_sleep(0.002) is not null')`)
  const { code, out } = await rollout('to', 'backfilled', 'stamps', '--batch-size', '50', '--json')
  expect(code).toBe(0)
  const told = out
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Progress)
    .filter(({ event }) => event === 'progress')
  expect(told.length).toBeGreaterThan(4)
  for (const each of told)
    expect(each).toMatchObject({ table: 'stamps', work: 'backfill', total: 1000 })
  const done = told.map((each) => each.done)
  expect([...done].sort((a, b) => a - b)).toEqual(done)
  const known = told.filter(({ eta }) => eta !== null)
  expect(known.length).toBeGreaterThan(2)
  for (const { done, rate, eta } of known) expect(eta).toBeCloseTo((1000 - done) / rate!)
  expect(known.at(-1)!.eta).toBeLessThan(known[0]!.eta!)

  expect((await rollout('to', 'prepared', 'stamps')).code).toBe(0)
  const seen = await cli(['rollout', 'to', 'backfilled', 'stamps', '--batch-size', '50'], {
    url: on.owner.url,
    interactive: true,
  })
  expect(seen.code).toBe(0)
  expect(seen.err).toMatch(/stamps, backfill =+-+ \d+ %, \d+ of 1000, \d+ rows\/s, \d+ s left/)
  expect(seen.err).toContain('stamps: backfilled\n')
  expect(seen.out).toMatch(/^Longest lock: /)
})

it('is stopped by Ctrl-C on the server, tells a second runner who is at it, and goes on', async () => {
  expect((await rollout('to', 'prepared', 'letters')).code).toBe(0)
  // Somebody holds a row in the middle: the backfill tries again and again.
  const holder = await on.legacy.connect()
  await holder.query('begin')
  await holder.query('update letters set sender = sender where id = 1000')
  const first = start('to', 'backfilled', 'letters', '--batch-size', '500')
  await until(async () => Number((await statusOf('letters'))?.done) > 0)

  const [runner] = await on.stored<{ pid: number }>(
    `select l.pid from pg_locks l where l.locktype = 'advisory' and l.granted
        and l.database = (select oid from pg_database where datname = current_database())`,
  )
  const second = await rollout('to', 'backfilled', 'letters')
  expect(second.code).toBe(1)
  expect(second.err).toMatch(/ERROR 55P03: somebody else is at this already: process \d+/)
  expect(second.err).toContain(`process ${String(runner!.pid)} (`)
  expect(second.err).toContain(
    `HINT: Wait for it, or end it: select pg_cancel_backend(${String(runner!.pid)});`,
  )

  first.child.kill('SIGINT')
  expect(await first.code).toBe(130)
  expect(first.text()).toContain('Stopping')
  expect(first.text()).toContain(
    'Error: Stopped. What was done is kept.\nHINT: To go on, run it again: tenantry rollout to backfilled letters',
  )
  expect(await on.stored('select from pg_stat_activity where pid = $1', [runner!.pid])).toEqual([])
  const stopped = await statusOf('letters')
  expect(stopped).toMatchObject({ state: 'prepared' })
  const kept = Number(stopped?.filled)
  expect(kept).toBeGreaterThan(0)
  expect(kept).toBeLessThan(2000)

  await holder.query('commit')
  expect(await rollout('to', 'backfilled', 'letters')).toMatchObject({ code: 0 })
  expect(await statusOf('letters')).toMatchObject({ state: 'backfilled', filled: '2000' })
})

it('fills with further sessions beside one another, and stops them all', async () => {
  expect((await rollout('to', 'prepared', 'letters')).code).toBe(0)
  // Somebody holds a row of the first range: whoever is at it waits, and the others go on.
  const holder = await on.legacy.connect()
  await holder.query('begin')
  await holder.query('select from letters where id = 1 for update')
  const args = ['to', 'backfilled', 'letters', '--batch-size', '10', '--jobs', '3'] as const
  const several = start(...args)
  await until(async () => Number((await statusOf('letters'))?.filled) === 1999)
  const sessions = `select pid from pg_stat_activity where usename = $1 and application_name = 'tenantry' and query ~ '^call '`
  expect(await on.stored(sessions, [on.owner.name])).toHaveLength(3)
  several.child.kill('SIGINT')
  expect(await several.code).toBe(130)
  expect(await on.stored(sessions, [on.owner.name])).toEqual([])
  await holder.query('commit')
  expect(await rollout(...args)).toMatchObject({ code: 0 })
  expect(await statusOf('letters')).toMatchObject({ state: 'backfilled', filled: '2000' })
  expect((await rollout('to', 'backfilled', 'letters', '--jobs', '0')).err).toMatch(/--jobs/)
})

it('loses nothing to kill -9', async () => {
  expect((await rollout('to', 'prepared', 'letters')).code).toBe(0)
  const holder = await on.legacy.connect()
  await holder.query('begin')
  await holder.query('update letters set sender = sender where id = 1000')
  const killed = start('to', 'backfilled', 'letters', '--batch-size', '500')
  await until(async () => Number((await statusOf('letters'))?.filled) > 0)
  killed.child.kill('SIGKILL')
  expect(await killed.code).toBe(null)
  await holder.query('commit')
  // The server notices that nobody is there any more when it next has something to say.
  await until(async () => (await rollout('to', 'backfilled', 'letters')).code === 0)
  expect(await statusOf('letters')).toMatchObject({ state: 'backfilled' })
  const counts = await on.stored(
    'select count(*)::int as rows, count(owner_id)::int as owned from letters',
  )
  expect(counts).toEqual([{ rows: 2000, owned: 2000 }])
})
