import type { RelationInfo } from '../../codegen/snapshot.js'
import { path, words } from './names.js'
import { columnOf, rowsOf, type Schema } from './schema.js'

/** More rows, or more bytes where nobody counted the rows, are no look-up table. */
const largest = { rows: 100_000, bytes: 20_000_000 }

const personal = new Set(
  (
    'email mail phone mobile password secret token session ip address street line1 postcode zip city ' +
    'surname firstname lastname birthday birthdate ssn iban'
  ).split(' '),
)

/** Columns whose names speak of people. */
export function personalColumns(table: RelationInfo): string[] {
  return table.columns
    .map((column) => column.name)
    .filter((name) => words(name).some((word) => personal.has(word)))
}

/** Whether the table is too large to be looked up in. */
export function isLarge(schema: Schema, table: RelationInfo): boolean {
  const rows = rowsOf(table)
  return rows === null ? schema.bytesOf(table) > largest.bytes : rows > largest.rows
}

/**
 * Why a table looks like a look-up: its rows have names of their own, or are combinations of other
 * look-ups. Null for everything else: what is shared, everybody reads, so it is never guessed from
 * references alone (addresses are referenced too).
 */
export function lookupReason(
  schema: Schema,
  table: RelationInfo,
  shared: ReadonlySet<string>,
): string | null {
  const references = new Set(schema.referencing(table).map((each) => path(each.table)))
  references.delete(path(table))
  const key = table.primaryKey?.columns ?? []
  const onlyLookups =
    table.foreignKeys.length > 0 &&
    table.foreignKeys.every((each) => shared.has(path(each.references)))
  if (
    onlyLookups &&
    table.foreignKeys.every((each) => each.columns.every((name) => key.includes(name)))
  ) {
    const names = [...new Set(table.foreignKeys.map((each) => each.references.name))].join(' and ')
    return `its rows are keyed by ${names}, which are shared`
  }
  const code = codeColumn(schema, table)
  if (code === null || references.size === 0) return null
  if (table.foreignKeys.length > 0 && !onlyLookups) return null
  const by = references.size === 1 ? 'one table references' : `${references.size} tables reference`
  return `nothing leads from it to an owner, ${by} it, and ${code} names its rows`
}

/** A text column that identifies a row on its own: a code, a slug. */
function codeColumn(schema: Schema, table: RelationInfo): string | null {
  const keys = [table.primaryKey, ...table.uniques].filter((key) => key?.columns.length === 1)
  for (const key of keys) {
    const column = columnOf(table, key?.columns[0] ?? '')
    const type = column && schema.baseType(column)
    if (column && type && texts.has(type)) return column.name
  }
  return null
}

const texts = new Set(['text', 'varchar', 'bpchar'].map((name) => `pg_catalog.${name}`))
