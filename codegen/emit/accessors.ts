import type { OptionalKind, PropertySignatureStructure, StatementStructures } from 'ts-morph'
import type { Model, TableModel } from '../model.js'
import { docs, relationName } from './docs.js'
import { propertyName, stringUnion } from './literals.js'
import { filterType, shapeType } from './rows.js'
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

/** What `db.as(identity)` carries, and what its `reach` does. */
export function accessorsStatements(model: Model): StatementStructures[] {
  const reached = reachTables(model)
  const accessors = exportedInterface({
    name: 'Accessors',
    docs: docs('The tables of a session: `db.as(identity).<table>`.'),
    properties: [
      ...model.tables.map(accessorProperty),
      ...(reached.length === 0
        ? []
        : [
            {
              isReadonly: true,
              name: 'reach',
              type: 'ReachAccessors',
              docs: docs('Every row that the identity may reach, and not its own alone.'),
            },
          ]),
    ],
  })
  if (reached.length === 0) return [accessors]
  return [
    exportedInterface({
      name: 'ReachAccessors',
      docs: docs('The tables of a session on the reach path: `db.as(identity).reach.<table>`.'),
      properties: reached.map(accessorProperty),
    }),
    accessors,
  ]
}

/** The tables that there are on the reach path, as they are there. */
export function reachTables({ tables }: Model): TableModel[] {
  return tables.flatMap(({ reach }) => reach ?? [])
}

function accessorProperty(table: TableModel): OptionalKind<PropertySignatureStructure> {
  return {
    isReadonly: true,
    name: propertyName(table.property),
    type: `${table.stem}Accessor`,
    docs: docs(table.comment),
  }
}

function callsOf(table: TableModel): string[] {
  const { may } = table
  const row = shapeType(table, 'Row') ?? 'object'
  const insert = shapeType(table, 'Insert')
  const update = shapeType(table, 'Update')
  const filter = filterType(table)
  const id = idType(table)
  return [
    may.select && `Reads<${row}${filter === row ? '' : `, ${filter}`}>`,
    may.select && id && `ReadsById<${row}, ${id}>`,
    may.insert && `Inserts<${row}, ${insert}>`,
    may.upsert &&
      `${may.upsert === 'any' ? 'Upserts' : 'UpsertsByKey'}<${row}, ${insert}, ${uniqueNames(table)}>`,
    may.update && `Updates<${update}, ${filter}>`,
    may.update && id && `UpdatesById<${row}, ${update}, ${id}>`,
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
