import type { EventEmitter } from 'node:events'
import type { Duplex } from 'node:stream'
import pg from 'pg'

/*
 * What the runtime uses of node-postgres beyond its published types, in one place. All of it has
 * been there for years (pg-cursor stands on the same parts); the wire tests pin it.
 */

/** One value as it goes on the wire. */
export type WireValue = string | Buffer | null

export interface WireConnection extends EventEmitter {
  readonly stream: Duplex
  /** Named statements the driver believes the server knows; DISCARD ALL makes it forget. */
  parsedStatements: Record<string, string>
  submittedNamedStatements: Record<string, string>
  parse(statement: { text: string; name?: string }): void
  bind(bind: { values: readonly WireValue[]; statement?: string }): void
  execute(portal?: { portal?: string; rows?: number }): void
  sync(): void
  sendCopyFail(reason: string): void
}

/** The first parameter of `query()` in its object form, and what pg reads from it. */
export interface QuerySpec {
  text?: string | undefined
  values?: readonly unknown[] | undefined
  name?: string | undefined
  rowMode?: string | undefined
  types?: unknown
  binary?: boolean | undefined
  rows?: number | undefined
  portal?: string | undefined
  query_timeout?: number | undefined
}

export type Callback = (error: unknown, result?: pg.QueryResult) => void

/** A connected `pg.Client`, as the pool hands it out. */
export interface RawClient extends EventEmitter {
  readonly connection: WireConnection
  readonly pipeline?: boolean
  readonly readyForQuery: boolean | null
  readonly host: string
  readonly port: number
  readonly ssl: unknown
  readonly sslNegotiation?: string
  readonly processID: number | null
  readonly secretKey: number | null
  getTransactionStatus(): 'I' | 'T' | 'E' | null
  query(submittable: { submit(connection: never): unknown }): unknown
  query(spec: QuerySpec & { queryMode?: 'extended' }): Promise<pg.QueryResult>
  query(text: string): Promise<pg.QueryResult>
}

export interface CommandComplete {
  readonly text: string
}

/** The parts of `pg.Query` that a subclass meets. */
export interface BaseQuery extends EventEmitter {
  text: string | undefined
  values: readonly unknown[] | undefined
  name: string | undefined
  rows: number | undefined
  portal: string
  types: unknown
  binary: boolean | undefined
  queryMode: string | undefined
  callback: Callback
  query_timeout?: number | undefined
  prepare(connection: WireConnection): void
  handleDataRow(message: { fields: (string | null)[] }): void
  handleCommandComplete(message: CommandComplete, connection: WireConnection): void
  handleError(error: unknown, connection: WireConnection): void
}

type QueryConstructor = new (
  spec: QuerySpec | string,
  values: undefined,
  callback: Callback,
) => BaseQuery

/** `pg.Query`, typed for subclassing. */
export const Query = pg.Query as unknown as QueryConstructor

const { prepareValue } = (pg as unknown as { utils: { prepareValue(value: unknown): WireValue } })
  .utils

/**
 * Turns values into what goes on the wire, before the first byte of a group is written: a value
 * that cannot be sent must not leave half a group behind.
 */
export function wireValues(values: readonly unknown[]): WireValue[] {
  const out = new Array<WireValue>(values.length)
  for (let i = 0; i < values.length; i++) out[i] = prepareValue(values[i])
  return out
}

/** A result like the one pg gives for a command without rows, for commands that are not sent. */
export function commandResult(command: string, rowCount: number | null = null): pg.QueryResult {
  const result = new pg.Result('', pg.types)
  result.command = command
  result.rowCount = rowCount
  return result
}

/** Whether nothing is under way on this connection: no query in flight, no portal open. */
export function isIdle(client: RawClient): boolean {
  // A cursor holds back its Sync, so no ReadyForQuery arrives while its portal is open.
  return client.readyForQuery === true
}
