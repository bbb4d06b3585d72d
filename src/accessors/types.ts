import type { Secret } from './secret.js'
import type { DateInput, JsonObject } from './values.js'

/** Property names of a row that are strings, as all generated ones are. */
export type Name<Row> = keyof Row & string

/** `null` tests; the only ones for columns whose type has no equality. */
export type NullTest<V> = null extends V ? null | { readonly not: null } : never

/** Range and set tests on one column; those given together must all hold. */
export interface Comparison<V> {
  readonly in?: readonly V[]
  readonly gt?: V
  readonly gte?: V
  readonly lt?: V
  readonly lte?: V
}

/** In a filter type: the column's type has no usable equality, so only null tests make sense. */
export interface Incomparable {
  readonly incomparable: never
}

/** In a filter type: the column is sealed and has a blind index, so equality finds it. */
export interface Searchable<V> {
  readonly searchable: V
}

/** What a call returns unless told otherwise: secrets are decrypted only where they are named. */
export type DefaultKeys<Row extends object> = {
  [C in keyof Row]-?: [NonNullable<Row[C]>] extends [Secret<unknown>] ? never : C
}[keyof Row]

/** Json admits objects with any key; no other column type does. */
type IsJson<V> = [JsonObject] extends [V extends readonly (infer E)[] ? E : V] ? true : false

/** Dates compare with their text form too. */
type Operand<V> = V extends Date ? DateInput : V extends readonly (infer E)[] ? readonly E[] : V

/** What may stand for a column in `where`. */
export type Condition<V> = [NonNullable<V>] extends [Searchable<infer S>]
  ? S | Secret<S> | NullTest<V>
  : true extends IsJson<NonNullable<V>>
    ? NullTest<V>
    : [NonNullable<V>] extends [Incomparable]
      ? NullTest<V>
      : | Operand<NonNullable<V>>
        | (Comparison<Operand<NonNullable<V>>> &
            (null extends V ? { readonly not?: null } : unknown))
        | NullTest<V>

/** A filter: every named column must match. */
export type Where<Filter extends object> = {
  readonly [C in keyof Filter]?: Condition<Filter[C]>
}

/** A column, or `-column` for descending. */
export type OrderKey<Row extends object> =
  (DefaultKeys<Row> & string) | `-${DefaultKeys<Row> & string}`

/** Which columns a call returns; all of them but secrets unless told otherwise. */
export interface Selection<K extends PropertyKey> {
  readonly select?: readonly K[]
}

export interface FindFirst<
  Row extends object,
  Filter extends object,
  K extends keyof Row,
> extends Selection<K> {
  readonly where?: Where<Filter>
  /** `['-created_at', 'id']`: newest first, then by id. */
  readonly orderBy?: readonly OrderKey<Row>[]
  readonly offset?: number
}

export interface FindMany<
  Row extends object,
  Filter extends object,
  K extends keyof Row,
> extends FindFirst<Row, Filter, K> {
  readonly limit?: number
}

/** Rows to change: a filter, or all of them said out loud. */
export type Target<Filter extends object> =
  | { readonly where: Where<Filter>; readonly all?: never }
  | { readonly all: true; readonly where?: never }

/** The calls of a table the application may read. */
export interface Reads<Row extends object, Filter extends object = Row> {
  /** The rows that match, in the asked order. */
  findMany<const K extends keyof Row = DefaultKeys<Row>>(
    options?: FindMany<Row, Filter, K>,
  ): Promise<Pick<Row, K>[]>
  /** The first row that matches, or null. */
  findFirst<const K extends keyof Row = DefaultKeys<Row>>(
    options?: FindFirst<Row, Filter, K>,
  ): Promise<Pick<Row, K> | null>
  /** How many rows match. */
  count(options?: { readonly where?: Where<Filter> }): Promise<number>
}

/** … with a primary key: `Id` is its value, or an object of its values when it has several columns. */
export interface ReadsById<Row extends object, Id> {
  /** The row with this primary key, or null when there is none for this identity. */
  findById<const K extends keyof Row = DefaultKeys<Row>>(
    id: Id,
    options?: Selection<K>,
  ): Promise<Pick<Row, K> | null>
}

/** The calls of a table the application may insert into. */
export interface Inserts<Row extends object, Insert extends object> {
  /** Inserts one row and returns it as stored. */
  insert<const K extends keyof Row = DefaultKeys<Row>>(
    values: Insert,
    options?: Selection<K>,
  ): Promise<Pick<Row, K>>
  /** Inserts all rows or none, and returns them as stored, in the order given. */
  insertMany<const K extends keyof Row = DefaultKeys<Row>>(
    rows: readonly Insert[],
    options?: Selection<K>,
  ): Promise<Pick<Row, K>[]>
}

/** The calls of a table the application may update. */
export interface Updates<Update extends object, Filter extends object> {
  /** Changes the rows that match and returns how many they were. */
  update(target: Target<Filter> & { readonly set: Update }): Promise<number>
}

export interface UpdatesById<Row extends object, Update extends object, Id> {
  /** Changes one row and returns it; throws when there is none for this identity. */
  updateById<const K extends keyof Row = DefaultKeys<Row>>(
    id: Id,
    set: Update,
    options?: Selection<K>,
  ): Promise<Pick<Row, K>>
}

/** Upsert exists where the application may insert, update and read, and there is a key to land on. */
export interface Upserts<Row extends object, Insert extends object, Unique extends string> {
  /**
   * Inserts the row, or updates the one it collides with: on the primary key unless `onConflict`
   * names another unique constraint or index. `update` narrows what an existing row takes over.
   */
  upsert<const K extends keyof Row = DefaultKeys<Row>>(
    values: Insert,
    options?: Selection<K> & {
      readonly onConflict?: Unique
      readonly update?: readonly (keyof Insert & string)[]
    },
  ): Promise<Pick<Row, K>>
}

/** … without a primary key an upsert can land on: the unique key has to be named. */
export interface UpsertsByKey<Row extends object, Insert extends object, Unique extends string> {
  /** Inserts the row, or updates the one it collides with on the unique key `onConflict`. */
  upsert<const K extends keyof Row = DefaultKeys<Row>>(
    values: Insert,
    options: Selection<K> & {
      readonly onConflict: Unique
      readonly update?: readonly (keyof Insert & string)[]
    },
  ): Promise<Pick<Row, K>>
}

/** The calls of a table the application may delete from. */
export interface Deletes<Filter extends object> {
  /** Deletes the rows that match and returns how many they were. */
  delete(target: Target<Filter>): Promise<number>
}

export interface DeletesById<Id> {
  /** Deletes one row; throws when there is none for this identity. */
  deleteById(id: Id): Promise<void>
}
