import type { Command } from 'commander'
import type pg from 'pg'
import { asAdmin } from '../admin.js'
import { isServerError } from '../../errors.js'
import type { Io } from '../io.js'
import { table } from '../table.js'
import { command, json, type RolloutOptions } from './command.js'
import { inOrder, type Rollout, type State } from './states.js'
import { rolloutsOf } from './tables.js'

interface Step {
  readonly step: number
  readonly state: State
  readonly statement: string
  readonly lock: string | null
  readonly rows: number | null
  readonly expected: string | null
}

interface Plan {
  readonly table: string
  readonly state: State
  /** Tables that its signals read and that have not been backfilled. */
  readonly waits_for: readonly string[]
  /** Null where they have no owner column yet. */
  readonly steps: readonly Step[] | null
}

/** `tenantry rollout plan`: what it would do, and what it would find. */
export function planCommand(io: Io): Command {
  return command(
    'plan',
    'Show what a rollout would do: what each signal decides, statements, locks, times. Writes nothing.',
  )
    .argument('[table...]', 'only these (default: every declared rollout)')
    .action((tables: string[], options: RolloutOptions) =>
      asAdmin(io, options, async (client) => {
        const chosen = await rolloutsOf(client, tables)
        const all = await rolloutsOf(client, [])
        const plans = []
        for (const rollout of inOrder(chosen)) plans.push(await planOf(client, rollout, all))
        if (options.json) return io.out(json(plans))
        for (const plan of plans) io.out(planText(plan, io.columns))
        io.out(`Next: tenantry rollout to backfilled${tables.map((each) => ` ${each}`).join('')}\n`)
      }),
    )
}

/**
 * What a signal that takes owners from a parent decides is known only once that has been backfilled, and
 * before it is prepared the query cannot run at all.
 */
async function planOf(
  client: pg.Client,
  { table: name, state, reads }: Rollout,
  all: readonly Rollout[],
): Promise<Plan> {
  const early = all.filter((each) => reads.includes(each.table) && isEarly(each.state))
  const waitsFor = inOrder(early).map((each) => each.table)
  try {
    const { rows } = await client.query<Step>(
      `select step, state, statement, lock, rows::float8 as rows, expected
         from tenantry.rollout_plan($1::text::pg_catalog.regclass) order by step`,
      [name],
    )
    return { table: name, state, waits_for: waitsFor, steps: rows }
  } catch (error) {
    const unprepared = early.some((each) => each.state === 'planned')
    if (!unprepared || !isServerError(error) || error.code !== 'TN012') throw error
    return { table: name, state, waits_for: waitsFor, steps: null }
  }
}

const isEarly = (state: State): boolean => state === 'planned' || state === 'prepared'

function planText(
  { table: name, state, waits_for: waitsFor, steps }: Plan,
  columns: number,
): string {
  const parents = waitsFor.join(' ')
  const note =
    waitsFor.length === 0
      ? ''
      : `It reads ${waitsFor.join(', ')}: ${steps ? 'what it takes from there' : 'its plan'} is known once that is backfilled: tenantry rollout to backfilled ${parents}\n`
  return `${name}, ${state} now\n${note}${steps ? stepTable(steps, columns) : ''}\n`
}

function stepTable(steps: readonly Step[], columns: number): string {
  return table(
    ['state', 'what', 'rows', 'lock', 'expected'],
    steps.map((each) => [each.state, each.statement, each.rows, each.lock, each.expected]),
    columns,
  )
}
