import type { Command } from 'commander'
import { asAdmin } from '../admin.js'
import type { Io } from '../io.js'
import { table } from '../table.js'
import { command, json, positive, type RolloutOptions } from './command.js'
import { rolloutsOf } from './tables.js'

interface Candidate {
  readonly owner: string
  readonly signal: string
  readonly rank: number
}

interface Quarantined {
  readonly table: string
  readonly key: readonly string[]
  readonly reason: 'no signal' | 'conflict' | 'unknown entity'
  readonly exempt: boolean
  readonly run: number
  readonly found_at: Date
  readonly candidates: readonly Candidate[]
}

interface QuarantineOptions extends RolloutOptions {
  readonly limit: number
}

/** `tenantry rollout quarantine`: rows whose owner nobody can tell. */
export function quarantineCommand(io: Io): Command {
  return command(
    'quarantine',
    'List the rows whose owner the signals do not tell, and what each says.',
  )
    .argument('[table]', 'only this one')
    .option('--limit <n>', 'how many rows', positive, 50)
    .action((name: string | undefined, options: QuarantineOptions) =>
      asAdmin(io, options, async (client) => {
        if (name !== undefined) await rolloutsOf(client, [name])
        const { rows } = await client.query<Quarantined & { all_rows: number }>(
          `select q.relation::text as "table", q.key, q.reason, q.exempt, q.run, q.found_at, q.candidates,
                  (count(*) over ())::float8 as all_rows
             from tenantry.rollout_quarantine q
            where $1::text is null or q.relation = $1::text::pg_catalog.regclass
            order by q.relation::text, q.exempt, q.reason, q.key limit $2`,
          [name ?? null, options.limit],
        )
        const all = rows[0]?.all_rows ?? 0
        const found: Quarantined[] = rows.map(({ all_rows: _, ...row }) => row)
        if (options.json) return io.out(json({ total: all, rows: found }))
        if (all === 0) return io.out('No row is in quarantine.\n')
        io.out(quarantineTable(found, io.columns))
        if (all > found.length) {
          io.out(`… and ${String(all - found.length)} more: --limit ${String(all)}\n`)
        }
        io.out('To decide one: tenantry rollout resolve <table> --owner <kind:id> <key>\n')
      }),
    )
}

function quarantineTable(rows: readonly Quarantined[], columns: number): string {
  return table(
    ['table', 'key', 'reason', 'candidates'],
    rows.map((each) => [
      each.table,
      each.key.join(' '),
      each.exempt ? `${each.reason}, exempt` : each.reason,
      each.candidates
        .map(({ owner, signal, rank }) => `${owner} (${signal}, rank ${String(rank)})`)
        .join('\n'),
    ]),
    columns,
  )
}
