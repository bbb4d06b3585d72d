import type { RelationInfo } from '../../codegen/snapshot.js'
import type { Decision } from './decision.js'
import type { Cost } from './model.js'
import { qualified } from './names.js'
import { columnOf, rowsOf } from './schema.js'

/**
 * Rows a second on a small machine with a warm cache. They are the order of magnitude by which to
 * choose between now and tonight, not a promise.
 */
const speed = { scan: 5_000_000, index: 1_000_000, reference: 1_000_000, fill: 100_000 }

/** Fixed work of one table: policies, grants, registry. */
const overhead = 0.05

/** Whether an index of the table begins with the column. */
export function ledByIndex(table: RelationInfo, column: string): boolean {
  return table.indexes.some(
    (index) => index.valid && index.predicate === null && index.columns[0] === column,
  )
}

export function costOf(decision: Decision, parent: RelationInfo | null): Cost | null {
  const { table } = decision
  const rows = rowsOf(table) ?? 0
  switch (decision.class) {
    case 'owned': {
      const column = decision.owned?.ownerColumn
      const nullable = column != null && columnOf(table, column)?.notNull === false
      const index = column != null && !ledByIndex(table, column)
      return {
        locks: [`ACCESS EXCLUSIVE on ${qualified(table)}`],
        seconds:
          overhead +
          (nullable ? rows / speed.scan : 0) +
          (index ? rows / speed.index : 0) +
          (table.foreignKeys.length * rows) / speed.reference,
      }
    }
    case 'by parent':
    case 'many-to-many':
      return {
        locks: [
          `ACCESS EXCLUSIVE on ${qualified(table)}`,
          ...(parent ? [`SHARE ROW EXCLUSIVE on ${qualified(parent)}`] : []),
        ],
        seconds:
          overhead +
          rows / speed.fill +
          rows / speed.index +
          rows / speed.reference +
          (parent ? (rowsOf(parent) ?? 0) / speed.index : 0),
      }
    case 'shared':
    case 'exempt':
      return { locks: [`ACCESS EXCLUSIVE on ${qualified(table)}`], seconds: overhead }
    case 'protected':
    case 'undecided':
      return null
  }
}

/** `under 1 s`, `about 4 s`, `about 3 min`. */
export function duration(seconds: number): string {
  if (seconds < 1) return 'under 1 s'
  if (seconds < 100) return `about ${Math.round(seconds)} s`
  if (seconds < 6000) return `about ${Math.round(seconds / 60)} min`
  return `about ${Math.round(seconds / 3600)} h`
}
