import { isServerError, TenantryError } from '../errors.js'
import { noteCommand } from './connection.js'
import type { QuerySpec, RawClient } from './pg-internals.js'
import type { ContextStatement } from './contexts.js'
import type { Outcome, Transport, TransportCall } from './transport.js'
import type pg from 'pg'

/**
 * The plainest transport: BEGIN, context, query and COMMIT, each awaited. Four round trips, for
 * proxies that cannot carry a group of messages under one Sync.
 */
export const awaitedTransport: Transport = (call, outcome) => {
  void run(call, outcome)
}

async function run(call: TransportCall, outcome: Outcome): Promise<void> {
  const { client, state, spec, opening } = call
  let contextFailed = opening !== undefined
  let opened = false
  try {
    if (opening) {
      await plain(client, { text: opening.begin ?? 'begin' })
      opened = opening.begin === undefined
      takeValue(opening.context, await plain(client, contextSpec(opening.context)))
      contextFailed = false
    }
    const result = await plain(client, spec)
    noteCommand(state, result.command, spec.text ?? '')
    if (opened) assertCommitted(await plain(client, { text: 'commit' }))
    outcome(undefined, result)
  } catch (error) {
    // After a timeout or a lost connection there is nobody to roll back with; it is destroyed.
    if (opened && (isServerError(error) || error instanceof TenantryError)) {
      await client.query('rollback').catch(() => undefined)
    } else {
      await barrier(client, error)
    }
    outcome(error, undefined, contextFailed)
  }
}

/** A query by the extended protocol, so that one string is one statement. */
export function plain(client: RawClient, spec: QuerySpec): Promise<pg.QueryResult> {
  return client.query({ ...spec, queryMode: 'extended' })
}

/**
 * The context statement as a query of pg, which keeps the values of a query on the client while it
 * runs. Whoever prints the pool meanwhile must find no credential and no share there: each value is
 * told to the driver alone.
 */
export function contextSpec(context: ContextStatement): QuerySpec {
  const values = context.values.map((value) => ({ toPostgres: () => value }))
  return { text: context.text, values, rowMode: 'array' }
}

/** Hands over the pass, if the context statement answered with one. */
export function takeValue(context: ContextStatement, result: pg.QueryResult): void {
  const row = (result.rows as unknown[][])[0]
  if (context.onValue && typeof row?.[0] === 'string') context.onValue(row[0])
}

/** The server answers COMMIT of a failed transaction by ROLLBACK, and without an error. */
export function assertCommitted(result: pg.QueryResult): void {
  if (result.command !== 'COMMIT') {
    throw new TenantryError(
      'TN_TRANSACTION_ROLLED_BACK',
      'COMMIT was answered by ROLLBACK: an earlier statement had failed, and nothing was written.',
    )
  }
}

/**
 * Waits until the driver has read to the end of a failed query. It reports an error before the
 * server says what became of the transaction, and that must be known before anything else is done.
 */
export async function barrier(client: RawClient, error: unknown): Promise<void> {
  if (isServerError(error)) await client.query('').catch(() => undefined)
}
