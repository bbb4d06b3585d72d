import type { RelationInfo, RelationRef } from '../../codegen/snapshot.js'
import type { Kind } from './model.js'
import { identifier, literal, nameArray, qualified, target } from './names.js'
import type { OwnerColumn, ParentPath } from './owners.js'

/** `select … tenantry.register_kind(…)`. */
export function registerKind(kind: Kind): string {
  const owner = kind.owner
    ? `, owner_column => ${literal(kind.owner.column)}, owner_kind => ${literal(kind.owner.kind)}${kind.actsForOwner ? ', acts_for_owner => true' : ''}`
    : ''
  return `select tenantry.register_kind(${literal(kind.kind)}, ${target(kind.table)}, id_column => ${literal(kind.idColumn)}${owner});`
}

export function protectByColumn(
  table: RelationRef,
  owner: Pick<OwnerColumn, 'column' | 'kind'>,
): string {
  return `select tenantry.protect(${target(table)}, owner_column => ${literal(owner.column)}, owner_kind => ${literal(owner.kind.kind)});`
}

export function protectByParent(table: RelationRef, parent: ParentPath): string {
  return `select tenantry.protect(${target(table)}, owner_from => ${nameArray(parent.key.columns)});`
}

/** Every role reads until somebody says what it may. */
export function registerMembership(
  table: RelationRef,
  member: Pick<OwnerColumn, 'column' | 'kind'>,
  container: Pick<OwnerColumn, 'column' | 'kind'>,
  role: string | null,
): string {
  const roles =
    role === null
      ? `roles => '["select"]'`
      : `role_column => ${literal(role)}, roles => '{"*": ["select"]}'`
  return (
    `select tenantry.register_membership(${target(table)}, member_column => ${literal(member.column)}, member_kind => ${literal(member.kind.kind)}, ` +
    `container_column => ${literal(container.column)}, container_kind => ${literal(container.kind.kind)}, ${roles});`
  )
}

/** Adds the columns that may point at rows of others to a `protect` statement. */
export function withUnchecked(statement: string, columns: readonly string[]): string {
  if (columns.length === 0) return statement
  return statement.replace(/\);$/, `, unchecked_references => ${nameArray(columns)});`)
}

export function share(table: RelationRef): string {
  return `select tenantry.share(${target(table)});`
}

export function exempt(table: RelationRef, reason: string): string {
  return `select tenantry.exempt(${target(table)}, ${literal(reason)});`
}

/** Gives rows without an owner the owner of the row they point at. */
export function fillFromParent(
  table: RelationInfo,
  owner: OwnerColumn,
  parent: ParentPath,
  parentOwner: string,
): string {
  const column = identifier(owner.column)
  const join = parent.key.columns
    .map(
      (name, index) =>
        `p.${identifier(parent.key.references.columns[index] ?? '')} = t.${identifier(name)}`,
    )
    .join(' and ')
  return `update ${qualified(table)} t set ${column} = p.${identifier(parentOwner)} from ${qualified(parent.parent)} p where ${join} and t.${column} is null;`
}
