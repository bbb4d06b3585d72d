import type { StatementStructures } from 'ts-morph'
import type { ColumnModel, Model, TableModel } from '../model.js'
import { docs, relationName } from './docs.js'
import { propertyName } from './literals.js'
import { exportedInterface } from './statements.js'

/**
 * The same tables for Kysely, under their names in SQL and with the types node-postgres has by
 * itself: no accessor stands in between to cast or to encode.
 */
export function kyselyStatements(model: Model): StatementStructures[] {
  const tables = model.tables.map((table) =>
    exportedInterface({
      name: `${table.stem}Table`,
      docs: docs(`The ${relationName(table)}, for Kysely.`),
      properties: table.columns.map((column) => ({
        name: propertyName(column.name),
        type: kyselyColumn(table, column),
        docs: docs(column.secret && sealedNote(table)),
      })),
    }),
  )
  const database = exportedInterface({
    name: 'DB',
    docs: docs('The database for `new Kysely<DB>(…)`; depends on nothing.'),
    properties: model.tables.map((table) => ({
      name: propertyName(table.kyselyName),
      type: `${table.stem}Table`,
    })),
  })
  return [...tables, database]
}

function kyselyColumn(table: TableModel, column: ColumnModel): string {
  const select = column.may.select ? orNull(column, column.driver) : 'never'
  const input = orNull(column, column.driverWrite)
  const optional = column.optional && column.notNull ? ' | undefined' : ''
  const insert = table.may.insert && column.may.insert ? `${input}${optional}` : 'never'
  const update = table.may.update && column.may.update ? input : 'never'
  return select === insert && insert === update
    ? select
    : `ColumnType<${select}, ${insert}, ${update}>`
}

/** Kysely reads what is stored; the view of the same name decrypts. */
function sealedNote(table: TableModel): string {
  return `Sealed: written plain, read as ciphertext; \`tenant.${table.name}\` shows it decrypted.`
}

function orNull(column: ColumnModel, type: string): string {
  return column.notNull ? type : `${type} | null`
}
