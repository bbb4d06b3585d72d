import type { Command } from 'commander'
import { asAdmin } from '../admin.js'
import type { Io } from '../io.js'
import { table } from '../table.js'
import { command, json, type RolloutOptions } from './command.js'
import type { State } from './states.js'

interface Status {
  readonly table: string
  readonly state: State
  readonly owner_column: string
  readonly owner_kind: string
  readonly legacy_roles: readonly string[]
  readonly budget: number
  readonly run: number
  readonly done: number
  readonly filled: number
  readonly total: number | null
  readonly brake: string | null
  readonly quarantined: number
  readonly exempt: number
  readonly counts: Record<string, unknown> | null
}

interface StatusOptions extends RolloutOptions {
  readonly owners?: string
}

/** `tenantry rollout status`: how far each table is, or how many rows of one each owner has. */
export function statusCommand(io: Io): Command {
  return command('status', 'Show how far each table is.')
    .option('--owners <table>', 'how many rows each owner has in a table instead')
    .action((options: StatusOptions) =>
      asAdmin(io, options, async (client) => {
        if (options.owners !== undefined) {
          const { rows } = await client.query<Owner>(
            `select o.owner, o.rows::float8 as rows, o.filled::float8 as filled
             from tenantry.rollout_owners($1::text::pg_catalog.regclass) o`,
            [options.owners],
          )
          io.out(options.json ? json(rows) : ownersTable(rows, io.columns))
          return
        }
        const { rows } = await client.query<Status>(
          `select r.relation::text as "table", r.state, r.owner_column, r.owner_kind, r.legacy_roles::text[] as legacy_roles,
                r.budget::float8 as budget, r.run, r.done::float8 as done, r.filled::float8 as filled, r.total::float8 as total,
                r.brake, r.quarantined::float8 as quarantined, r.exempt::float8 as exempt, r.counts
           from tenantry.rollout_status r order by 1`,
        )
        if (options.json) io.out(json(rows))
        else if (rows.length === 0) {
          io.out(
            `No rollout is declared. Run: select tenantry.rollout('<table>', owner_column => '…', owner_kind => '…');\n`,
          )
        } else io.out(statusTable(rows, io.columns))
      }),
    )
}

interface Owner {
  readonly owner: string | null
  readonly rows: number
  readonly filled: number
}

function ownersTable(rows: readonly Owner[], columns: number): string {
  return table(
    ['owner', 'rows', 'given by the rollout'],
    rows.map((each) => [each.owner ?? '(none)', each.rows, each.filled]),
    columns,
  )
}

function statusTable(rows: readonly Status[], columns: number): string {
  return table(
    [
      'table',
      'state',
      'backfill',
      'quarantined',
      'allowed',
      'exempt',
      'without a context',
      'waits',
    ],
    rows.map((each) => [
      each.table,
      each.state,
      backfill(each),
      each.quarantined,
      each.budget,
      each.exempt,
      // Before a table is isolated nobody needs one, and afterwards nobody gets through without.
      each.state === 'transitional' || each.state === 'verified'
        ? each.legacy_roles.join(', ')
        : '',
      each.brake,
    ]),
    columns,
  )
}

function backfill({ state, done, total, filled }: Status): string {
  if (total === null || state === 'planned') return ''
  const looked =
    state === 'prepared' ? `${String(Math.min(done, total))} of ${String(total)}, ` : ''
  return `${looked}${String(filled)} filled`
}
