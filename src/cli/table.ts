import Table from 'cli-table3'

/**
 * A table for people, wrapped to fit `width` characters: the widest columns give way first.
 */
export function table(
  head: readonly string[],
  rows: readonly (readonly unknown[])[],
  width: number,
): string {
  const cells = rows.map((row) => row.map(text))
  const natural = head.map((title, column) =>
    Math.max(
      ...[title, ...cells.map((row) => row[column] ?? '')]
        .flatMap((cell) => cell.split('\n'))
        .map((line) => line.length),
    ),
  )
  const fitted = fit(natural, width - 3 * head.length - 1)
  const drawn = new Table({
    head: [...head],
    colWidths: fitted.map((each) => each + 2),
    wordWrap: true,
    wrapOnWordBoundary: true,
    style: { head: [], border: [], compact: true },
  })
  drawn.push(...cells)
  return `${drawn.toString()}\n`
}

const narrowest = 8

function fit(natural: readonly number[], room: number): number[] {
  const widths = [...natural]
  for (;;) {
    const excess = widths.reduce((all, each) => all + each, 0) - room
    const widest = Math.max(...widths)
    if (excess <= 0 || widest <= narrowest) return widths
    const index = widths.indexOf(widest)
    const second = Math.max(narrowest, ...widths.filter((_, other) => other !== index))
    widths[index] = Math.max(narrowest, widest - Math.max(1, Math.min(excess, widest - second)))
  }
}

/** A value as psql would show it. */
export function text(value: unknown): string {
  if (value === null || value === undefined) return ''
  if (value instanceof Date) return value.toISOString()
  if (Buffer.isBuffer(value)) return `\\x${value.toString('hex')}`
  if (typeof value === 'object') return JSON.stringify(value)
  return String(value)
}
