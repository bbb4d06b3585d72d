import { TenantryError } from '../errors.js'
import type { Identity } from '../identity.js'
import type { Submittable } from './arguments.js'
import type { Runtime } from './call.js'
import { connectionState, giveBack } from './connection.js'
import {
  Query,
  type BaseQuery,
  type Callback,
  type QuerySpec,
  type RawClient,
} from './pg-internals.js'
import { promised } from './promised.js'
import { refusal, TransactionState } from './transaction-state.js'

export type Release = (destroy?: Error | boolean) => void

/**
 * One connection in the hands of one identity, from its checkout to its release. Takes calls one
 * after the other, as a connection that is not pipelined does by itself: what the next one needs
 * depends on what became of the last.
 */
export class Lease {
  readonly who: Identity
  readonly client: RawClient
  readonly #runtime: Runtime
  readonly #release: Release

  readonly #transaction: TransactionState

  #busy = false
  #gaveBack = false
  #savepoints = 0
  #released: { error: Error | boolean | undefined } | undefined
  readonly #waiting: (() => void)[] = []
  readonly #leaving: (() => void)[] = []

  constructor(runtime: Runtime, client: RawClient, release: Release, who: Identity) {
    this.#runtime = runtime
    this.client = client
    this.#release = release
    this.who = who
    this.#transaction = new TransactionState(runtime, client, who)
  }

  /** Whether a transaction is open, or will be by the next query. */
  get status(): 'I' | 'T' | 'E' | null {
    return this.#transaction.status
  }

  /** Opens a transaction that only `end` can end, and keeps the connection until `close`. */
  manage(begin: string): void {
    this.#transaction.manage(begin)
  }

  /** Ends a managed transaction. @throws TenantryError `TN_TRANSACTION_ROLLED_BACK` */
  end(how: 'commit' | 'rollback'): Promise<unknown> {
    return promised((done) =>
      this.#enqueue((finish) => {
        const report: Callback = (error, result) => finish(() => done(error, result))
        this.#transaction[how](report)
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
      (finish) =>
        this.#transaction.dispatch(spec, (error, result) => finish(() => done(error, result))),
      done,
    )
  }

  /** Runs something that writes to the connection itself, inside an open transaction. */
  submit(submittable: Submittable): void {
    const refuse = (error: unknown): void => {
      ;(submittable as Partial<BaseQuery>).handleError?.(error, this.client.connection)
    }
    this.#enqueue((finish) => {
      this.#transaction.prepareFor(submittable, (error) => {
        if (error) return finish(() => refuse(error))
        if (submittable instanceof Query) submittable.queryMode = 'extended'
        this.#listen(submittable)
        // What it does to the session cannot be seen from here.
        connectionState(this.client).dirty = true
        this.client.query(submittable)
        finish(() => undefined)
      })
    }, refuse)
  }

  /** Its errors go to it alone, and one of them may say that the key share was missing. */
  #listen(submittable: Submittable): void {
    const query = submittable as Partial<BaseQuery>
    const handle = query.handleError
    if (!handle) return
    query.handleError = (error, connection) => {
      this.#runtime.contexts.noteError(error)
      handle.call(query, error, connection)
    }
  }

  /** Gives the connection back once everything asked of it is done. */
  release(error?: Error | boolean): void {
    if (this.#transaction.managed)
      throw refusal('the connection belongs to the transaction around it')
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
