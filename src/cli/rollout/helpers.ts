import type pg from 'pg'
import { withConnection, type ConnectionOptions } from '../connect.js'
import type { Io } from '../io.js'
import type { Listener } from './events.js'
import { cancel } from './interrupt.js'

/** A session that fills owners beside the runner's. */
export interface Helper {
  readonly client: pg.Client
  readonly pid: number
}

/** Opens so many sessions, and closes them when the work is done. */
export async function withHelpers<T>(
  io: Io,
  options: ConnectionOptions,
  count: number,
  work: (helpers: readonly Helper[]) => Promise<T>,
  opened: readonly Helper[] = [],
): Promise<T> {
  if (opened.length >= count) return work(opened)
  return withConnection(io, options, async (client) =>
    withHelpers(io, options, count, work, [...opened, { client, pid: await pidOf(client) }]),
  )
}

/**
 * Runs the call that fills a table's owners with helpers beside it. The runner's result is the result: what it cannot do
 * without a helper it does itself. When it fails, the helpers are cancelled.
 */
export async function helped<T>(
  helpers: readonly Helper[],
  { observer, listener }: { readonly observer: pg.Client; readonly listener: Listener },
  { table, batchSize }: { readonly table: string; readonly batchSize: number },
  runner: () => Promise<T>,
): Promise<T> {
  let failed = false
  const running = helpers.map(async ({ client, pid }) => {
    try {
      await client.query('call tenantry.rollout_help($1::text::pg_catalog.regclass, $2)', [
        table,
        batchSize,
      ])
    } catch (error) {
      if (failed) return
      const message = `process ${String(pid)} helps no more: ${(error as Error).message}`
      listener.tell({ event: 'notice', message })
    }
  })
  try {
    return await runner()
  } catch (error) {
    failed = true
    await cancel(
      observer,
      helpers.map(({ pid }) => pid),
    )
    throw error
  } finally {
    await Promise.all(running)
  }
}

export async function pidOf(client: pg.Client): Promise<number> {
  const { rows } = await client.query<{ pid: number }>('select pg_catalog.pg_backend_pid() as pid')
  return rows[0]?.pid ?? 0
}
