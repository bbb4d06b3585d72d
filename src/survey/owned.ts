import type { ClientBase } from 'pg'
import type { RelationInfo } from '../../codegen/snapshot.js'
import type { Decision } from './decision.js'
import { hasNulls } from './facts.js'
import type { Alternative, Kind } from './model.js'
import { isTenant } from './kinds.js'
import { path, snake, withArticle } from './names.js'
import {
  isManyToMany,
  ownerColumns,
  parentPaths,
  preferredOwner,
  type OwnedTable,
  type OwnerColumn,
  type ParentPath,
} from './owners.js'
import type { Schema } from './schema.js'
import {
  fillFromParent,
  protectByColumn,
  protectByParent,
  registerMembership,
} from './statements.js'

/** Decides a table from which a column or a foreign key leads to an owner. */
export async function decideOwned(
  client: ClientBase,
  schema: Schema,
  table: RelationInfo,
  kinds: readonly Kind[],
  decided: ReadonlyMap<string, OwnedTable>,
): Promise<Decision> {
  const columns = ownerColumns(schema, table, kinds, decided)
  const parents = parentPaths(schema, table, decided)
  if (columns.length > 0) {
    const chosen = preferredOwner(columns, kinds)
    return chosen
      ? byColumn(client, table, chosen, columns, parents, decided)
      : ambiguous(table, columns)
  }
  return byParent(client, table, parents, kinds, decided)
}

async function byColumn(
  client: ClientBase,
  table: RelationInfo,
  chosen: OwnerColumn,
  columns: readonly OwnerColumn[],
  parents: readonly ParentPath[],
  decided: ReadonlyMap<string, OwnedTable>,
): Promise<Decision> {
  const statement = protectByColumn(table, chosen)
  const others = columns.filter((each) => each !== chosen)
  const nulls = chosen.nullable ? await hasNulls(client, table, [chosen.column]) : 'none'
  const otherwise: Alternative[] = others.map((each) => ({
    statements: [protectByColumn(table, each)],
    reason: each.reason,
  }))
  if (nulls === 'some') return unowned(table, chosen, parents, decided, otherwise)
  return {
    table,
    class: 'owned',
    reason: chosen.reason,
    statements: [statement],
    alternatives: [...membership(table, columns), ...otherwise],
    notes: [
      ...(chosen.nullable && nulls === 'none'
        ? [`${chosen.column} may be NULL today, though no row has none: it becomes NOT NULL`]
        : []),
      ...(nulls === 'unknown'
        ? [
            `${chosen.column} may be NULL, and the rows could not be looked at: apply says so if one has none`,
          ]
        : []),
    ],
    owned: { ownerColumn: chosen.column, kind: chosen.kind },
  }
}

/** Rows without an owner: they are never guessed, but the way to find their owner is shown. */
function unowned(
  table: RelationInfo,
  chosen: OwnerColumn,
  parents: readonly ParentPath[],
  decided: ReadonlyMap<string, OwnedTable>,
  otherwise: readonly Alternative[],
): Decision {
  const statement = protectByColumn(table, chosen)
  return {
    table,
    class: 'undecided',
    reason: `${chosen.reason}, but some rows have none: give them an owner or delete them first`,
    statements: [],
    alternatives: [
      ...parents.flatMap((parent): Alternative[] => {
        if (parent.key.columns.includes(chosen.column)) return []
        const owned = decided.get(path(parent.parent))
        if (owned?.kind !== chosen.kind) return []
        const fill = owned.ownerColumn && fillFromParent(table, chosen, parent, owned.ownerColumn)
        return fill
          ? [{ statements: [fill, statement], reason: `take it from ${parent.parent.name}` }]
          : []
      }),
      { statements: [statement], reason: 'once every row has an owner' },
      ...otherwise,
    ],
    notes: [],
    owned: { ownerColumn: chosen.column, kind: chosen.kind },
  }
}

/** A table with one row for each person in each tenant says who is a member of what. */
function membership(table: RelationInfo, columns: readonly OwnerColumn[]): Alternative[] {
  const pairs = [table.primaryKey, ...table.uniques]
    .map((key) => key?.columns ?? [])
    .filter((key) => key.length === 2)
  const [one, other] = columns.filter(({ column }) => pairs.some((key) => key.includes(column)))
  if (!one || !other) return []
  if (!pairs.some((key) => key.includes(one.column) && key.includes(other.column))) return []
  const [container, member] = isTenant(one.kind.table) ? [one, other] : [other, one]
  if (!isTenant(container.kind.table) || isTenant(member.kind.table)) return []
  return [
    {
      statements: [
        registerMembership(table, member, container, roleColumn(table)),
        protectByColumn(table, container),
      ],
      reason: `its rows make ${withArticle(member.kind.kind)} a member of ${withArticle(container.kind.kind)}, and able to work for it (both statements; say in roles what members may do)`,
    },
  ]
}

const roleColumn = (table: RelationInfo): string | null =>
  table.columns.find((column) => /(^|_)role$/.test(snake(column.name)))?.name ?? null

function ambiguous(table: RelationInfo, columns: readonly OwnerColumn[]): Decision {
  return {
    table,
    class: 'undecided',
    reason: `several columns name an owner: ${columns.map((each) => each.column).join(', ')}`,
    statements: [],
    alternatives: columns.map((each) => ({
      statements: [protectByColumn(table, each)],
      reason: each.reason,
    })),
    notes: [],
    owned: null,
  }
}

async function byParent(
  client: ClientBase,
  table: RelationInfo,
  parents: readonly ParentPath[],
  kinds: readonly Kind[],
  decided: ReadonlyMap<string, OwnedTable>,
): Promise<Decision> {
  const [chosen, ...others] = parents
  const owned = chosen && decided.get(path(chosen.parent))
  if (!chosen || !owned) throw new Error(`${path(table)} has no parent to inherit from`)
  const manyToMany = isManyToMany(table)
  const nulls = chosen.nullable ? await hasNulls(client, table, chosen.key.columns) : 'none'
  const statement = protectByParent(table, chosen)
  const otherwise: Alternative[] = others.map((each) => ({
    statements: [protectByParent(table, each)],
    reason: `the owner of ${each.parent.name}`,
  }))
  const actor = kinds.find((kind) => !kind.main && path(kind.table) === path(chosen.parent))
  const [actorColumn] = chosen.key.columns
  if (actor && actorColumn !== undefined) {
    otherwise.push({
      statements: [protectByColumn(table, { column: actorColumn, kind: actor })],
      reason: `each row private to its ${actor.kind}, instead of shared within its ${actor.owner?.kind ?? 'owner'}`,
    })
  }
  if (chosen.nullable && nulls !== 'none') {
    return {
      table,
      class: 'undecided',
      reason: `${chosen.key.columns.join(', ')} leads to ${chosen.parent.name}, but may be NULL${nulls === 'some' ? ' and is' : ''}: those rows have no owner`,
      statements: [],
      alternatives: [
        { statements: [statement], reason: 'once every row has a parent' },
        ...otherwise,
      ],
      notes: [],
      owned: { ownerColumn: null, kind: owned.kind, parent: chosen },
    }
  }
  return {
    table,
    class: manyToMany ? 'many-to-many' : 'by parent',
    reason: reasonForParent(table, chosen, others, manyToMany),
    statements: [statement],
    alternatives: otherwise,
    notes: [],
    owned: { ownerColumn: null, kind: owned.kind, parent: chosen },
  }
}

function reasonForParent(
  table: RelationInfo,
  chosen: ParentPath,
  others: readonly ParentPath[],
  manyToMany: boolean,
): string {
  const through = `${chosen.key.columns.join(', ')} → ${chosen.parent.name}`
  if (!manyToMany) {
    return others.length === 0
      ? `${through} is the only way to an owner`
      : `${through} is the closest way to an owner`
  }
  const second = table.foreignKeys.find(
    (key) => key !== chosen.key && path(key.references) !== path(chosen.parent),
  )
  const rest = second ? second.references.name : 'itself'
  return others.length === 0
    ? `ties ${chosen.parent.name} to ${rest}, which has no owner: the owner of ${chosen.parent.name}`
    : `ties ${chosen.parent.name} to ${rest}: the owner of ${chosen.parent.name}, and only rows that its owner sees can be tied`
}
