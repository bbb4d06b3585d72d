import type { RelationInfo } from '../../codegen/snapshot.js'
import type { Facts } from './facts.js'
import { identifier, literal, qualified } from './names.js'
import type { Schema } from './schema.js'

/** Who owns the tables today, and who shall. */
export interface Ownership {
  /** Roles that own tables and that no policy would bind. */
  readonly unbound: readonly string[]
  /** The role that gets their tables; null where none is needed. */
  readonly newOwner: string | null
  /** The role whose tables these mostly are, and that migrations go on running as. */
  readonly ownerOf: (schema: string) => string | null
  readonly main: string | null
}

/** Tables of a superuser cannot be protected: what runs as their owner is not bound by any policy. */
export function ownershipOf(schema: Schema, facts: Facts, wanted: string | undefined): Ownership {
  const unbound = [...new Set(schema.tables.map((table) => table.owner))]
    .filter((owner) => isUnbound(facts, owner))
    .sort()
  const newOwner = unbound.length > 0 ? (wanted ?? `${facts.database}_owner`) : null
  const settled = (table: RelationInfo) =>
    newOwner !== null && isUnbound(facts, table.owner) ? newOwner : table.owner
  return {
    unbound,
    newOwner,
    ownerOf: (name) =>
      mostFrequent(schema.tables.filter((table) => table.schema === name).map(settled)),
    main: mostFrequent(schema.tables.map(settled)),
  }
}

function isUnbound(facts: Facts, owner: string): boolean {
  const role = facts.roles.get(owner)
  return role !== undefined && (role.superuser || role.bypassRls)
}

/** `alter table … owner to …` where the table's owner would not be bound. */
export function changeOwner(
  table: RelationInfo,
  ownership: Ownership,
  facts: Facts,
): readonly string[] {
  return ownership.newOwner !== null && isUnbound(facts, table.owner)
    ? [`alter table ${qualified(table)} owner to ${identifier(ownership.newOwner)};`]
    : []
}

/** `create role` for a role that may be there already. */
export function createRole(name: string, attributes: string): string {
  return [
    'do $$ begin',
    `  if not exists (select from pg_roles where rolname = ${literal(name)}) then`,
    `    create role ${identifier(name)} ${attributes};`,
    '  end if;',
    'end $$;',
  ].join('\n')
}

function mostFrequent(names: readonly string[]): string | null {
  const counts = new Map<string, number>()
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1)
  return [...counts].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1))[0]?.[0] ?? null
}
