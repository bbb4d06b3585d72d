import type { OptionalKind, PropertySignatureStructure, SourceFile } from 'ts-morph'
import type { ColumnModel, TableModel } from '../model.js'
import { columnDocs, docs, relationName } from './docs.js'
import { literal, propertyName } from './literals.js'

/** The shapes of one table: its rows, what an insert and an update take, what a filter compares. */
export function emitRows(file: SourceFile, table: TableModel): void {
  if (table.may.select) {
    file.addInterface({
      isExported: true,
      name: `${table.stem}Row`,
      docs: docs(table.comment, `A row of the ${relationName(table)}.`, table.ownership),
      properties: table.columns
        .filter((column) => column.may.select)
        .map((column) => ({
          name: propertyName(column.property),
          type: orNull(column, column.read),
          docs: columnDocs(column),
        })),
    })
  }
  if (table.may.insert) {
    const columns = table.columns.filter((column) => column.may.insert)
    addInput(
      file,
      `${table.stem}Insert`,
      `What an insert into ${name(table)} takes.`,
      columns,
      false,
    )
  }
  if (table.may.update) {
    const columns = table.columns.filter((column) => column.may.update)
    addInput(
      file,
      `${table.stem}Update`,
      `What an update of ${name(table)} may set.`,
      columns,
      true,
    )
  }
  if (needsFilter(table)) emitFilter(file, table)
}

/** The type `where` is made from: the row's own, unless some columns compare with other types. */
export function filterType(table: TableModel): string {
  if (!table.may.select) return 'object'
  return needsFilter(table) ? `${table.stem}Filter` : `${table.stem}Row`
}

function addInput(
  file: SourceFile,
  interfaceName: string,
  description: string,
  columns: readonly ColumnModel[],
  allOptional: boolean,
): void {
  file.addInterface({
    isExported: true,
    name: interfaceName,
    docs: docs(description),
    properties: columns.map((column): OptionalKind<PropertySignatureStructure> => ({
      name: propertyName(column.property),
      type: orNull(column, column.write),
      hasQuestionToken: allOptional || column.optional,
    })),
  })
}

function emitFilter(file: SourceFile, table: TableModel): void {
  const columns = deviating(table)
  const names = columns.map((column) => literal(column.property)).join(' | ')
  file.addInterface({
    isExported: true,
    name: `${table.stem}Filter`,
    extends: [`Omit<${table.stem}Row, ${names}>`],
    docs: docs(`What a filter on ${name(table)} compares with.`),
    properties: columns.map((column) => ({
      name: propertyName(column.property),
      type: orNull(column, column.comparable ? column.write : 'Incomparable'),
    })),
  })
}

function needsFilter(table: TableModel): boolean {
  return table.may.select && deviating(table).length > 0
}

/** Dates, json and arrays are told apart by the runtime's types; these are not. */
function deviating(table: TableModel): ColumnModel[] {
  return table.columns.filter(({ may, read, write, comparable, encoding }) => {
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
