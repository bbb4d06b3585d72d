import { setTimeout as sleep } from 'node:timers/promises'
import Table from 'cli-table3'
import { type Elizaos, rollOut, rolledOut } from '../rollout/support/elizaos.js'
import {
  contextTraffic,
  legacyTraffic,
  memories,
  misplaced,
  percentile,
} from '../rollout/support/traffic.js'
import type { Verdict } from './report.js'
import { judge, type Judged } from './rollout-truth.js'

/** How many milliseconds a lock was held, and for what. */
interface Lock {
  readonly table: string
  readonly step: string
  readonly statement: string
  readonly ms: number
}

export interface RolloutFigures {
  /** Rows a second that one plain update of the same two columns reaches, with the table's indexes and without. */
  readonly plain: { readonly indexed: number; readonly bare: number }
  /** Rows a second of the memories' backfill: by two sessions, by one of what was taken back, and beside two applications. */
  readonly idle: number
  readonly alone: number
  readonly busy: number
  /** Milliseconds: p99 of the old application before, and while owners are filled. */
  readonly p99: { readonly idle: number; readonly busy: number; readonly operations: number }
  readonly judged: Readonly<Record<string, Judged>>
  /** The longest that a switch to strict held its lock, of all tables, and its way back. */
  readonly strict: Lock
  readonly back: Lock
  readonly longest: Lock
  readonly errors: number
  readonly foreign: number
  readonly lost: number
  readonly operations: number
  readonly strictTables: number
}

/** The real case: every table of the fixture to strict, the memories while two applications work. */
export async function measureRollout(
  on: Elizaos,
  told: (what: string) => void,
): Promise<RolloutFigures> {
  told('a plain update')
  const plain = { indexed: await plainUpdate(on, true), bare: await plainUpdate(on, false) }

  const judged: Record<string, Judged> = {}
  let idle = 0
  for (const table of rolledOut) {
    told(`the backfill of ${table.name}`)
    if (table.name === 'memories') idle = await fillByTwo(on, table.name)
    else await on.to(table.name, 'backfilled')
    judged[table.name] = await judge(on, table)
  }
  told('the backfill of memories again, by one session')
  await on.to('memories', 'prepared')
  await on.to('memories', 'backfilled')
  const alone = await rate(on)

  told('the backfill of memories while two applications work')
  await on.to('memories', 'prepared')
  const truth = new Map(on.truth.owners('memories'))
  const legacy = legacyTraffic(on, truth)
  const modern = contextTraffic(on, (id) => truth.get(id) ?? legacy.written.get(id)?.owner)
  await legacy.start(2)
  await sleep(5000)
  const before = percentile(legacy.latencies, 0.99)
  const since = legacy.latencies.length
  await on.to('memories', 'backfilled')
  const during = legacy.latencies.slice(since)
  const busy = await rate(on)
  await on.to('memories', 'transitional')
  await modern.start(2)
  await sleep(1000)
  await on.to('memories', 'verified')
  await legacy.stop()
  told('strict, back, and strict again')
  await closeReaders(on)
  for (const state of ['strict', 'verified', 'strict']) await on.to('memories', state)
  await sleep(500)
  await modern.stop()

  told('every other table to strict')
  await closeRest(on)
  return {
    plain,
    idle,
    alone,
    busy,
    p99: { idle: before, busy: percentile(during, 0.99), operations: during.length },
    judged,
    strict: await longestStep(on, 'verified', 'strict'),
    back: await longestStep(on, 'strict', 'verified'),
    longest: await longestOf(on),
    errors: [...legacy.errors, ...modern.errors].length,
    foreign: [...legacy.foreign, ...modern.foreign].length,
    lost: (await misplaced(on, memories, [legacy, modern])).wrong.length,
    operations: legacy.latencies.length + modern.latencies.length,
    strictTables: (
      await on.db.admin.query(`select from tenantry.rollout_status where state = 'strict'`)
    ).rows.length,
  }
}

/** Rows a second of a backfill with a helper, as `--jobs 2` has it. */
async function fillByTwo(on: Elizaos, table: string): Promise<number> {
  await on.to(table, 'prepared')
  const helper = await on.owner.connect()
  const helping = helper.query('call tenantry.rollout_help($1)', [table])
  await on.to(table, 'backfilled')
  await helping
  await helper.end()
  return rate(on)
}

/** Rows a second of an update in one statement, on a copy of 200,000 memories. */
async function plainUpdate(on: Elizaos, indexed: boolean): Promise<number> {
  await on.db.admin.query(`
    create table plain (like memories including defaults ${indexed ? 'including indexes' : ''});
    insert into plain select * from memories limit 200000;
    alter table plain add column some_owner uuid, add column some_source smallint`)
  await on.db.admin.query('vacuum analyze plain')
  const began = performance.now()
  const { rowCount } = await on.db.admin.query(
    'update plain set some_owner = agent_id, some_source = 1',
  )
  const seconds = (performance.now() - began) / 1000
  await on.db.admin.query('drop table plain')
  return (rowCount ?? 0) / seconds
}

/** Rows a second of the last backfill of the memories, from its first batch to its last. */
async function rate(on: Elizaos): Promise<number> {
  const { rows } = await on.db.admin.query<{ rate: number }>(
    `select l.rows / nullif((l.detail ->> 'seconds')::float8, 0) as rate
       from tenantry.rollout_log l where l.relation = 'memories'::regclass and l.statement = '(backfill)' order by l.id desc limit 1`,
  )
  return rows[0]?.rate ?? Number.NaN
}

/** The longest of the locks that a step took of any table: those of its own that keep others out. */
async function longestOf(on: Elizaos, step = 'true', values: string[] = []): Promise<Lock> {
  const { rows } = await on.db.admin.query<Lock>(
    `select l.relation::text as "table", l.from_state || ' → ' || l.to_state as step, left(l.statement, 60) as statement, l.held_ms::float8 as ms
       from tenantry.rollout_log l
      where ${step} and l.held_ms is not null and l.lock in ('ACCESS EXCLUSIVE', 'SHARE ROW EXCLUSIVE', 'EXCLUSIVE', 'SHARE')
      order by l.held_ms desc limit 1`,
    values,
  )
  return rows[0] ?? { table: '', step: '', statement: '', ms: Number.NaN }
}

const longestStep = (on: Elizaos, from: string, to: string): Promise<Lock> =>
  longestOf(on, 'l.from_state = $1 and l.to_state = $2', [from, to])

/** Tables whose signals read the memories close before them. */
async function closeReaders(on: Elizaos): Promise<void> {
  const { rows } = await on.db.admin.query<{ name: string }>(
    `select distinct d.reader::text as name from tenantry_private.rollout_readers() d where d.source = 'memories'::regclass`,
  )
  for (const { name } of rows) {
    await decide(on, name)
    await on.to(name, 'strict')
  }
}

async function closeRest(on: Elizaos): Promise<void> {
  for (const { name } of rolledOut)
    await rollOut(on.setUp, name, (await isStrict(on, name)) ? 'strict' : 'verified')
  for (const { name } of [...rolledOut].reverse()) {
    if (await isStrict(on, name)) continue
    await decide(on, name)
    await on.to(name, 'strict')
  }
}

async function isStrict(on: Elizaos, table: string): Promise<boolean> {
  const { rows } = await on.db.admin.query(
    `select from tenantry.rollout_status where relation = $1::regclass and state = 'strict'`,
    [table],
  )
  return rows.length > 0
}

/** What nothing tells is decided by a rule: it is nobody's. */
async function decide(on: Elizaos, table: string): Promise<void> {
  await rollOut(on.setUp, table, 'verified')
  await on.setUp.query(`select tenantry.rollout_resolve_where($1, null, 'true')`, [table])
}

export function reportRollout(major: number, figures: RolloutFigures): Verdict[] {
  const { plain, idle, alone, busy, p99, judged, strict, back, longest } = figures
  const tables = new Table({
    head: [
      'table',
      'rows',
      'owned',
      'wrong',
      'undecided',
      'quarantined',
      'undecidable',
      'misjudged',
    ],
    style: { head: [], border: [] },
  })
  for (const [name, each] of Object.entries(judged)) {
    tables.push([
      name,
      each.rows,
      each.owned,
      each.wrong,
      each.undecided,
      each.quarantined,
      each.undecidable,
      each.misjudged,
    ])
  }
  console.log(`\n${tables.toString()}`)
  console.log(
    [
      `plain update of two columns: ${perSecond(plain.indexed)} with the indexes, ${perSecond(plain.bare)} without`,
      `owner backfill again, by one session: ${perSecond(alone)}`,
      `longest lock: ${longest.ms.toFixed(1)} ms on ${longest.table}, ${longest.step}: ${longest.statement}`,
      `two applications: ${figures.operations} operations, ${p99.operations} of the old one while owners were filled`,
    ].join('\n'),
  )
  const sum = (of: (each: Judged) => number) =>
    Object.values(judged).reduce((total, each) => total + of(each), 0)
  const verdict = (name: string, measured: string, bar: string, met: boolean): Verdict => ({
    name: `${name}, PostgreSQL ${major}`,
    measured,
    bar,
    met,
  })
  const none = (name: string, count: number) => verdict(name, String(count), '0', count === 0)
  return [
    verdict('owner backfill by two sessions, idle', perSecond(idle), '≥ 100000/s', idle >= 100_000),
    verdict('owner backfill, under traffic', perSecond(busy), '–', true),
    verdict(
      'p99 of the old application meanwhile',
      `${p99.busy.toFixed(1)} ms, idle ${p99.idle.toFixed(1)} ms`,
      '≤ 4×',
      p99.busy <= 4 * p99.idle,
    ),
    verdict('longest strict switch', onTable(strict), '≤ 5 ms', strict.ms <= 5),
    verdict('longest way back from strict', onTable(back), '≤ 5 ms', back.ms <= 5),
    none(
      'wrong owners',
      sum(({ wrong }) => wrong),
    ),
    none(
      'rows that could be decided and were not',
      sum(({ undecided }) => undecided),
    ),
    none(
      'quarantine that is not what was made undecidable',
      sum(({ misjudged }) => misjudged),
    ),
    none('errors of the applications', figures.errors),
    none('foreign rows seen', figures.foreign),
    none('lost writes', figures.lost),
    verdict(
      'tables that end strict',
      `${figures.strictTables} of ${rolledOut.length}`,
      'all',
      figures.strictTables === rolledOut.length,
    ),
  ]
}

const onTable = ({ ms, table }: Lock): string => `${ms.toFixed(1)} ms, ${table}`
const perSecond = (rate: number): string => `${Math.round(rate)}/s`
