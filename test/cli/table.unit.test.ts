import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { table, text } from '../../src/cli/table.js'
import { changedLines } from './changed-lines.js'

describe('table', () => {
  it('fits the terminal whenever the columns can', () => {
    const word = fc.string({ unit: fc.constantFrom('a', 'b', ' '), maxLength: 120 })
    fc.assert(
      fc.property(fc.array(fc.tuple(word, word, word), { maxLength: 5 }), (rows) => {
        const width = Math.max(
          ...table(['x', 'y', 'z'], rows, 80)
            .split('\n')
            .map((line) => line.length),
        )
        expect(width).toBeLessThanOrEqual(80)
      }),
    )
  })

  it('shows values as psql does', () => {
    expect(
      [null, undefined, true, 1n, 'x', { a: 1 }, Buffer.from([1, 255]), new Date(0)].map(text),
    ).toEqual(['', '', 'true', '1', 'x', '{"a":1}', '\\x01ff', '1970-01-01T00:00:00.000Z'])
  })
})

describe('changedLines', () => {
  it('counts like a diff', () => {
    expect(changedLines('a\nb\nc', 'a\nc')).toEqual({ added: 0, removed: 1 })
    expect(changedLines('a\nb\nc', 'a\nx\nc\nd')).toEqual({ added: 2, removed: 1 })
    expect(changedLines('same', 'same')).toEqual({ added: 0, removed: 0 })
  })
})

it('is one table however many rows there are', () => {
  const rows = Array.from({ length: 1201 }, (_, n) => [n, `row ${String(n)}`])
  const lines = table(['n', 'what'], rows, 80).trimEnd().split('\n')
  // The head with two lines and one below, and the last line.
  expect(lines).toHaveLength(1201 + 4)
  expect(new Set(lines.map(({ length }) => length)).size).toBe(1)
  expect(lines.slice(3, -1).map((line) => Number(/\d+/.exec(line)?.[0]))).toEqual(
    rows.map(([n]) => n),
  )
})
