import type pg from 'pg'
import { isServerError } from '../../errors.js'
import type { Listener } from './events.js'
import { helped, type Helper } from './helpers.js'
import { indexOwners } from './index-owners.js'
import type { Interrupt } from './interrupt.js'
import { observed } from './observer.js'
import type { Call } from './states.js'

export interface RunOptions {
  readonly batchSize: number
  readonly lockTimeout: string
}

export interface Runner {
  readonly client: pg.Client
  readonly pid: number
  readonly helpers: readonly Helper[]
  /** Where the progress is read. */
  readonly observer: pg.Client
  readonly listener: Listener
  readonly interrupt: Interrupt
}

/** Makes the calls one after the other. */
export async function run(
  runner: Runner,
  calls: readonly Call[],
  options: RunOptions,
): Promise<void> {
  const { client, listener, interrupt } = runner
  for (const { table, to } of calls) {
    if (interrupt.stopped) return
    const began = performance.now()
    listener.tell({ event: 'step', table, to })
    try {
      await call(runner, table, to, options.batchSize)
    } catch (error) {
      if (!isServerError(error) || error.code !== 'TN012' || interrupt.stopped) throw error
      const { pid, observer } = runner
      const built = await observed(observer, listener, { table, work: 'index', pid }, () =>
        indexOwners(client, table, options.lockTimeout, listener),
      )
      // Refused for another reason.
      if (!built) throw error
      if (interrupt.stopped) return
      await call(runner, table, to, options.batchSize)
    }
    listener.tell({ event: 'reached', table, state: to, ms: Math.round(performance.now() - began) })
  }
}

async function call(runner: Runner, table: string, to: string, batchSize: number): Promise<void> {
  const { client, observer, listener, pid } = runner
  const helpers = to === 'backfilled' ? runner.helpers : []
  await observed(observer, listener, { table, work: 'backfill', pid }, () =>
    helped(helpers, runner, { table, batchSize }, () =>
      client.query('call tenantry.rollout_to($1::text::pg_catalog.regclass, $2, $3)', [
        table,
        to,
        batchSize,
      ]),
    ),
  )
}
