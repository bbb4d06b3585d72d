import type { StatementStructures } from 'ts-morph'
import type { ColumnModel, Model, TableModel } from '../model.js'
import { reachTables } from './accessors.js'
import { derivedInterface, derivedType, type Property } from './derived.js'
import { docs, relationName } from './docs.js'
import { propertyName } from './literals.js'
import { exportedInterface } from './statements.js'

/**
 * The same tables for Kysely, under their names in SQL and with the types node-postgres has by
 * itself: no accessor stands in between to cast or to encode.
 */
export function kyselyStatements(model: Model): StatementStructures[] {
  const names = new Set(model.tables.map(({ kyselyName }) => kyselyName))
  // Unless the schema of that path was asked for by name.
  const reached = reachTables(model).filter(({ kyselyName }) => !names.has(kyselyName))
  const tables = [...model.tables, ...reached]
  const database = exportedInterface({
    name: 'DB',
    docs: docs('The database for `new Kysely<DB>(…)`; depends on nothing.'),
    properties: tables.map((table) => ({
      name: propertyName(table.kyselyName),
      type: derivedType(table, 'Table', kyselyProperties)!,
    })),
  })
  return [
    ...tables.flatMap((table) =>
      derivedInterface(
        table,
        'Table',
        kyselyProperties,
        docs(`The ${relationName(table)}, for Kysely.`),
      ),
    ),
    database,
  ]
}

function kyselyProperties(table: TableModel): Property[] {
  return table.columns.map((column) => ({
    name: propertyName(column.name),
    type: kyselyColumn(table, column),
    docs: docs(column.secret && sealedNote(table)),
  }))
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
  if (table.base) return `Sealed: written plain, and not read on the reach path.`
  return `Sealed: written plain, read as ciphertext; \`tenant.${table.name}\` shows it decrypted.`
}

function orNull(column: ColumnModel, type: string): string {
  return column.notNull ? type : `${type} | null`
}
