import { setTimeout as sleep } from 'node:timers/promises'
import type pg from 'pg'
import type { Listener, Progress } from './events.js'

const interval = 250

interface Seen {
  readonly done: number
  readonly total: number
  readonly brake: string | null
}

/** Follows on a connection of its own how far the work on a table is, until the work has ended. */
export async function observed<T>(
  client: pg.Client,
  listener: Listener,
  subject: { readonly table: string; readonly work: Progress['work']; readonly pid: number },
  work: () => Promise<T>,
): Promise<T> {
  const { table, work: kind, pid } = subject
  const ended = new AbortController()
  const watch = async (): Promise<void> => {
    let first: { readonly at: number; readonly done: number } | undefined
    for (;;) {
      // Rejects when the work has ended, which is what is waited for.
      await sleep(interval, undefined, { signal: ended.signal }).catch(() => undefined)
      if (ended.signal.aborted) return
      const seen = kind === 'index' ? await index(client, pid) : await backfill(client, table)
      if (!seen || ended.signal.aborted) continue
      // Resumed, it begins in the middle; an index begins anew with each of its phases.
      if (!first || seen.done < first.done) first = { at: performance.now(), done: seen.done }
      listener.tell({ event: 'progress', table, work: kind, ...seen, ...speed(seen, first) })
    }
  }
  const watching = watch()
  // Thrown below, when the work itself is done.
  watching.catch(() => undefined)
  let result: T
  try {
    result = await work()
  } finally {
    ended.abort()
  }
  await watching
  return result
}

function speed(
  { done, total }: Seen,
  first: { readonly at: number; readonly done: number },
): { rate: number | null; eta: number | null } {
  const seconds = (performance.now() - first.at) / 1000
  const rate = seconds > 0 ? (done - first.done) / seconds : 0
  const known = rate > 0 && done >= total / 100
  return { rate: rate > 0 ? rate : null, eta: known ? (total - done) / rate : null }
}

/** Null where no backfill runs. */
async function backfill(client: pg.Client, table: string): Promise<Seen | undefined> {
  const { rows } = await client.query<Seen>(
    `select least(r.done, r.total)::float8 as done, r.total::float8 as total, r.brake
       from tenantry.rollout_status r
      where r.relation = $1::text::pg_catalog.regclass and r.state = 'prepared' and r.began_at is not null and r.total is not null`,
    [table],
  )
  return rows[0]
}

async function index(client: pg.Client, pid: number): Promise<Seen | undefined> {
  const { rows } = await client.query<Seen>(
    `select p.blocks_done::float8 as done, p.blocks_total::float8 as total,
            case when p.phase like 'waiting %' then p.phase end as brake
       from pg_catalog.pg_stat_progress_create_index p where p.pid = $1`,
    [pid],
  )
  return rows[0]
}
