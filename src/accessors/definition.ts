/**
 * What generated code says about a table at run time. It holds names and encodings, no rule about
 * who may see what: that is the database's business alone.
 */
export interface TableDefinition {
  /** The name on the session: `db.as(x).<property>`. */
  readonly property: string
  readonly schema: string
  readonly name: string
  /** In catalog order. */
  readonly columns: readonly ColumnDefinition[]
  /** Property names of the primary key, in key order. */
  readonly primaryKey?: readonly string[]
  /** What `upsert` can land on besides the primary key. */
  readonly uniques?: readonly UniqueDefinition[]
  /** Its view on the reach path: `db.as(x).reach.<property>`. */
  readonly reach?: ReachDefinition
}

export interface ReachDefinition {
  readonly schema: string
  readonly name: string
  /** By property: what may be done with a column there and not here, or the other way about; false: it is not there. */
  readonly columns?: Readonly<
    Record<string, false | Partial<Record<'select' | 'insert' | 'update', boolean>>>
  >
}

export interface UniqueDefinition {
  readonly name: string
  /** Property names, in key order. */
  readonly columns: readonly string[]
}

/** How a value has to be written when node-postgres alone would get it wrong. */
export type ValueEncoding = 'json' | 'json[]' | 'point' | 'point[]' | 'circle'

export interface ColumnDefinition {
  /** The name in SQL. */
  readonly name: string
  /** The name in TypeScript, where it differs. */
  readonly as?: string
  readonly encoding?: ValueEncoding
  /** Cast on reading, for arrays node-postgres has no exact parser for. */
  readonly readAs?: string
  readonly notNull?: true
  /** An array column: `in` compares whole arrays. */
  readonly array?: true
  /** False for a type without equality: only null tests make sense. */
  readonly comparable?: false
  /** Its values are sealed in the database. */
  readonly secret?: SecretDefinition
  readonly select?: boolean
  readonly insert?: boolean
  readonly update?: boolean
  /** An upsert leaves it as it is, unless its `update` names it. */
  readonly kept?: boolean
}

/** How a sealed column is opened and searched; the database says it, in its own expressions. */
export interface SecretDefinition {
  /** The expression that opens the column of the alias `t`, with the ring as `$ring$`. */
  readonly opens: string
  /** What to put for `$ring$` in a query: the keys, fetched once. */
  readonly ring: string
  /** What to put for it in a RETURNING clause. */
  readonly returning: string
  /** Its blind index, if it has one: a column, and the id to ask it by. */
  readonly index?: { readonly column: string; readonly id: string }
}

export interface SchemaDefinition {
  /** The schema whose tables go by their bare names. */
  readonly defaultSchema: string
  readonly tables: readonly TableDefinition[]
}
