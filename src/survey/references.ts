import type { ClientBase } from 'pg'
import type { ForeignKeyInfo, RelationInfo } from '../../codegen/snapshot.js'
import type { Decision } from './decision.js'
import { anyRow } from './facts.js'
import { identifier, literal, nameArray, path, qualified, withArticle } from './names.js'
import type { OwnedTable } from './owners.js'
import type { Schema } from './schema.js'
import { withUnchecked } from './statements.js'

/**
 * References to protected tables are checked on write: a row may point only at what its writer sees.
 * Where rows point at rows of others already, by design or by mistake, the proposal leaves the
 * reference unchecked and says so.
 */
export async function allowForeignReferences(
  client: ClientBase,
  schema: Schema,
  decisions: readonly Decision[],
): Promise<Decision[]> {
  const owned = new Map(
    decisions.flatMap((each) => (each.owned ? [[path(each.table), each.owned] as const] : [])),
  )
  const result: Decision[] = []
  for (const decision of decisions) {
    result.push(
      decision.owned && decision.class !== 'protected'
        ? await withReferences(client, schema, decision, decision.owned, owned)
        : decision,
    )
  }
  return result
}

async function withReferences(
  client: ClientBase,
  schema: Schema,
  decision: Decision,
  own: OwnedTable,
  owned: ReadonlyMap<string, OwnedTable>,
): Promise<Decision> {
  const { table } = decision
  const unchecked: string[] = []
  const notes: string[] = []
  for (const key of table.foreignKeys) {
    const parent = schema.find(key.references)
    const theirs = parent && owned.get(path(parent))
    if (!parent || !theirs || isTied(key, own)) continue
    const columns = key.columns.join(', ')
    if (theirs.kind !== own.kind) {
      unchecked.push(...key.columns)
      notes.push(
        `${columns} points at ${parent.name}, which belong to ${withArticle(theirs.kind.kind)}: left unchecked, since ${withArticle(own.kind.kind)} does not see them`,
      )
      continue
    }
    const foreign = await crossesOwners(client, schema, table, own, parent, theirs, key, owned)
    if (foreign === 'some') {
      unchecked.push(...key.columns)
      notes.push(
        `${columns} points at ${parent.name} of other owners in some rows: left unchecked. Take the exception away once they are corrected`,
      )
    } else if (foreign === 'unknown') {
      notes.push(
        `whether ${columns} points at ${parent.name} of other owners could not be looked at`,
      )
    }
  }
  if (unchecked.length === 0) return { ...decision, notes: [...decision.notes, ...notes] }
  const columns = [...new Set(unchecked)]
  const owner = own.ownerColumn === null ? (own.parent?.key.columns ?? []) : [own.ownerColumn]
  const change = (statement: string) =>
    statement.startsWith('select tenantry.protect(')
      ? withUnchecked(statement, uncheckedBy(statement, table, columns, owner))
      : statement
  return {
    ...decision,
    statements: decision.statements.map(change),
    alternatives: decision.alternatives.map((each) => ({
      ...each,
      statements: each.statements.map(change),
    })),
    notes: [...decision.notes, ...notes],
  }
}

/** What says whose a row is stays checked. Where that is another column than proposed, they change places. */
function uncheckedBy(
  statement: string,
  table: RelationInfo,
  columns: readonly string[],
  owner: readonly string[],
): readonly string[] {
  const named = [
    ...columns.filter((each) => statement.includes(` owner_column => ${literal(each)},`)),
    ...table.foreignKeys
      .filter((key) => statement.includes(` owner_from => ${nameArray(key.columns)}`))
      .flatMap((key) => key.columns),
  ]
  const rest = columns.filter((each) => !named.includes(each))
  return rest.length === columns.length
    ? columns
    : [...rest, ...owner.filter((each) => !named.includes(each))]
}

/** The owner column itself, a key with the owner in it, and the key to the parent cannot cross owners. */
function isTied(key: ForeignKeyInfo, own: OwnedTable): boolean {
  return (
    (own.ownerColumn !== null && key.columns.includes(own.ownerColumn)) ||
    own.parent?.key.name === key.name
  )
}

function crossesOwners(
  client: ClientBase,
  schema: Schema,
  table: RelationInfo,
  own: OwnedTable,
  parent: RelationInfo,
  theirs: OwnedTable,
  key: ForeignKeyInfo,
  owned: ReadonlyMap<string, OwnedTable>,
) {
  const mine = ownerOf(schema, own, 't', owned)
  const other = ownerOf(schema, theirs, 'p', owned)
  if (mine === null || other === null) return 'unknown' as const
  const join = key.columns
    .map(
      (name, index) =>
        `p.${identifier(key.references.columns[index] ?? '')} = t.${identifier(name)}`,
    )
    .join(' and ')
  return anyRow(
    client,
    `select from ${qualified(table)} t join ${qualified(parent)} p on ${join} where ${mine} <> ${other}`,
  )
}

/** An expression for the owner of a row: its column, or its parent's, found through the keys. */
function ownerOf(
  schema: Schema,
  own: OwnedTable,
  alias: string,
  owned: ReadonlyMap<string, OwnedTable>,
): string | null {
  if (own.ownerColumn !== null) return `${alias}.${identifier(own.ownerColumn)}`
  const parent = own.parent && schema.find(own.parent.key.references)
  const above = parent && owned.get(path(parent))
  if (!own.parent || !parent || !above) return null
  const inner = `${alias}p`
  const expression = ownerOf(schema, above, inner, owned)
  if (expression === null) return null
  const { columns, references } = own.parent.key
  const join = columns
    .map(
      (name, index) =>
        `${inner}.${identifier(references.columns[index] ?? '')} = ${alias}.${identifier(name)}`,
    )
    .join(' and ')
  return `(select ${expression} from ${qualified(parent)} ${inner} where ${join})`
}
