import Table from 'cli-table3'

/** What one table is drawn of at a time: the library takes more than twice as long for twice as many. */
const slice = 50

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
    cells.reduce((most, row) => Math.max(most, lengthOf(row[column] ?? '')), lengthOf(title)),
  )
  const fitted = fit(natural, width - 3 * head.length - 1)
  const lines: string[] = []
  for (let from = 0; from === 0 || from < cells.length; from += slice) {
    const [isFirst, isLast] = [from === 0, from + slice >= cells.length]
    const drawn = new Table({
      head: isFirst ? [...head] : [],
      colWidths: fitted.map((each) => each + 2),
      wordWrap: fitted.some((each, column) => each < (natural[column] ?? 0)),
      wrapOnWordBoundary: true,
      style: { head: [], border: [], compact: true },
      chars: { ...(isFirst ? {} : without('top')), ...(isLast ? {} : without('bottom')) },
    })
    drawn.push(...cells.slice(from, from + slice))
    lines.push(drawn.toString())
  }
  return `${lines.join('\n')}\n`
}

const lengthOf = (cell: string): number =>
  cell.split('\n').reduce((most, line) => Math.max(most, line.length), 0)

const without = (edge: 'top' | 'bottom') => ({
  [edge]: '',
  [`${edge}-mid`]: '',
  [`${edge}-left`]: '',
  [`${edge}-right`]: '',
})

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
