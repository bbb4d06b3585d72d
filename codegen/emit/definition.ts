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
    reach: table.reach ? reachLiteral(table, table.reach) : undefined,
  }
}

/** Where its view is, and which columns one may do other things with there. */
function reachLiteral(table: TableModel, reach: TableModel): Literal {
  const columns = table.columns.flatMap((column): [string, Literal][] => {
    const there = reach.columns.find(({ name }) => name === column.name)
    if (!there) return [[column.property, false]]
    const here = allowed(table, column)
    const differing = Object.entries(allowed(reach, there)).filter(
      ([action, may]) => may !== here[action as keyof typeof here],
    )
    return differing.length > 0 ? [[column.property, Object.fromEntries(differing)]] : []
  })
  return {
    schema: reach.schema,
    name: reach.name,
    columns: columns.length > 0 ? Object.fromEntries(columns) : undefined,
  }
}

/** Columns of a table that takes no such statement need not be told apart. */
function allowed(
  table: TableModel,
  { may }: ColumnModel,
): { select: boolean; insert: boolean; update: boolean } {
  return {
    select: may.select,
    insert: may.insert || !table.may.insert,
    update: may.update || !table.may.update,
  }
}

function uniqueLiteral(unique: TableModel['uniques'][number]): Literal {
  return { name: unique.name, columns: unique.columns.map(({ property }) => property) }
}

function columnLiteral(table: TableModel, column: ColumnModel): Literal {
  const may = allowed(table, column)
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
    select: may.select ? undefined : false,
    insert: may.insert ? undefined : false,
    update: may.update ? undefined : false,
  }
}
