/**
 * What one look at the catalog gives: plain data in catalog order (columns, enum labels) or sorted
 * by name under the C collation (everything else). Two databases with the same schema give the same
 * bytes, whatever their oids, versions, locales or the order in which things were created.
 */
export interface Snapshot {
  /** The role whose privileges were computed, or null when none was asked for. */
  readonly role: string | null
  readonly schemas: readonly SchemaInfo[]
  readonly types: readonly TypeInfo[]
  readonly relations: readonly RelationInfo[]
  readonly registry: RegistryInfo
}

export interface SchemaInfo {
  readonly name: string
  readonly owner: string
  readonly comment: string | null
  /** May the role use the schema? Null when no role was asked for. */
  readonly usage: boolean | null
}

/** A type by name; for an array the name is that of its elements. */
export interface TypeRef {
  readonly schema: string
  readonly name: string
  readonly array: boolean
}

export type TypeInfo = EnumInfo | DomainInfo | CompositeInfo | RangeInfo

interface NamedType {
  readonly schema: string
  readonly name: string
  readonly comment: string | null
}

export interface EnumInfo extends NamedType {
  readonly kind: 'enum'
  /** In declaration order. */
  readonly labels: readonly string[]
}

export interface DomainInfo extends NamedType {
  readonly kind: 'domain'
  readonly base: TypeRef
  readonly sqlBase: string
  readonly notNull: boolean
  readonly default: string | null
  readonly checks: readonly { readonly name: string; readonly definition: string }[]
}

export interface CompositeInfo extends NamedType {
  readonly kind: 'composite'
  readonly attributes: readonly {
    readonly name: string
    readonly type: TypeRef
    readonly sqlType: string
  }[]
}

export interface RangeInfo extends NamedType {
  readonly kind: 'range' | 'multirange'
  readonly subtype: TypeRef
}

export type RelationKind = 'table' | 'partitioned' | 'view' | 'materialized view' | 'foreign table'

export interface RelationInfo {
  readonly schema: string
  readonly name: string
  readonly kind: RelationKind
  readonly owner: string
  readonly comment: string | null
  readonly persistence: 'permanent' | 'unlogged' | 'temporary'
  readonly rowSecurity: boolean
  readonly forceRowSecurity: boolean
  /** The relation this one is a partition of; only present when partitions were asked for. */
  readonly partitionOf: RelationRef | null
  readonly partitionKey: string | null
  /** Parents by classic inheritance, not partitioning. */
  readonly inherits: readonly RelationRef[]
  /** The planner's row estimate, null unless asked for; −1 means never analysed. */
  readonly estimatedRows: number | null
  readonly columns: readonly ColumnInfo[]
  readonly primaryKey: KeyInfo | null
  readonly uniques: readonly KeyInfo[]
  readonly foreignKeys: readonly ForeignKeyInfo[]
  readonly checks: readonly CheckInfo[]
  readonly exclusions: readonly CheckInfo[]
  readonly indexes: readonly IndexInfo[]
  readonly triggers: readonly TriggerInfo[]
  readonly policies: readonly PolicyInfo[]
  /** What the role may do on the whole relation; null when no role was asked for. */
  readonly privileges: RelationPrivileges | null
}

export interface RelationRef {
  readonly schema: string
  readonly name: string
}

export interface ColumnInfo {
  readonly name: string
  readonly type: TypeRef
  /** As `format_type` prints it, schema-qualified: `character varying(20)`, `public.mood[]`. */
  readonly sqlType: string
  /** As declared: 2 for `integer[][]`, 0 for what is no array. */
  readonly dimensions: number
  readonly notNull: boolean
  readonly default: string | null
  readonly identity: 'always' | 'by default' | null
  readonly generated: 'stored' | 'virtual' | null
  /** The expression of a generated column. */
  readonly generation: string | null
  readonly comment: string | null
  /** The sequence that belongs to the column (serial or identity). */
  readonly sequence: RelationRef | null
  readonly privileges: ColumnPrivileges | null
}

export interface ColumnPrivileges {
  readonly select: boolean
  readonly insert: boolean
  readonly update: boolean
}

export interface RelationPrivileges extends ColumnPrivileges {
  readonly delete: boolean
  readonly truncate: boolean
  readonly references: boolean
  readonly trigger: boolean
}

export interface KeyInfo {
  readonly name: string
  readonly columns: readonly string[]
  readonly deferrable: boolean
}

export type ReferentialAction = 'no action' | 'restrict' | 'cascade' | 'set null' | 'set default'

export interface ForeignKeyInfo {
  readonly name: string
  readonly columns: readonly string[]
  readonly references: RelationRef & { readonly columns: readonly string[] }
  readonly onUpdate: ReferentialAction
  readonly onDelete: ReferentialAction
  readonly match: 'simple' | 'full' | 'partial'
  readonly deferrable: boolean
  readonly deferred: boolean
  readonly validated: boolean
}

export interface CheckInfo {
  readonly name: string
  readonly definition: string
  readonly validated: boolean
}

export interface IndexInfo {
  readonly name: string
  readonly method: string
  readonly unique: boolean
  readonly primary: boolean
  readonly valid: boolean
  readonly nullsNotDistinct: boolean
  /** Key columns in order; null stands for an expression. */
  readonly columns: readonly (string | null)[]
  readonly include: readonly string[]
  readonly predicate: string | null
  /** The constraint the index serves. */
  readonly constraint: string | null
  readonly definition: string
}

export interface TriggerInfo {
  readonly name: string
  readonly timing: 'before' | 'after' | 'instead of'
  readonly level: 'row' | 'statement'
  readonly events: readonly ('insert' | 'update' | 'delete' | 'truncate')[]
  readonly function: RelationRef
  readonly securityDefiner: boolean
  readonly enabled: 'origin' | 'disabled' | 'replica' | 'always'
  readonly constraint: boolean
  readonly deferrable: boolean
  readonly definition: string
}

export interface PolicyInfo {
  readonly name: string
  readonly permissive: boolean
  readonly command: 'all' | 'select' | 'insert' | 'update' | 'delete'
  /** Role names; `public` for PUBLIC. */
  readonly roles: readonly string[]
  readonly using: string | null
  readonly check: string | null
}

/** What tenantry itself knows about the database. */
export interface RegistryInfo {
  readonly installed: boolean
  readonly kinds: readonly RegisteredKind[]
  readonly tables: readonly RegisteredTable[]
  readonly secrets: readonly RegisteredSecret[]
  /** Columns beside encrypted ones that nobody but the database has a use for. */
  readonly concealed: readonly (RelationRef & { readonly column: string })[]
}

/** An encrypted column, or one with encrypted paths, once per column. */
export interface RegisteredSecret extends RelationRef {
  readonly column: string
  readonly columnId: string
  readonly indexColumn: string | null
  readonly ring: string
  readonly returning: string
  readonly opens: string
}

export interface RegisteredKind {
  readonly kind: string
  /** Null for a kind whose entities are registered by hand. */
  readonly relation: RelationRef | null
  readonly idColumn: string | null
  /** Its base type: uuid, bigint, integer, smallint or text. */
  readonly idType: string
  readonly ownerColumn: string | null
  readonly ownerKind: string | null
  readonly actsForOwner: boolean
}

export interface RegisteredTable extends RelationRef {
  readonly class: string
  readonly ownerColumn: string | null
  readonly ownerKind: string | null
  readonly parent: RelationRef | null
  /** Its view on the reach path, if it has one. */
  readonly reach: ReachView | null
}

/** What a table shows of the rows that somebody may reach. */
export interface ReachView extends RelationRef {
  /** What the role may do there, besides what it may do with columns; null when none was asked for. */
  readonly privileges: { readonly usage: boolean; readonly delete: boolean } | null
  readonly columns: readonly {
    readonly name: string
    readonly privileges: ColumnPrivileges | null
  }[]
}
