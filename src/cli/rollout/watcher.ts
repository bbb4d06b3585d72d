import { setTimeout as sleep } from 'node:timers/promises'
import type pg from 'pg'
import type { Wait } from './events.js'

const interval = 20
const worthTelling = 50

// pg_locks shows everybody since when whom waits; of pg_stat_activity the statement needs pg_read_all_stats.
const waiting = `
  select l.pid, a.usename as role, a.query as statement, l.relation::pg_catalog.regclass::text as "table", l.mode as lock,
         l.waitstart::text as since,
         (extract('epoch' from pg_catalog.clock_timestamp() - l.waitstart) * 1000)::float8 as waited_ms
    from pg_catalog.pg_locks l
    left join pg_catalog.pg_stat_activity a on a.pid = l.pid
   where not l.granted and l.waitstart is not null and l.pid <> all ($1::integer[]) and l.pid <> pg_catalog.pg_backend_pid()
     and $1::integer[] && pg_catalog.pg_blocking_pids(l.pid)`

/** Looks on a connection of its own, until it is stopped, for statements that wait for some processes. */
export class Watcher {
  readonly #client: pg.Client
  readonly #pids: readonly number[]
  readonly #waits = new Map<string, Wait>()
  readonly #watching: Promise<void>
  #stopped = false

  constructor(client: pg.Client, pids: readonly number[]) {
    this.#client = client
    this.#pids = pids
    this.#watching = this.#watch()
    // Its error is thrown where it is stopped.
    this.#watching.catch(() => undefined)
  }

  /** Every wait that was worth telling, the longest first. */
  async stop(): Promise<Wait[]> {
    this.#stopped = true
    await this.#watching
    return [...this.#waits.values()]
      .filter(({ waited_ms }) => waited_ms > worthTelling)
      .sort((one, other) => other.waited_ms - one.waited_ms)
  }

  async #watch(): Promise<void> {
    while (!this.#stopped) {
      const { rows } = await this.#client.query<Wait & { since: string }>(waiting, [this.#pids])
      for (const { since, ...wait } of rows) this.#waits.set(`${String(wait.pid)} ${since}`, wait)
      await sleep(interval)
    }
  }
}
