import type { ColumnModel, TableModel } from './model.js'
import type { RegisteredTable, RelationInfo } from './snapshot.js'

/** What the role may do with a table as a whole, and the keys it may name rows by. */
export function tableModel(
  relation: RelationInfo,
  columns: readonly ColumnModel[],
  names: Pick<TableModel, 'property' | 'kyselyName' | 'stem' | 'ownership'>,
): TableModel {
  const readable = (wanted: readonly string[]): readonly ColumnModel[] | null => {
    const found = wanted.map((name) => columns.find((column) => column.name === name))
    return found.every((column) => column?.may.select) ? (found as ColumnModel[]) : null
  }
  const primaryKey = relation.primaryKey && readable(relation.primaryKey.columns)
  // A unique blind index is the uniqueness of what it is made from.
  const indexed = (name: string): string =>
    columns.find(({ secret }) => secret?.index?.column === name)?.name ?? name
  const uniques = uniqueKeys(relation).flatMap((key) => {
    const found = readable(key.columns.map(indexed))
    return found ? [{ name: key.name, columns: found }] : []
  })
  const writable = relation.kind === 'table' || relation.kind === 'partitioned'
  // Without every column that needs a value, an insert could only fail.
  const complete = relation.columns.every((column) => {
    const model = columns.find(({ name }) => name === column.name)
    const needed =
      column.notNull && column.default === null && !column.identity && !column.generated
    return !needed || model?.optional || model?.may.insert
  })
  const select = columns.some((column) => column.may.select)
  const insert = writable && complete && columns.some((column) => column.may.insert)
  const update = writable && columns.some((column) => column.may.update)
  const onPrimaryKey = primaryKey !== null && relation.primaryKey?.deferrable === false
  const landing = onPrimaryKey ? 'any' : uniques.length > 0 ? 'key' : null
  return {
    schema: relation.schema,
    name: relation.name,
    kind: relation.kind,
    ...names,
    comment: relation.comment,
    columns,
    primaryKey,
    uniques,
    may: {
      select,
      insert,
      update,
      upsert: select && insert && update ? landing : null,
      delete: writable && (relation.privileges?.delete ?? false),
    },
    reach: null,
    base: null,
  }
}

/**
 * Unique constraints and indexes an ON CONFLICT can name by their columns. One that contains the
 * primary key says nothing new: such keys exist for composite references to point at.
 */
function uniqueKeys(relation: RelationInfo): { name: string; columns: readonly string[] }[] {
  const deferrable = new Set(
    relation.uniques.filter((key) => key.deferrable).map(({ name }) => name),
  )
  return relation.indexes.flatMap(({ name, columns, ...index }) => {
    const usable =
      index.unique &&
      !index.primary &&
      index.valid &&
      index.predicate === null &&
      !deferrable.has(name)
    const plain = columns.every((column) => column !== null)
    const redundant = relation.primaryKey?.columns.every((column) => columns.includes(column))
    return usable && plain && !redundant ? [{ name, columns }] : []
  })
}

/** One sentence on whose rows a table holds. */
export function ownershipOf(registered: RegisteredTable | undefined): string | null {
  if (registered?.ownerColumn && registered.ownerKind) {
    return `Every row belongs to one ${registered.ownerKind}, named in \`${registered.ownerColumn}\`.`
  }
  return registered?.class === 'shared' ? 'Shared: everybody reads the same rows.' : null
}
