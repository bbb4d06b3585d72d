import type { StatementStructures } from 'ts-morph'
import type { Model, TableModel } from '../model.js'
import { docs, relationName } from './docs.js'
import { propertyName, stringUnion } from './literals.js'
import { filterType } from './rows.js'
import { exportedInterface } from './statements.js'

/** The calls one table has: those the application's role may make, and no others. */
export function accessorStatement(table: TableModel): StatementStructures {
  return exportedInterface({
    name: `${table.stem}Accessor`,
    docs: docs(`The calls of the ${relationName(table)}.`, table.ownership),
    // One call a line: the list is what a reader looks for.
    extends: (writer) => {
      const calls = callsOf(table)
      calls.forEach((call, index) => {
        writer.newLine().write(`${call}${index < calls.length - 1 ? ',' : ''}`)
      })
    },
  })
}

/** What `db.as(identity)` carries. */
export function accessorsStatement(model: Model): StatementStructures {
  return exportedInterface({
    name: 'Accessors',
    docs: docs('The tables of a session: `db.as(identity).<table>`.'),
    properties: model.tables.map((table) => ({
      isReadonly: true,
      name: propertyName(table.property),
      type: `${table.stem}Accessor`,
      docs: docs(table.comment),
    })),
  })
}

function callsOf(table: TableModel): string[] {
  const { may, stem } = table
  const row = may.select ? `${stem}Row` : 'object'
  const filter = filterType(table)
  const id = idType(table)
  return [
    may.select && `Reads<${row}${filter === row ? '' : `, ${filter}`}>`,
    may.select && id && `ReadsById<${row}, ${id}>`,
    may.insert && `Inserts<${row}, ${stem}Insert>`,
    may.upsert &&
      `${may.upsert === 'any' ? 'Upserts' : 'UpsertsByKey'}<${row}, ${stem}Insert, ${uniqueNames(table)}>`,
    may.update && `Updates<${stem}Update, ${filter}>`,
    may.update && id && `UpdatesById<${row}, ${stem}Update, ${id}>`,
    may.delete && `Deletes<${filter}>`,
    may.delete && id && `DeletesById<${id}>`,
  ].filter((call) => typeof call === 'string' && call !== '') as string[]
}

/** The value of a simple primary key, an object of a composite one. */
function idType({ primaryKey }: TableModel): string | null {
  if (!primaryKey || primaryKey.length === 0) return null
  if (primaryKey.length === 1) return primaryKey[0]!.write
  const parts = primaryKey.map(
    (column) => `readonly ${propertyName(column.property)}: ${column.write}`,
  )
  return `{ ${parts.join('; ')} }`
}

function uniqueNames(table: TableModel): string {
  return stringUnion(table.uniques.map(({ name }) => name))
}
