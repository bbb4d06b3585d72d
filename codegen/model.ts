import type { ValueEncoding } from '../src/accessors/definition.js'
import type { DomainInfo, EnumInfo, RelationKind } from './snapshot.js'

/** Everything the emitters need, decided; they only write it down. */
export interface Model {
  readonly defaultSchema: string
  readonly kinds: readonly KindModel[]
  readonly enums: readonly EnumModel[]
  readonly domains: readonly DomainModel[]
  readonly tables: readonly TableModel[]
}

/** A kind of entity, and its id. */
export interface KindModel {
  readonly kind: string
  /** The constant that makes identities: `user`. */
  readonly constant: string
  /** The branded id, type and function of one name: `UserId`. */
  readonly idType: string
  /** What the id is without its brand. */
  readonly base: string
  /** The table that holds the entities, for the documentation. */
  readonly table: string | null
}

export interface EnumModel {
  readonly info: EnumInfo
  readonly typeName: string
  /** The constant that lists the labels. */
  readonly constant: string
}

export interface DomainModel {
  readonly info: DomainInfo
  readonly typeName: string
  readonly base: string
}

export interface TableModel {
  readonly schema: string
  readonly name: string
  readonly kind: RelationKind
  /** On the session. */
  readonly property: string
  /** In Kysely's DB interface. */
  readonly kyselyName: string
  readonly stem: string
  readonly comment: string | null
  /** One sentence on whose rows these are, as declared to tenantry. */
  readonly ownership: string | null
  /** In catalog order; only those the role may do something with. */
  readonly columns: readonly ColumnModel[]
  /** Null when there is none or the role may not read it. */
  readonly primaryKey: readonly ColumnModel[] | null
  readonly uniques: readonly { readonly name: string; readonly columns: readonly ColumnModel[] }[]
  readonly may: {
    readonly select: boolean
    readonly insert: boolean
    readonly update: boolean
    /** `key`: only on a unique key that has to be named. */
    readonly upsert: 'any' | 'key' | null
    readonly delete: boolean
  }
  /** The table on the reach path: the same rows and more, by a view. */
  readonly reach: TableModel | null
  /** On the reach path: the table itself. */
  readonly base: TableModel | null
}

export interface ColumnModel {
  readonly name: string
  readonly property: string
  readonly sqlType: string
  readonly comment: string | null
  readonly default: string | null
  /** How the value comes about, where that is not the caller's doing. */
  readonly origin: string | null
  readonly notNull: boolean
  /** Absent from an insert, it gets a value all the same. */
  readonly optional: boolean
  readonly read: string
  readonly write: string
  readonly driver: string
  readonly driverWrite: string
  readonly comparable: boolean
  readonly array: boolean
  readonly encoding: ValueEncoding | null
  readonly readAs: string | null
  /** How it is opened and searched, where its values are sealed. */
  readonly secret: SecretModel | null
  readonly may: { readonly select: boolean; readonly insert: boolean; readonly update: boolean }
}

export interface SecretModel {
  readonly opens: string
  readonly ring: string
  readonly returning: string
  readonly index: { readonly column: string; readonly id: string } | null
}

/** The parts of a table's generated names: `MemoriesRow`, `MemoriesInsert` … */
export const suffixes = ['Row', 'Insert', 'Update', 'Filter', 'Accessor', 'Table'] as const

/** What stands before them in the names of a table on the reach path: `MemoriesReachUpdate`. */
export const reachInfix = 'Reach'
