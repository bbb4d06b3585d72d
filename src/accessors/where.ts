import { encode } from './encode.js'
import type { SecretDefinition } from './definition.js'
import { ArgumentError, show } from './errors.js'
import { quote } from './identifier.js'
import { isPlainObject } from './plain-object.js'
import { columnOf, type Column, type Table } from './table.js'

const operators: ReadonlyMap<string, string> = new Map([
  ['gt', '>'],
  ['gte', '>='],
  ['lt', '<'],
  ['lte', '<='],
])

/**
 * The conditions of a filter, joined by `and`; empty when there are none. Values go onto `values`.
 * Anything not understood is an error: a condition left out would widen what the statement touches.
 */
export function conditions(table: Table, where: unknown, values: unknown[], call: string): string {
  if (where === undefined) return ''
  if (!isPlainObject(where)) throw new ArgumentError(call, 'where takes an object')
  return Object.entries(where)
    .map(([property, wanted]) => condition(columnOf(table, property, call), wanted, values, call))
    .join(' and ')
}

/** `conditions`, ready to be appended to a statement. */
export function whereClause(table: Table, where: unknown, values: unknown[], call: string): string {
  const text = conditions(table, where, values, call)
  return text && ` where ${text}`
}

function condition(column: Column, wanted: unknown, values: unknown[], call: string): string {
  const name = show(column.property)
  if (wanted === undefined) throw new ArgumentError(call, `the filter on ${name} is undefined`)
  if (wanted === null) return `${column.qualified} is null`
  if (!isPlainObject(wanted)) return test(column, '=', wanted, values, call)
  const tests = Object.entries(wanted).map(([key, operand]) => {
    if (key === 'not' && operand === null) return `${column.qualified} is not null`
    if (operand === undefined || operand === null) {
      throw new ArgumentError(call, `${show(key)} on ${name} needs a value, not ${operand}`)
    }
    if (key === 'in') return oneOf(column, operand, values, call)
    const operator = operators.get(key)
    if (operator) return test(column, operator, operand, values, call)
    throw new ArgumentError(
      call,
      `${name} has no filter ${show(key)}`,
      'There are equality, in, gt, gte, lt, lte, null and { not: null }; the rest is plain SQL.',
    )
  })
  if (tests.length > 0) return tests.join(' and ')
  throw new ArgumentError(call, `the filter on ${name} is empty`)
}

function test(
  column: Column,
  operator: string,
  operand: unknown,
  values: unknown[],
  call: string,
): string {
  assertComparable(column, call)
  if (column.secret) return search(column, column.secret, operator, operand, values, call)
  values.push(encode(column, operand, call))
  return `${column.qualified} ${operator} $${values.length}`
}

/** Sealed values are found by their blind index, and by equality alone. */
function search(
  column: Column,
  { index }: SecretDefinition,
  operator: string,
  operand: unknown,
  values: unknown[],
  call: string,
): string {
  if (!index || operator !== '=') {
    throw new ArgumentError(
      call,
      `${show(column.property)} is sealed${index ? ' and found by equality alone' : ' and has no blind index'}`,
      'Filter it by null or { not: null }; a blind index comes from encrypt_column(…, blind_index => true).',
    )
  }
  values.push(index.id, encode(column, operand, call))
  return `t.${quote(index.column)} = tenantry.blind_index($${values.length - 1}, $${values.length})`
}

function oneOf(column: Column, operand: unknown, values: unknown[], call: string): string {
  assertComparable(column, call)
  if (column.secret) return search(column, column.secret, 'in', operand, values, call)
  if (!Array.isArray(operand)) {
    throw new ArgumentError(call, `in on ${show(column.property)} takes an array`)
  }
  if (operand.some((element) => element === null || element === undefined)) {
    throw new ArgumentError(call, `in on ${show(column.property)} never matches null`)
  }
  if (!column.array) {
    values.push(operand)
    return `${column.qualified} = any ($${values.length})`
  }
  // any() would look into the arrays instead of comparing them.
  const parameters = operand.map((element) => `$${values.push(element)}`)
  return parameters.length > 0 ? `${column.qualified} in (${parameters.join(', ')})` : 'false'
}

function assertComparable(column: Column, call: string): void {
  if (column.comparable) return
  throw new ArgumentError(
    call,
    `the type of ${show(column.property)} has no equality`,
    'Filter it by null or { not: null }; the rest is plain SQL.',
  )
}
