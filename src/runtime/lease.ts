import { TenantryError } from '../errors.js'
import type { Identity } from '../identity.js'
import type { Submittable } from './arguments.js'
import { call, type Runtime } from './call.js'
import { connectionState, giveBack } from './connection.js'
import {
  commandResult,
  Query,
  type BaseQuery,
  type Callback,
  type QuerySpec,
  type RawClient,
} from './pg-internals.js'
import { promised } from './promised.js'
import { readStatement } from './statement.js'
import { assertCommitted } from './transport-awaited.js'

export type Release = (destroy?: Error | boolean) => void

/**
 * One connection in the hands of one identity. Decides for every statement whether it opens a
 * context, opens a transaction with one, or runs inside. The server's own transaction status is
 * what counts; the lease adds only what the server cannot know yet: a BEGIN that is held back
 * until the first query, and a transaction that failed to open.
 */
export class Lease {
  readonly who: Identity
  readonly client: RawClient
  readonly #runtime: Runtime
  readonly #release: Release

  /** The BEGIN that will travel with the first query. */
  #begin: string | undefined
  /** Whether the application believes itself in a transaction. */
  #believesOpen = false
  #busy = false
  #gaveBack = false
  #managed = false
  #savepoints = 0
  #released: { error: Error | boolean | undefined } | undefined
  readonly #waiting: (() => void)[] = []
  readonly #leaving: (() => void)[] = []

  constructor(runtime: Runtime, client: RawClient, release: Release, who: Identity) {
    this.#runtime = runtime
    this.client = client
    this.#release = release
    this.who = who
  }

  /** Whether a transaction is open, or will be by the next query. */
  get status(): 'I' | 'T' | 'E' | null {
    return this.#begin === undefined ? this.client.getTransactionStatus() : 'T'
  }

  /** Opens a transaction that only `end` can end, and keeps the connection until `close`. */
  manage(begin: string): void {
    this.#begin = begin
    this.#believesOpen = true
    this.#managed = true
  }

  /** Ends a managed transaction. @throws TenantryError `TN_TRANSACTION_ROLLED_BACK` */
  end(how: 'commit' | 'rollback'): Promise<unknown> {
    return promised((done) =>
      this.#enqueue((finish) => {
        const report: Callback = (error, result) => finish(() => done(error, result))
        const open = this.#isOpen()
        if (how === 'commit') this.#commit(open, report)
        else this.#rollback(open, report)
      }, done),
    )
  }

  /** Runs a savepoint command. */
  control(text: string): Promise<unknown> {
    return promised((done) => this.query({ text }, done))
  }

  savepointName(): string {
    return `tenantry_${++this.#savepoints}`
  }

  /** Runs a query of the application, transaction control included. */
  query(spec: QuerySpec, done: Callback): void {
    this.#enqueue(
      (finish) => this.#dispatch(spec, (error, result) => finish(() => done(error, result))),
      done,
    )
  }

  /** Runs something that writes to the connection itself, inside an open transaction. */
  submit(submittable: Submittable): void {
    const refuse = (error: unknown): void => {
      ;(submittable as Partial<BaseQuery>).handleError?.(error, this.client.connection)
    }
    this.#enqueue((finish) => {
      this.#open(submittable, (error) => {
        if (error) return finish(() => refuse(error))
        if (submittable instanceof Query) submittable.queryMode = 'extended'
        // What it does to the session cannot be seen from here.
        connectionState(this.client).dirty = true
        this.client.query(submittable)
        finish(() => undefined)
      })
    }, refuse)
  }

  /** Gives the connection back once everything asked of it is done. */
  release(error?: Error | boolean): void {
    if (this.#managed) throw refusal('the connection belongs to the transaction around it')
    this.close(error)
  }

  close(error?: Error | boolean): void {
    if (this.#released) {
      throw new Error('Release called on client which has already been released to the pool.')
    }
    this.#released = { error }
    if (!this.#busy) this.#giveBack()
  }

  /** Runs `leave` when the connection changes hands. */
  onGiveBack(leave: () => void): void {
    if (this.#gaveBack) leave()
    else this.#leaving.push(leave)
  }

  // Calls are taken one after the other, as a connection that is not pipelined does by itself:
  // what the next one needs depends on what became of the last.
  #enqueue(
    run: (finish: (report: () => void) => void) => void,
    refuse: (error: unknown) => void,
  ): void {
    if (this.#released) {
      process.nextTick(
        refuse,
        new TenantryError(
          'TN_CLIENT_RELEASED',
          'This client was released; it may be in other hands.',
        ),
      )
      return
    }
    const start = (): void => {
      this.#busy = true
      run((report) => {
        this.#busy = false
        const next = this.#waiting.shift()
        if (next) next()
        try {
          // May throw what a callback of the application throws.
          report()
        } finally {
          if (!this.#busy && this.#released) this.#giveBack()
        }
      })
    }
    if (this.#busy) this.#waiting.push(start)
    else start()
  }

  #dispatch(spec: QuerySpec, done: Callback): void {
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
        return this.#commit(open, done)
      case 'rollback':
        return this.#rollback(open, done)
      case 'query':
      case undefined:
        break
    }
    this.#run(spec, open, done)
  }

  #isOpen(): boolean {
    return this.client.getTransactionStatus() !== 'I'
  }

  #run(spec: QuerySpec, open: boolean, done: Callback): void {
    if (connectionState(this.client).broken) return later(done, lost())
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
      { client: this.client, spec, enter: open ? undefined : this.who, begin },
      done,
    )
  }

  /** Sees to it that a submittable meets a transaction with its context. */
  #open(submittable: Submittable, done: (error?: unknown) => void): void {
    const { text } = submittable as { text?: unknown }
    const statement = typeof text === 'string' ? readStatement(text) : undefined
    if (statement && statement.kind !== 'query') {
      return later(
        done,
        refusal(statement.kind === 'refused' ? statement.reason : 'send it as a plain query'),
      )
    }
    if (this.#begin === undefined) {
      if (this.client.getTransactionStatus() !== 'I') return done()
      return later(
        done,
        refusal(
          'a cursor or stream needs an open transaction to hold its context; begin one first',
        ),
      )
    }
    this.#run({ text: '' }, false, (error) => done(error))
  }

  #commit(open: boolean, done: Callback): void {
    const unsent = this.#begin !== undefined || !this.#believesOpen
    this.#begin = undefined
    this.#believesOpen = false
    if (connectionState(this.client).broken) return later(done, lost())
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
      { client: this.client, spec: { text: 'commit' }, enter: undefined },
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

  #rollback(open: boolean, done: Callback): void {
    this.#begin = undefined
    this.#believesOpen = false
    // A connection that is lost or stuck will be closed, and the server rolls back by itself.
    if (!open || connectionState(this.client).broken) {
      return later(done, null, commandResult('ROLLBACK'))
    }
    call(this.#runtime, { client: this.client, spec: { text: 'rollback' }, enter: undefined }, done)
  }

  #giveBack(): void {
    if (this.#gaveBack) return
    this.#gaveBack = true
    for (const leave of this.#leaving) leave()
    const state = connectionState(this.client)
    const error = this.#released?.error
    if (error) this.#release(error)
    else giveBack(this.client, this.#release, state, this.#runtime.reset)
  }
}

const ENDS = new Set(['begin', 'commit', 'rollback'])

function lost(): TenantryError {
  return new TenantryError(
    'TN_TRANSACTION_FAILED',
    'The connection was lost, or still waits for a query that timed out; nothing more can be sent.',
  )
}

function refusal(reason: string): TenantryError {
  return new TenantryError('TN_STATEMENT_REFUSED', `Refused: ${reason}.`)
}

/** Reports what needs no server as if it had come from there: never before the caller returns. */
function later<A extends unknown[]>(report: (...args: A) => void, ...args: A): void {
  process.nextTick(report, ...args)
}
