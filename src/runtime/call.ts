import { contextError, TenantryError } from '../errors.js'
import type { Identity } from '../identity.js'
import { connectionState, noteError, statementName, type ResetPolicy } from './connection.js'
import { isRefused, type Contexts } from './contexts.js'
import { wireValues, type Callback, type QuerySpec, type RawClient } from './pg-internals.js'
import type { Scopes } from './scope.js'
import type { Transport } from './transport.js'
import type pg from 'pg'

/** What all parts of one `tenantry()` share. */
export interface Runtime {
  readonly pool: pg.Pool
  readonly contexts: Contexts
  readonly transport: Transport
  readonly scopes: Scopes
  readonly preparedStatements: boolean
  readonly reset: ResetPolicy
}

export interface Call {
  readonly client: RawClient
  readonly spec: QuerySpec
  /** Whose context must be entered first; absent inside an open transaction, which has it. */
  readonly enter: Identity | undefined
  /** The statement that opens the transaction this query is the first of. */
  readonly begin?: string | undefined
}

/**
 * Runs one query on a checked-out connection, with its context if it needs one. Whatever fails
 * leaves its mark on the connection's state, so that giving it back does the right thing.
 */
export function call(runtime: Runtime, request: Call, done: Callback): void {
  const { client } = request
  const state = connectionState(client)
  let spec: QuerySpec
  try {
    spec = sendable(runtime, request)
  } catch (error) {
    // Nothing was sent, so there is nothing to clean up.
    process.nextTick(done, error)
    return
  }

  const attempt = (mayRetry: boolean): void => {
    const { enter, begin } = request
    const context = enter && runtime.contexts.statement(enter)
    const opening = context && { context, begin }
    runtime.transport({ client, state, spec, opening }, (error, result, contextFailed) => {
      if (!error) return done(null, result)
      noteError(client, state, error)
      runtime.contexts.noteError(error)
      if (!contextFailed) return done(error)
      if (mayRetry && enter && context?.kept && isRefused(error)) {
        // The group was one transaction and nothing of it ran, so a second try is safe.
        runtime.contexts.forget(enter)
        return afterRollback(client, () => attempt(false), done)
      }
      done(contextError(error))
    })
  }

  if (request.enter && !runtime.contexts.ready) {
    runtime.contexts.prepare(client).then(
      () => attempt(true),
      (error) => {
        noteError(client, state, error.cause ?? error)
        done(error)
      },
    )
  } else {
    attempt(true)
  }
}

/** Checks what pg would find out only while writing, and prepares values and names. */
function sendable(runtime: Runtime, { client, spec }: Call): QuerySpec {
  const { text, values, name } = spec
  if (typeof text !== 'string' && typeof name !== 'string') {
    throw new TypeError('A query must have either text or a name.')
  }
  if (values !== undefined && values !== null && !Array.isArray(values)) {
    throw new TypeError('Query values must be an array')
  }
  // The spec is this call's own, made from what the application gave; and wire form of wire form
  // is itself, so a call that is repeated may go through here again.
  if (values && values.length > 0) spec.values = wireValues(values)
  return name === undefined ? spec : { ...spec, name: ownName(runtime, client, name, text) }
}

function ownName(
  runtime: Runtime,
  client: RawClient,
  name: string,
  text: string | undefined,
): string | undefined {
  if (!runtime.preparedStatements) {
    if (text !== undefined) return undefined
    throw new TenantryError(
      'TN_CONFIG',
      `The prepared statement '${name}' was given by name only.`,
      {
        hint: 'Give its text too, or set `preparedStatements: true`.',
      },
    )
  }
  const own = statementName(connectionState(client), name, text)
  if (own) return own
  throw new Error(
    `Prepared statements must be unique - '${name}' was used for a different statement`,
  )
}

/** Leaves a transaction that failed while it was being opened. */
function afterRollback(client: RawClient, next: () => void, done: Callback): void {
  if (client.getTransactionStatus() === 'I') return next()
  client.query('rollback').then(next, done)
}
