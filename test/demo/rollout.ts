import { setTimeout as sleep } from 'node:timers/promises'
import { processIo, type Io } from '../../src/cli/io.js'
import { main } from '../../src/cli/program.js'
import { table } from '../../src/cli/table.js'
import { Checks } from './checks.js'
import { legacyApplication, newApplication, type Noticed } from './rollout-applications.js'
import { rolloutStage, type RolloutStage } from './rollout-stage.js'

// Isolates every table of elizaOS's earlier schema while the old application, which knows no context, and the new one work on
// its memories.

/** How long both applications are watched in each state. */
const watched = 700

/** Plays the demo; returns whether every check held. */
async function play(io: Io): Promise<boolean> {
  const checks = new Checks()
  const stage = await rolloutStage((line) => io.out(`${line}\n`))
  const legacy = legacyApplication(stage)
  const fresh = newApplication(stage)
  try {
    const states = new Story(io, checks, stage, legacy, fresh.app)
    await states.command('plan')
    await states.watch('planned', { legacy: 'all', fresh: 'refused' })
    for (const state of ['prepared', 'backfilled'])
      await states.to(state, { legacy: 'all', fresh: 'refused' })
    for (const state of ['transitional', 'verified'])
      await states.to(state, { legacy: 'all', fresh: 'own' })

    io.out('\nRows whose owner nobody can tell hold the last step back.\n')
    checks.holds('strict is refused', (await states.command('to', 'strict')) === 1)
    await states.command('quarantine', 'memories', '--limit', '3')
    await states.command('impact', 'memories', '--limit', '4')
    const platform = stage.truth.identities.platform.entity
    const shared = `q.reason = 'no signal'`
    await states.command('resolve', 'memories', '--owner', platform, '--where', shared)
    for (const name of await stage.undecided())
      await states.command('resolve', name, '--exempt', '--where', 'true')
    checks.holds('the old application was never refused', legacy.errors.size === 0)
    await states.to('strict', { legacy: 'nothing', fresh: 'own' })
    checks.holds(
      'the old application is refused once the tables are strict',
      legacy.errors.has('42501'),
    )

    io.out('\nAnd back: the old application works again, and what it writes gets its owner.\n')
    await states.to('transitional', { legacy: 'all', fresh: 'own' })
    await states.to('strict', { legacy: 'nothing', fresh: 'own' })
    await Promise.all([legacy.end(), fresh.app.end()])
    await compare(stage, checks, legacy.written, fresh.app.written, io)
    io.out(`\n${states.table()}\n${checks.summary}\n`)
    return checks.allHeld
  } finally {
    await Promise.all([legacy.end(), fresh.app.end()])
    await fresh.end()
    await stage.end()
  }
}

interface Expected {
  readonly legacy: 'all' | 'nothing'
  readonly fresh: 'refused' | 'own'
}

interface Working {
  take(): Noticed
}

/** The states, and what both applications notice in each. */
class Story {
  readonly #lines: (readonly unknown[])[] = []

  constructor(
    readonly io: Io,
    readonly checks: Checks,
    readonly stage: RolloutStage,
    readonly legacy: Working,
    readonly fresh: Working,
  ) {}

  /** Runs a command of `tenantry rollout`; returns its exit code. */
  async command(...args: string[]): Promise<number> {
    this.io.out(`\n$ tenantry rollout ${args.map(quoted).join(' ')}\n`)
    const env = { ...this.io.env, DATABASE_URL: this.stage.owner.url }
    const err = (text: string): void => this.io.out(text)
    return main(['rollout', ...args], { ...this.io, env, err, interactive: false })
  }

  async to(state: string, expected: Expected): Promise<void> {
    // In both directions the switch itself is within what is noticed of the old application.
    const code = await this.command('to', state)
    this.checks.holds(`tenantry rollout to ${state} ends with 0`, code === 0)
    await this.watch(state, expected)
  }

  async watch(state: string, expected: Expected): Promise<void> {
    const during = this.legacy.take()
    this.fresh.take()
    await sleep(watched)
    const [old, fresh] = [this.legacy.take(), this.fresh.take()]
    const { rows } = await this.stage.db.admin.query<{
      states: string
      rows: string
      filled: string
      q: string
    }>(
      `select (select string_agg(distinct state, ', ') from tenantry.rollout_status) as states, (select count(*) from memories) as rows,
              (select filled from tenantry.rollout_status where relation = 'memories'::regclass) as filled, (select sum(quarantined) from tenantry.rollout_status) as q`,
    )
    const now = rows[0]
    const { checks } = this
    checks.holds(`every table is ${state}`, now?.states === state)
    const oldRight =
      expected.legacy === 'all'
        ? old.refused === 0 && (old.sees ?? 0) >= this.stage.memories && old.writes > 0
        : old.writes === 0 && old.refused > 0
    const freshRight =
      expected.fresh === 'own'
        ? fresh.refused === 0 &&
          fresh.reads > 0 &&
          fresh.foreign === 0 &&
          (fresh.sees ?? 0) < this.stage.memories / 20
        : fresh.reads === 0 && fresh.refused > 0
    const line = [
      state,
      now?.rows,
      now?.filled,
      now?.q,
      `${told(old)}; slowest turn ${String(Math.round(Math.max(during.slowest, old.slowest)))} ms`,
      checks.holds(
        `the old application reads ${expected.legacy} when ${state}: ${told(old)}`,
        oldRight,
      ),
      told(fresh),
      checks.holds(
        `the new application: ${expected.fresh} when ${state}: ${told(fresh)}`,
        freshRight,
      ),
    ]
    this.#lines.push(line)
    this.io.out(`${state}: old application: ${told(old)}; new application: ${told(fresh)}\n`)
  }

  table(): string {
    return table(
      ['state', 'memories', 'filled', 'quarantined', 'old application', '', 'new application', ''],
      this.#lines,
      this.io.columns,
    )
  }
}

const quoted = (arg: string): string => (/^[\w:.-]+$/.test(arg) ? arg : `"${arg}"`)

function told({ reads, sees, refused, foreign }: Noticed): string {
  if (reads === 0) return `refused ${String(refused)} times`
  return `${String(reads)} writes and reads, sees ${String(sees)}${foreign > 0 ? `, ${String(foreign)} times others’` : ''}`
}

/** Owners against the truth: what was there, what the old application wrote, and the new one. */
async function compare(
  { db, memories, truth }: RolloutStage,
  checks: Checks,
  byOld: ReadonlyMap<string, string>,
  byNew: ReadonlyMap<string, string>,
  io: Io,
): Promise<void> {
  const { rows } = await db.admin.query<{ id: string; owner: string | null }>(
    `select id, 'user:' || owner_id as owner from memories`,
  )
  const found = new Map(rows.map(({ id, owner }) => [id, owner]))
  const wrong = (expected: Iterable<[string, string]>): number =>
    [...expected].filter(([id, owner]) => found.get(id) !== owner).length
  const status = await db.admin.query<{ exempt: number }>(
    `select exempt::int as exempt from tenantry.rollout_status where relation = 'memories'::regclass`,
  )
  const unowned = rows.filter(({ owner }) => owner === null).length
  const claims: [string, boolean][] = [
    [
      `${String(wrong(truth.owners('memories')))} of ${String(memories)} memories have a wrong owner`,
      wrong(truth.owners('memories')) === 0,
    ],
    [
      `${String(byOld.size)} that the old application wrote belong to whom it wrote them for`,
      byOld.size > 0 && wrong(byOld) === 0,
    ],
    [
      `${String(byNew.size)} that the new one wrote belong to its user`,
      byNew.size > 0 && wrong(byNew) === 0,
    ],
    // A turn is a write and a read: its read may be refused when its write was not.
    ['no row was lost', rows.length >= memories + byOld.size + byNew.size],
    [
      `${String(unowned)} were left without an owner on purpose`,
      unowned === status.rows[0]?.exempt,
    ],
  ]
  io.out('\n')
  for (const [claim, held] of claims) io.out(`${claim}: ${checks.holds(claim, held)}\n`)
}

process.exitCode = (await play(processIo)) ? 0 : 1
