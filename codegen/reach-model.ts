import { isComputed } from './columns.js'
import { reachInfix, type ColumnModel, type TableModel } from './model.js'
import type { ReachView, RelationInfo } from './snapshot.js'
import { tableModel } from './table-model.js'

/**
 * A table as the reach path shows it. Types, keys and constraints are the table's own, of which the
 * catalog says nothing for a view; what the role may do is what it may do with the view.
 */
export function reachModel(
  relation: RelationInfo,
  table: TableModel,
  view: ReachView | null,
): TableModel | null {
  if (!view?.privileges?.usage) return null
  const columns = table.columns.flatMap((column) => reachColumn(relation, column, view))
  const found = tableModel({ ...relation, privileges: privileges(relation, view) }, columns, {
    property: table.property,
    kyselyName: `${view.schema}.${view.name}`,
    stem: `${table.stem}${reachInfix}`,
    ownership: `Every row of \`${table.schema}.${table.name}\` that the identity may reach.`,
  })
  if (columns.length === 0 && !found.may.delete) return null
  const { primaryKey } = table
  return {
    ...found,
    schema: view.schema,
    name: view.name,
    kind: 'view',
    // Rows are named here by what names them there.
    primaryKey: primaryKey && found.primaryKey,
    uniques: found.uniques.filter(({ name }) => table.uniques.some((key) => key.name === name)),
    base: table,
  }
}

function reachColumn(relation: RelationInfo, column: ColumnModel, view: ReachView): ColumnModel[] {
  const info = relation.columns.find(({ name }) => name === column.name)
  const may = view.columns.find(({ name }) => name === column.name)?.privileges
  if (!info || !may || !(may.select || may.insert || may.update)) return []
  const given = !isComputed(relation, info)
  // What the view shows of a secret is its sealed form, of no use to anybody.
  const select = may.select && !column.secret
  return [{ ...column, may: { select, insert: given && may.insert, update: given && may.update } }]
}

function privileges(relation: RelationInfo, view: ReachView): RelationInfo['privileges'] {
  return relation.privileges && { ...relation.privileges, delete: view.privileges?.delete ?? false }
}
