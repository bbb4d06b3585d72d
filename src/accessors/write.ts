import { encode } from './encode.js'
import { ArgumentError, show } from './errors.js'
import { quote } from './identifier.js'
import type { Statement } from './read.js'
import { columnOf, selectedColumns, type Column, type Table } from './table.js'
import { whereClause } from './where.js'

/** The protocol counts bind parameters in 16 bits. */
const parameterLimit = 65_535

/** A row as callers give it: a column that is absent or undefined takes its default. */
export type Values = Readonly<Record<string, unknown>>

/**
 * One `insert` for as many rows as the protocol allows, more where they are more. Rows need not
 * name the same columns.
 */
export function insertStatements(
  table: Table,
  rows: readonly Values[],
  select: readonly unknown[] | undefined,
  call: string,
): Statement[] {
  const columns = usedColumns(table, rows, call)
  const size = Math.max(1, Math.floor(parameterLimit / Math.max(1, columns.length)))
  const returning = returningClause(table, select, call)
  const statements: Statement[] = []
  for (let start = 0; start < rows.length; start += size) {
    const { text, values } = insertInto(table, columns, rows.slice(start, start + size), call)
    statements.push({ text: text + returning, values })
  }
  return statements
}

export interface Conflict {
  readonly key: readonly Column[]
  /** What an existing row takes over; without it everything given, but the key. */
  readonly update?: readonly unknown[] | undefined
}

export function upsertStatement(
  table: Table,
  row: Values,
  conflict: Conflict,
  select: readonly unknown[] | undefined,
  call: string,
): Statement {
  const columns = usedColumns(table, [row], call)
  const { text, values } = insertInto(table, columns, [row], call)
  const taken = conflict.update
    ? conflict.update.map((name) => updatable(columnOf(table, name, call), call))
    : columns.filter((column) => column.updatable && !column.kept && !conflict.key.includes(column))
  const set = taken.map((column) => `${column.sql} = excluded.${column.sql}`)
  if (set.length === 0) set.push(unchanged(table, conflict.key, call))
  // Equal secrets have equal blind indexes; their sealed values differ.
  const key = conflict.key
    .map((column) => (column.secret?.index ? quote(column.secret.index.column) : column.sql))
    .join(', ')
  return {
    text:
      `${text} on conflict (${key}) do update set ${set.join(', ')}` +
      returningClause(table, select, call),
    values,
  }
}

/** Nothing to take over: DO NOTHING would return no row, so a column is set to itself. */
function unchanged(table: Table, key: readonly Column[], call: string): string {
  const column = [...key, ...table.columns.values()].find((candidate) => candidate.updatable)
  if (column) return `${column.sql} = ${column.qualified}`
  throw new ArgumentError(call, `no column of ${show(table.label)} can be changed`)
}

export function updateStatement(
  table: Table,
  set: Values,
  where: unknown,
  call: string,
): Statement {
  const values: unknown[] = []
  const assignments = definedEntries(set, call).map(([name, value]) => {
    const column = updatable(columnOf(table, name, call), call)
    values.push(encode(column, value, call))
    return `${column.sql} = $${values.length}`
  })
  if (assignments.length === 0) throw new ArgumentError(call, 'there is nothing to set')
  const text =
    `update ${table.sql} as t set ${assignments.join(', ')}` +
    whereClause(table, where, values, call)
  return { text, values }
}

export function deleteStatement(table: Table, where: unknown, call: string): Statement {
  const values: unknown[] = []
  return { text: `delete from ${table.sql} as t` + whereClause(table, where, values, call), values }
}

export function returningClause(
  table: Table,
  select: readonly unknown[] | undefined,
  call: string,
): string {
  const list = selectedColumns(table, select, call)
    .map((column) => column.returned)
    .join(', ')
  return list && ` returning ${list}`
}

function insertInto(
  table: Table,
  columns: readonly Column[],
  rows: readonly Values[],
  call: string,
): { text: string; values: unknown[] } {
  const values: unknown[] = []
  const tuples = rows.map((row) => {
    const cells = columns.map((column) => {
      const value = row[column.property]
      if (value === undefined) return 'default'
      values.push(encode(column, value, call))
      return `$${values.length}`
    })
    return `(${cells.join(', ')})`
  })
  const names = columns.map((column) => column.sql).join(', ')
  return { text: `insert into ${table.sql} as t (${names}) values ${tuples.join(', ')}`, values }
}

/** Every column at least one row gives, in catalog order. */
function usedColumns(table: Table, rows: readonly Values[], call: string): Column[] {
  const used = new Set<Column>()
  for (const row of rows) {
    for (const [name] of definedEntries(row, call)) {
      const column = columnOf(table, name, call)
      if (!column.insertable) {
        throw new ArgumentError(call, `the column ${show(name)} cannot be given a value`)
      }
      used.add(column)
    }
  }
  const columns = [...table.columns.values()]
  if (used.size > 0) return columns.filter((column) => used.has(column))
  // VALUES needs a column to say `default` for.
  const first = columns.find((column) => column.insertable)
  if (first) return [first]
  throw new ArgumentError(call, `no column of ${show(table.label)} can be given a value`)
}

function updatable(column: Column, call: string): Column {
  if (column.updatable) return column
  throw new ArgumentError(call, `the column ${show(column.property)} cannot be changed`)
}

function definedEntries(values: unknown, call: string): [string, unknown][] {
  if (typeof values !== 'object' || values === null || Array.isArray(values)) {
    throw new ArgumentError(call, 'a row is an object of columns and values')
  }
  return Object.entries(values).filter(([, value]) => value !== undefined)
}
