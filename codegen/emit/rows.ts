import type { OptionalKind, PropertySignatureStructure, StatementStructures } from 'ts-morph'
import type { ColumnModel, TableModel } from '../model.js'
import { columnDocs, docs, relationName } from './docs.js'
import { literal, propertyName } from './literals.js'
import { exportedInterface } from './statements.js'

/** The shapes of one table: its rows, what an insert and an update take, what a filter compares. */
export function rowStatements(table: TableModel): StatementStructures[] {
  const { may, stem, columns } = table
  const statements: StatementStructures[] = []
  if (may.select) statements.push(rowInterface(table))
  if (may.insert) {
    const given = columns
      .filter((column) => column.may.insert)
      .map((column) => input(column, column.optional))
    statements.push(
      inputInterface(`${stem}Insert`, `What an insert into ${name(table)} takes.`, given),
    )
  }
  if (may.update) {
    const given = columns.filter((column) => column.may.update).map((column) => input(column, true))
    statements.push(
      inputInterface(`${stem}Update`, `What an update of ${name(table)} may set.`, given),
    )
  }
  if (needsFilter(table)) statements.push(filterInterface(table))
  return statements
}

/** The type `where` is made from: the row's own, unless some columns compare with other types. */
export function filterType(table: TableModel): string {
  if (!table.may.select) return 'object'
  return needsFilter(table) ? `${table.stem}Filter` : `${table.stem}Row`
}

function rowInterface(table: TableModel): StatementStructures {
  return exportedInterface({
    name: `${table.stem}Row`,
    docs: docs(table.comment, `A row of the ${relationName(table)}.`, table.ownership),
    properties: table.columns
      .filter((column) => column.may.select)
      .map((column) => ({
        name: propertyName(column.property),
        // Without the privilege decrypt a secret reads as null.
        type: column.secret ? `${column.read} | null` : orNull(column, column.read),
        docs: columnDocs(column),
      })),
  })
}

type Property = OptionalKind<PropertySignatureStructure>

function inputInterface(
  interfaceName: string,
  description: string,
  properties: Property[],
): StatementStructures {
  return exportedInterface({ name: interfaceName, docs: docs(description), properties })
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
    extends: [`Omit<${table.stem}Row, ${names}>`],
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
