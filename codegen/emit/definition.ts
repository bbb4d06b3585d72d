import type { StatementStructures } from 'ts-morph'
import type { ColumnModel, Model, TableModel } from '../model.js'
import { docs } from './docs.js'
import { literal, type Literal } from './literals.js'
import { constant } from './statements.js'

/** The `schema` value: the names and encodings the accessors work with. */
export function definitionStatement(model: Model): StatementStructures {
  const definition = literal({
    defaultSchema: model.defaultSchema,
    tables: model.tables.map(tableLiteral),
  })
  return constant(
    'schema',
    `defineSchema<Accessors, DB>(${definition})`,
    docs('For `tenantry(pool, { secret, schema })`.'),
  )
}

function tableLiteral(table: TableModel): Literal {
  return {
    property: table.property,
    schema: table.schema,
    name: table.name,
    columns: table.columns.map((column) => columnLiteral(table, column)),
    primaryKey: table.primaryKey?.map(({ property }) => property),
    uniques: table.uniques.length === 0 ? undefined : table.uniques.map(uniqueLiteral),
  }
}

function uniqueLiteral(unique: TableModel['uniques'][number]): Literal {
  return { name: unique.name, columns: unique.columns.map(({ property }) => property) }
}

function columnLiteral(table: TableModel, column: ColumnModel): Literal {
  return {
    name: column.name,
    as: column.property === column.name ? undefined : column.property,
    encoding: column.encoding ?? undefined,
    readAs: column.readAs ?? undefined,
    notNull: column.notNull || undefined,
    array: column.array || undefined,
    comparable: column.comparable ? undefined : false,
    secret: column.secret
      ? { ...column.secret, index: column.secret.index ?? undefined }
      : undefined,
    select: column.may.select ? undefined : false,
    insert: table.may.insert && !column.may.insert ? false : undefined,
    update: table.may.update && !column.may.update ? false : undefined,
  }
}
