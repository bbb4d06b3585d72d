import type { ClientBase } from 'pg'
import type { RelationInfo } from '../../codegen/snapshot.js'
import { declaredDecision, inOrder, type Declarations } from './declared.js'
import type { Decision } from './decision.js'
import type { Kind } from './model.js'
import { path } from './names.js'
import { decideOwned } from './owned.js'
import { ownerColumns, parentPaths, type OwnedTable } from './owners.js'
import type { Schema } from './schema.js'
import { withoutOwner } from './without-owner.js'

/** Decides every table, kinds first, parents before their children. */
export async function decideAll(
  client: ClientBase,
  schema: Schema,
  declarations: Declarations,
  kinds: readonly Kind[],
): Promise<Decision[]> {
  const decided = new Map<string, OwnedTable>()
  const decisions: Decision[] = []
  const add = (decision: Decision) => {
    decisions.push(decision)
    if (decision.owned) decided.set(path(decision.table), decision.owned)
  }
  let open = [...schema.tables].sort((a, b) => order(a, kinds) - order(b, kinds))
  const declared = open.filter((table) => declarations.has(path(table)))
  for (const table of inOrder(declared, declarations)) {
    const known = declaredDecision(table, declarations, kinds)
    if (known) add(known)
  }
  open = open.filter((table) => !declared.includes(table))
  while (open.length > 0) {
    const next = pick(schema, open, kinds, decided)
    if (!next) break
    add(await decideOwned(client, schema, next, kinds, decided))
    open = open.filter((table) => table !== next)
  }
  const shared = new Set<string>()
  for (const table of referencedFirst(schema, open)) {
    const decision = withoutOwner(schema, table, kinds, shared, decided)
    if (decision.class === 'shared') shared.add(path(table))
    add(decision)
  }
  return decisions
}

const order = (table: RelationInfo, kinds: readonly Kind[]): number => {
  const index = kinds.findIndex((kind) => path(kind.table) === path(table))
  return index < 0 ? kinds.length : index
}

/** Look-ups that others reference come before the look-ups that reference them. */
function referencedFirst(schema: Schema, tables: readonly RelationInfo[]): RelationInfo[] {
  return [...tables].sort(
    (a, b) =>
      a.foreignKeys.length - b.foreignKeys.length ||
      schema.referencing(b).length - schema.referencing(a).length,
  )
}

/**
 * The next table that can be decided: one with an owner column of its own, else one all of whose
 * possible parents are decided, else (where keys run in a circle) one with any decided parent.
 */
function pick(
  schema: Schema,
  open: readonly RelationInfo[],
  kinds: readonly Kind[],
  decided: ReadonlyMap<string, OwnedTable>,
): RelationInfo | null {
  const withColumn = open
    .map((table) => ({ table, columns: ownerColumns(schema, table, kinds, decided) }))
    .filter((each) => each.columns.length > 0)
  // Composite keys tell more than names, once the tables they point at are decided.
  const keyed = withColumn.find((each) => each.columns.some((column) => !column.byName))
  const found = keyed ?? withColumn[0]
  if (found) return found.table
  const openPaths = new Set(open.map(path))
  const below = reachable(schema, open, decided)
  const ready = open.filter((table) => parentPaths(schema, table, decided).length > 0)
  return (
    ready.find((table) =>
      table.foreignKeys.every((key) => {
        const to = path(key.references)
        return to === path(table) || !openPaths.has(to) || !below.has(to)
      }),
    ) ??
    ready[0] ??
    null
  )
}

/** The open tables from which foreign keys lead, over any number of steps, to a table with owners. */
function reachable(
  schema: Schema,
  open: readonly RelationInfo[],
  decided: ReadonlyMap<string, OwnedTable>,
): Set<string> {
  const found = new Set(decided.keys())
  for (let grown = true; grown;) {
    grown = false
    for (const table of open) {
      if (found.has(path(table))) continue
      if (
        table.foreignKeys.some(
          (key) => schema.find(key.references) && found.has(path(key.references)),
        )
      ) {
        found.add(path(table))
        grown = true
      }
    }
  }
  return found
}
