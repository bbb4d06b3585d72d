import type { Command } from 'commander'
import type pg from 'pg'
import type { Io } from '../io.js'
import { table } from '../table.js'
import { asAdmin, command, json, type RolloutOptions } from './command.js'
import { inOrder, type State } from './states.js'
import { rolloutsOf } from './tables.js'

interface Step {
  readonly step: number
  readonly state: State
  readonly statement: string
  readonly lock: string | null
  readonly rows: number | null
  readonly expected: string | null
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
        const plans = []
        for (const { table: name, state } of inOrder(await rolloutsOf(client, tables))) {
          plans.push({ table: name, state, steps: await planOf(client, name) })
        }
        if (options.json) return io.out(json(plans))
        for (const { table: name, state, steps } of plans) {
          io.out(`${name}, ${state} now\n${stepTable(steps, io.columns)}\n`)
        }
        io.out(`Next: tenantry rollout to backfilled${tables.map((each) => ` ${each}`).join('')}\n`)
      }),
    )
}

async function planOf(client: pg.Client, name: string): Promise<Step[]> {
  const { rows } = await client.query<Step>(
    `select step, state, statement, lock, rows::float8 as rows, expected
       from tenantry.rollout_plan($1::text::pg_catalog.regclass) order by step`,
    [name],
  )
  return rows
}

function stepTable(steps: readonly Step[], columns: number): string {
  return table(
    ['state', 'what', 'rows', 'lock', 'expected'],
    steps.map((each) => [each.state, each.statement, each.rows, each.lock, each.expected]),
    columns,
  )
}
