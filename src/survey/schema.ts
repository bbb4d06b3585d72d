import type {
  ColumnInfo,
  DomainInfo,
  ForeignKeyInfo,
  RelationInfo,
  RelationRef,
  Snapshot,
} from '../../codegen/snapshot.js'
import type { Facts } from './facts.js'
import { path } from './names.js'

/** The surveyed tables with the look-ups that every rule needs. */
export interface Schema {
  readonly tables: readonly RelationInfo[]
  readonly find: (relation: RelationRef) => RelationInfo | undefined
  /** Foreign keys of other tables that point at this one. */
  readonly referencing: (
    table: RelationInfo,
  ) => readonly { readonly table: RelationInfo; readonly key: ForeignKeyInfo }[]
  /** The type below any domains, as `schema.name`; null for arrays. */
  readonly baseType: (column: ColumnInfo) => string | null
  /** Size on disk, indexes and partitions included. */
  readonly bytesOf: (table: RelationInfo) => number
}

export function schemaOf(snapshot: Snapshot, facts: Facts): Schema {
  const tables = snapshot.relations.filter(
    (relation) =>
      (relation.kind === 'table' || relation.kind === 'partitioned') &&
      relation.partitionOf === null &&
      relation.persistence !== 'temporary' &&
      !facts.extensionTables.has(path(relation)),
  )
  const byPath = new Map(tables.map((table) => [path(table), table]))
  const domains = new Map(
    snapshot.types
      .filter((type): type is DomainInfo => type.kind === 'domain')
      .map((type) => [path(type), type]),
  )
  const incoming = new Map<string, { table: RelationInfo; key: ForeignKeyInfo }[]>()
  for (const table of tables) {
    for (const key of table.foreignKeys) {
      const to = path(key.references)
      incoming.set(to, [...(incoming.get(to) ?? []), { table, key }])
    }
  }
  const base = (type: ColumnInfo['type']): string | null => {
    if (type.array) return null
    const domain = domains.get(path(type))
    return domain ? base(domain.base) : path(type)
  }
  return {
    tables,
    find: (relation) => byPath.get(path(relation)),
    referencing: (table) => incoming.get(path(table)) ?? [],
    baseType: (column) => base(column.type),
    bytesOf: (table) => facts.bytes.get(path(table)) ?? 0,
  }
}

export function columnOf(table: RelationInfo, name: string): ColumnInfo | undefined {
  return table.columns.find((column) => column.name === name)
}

/** The planner's estimate; null when the table was never analysed. */
export function rowsOf(table: RelationInfo): number | null {
  return table.estimatedRows === null || table.estimatedRows < 0 ? null : table.estimatedRows
}
