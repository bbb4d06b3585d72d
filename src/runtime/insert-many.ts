import format from 'pg-format'
import { Secret } from '../accessors/secret.js'
import { TenantryError } from '../errors.js'

/** A table: its name alone, looked up by the search_path, or with its schema. */
export type TableName = string | readonly [schema: string, table: string]

export interface InsertManyOptions {
  /** Columns to give back for each row. Default: none. */
  returning?: readonly string[] | undefined
}

/**
 * One INSERT of many rows. COPY does not work on tables under row-level security, so the rows
 * travel as one JSON parameter, and the table's own row type says what becomes of each value.
 *
 * @param columns the columns given; the others, the owner among them, get their defaults
 * @param rows one array per row, in the order of `columns`; `undefined` is NULL. Values of json
 *   columns are given as they are, not as text
 * @throws TenantryError `TN_CONFIG` when a row has another number of values
 */
export function insertManyStatement(
  table: TableName,
  columns: readonly string[],
  rows: readonly (readonly unknown[])[],
  options: InsertManyOptions = {},
): { text: string; values: [string] } {
  if (columns.length === 0) throw new TenantryError('TN_CONFIG', 'insertMany needs a column.')
  const target = typeof table === 'string' ? format('%I', table) : format('%I.%I', ...table)
  const list = columns.map((column) => format('%I', column)).join(', ')
  const returning = options.returning?.map((column) => format('%I', column)).join(', ')
  const text =
    `insert into ${target} (${list}) ` +
    `select ${list} from json_populate_recordset(null::${target}, $1)` +
    (returning ? ` returning ${returning}` : '')
  return { text, values: [encodeRows(columns, rows)] }
}

function encodeRows(columns: readonly string[], rows: readonly (readonly unknown[])[]): string {
  const keys = columns.map((column) => JSON.stringify(column))
  const records = rows.map((row, index) => {
    if (row.length !== columns.length) {
      throw new TenantryError(
        'TN_CONFIG',
        `Row ${index} has ${row.length} values for ${columns.length} columns.`,
      )
    }
    return `{${row.map((value, i) => `${keys[i]}:${encode(value)}`).join(',')}}`
  })
  return `[${records.join(',')}]`
}

/** JSON for a value that the column's input function will read. */
function encode(value: unknown): string {
  return JSON.stringify(value, replace) ?? 'null'
}

function replace(this: unknown, key: string, value: unknown): unknown {
  // toJSON has been applied to `value` already; the holder still has the object itself.
  const original = (this as Record<string, unknown>)[key]
  if (original instanceof Secret) return original.toPostgres()
  if (typeof original === 'bigint') return String(original)
  // JSON has no NaN and no infinities; PostgreSQL reads them from strings.
  if (typeof original === 'number' && !Number.isFinite(original)) return String(original)
  // JSON would make a NULL of it; the database says what is wrong with it.
  if (original instanceof Date && Number.isNaN(original.getTime())) return String(original)
  if (original instanceof Uint8Array) return `\\x${Buffer.from(original).toString('hex')}`
  return value
}
