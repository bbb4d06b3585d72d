import { ArgumentError, show } from './errors.js'
import { columnOf, selectedColumns, type Table } from './table.js'
import { whereClause } from './where.js'

/** A statement with its bind parameters. */
export interface Statement {
  readonly text: string
  readonly values: readonly unknown[]
}

/** What findMany takes, before it has been checked. */
export interface ReadOptions {
  readonly where?: unknown
  readonly orderBy?: unknown
  readonly limit?: unknown
  readonly offset?: unknown
  readonly select?: readonly unknown[]
}

export function selectStatement(table: Table, options: ReadOptions, call: string): Statement {
  const values: unknown[] = []
  const list = selectedColumns(table, options.select, call)
    .map((column) => column.output)
    .join(', ')
  const text =
    `select ${list} from ${table.sql} as t` +
    whereClause(table, options.where, values, call) +
    orderClause(table, options.orderBy, call) +
    countClause('limit', options.limit, values, call) +
    countClause('offset', options.offset, values, call)
  return { text, values }
}

export function countStatement(table: Table, where: unknown, call: string): Statement {
  const values: unknown[] = []
  const text =
    `select count(*) as count from ${table.sql} as t` + whereClause(table, where, values, call)
  return { text, values }
}

function orderClause(table: Table, orderBy: unknown, call: string): string {
  if (orderBy === undefined) return ''
  if (!Array.isArray(orderBy)) throw new ArgumentError(call, 'orderBy takes an array')
  const keys = orderBy.map((key: unknown) => {
    const descending =
      typeof key === 'string' && key.startsWith('-') && !table.columns.has(key)
        ? key.slice(1)
        : null
    const column = columnOf(table, descending ?? key, call)
    if (column.secret) {
      throw new ArgumentError(call, `${show(column.property)} is sealed and has no order`)
    }
    return descending === null ? column.qualified : `${column.qualified} desc`
  })
  return keys.length > 0 ? ` order by ${keys.join(', ')}` : ''
}

function countClause(word: string, count: unknown, values: unknown[], call: string): string {
  if (count === undefined) return ''
  if (typeof count !== 'number' || !Number.isSafeInteger(count) || count < 0) {
    throw new ArgumentError(call, `${word} takes a whole number from 0 up, not ${show(count)}`)
  }
  values.push(count)
  return ` ${word} $${values.length}`
}
