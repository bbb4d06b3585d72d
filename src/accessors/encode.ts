import { ArgumentError, show } from './errors.js'
import { plain } from './secret.js'
import type { Column } from './table.js'
import type { Circle, Point } from './values.js'

/**
 * Turns a value into what node-postgres may be trusted to send. It does well with most; it would
 * write a JavaScript array into a json column as an SQL array, and a point as JSON.
 */
export function encode(column: Column, given: unknown, call: string): unknown {
  const value = plain(given)
  switch (column.encoding) {
    case undefined:
      return value
    case 'json':
      // A column that takes no NULL can only have meant the JSON null.
      return value === null && !column.notNull ? null : json(column, value, call)
    case 'json[]':
      // An array among the elements is one JSON value, not a second dimension.
      return Array.isArray(value)
        ? value.map((element) => (element === null ? null : json(column, element, call)))
        : value
    case 'point':
      return point(value)
    case 'point[]':
      return points(value)
    case 'circle':
      return circle(value)
  }
}

function json(column: Column, value: unknown, call: string): string {
  const text = JSON.stringify(value) as string | undefined
  if (text !== undefined) return text
  throw new ArgumentError(call, `the value of ${show(column.property)} has no JSON form`)
}

function points(value: unknown): unknown {
  return Array.isArray(value) ? value.map(points) : point(value)
}

function point(value: unknown): unknown {
  return isPoint(value) ? `(${value.x},${value.y})` : value
}

function circle(value: unknown): unknown {
  return isPoint(value) && 'radius' in value
    ? `<(${value.x},${value.y}),${(value as Circle).radius}>`
    : value
}

function isPoint(value: unknown): value is Point {
  return typeof value === 'object' && value !== null && 'x' in value && 'y' in value
}
