import type { Callback, QuerySpec, RawClient } from './pg-internals.js'
import type { ContextStatement } from './contexts.js'
import type { ConnectionState } from './connection.js'

/** What must happen on the server before a query may run. */
export interface Opening {
  readonly context: ContextStatement
  /** The statement that opens the transaction; without it the query is a transaction of its own. */
  readonly begin: string | undefined
}

export interface TransportCall {
  readonly client: RawClient
  readonly state: ConnectionState
  readonly spec: QuerySpec
  /** Absent inside a transaction that has its context already. */
  readonly opening: Opening | undefined
}

/** Gets the outcome when the server is done with the call and its state is known. */
export type Outcome = (...args: [...Parameters<Callback>, contextFailed?: boolean]) => void

/** A way of getting a context and a query to the server so that the one never goes without the other. */
export type Transport = (call: TransportCall, outcome: Outcome) => void
