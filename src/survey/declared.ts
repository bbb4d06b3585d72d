import type { ClientBase } from 'pg'
import type { RelationInfo } from '../../codegen/snapshot.js'
import type { Decision } from './decision.js'
import type { Kind } from './model.js'
import { literal, nameArray, path, target } from './names.js'
import { exempt, share, withUnchecked } from './statements.js'

/** How a table was declared, by whatever way. */
export interface Declaration {
  readonly schema: string
  readonly name: string
  readonly class: 'owned' | 'by_parent' | 'shared' | 'exempt'
  readonly ownerColumn: string | null
  readonly ownerKind: string | null
  readonly ownerFrom: readonly string[] | null
  /** `schema.name` of the table the owner comes from. */
  readonly parent: string | null
  readonly unchecked: readonly string[]
  readonly writers: readonly string[]
  readonly reason: string | null
}

export type Declarations = ReadonlyMap<string, Declaration>

/** The declarations of this database; none where tenantry is not installed or may not be looked into. */
export async function readDeclarations(client: ClientBase): Promise<Declarations> {
  const { rows: may } = await client.query<{ read: boolean | null }>(
    `select pg_catalog.has_schema_privilege('tenantry', 'usage')
            and pg_catalog.has_table_privilege('tenantry.tables', 'select') as read
      where pg_catalog.to_regclass('tenantry.tables') is not null`,
  )
  if (!may[0]?.read) return new Map()
  const { rows } = await client.query<Declaration>(
    `select t.schema_name::text as schema, t.table_name::text as name, t.class,
            t.owner_column::text as "ownerColumn", t.owner_kind as "ownerKind",
            t.owner_from::text[] as "ownerFrom", pn.nspname || '.' || p.relname as parent,
            t.unchecked_references::text[] as unchecked, t.writers::text[] as writers, t.reason
       from tenantry.tables t
       left join pg_catalog.pg_class p on p.oid = t.parent
       left join pg_catalog.pg_namespace pn on pn.oid = p.relnamespace`,
  )
  return new Map(rows.map((row) => [path(row), row]))
}

/** What is declared already, as the statement that declares it: the file stays whole. */
export function declaredDecision(
  table: RelationInfo,
  declarations: Declarations,
  kinds: readonly Kind[],
): Decision | null {
  const known = declarations.get(path(table))
  if (!known) return null
  const kind = kinds.find((each) => each.kind === known.ownerKind)
  return {
    table,
    class: 'protected',
    reason: known.class.replace('_', ' '),
    statements: [statementOf(known, declarations)],
    alternatives: [],
    notes: [],
    owned: kind ? { ownerColumn: known.ownerColumn, kind } : null,
  }
}

function statementOf(known: Declaration, declarations: Declarations): string {
  const unchecked = (statement: string) =>
    known.unchecked.length > 0 ? withUnchecked(statement, known.unchecked) : statement
  const column = literal(known.ownerColumn ?? '')
  switch (known.class) {
    case 'owned':
      return unchecked(
        `select tenantry.protect(${target(known)}, owner_column => ${column}, owner_kind => ${literal(known.ownerKind ?? '')});`,
      )
    case 'by_parent': {
      const parent = known.parent === null ? undefined : declarations.get(known.parent)
      const named = parent?.ownerColumn === known.ownerColumn ? '' : `owner_column => ${column}, `
      return unchecked(
        `select tenantry.protect(${target(known)}, ${named}owner_from => ${nameArray(known.ownerFrom ?? [])});`,
      )
    }
    case 'shared':
      return known.writers.length === 0
        ? share(known)
        : `select tenantry.share(${target(known)}, writers => ${nameArray(known.writers)});`
    case 'exempt':
      return exempt(known, known.reason ?? '')
  }
}

/** Declared tables in an order in which they can be declared again: parents before children. */
export function inOrder(
  tables: readonly RelationInfo[],
  declarations: Declarations,
): RelationInfo[] {
  const depth = (name: string | null, seen: readonly string[] = []): number => {
    const known = name === null ? undefined : declarations.get(name)
    if (!known || name === null || seen.includes(name)) return 0
    if (known.class === 'shared' || known.class === 'exempt') return Number.MAX_SAFE_INTEGER
    return known.parent === null ? 0 : 1 + depth(known.parent, [...seen, name])
  }
  return [...tables].sort((a, b) => depth(path(a)) - depth(path(b)))
}
