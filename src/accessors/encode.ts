import { ArgumentError, show } from './errors.js'
import { plain, Secret } from './secret.js'
import type { Column } from './table.js'
import type { Circle, Point } from './values.js'

/**
 * Turns a value into what node-postgres may be trusted to send. It does well with most; it would
 * write a JavaScript array into a json column as an SQL array, and a point as JSON.
 */
export function encode(column: Column, given: unknown, call: string): unknown {
  const value = opened(column, given, call)
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

/** A secret goes where it stays one. */
function opened(column: Column, value: unknown, call: string): unknown {
  if (column.secret || !(value instanceof Secret)) return plain(value)
  throw new ArgumentError(
    call,
    `a Secret was given for ${show(column.property)}, which is not sealed`,
    'Encrypt the column, or give what reveal() returns.',
  )
}

function json(column: Column, value: unknown, call: string): string {
  const text = JSON.stringify(value, function (this: unknown, key, part: unknown) {
    // Its toJSON has been called already: what it prints as would be stored.
    if (!((this as Record<string, unknown>)[key] instanceof Secret)) return part
    throw new ArgumentError(
      call,
      `there is a Secret inside the JSON for ${show(column.property)}`,
      'Give what reveal() returns; the JSON as a whole may be a Secret.',
    )
  }) as string | undefined
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
