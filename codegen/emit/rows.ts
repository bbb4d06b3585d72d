import type { JSDocStructure, OptionalKind, StatementStructures } from 'ts-morph'
import type { ColumnModel, TableModel } from '../model.js'
import { derivedInterface, derivedType, type Property } from './derived.js'
import { columnDocs, docs, relationName } from './docs.js'
import { literal, propertyName } from './literals.js'
import { exportedInterface } from './statements.js'

/** What an interface of a table describes. */
type Shape = 'Row' | 'Insert' | 'Update'

/** The shapes of one table: its rows, what an insert and an update take, what a filter compares. */
export function rowStatements(table: TableModel): StatementStructures[] {
  const statements = (['Row', 'Insert', 'Update'] as const).flatMap((shape) =>
    shapeStatement(table, shape),
  )
  if (ownFilter(table)) statements.push(filterInterface(table))
  return statements
}

/** The name of a shape; null where the role has no use for it. */
export function shapeType(table: TableModel, shape: Shape): string | null {
  return derivedType(table, shape, (each) => shapeProperties(each, shape))
}

/** The type `where` is made from: the row's own, unless some columns compare with other types. */
export function filterType(table: TableModel): string {
  const row = shapeType(table, 'Row')
  if (row === null) return 'object'
  if (!needsFilter(table)) return row
  return ownFilter(table) ? `${table.stem}Filter` : filterType(table.base!)
}

function shapeStatement(table: TableModel, shape: Shape): StatementStructures[] {
  return derivedInterface(
    table,
    shape,
    (each) => shapeProperties(each, shape),
    shapeDocs(table, shape),
  )
}

function shapeDocs(table: TableModel, shape: Shape): OptionalKind<JSDocStructure>[] {
  switch (shape) {
    case 'Row':
      return docs(table.comment, `A row of the ${relationName(table)}.`, table.ownership)
    case 'Insert':
      return docs(`What an insert into ${name(table)} takes.`)
    case 'Update':
      return docs(`What an update of ${name(table)} may set.`)
  }
}

function shapeProperties(table: TableModel, shape: Shape): Property[] | null {
  const { may, columns } = table
  switch (shape) {
    case 'Row':
      return may.select ? columns.filter((column) => column.may.select).map(rowProperty) : null
    case 'Insert':
      return may.insert
        ? columns
            .filter((column) => column.may.insert)
            .map((column) => input(column, column.optional))
        : null
    case 'Update':
      return may.update
        ? columns.filter((column) => column.may.update).map((column) => input(column, true))
        : null
  }
}

function rowProperty(column: ColumnModel): Property {
  return {
    name: propertyName(column.property),
    // Without the privilege decrypt a secret reads as null.
    type: column.secret ? `${column.read} | null` : orNull(column, column.read),
    docs: columnDocs(column),
  }
}

function input(column: ColumnModel, hasQuestionToken: boolean): Property {
  return {
    name: propertyName(column.property),
    type: orNull(column, column.write),
    hasQuestionToken,
  }
}

function filterInterface(table: TableModel): StatementStructures {
  const columns = deviating(table)
  const names = columns.map((column) => literal(column.property)).join(' | ')
  return exportedInterface({
    name: `${table.stem}Filter`,
    extends: [`Omit<${shapeType(table, 'Row')}, ${names}>`],
    docs: docs(`What a filter on ${name(table)} compares with.`),
    properties: columns.map((column) => ({
      name: propertyName(column.property),
      type: orNull(column, filterOf(column)),
    })),
  })
}

function filterOf(column: ColumnModel): string {
  if (column.secret) return column.secret.index ? 'Searchable<string>' : 'Incomparable'
  return column.comparable ? column.write : 'Incomparable'
}

/** On the reach path, rows like the table's are compared like them. */
function ownFilter(table: TableModel): boolean {
  return needsFilter(table) && shapeType(table, 'Row') === `${table.stem}Row`
}

function needsFilter(table: TableModel): boolean {
  return table.may.select && deviating(table).length > 0
}

/** Dates, json and arrays are told apart by the runtime's types; these are not. */
function deviating(table: TableModel): ColumnModel[] {
  return table.columns.filter(({ may, read, write, comparable, encoding, secret }) => {
    if (secret) return may.select
    const json = encoding === 'json' || encoding === 'json[]'
    const plain = write === read || write === 'DateInput' || write === `readonly ${read}`
    return may.select && !json && !(comparable && plain)
  })
}

function orNull(column: ColumnModel, type: string): string {
  return column.notNull ? type : `${type} | null`
}

function name(table: TableModel): string {
  return `\`${table.schema}.${table.name}\``
}
