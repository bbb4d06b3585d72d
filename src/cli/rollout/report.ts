import type pg from 'pg'
import { table } from '../table.js'
import type { LongestLock, Report, Wait } from './events.js'

/** Where the log of rollouts ends now. */
export async function endOfLog(client: pg.Client): Promise<string> {
  const { rows } = await client.query<{ id: string }>(
    'select coalesce(max(id), 0)::text as id from tenantry.rollout_log',
  )
  return rows[0]?.id ?? '0'
}

/** The lock of some tables that was held longest, of those that stop others, since a place in the log. */
export async function longestLock(
  client: pg.Client,
  tables: readonly string[],
  since: string,
): Promise<LongestLock | null> {
  const { rows } = await client.query<LongestLock>(
    `select l.relation::text as "table", l.from_state, l.to_state, l.statement, l.lock,
            l.waited_ms::float8 as waited_ms, l.held_ms::float8 as held_ms
       from tenantry.rollout_log l
      where l.id > $1 and l.held_ms is not null and l.lock in ('SHARE', 'SHARE ROW EXCLUSIVE', 'EXCLUSIVE', 'ACCESS EXCLUSIVE')
        and l.relation = any ($2::text[]::pg_catalog.regclass[])
      order by l.held_ms desc, l.id limit 1`,
    [since, tables],
  )
  return rows[0] ?? null
}

export function reportText({ longest_lock: longest, waits }: Report, columns: number): string {
  const held =
    longest === null
      ? 'No lock was held that stops others.\n'
      : `Longest lock: ${longest.lock} on ${longest.table}, ${longest.held_ms.toFixed(1)} ms, ${longest.from_state} → ${longest.to_state}: ${longest.statement}\n`
  return held + waitText(waits, columns)
}

function waitText(waits: readonly Wait[], columns: number): string {
  if (waits.length === 0) return 'No statement of others waited for it longer than 50 ms.\n'
  return `Statements of others that waited for it longer than 50 ms:\n${table(
    ['process', 'role', 'waited', 'lock', 'table', 'statement'],
    waits.map((each) => [
      each.pid,
      each.role,
      `${String(Math.round(each.waited_ms))} ms`,
      each.lock,
      each.table,
      each.statement,
    ]),
    columns,
  )}`
}
