import type pg from 'pg'
import type { Tenantry } from '../../src/index.js'

export type Opened = Tenantry & { raw: pg.Pool }

export interface Leftovers {
  pid: number
  context: string | null
  planted: string | null
  zone: string
  prepared: number
  cursors: number
  locks: number
  listening: number
  rows: number
}

/** What the one connection of a pool holds now, seen by whoever gets it next. */
export async function leftovers(db: Opened): Promise<Leftovers> {
  const { rows } = await db.raw.query<Leftovers>(`
    select pg_backend_pid() as pid,
           nullif(current_setting('tenantry.context', true), '') as context,
           nullif(current_setting('app.planted', true), '') as planted,
           current_setting('TimeZone') as zone,
           (select count(*)::int from pg_prepared_statements) as prepared,
           (select count(*)::int from pg_cursors where name <> '') as cursors,
           (select count(*)::int from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()) as locks,
           (select count(*)::int from pg_listening_channels()) as listening,
           (select count(*)::int from notes) as rows`)
  return rows[0]!
}

/** A connection that shows nothing of anybody. */
export const CLEAN = {
  context: null,
  planted: null,
  prepared: 0,
  cursors: 0,
  locks: 0,
  listening: 0,
  rows: 0,
}
