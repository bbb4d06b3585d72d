import { TenantryError } from '../errors.js'
import type { Identity } from '../identity.js'
import type { Submittable } from './arguments.js'
import { call, type Runtime } from './call.js'
import { connectionState } from './connection.js'
import { commandResult, type Callback, type QuerySpec, type RawClient } from './pg-internals.js'
import { readStatement } from './statement.js'
import { assertCommitted } from './transport-awaited.js'

/**
 * Decides for every statement whether it opens a context, opens a transaction with one, or runs
 * inside. The server's own transaction status is what counts; added is only what the server cannot
 * know yet: a BEGIN that is held back until the first query, and a transaction that failed to open.
 */
export class TransactionState {
  readonly #runtime: Runtime
  readonly #client: RawClient
  readonly #who: Identity

  /** The BEGIN that will travel with the first query. */
  #begin: string | undefined
  /** Whether the application believes itself in a transaction. */
  #believesOpen = false
  #managed = false

  constructor(runtime: Runtime, client: RawClient, who: Identity) {
    this.#runtime = runtime
    this.#client = client
    this.#who = who
  }

  /** Whether a transaction is open, or will be by the next query. */
  get status(): 'I' | 'T' | 'E' | null {
    return this.#begin === undefined ? this.#client.getTransactionStatus() : 'T'
  }

  /** Whether only `end` may end the transaction. */
  get managed(): boolean {
    return this.#managed
  }

  manage(begin: string): void {
    this.#begin = begin
    this.#believesOpen = true
    this.#managed = true
  }

  /** Runs a statement of the application. */
  dispatch(spec: QuerySpec, done: Callback): void {
    const statement = typeof spec.text === 'string' ? readStatement(spec.text) : undefined
    const open = this.#isOpen()
    if (this.#managed && statement && ENDS.has(statement.kind)) {
      return later(done, refusal('this transaction is ended by the function it was opened with'))
    }
    switch (statement?.kind) {
      case 'refused':
        return later(done, refusal(statement.reason))
      case 'begin':
        if (open) break
        this.#begin ??= statement.text
        this.#believesOpen = true
        return later(done, null, commandResult(statement.tag))
      case 'set transaction':
        if (this.#begin === undefined) break
        this.#begin += ` ${statement.modes}`
        return later(done, null, commandResult('SET'))
      case 'commit':
        return this.commit(done)
      case 'rollback':
        return this.rollback(done)
      case 'query':
      case undefined:
        break
    }
    this.#run(spec, open, done)
  }

  #isOpen(): boolean {
    // Where the status is not known, a context is entered: too often is safe, too seldom is not.
    const status = this.#client.getTransactionStatus()
    return status === 'T' || status === 'E'
  }

  #run(spec: QuerySpec, open: boolean, done: Callback): void {
    if (connectionState(this.#client).broken) return later(done, lost())
    const begin = this.#begin
    this.#begin = undefined
    if (!open && begin === undefined && this.#believesOpen) {
      return later(
        done,
        new TenantryError(
          'TN_TRANSACTION_FAILED',
          'The transaction is over or never opened; roll back first.',
        ),
      )
    }
    call(
      this.#runtime,
      { client: this.#client, spec, enter: open ? undefined : this.#who, begin },
      done,
    )
  }

  /** Sees to it that a submittable meets a transaction with its context. */
  prepareFor(submittable: Submittable, done: (error?: unknown) => void): void {
    const { text } = submittable as { text?: unknown }
    const statement = typeof text === 'string' ? readStatement(text) : undefined
    if (statement && statement.kind !== 'query') {
      return later(
        done,
        refusal(statement.kind === 'refused' ? statement.reason : 'send it as a plain query'),
      )
    }
    if (this.#begin === undefined) {
      if (this.#isOpen()) return done()
      return later(
        done,
        refusal(
          'a cursor or stream needs an open transaction to hold its context; begin one first',
        ),
      )
    }
    this.#run({ text: '' }, false, (error) => done(error))
  }

  commit(done: Callback): void {
    const open = this.#isOpen()
    const unsent = this.#begin !== undefined || !this.#believesOpen
    this.#begin = undefined
    this.#believesOpen = false
    if (connectionState(this.#client).broken) return later(done, lost())
    if (!open) {
      if (unsent) return later(done, null, commandResult('COMMIT'))
      return later(
        done,
        new TenantryError(
          'TN_TRANSACTION_ROLLED_BACK',
          'There is nothing to commit: the transaction failed.',
        ),
      )
    }
    call(
      this.#runtime,
      { client: this.#client, spec: { text: 'commit' }, enter: undefined },
      (error, result) => {
        if (error || !result) return done(error)
        try {
          assertCommitted(result)
        } catch (rolledBack) {
          return done(rolledBack)
        }
        done(null, result)
      },
    )
  }

  rollback(done: Callback): void {
    const open = this.#isOpen()
    this.#begin = undefined
    this.#believesOpen = false
    // A connection that is lost or stuck will be closed, and the server rolls back by itself.
    if (!open || connectionState(this.#client).broken) {
      return later(done, null, commandResult('ROLLBACK'))
    }
    call(
      this.#runtime,
      { client: this.#client, spec: { text: 'rollback' }, enter: undefined },
      done,
    )
  }
}

const ENDS = new Set(['begin', 'commit', 'rollback'])

function lost(): TenantryError {
  return new TenantryError(
    'TN_TRANSACTION_FAILED',
    'The connection was lost, or still waits for a query that timed out; nothing more can be sent.',
  )
}

export function refusal(reason: string): TenantryError {
  return new TenantryError('TN_STATEMENT_REFUSED', `Refused: ${reason}.`)
}

/** Reports what needs no server as if it had come from there: never before the caller returns. */
function later<A extends unknown[]>(report: (...args: A) => void, ...args: A): void {
  process.nextTick(report, ...args)
}
