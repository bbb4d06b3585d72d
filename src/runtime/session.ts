import type pg from 'pg'
import type { Executor } from '../accessors/executor.js'
import type { TenantrySchema } from '../accessors/schema.js'
import { mapAccessorError } from '../errors.js'
import type { Identity } from '../identity.js'
import { readArguments } from './arguments.js'
import { insertManyStatement, type InsertManyOptions, type TableName } from './insert-many.js'
import { commandResult } from './pg-internals.js'
import type { TransactionOptions } from './transaction.js'
import type { Unit } from './unit.js'

/** Everything that can be done as one identity. */
export interface SessionApi<A extends object> {
  /** Who acts, and whose data is worked on. */
  readonly identity: Identity
  /**
   * A pg-compatible pool bound to this identity, for ORMs: same queries, transactions included.
   * Inside `transaction` it is that transaction's client.
   */
  readonly client: pg.Pool
  /** Runs one statement as a transaction of its own, in one round trip. Errors are pg's own. */
  query<R extends pg.QueryResultRow = pg.QueryResultRow>(
    text: string | pg.QueryConfig,
    values?: readonly unknown[],
  ): Promise<pg.QueryResult<R>>
  /**
   * Inserts many rows by one statement; COPY does not work under row-level security.
   *
   * @param table its name, or `[schema, name]`
   * @param columns the columns given; the others, the owner among them, get their defaults
   * @param rows one array per row, in the order of `columns`; `undefined` is NULL. Values of json
   *   columns are given as they are, not as text
   */
  insertMany<R extends pg.QueryResultRow = pg.QueryResultRow>(
    table: TableName,
    columns: readonly string[],
    rows: readonly (readonly unknown[])[],
    options?: InsertManyOptions,
  ): Promise<pg.QueryResult<R>>
  /**
   * Runs `fn` in one transaction: committed when it resolves, rolled back when it throws. BEGIN
   * and the context travel with the first query. Nested calls are savepoints.
   *
   * @throws TenantryError `TN_TRANSACTION_ROLLED_BACK` when a statement failed and its error was
   *   swallowed, so that COMMIT had nothing left to commit
   */
  transaction<T>(fn: (tx: Session<A>) => Promise<T>, options?: TransactionOptions): Promise<T>
}

/** A session with the accessors `A` of the generated schema. */
export type Session<A extends object = object> = SessionApi<A> & A

/** Puts the public face on a unit. */
export function sessionOf<A extends object>(
  unit: Unit,
  schema: TenantrySchema<A> | undefined,
): Session<A> {
  let client: pg.Pool | undefined
  const api: SessionApi<A> = {
    identity: unit.identity,
    get client() {
      return (client ??= unit.client())
    },
    query: (text, values) => unit.run(readArguments(text, values).spec) as Promise<never>,
    insertMany: async (table, columns, rows, options) => {
      const statement = insertManyStatement(table, columns, rows, options)
      const result = rows.length > 0 ? await unit.run(statement) : commandResult('INSERT', 0)
      return result as never
    },
    transaction: (fn, options) =>
      unit.transaction((inner) => fn(sessionOf(inner, schema)), options),
  }
  if (!schema) return api as Session<A>
  // The accessors become the prototype: their getters stay lazy, and a table that is called like
  // one of the members above cannot take its place.
  return Object.setPrototypeOf(api, schema.bind(executorOf(unit))) as Session<A>
}

/** What accessors run on: errors come back without what they could reveal. */
function executorOf(unit: Unit): Executor {
  return {
    query: (text, values) =>
      unit.run({ text, values }).catch((error: unknown) => {
        throw mapAccessorError(error)
      }) as Promise<never>,
    // Deferred constraints speak at COMMIT.
    transaction: (fn) =>
      unit
        .transaction((inner) => fn(executorOf(inner)))
        .catch((error: unknown) => {
          throw mapAccessorError(error)
        }),
  }
}
