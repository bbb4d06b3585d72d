import type { ForeignKeyInfo, RelationInfo } from '../../codegen/snapshot.js'
import type { Kind } from './model.js'
import { path, singular, snake } from './names.js'
import { columnOf, type Schema } from './schema.js'

/** A column that holds the id of an owner. */
export interface OwnerColumn {
  readonly column: string
  readonly kind: Kind
  readonly nullable: boolean
  readonly reason: string
  /** Known by its name alone, without a foreign key. */
  readonly byName?: boolean
}

/** A foreign key through which a row's owner can be found. */
export interface ParentPath {
  readonly parent: RelationInfo
  readonly key: ForeignKeyInfo
  readonly nullable: boolean
  readonly score: number
}

/** What is known so far of the table a key points at. */
export interface OwnedTable {
  readonly ownerColumn: string | null
  readonly kind: Kind
  /** The key the owner is found through, where there is no column yet. */
  readonly parent?: ParentPath
}

/**
 * Columns of the table that name an entity of a main kind directly: by foreign key, by a composite key
 * to a table that has the owner in its own key, or by name alone.
 */
export function ownerColumns(
  schema: Schema,
  table: RelationInfo,
  kinds: readonly Kind[],
  decided: ReadonlyMap<string, OwnedTable>,
): OwnerColumn[] {
  const own = kinds.find((kind) => path(kind.table) === path(table))
  if (own?.main) {
    return [
      {
        column: own.idColumn,
        kind: own,
        nullable: false,
        reason: `each ${own.kind} owns its own row`,
      },
    ]
  }
  const main = kinds.filter((kind) => kind.main)
  const found = [
    ...table.foreignKeys.flatMap((key) => byForeignKey(table, key, main)),
    ...table.foreignKeys.flatMap((key) => byCompositeKey(schema, table, key, decided)),
    ...byName(schema, table, main),
  ]
  return found.filter(
    (each, index) => found.findIndex((other) => other.column === each.column) === index,
  )
}

function byForeignKey(
  table: RelationInfo,
  key: ForeignKeyInfo,
  kinds: readonly Kind[],
): OwnerColumn[] {
  const [name, ...more] = key.columns
  const kind = kinds.find((each) => path(each.table) === path(key.references))
  const column = name === undefined ? undefined : columnOf(table, name)
  if (!kind || !column || more.length > 0 || key.references.columns[0] !== kind.idColumn) return []
  return [
    {
      column: column.name,
      kind,
      nullable: !column.notNull,
      reason: `${column.name} references ${key.references.name}`,
    },
  ]
}

function byCompositeKey(
  schema: Schema,
  table: RelationInfo,
  key: ForeignKeyInfo,
  decided: ReadonlyMap<string, OwnedTable>,
): OwnerColumn[] {
  const parent = schema.find(key.references)
  const owned = parent && decided.get(path(parent))
  const position = owned?.ownerColumn ? key.references.columns.indexOf(owned.ownerColumn) : -1
  const name = key.columns[position]
  const column = name === undefined ? undefined : columnOf(table, name)
  if (!owned || !column || key.columns.length < 2 || !owned.kind.main) return []
  return [
    {
      column: column.name,
      kind: owned.kind,
      nullable: !column.notNull,
      reason: `${column.name} is part of the key that references ${key.references.name}`,
    },
  ]
}

function byName(schema: Schema, table: RelationInfo, kinds: readonly Kind[]): OwnerColumn[] {
  return table.columns.flatMap((column) => {
    const kind = kinds.find((each) => ownerNames(each).includes(snake(column.name)))
    const id = kind && columnOf(kind.table, kind.idColumn)
    if (!kind || !id || !sameType(schema.baseType(column), schema.baseType(id))) return []
    return [
      {
        column: column.name,
        kind,
        nullable: !column.notNull,
        reason: `${column.name} is called after ${kind.table.name} and has its type (there is no foreign key)`,
        byName: true,
      },
    ]
  })
}

const ownerNames = (kind: Kind): string[] => [`${kind.kind}_id`, `${singular(kind.table.name)}_id`]

const integers = new Set(['int8', 'int4', 'int2'].map((name) => `pg_catalog.${name}`))
const texts = new Set(['text', 'varchar'].map((name) => `pg_catalog.${name}`))

function sameType(a: string | null, b: string | null): boolean {
  return (
    a !== null &&
    b !== null &&
    (a === b || (integers.has(a) && integers.has(b)) || (texts.has(a) && texts.has(b)))
  )
}

const byTheWay =
  /^(created|updated|deleted|changed|modified|approved|invited|added|assigned|granted)_by/

/**
 * The one to propose where several columns name an owner: none that only says who did something to the
 * row, then of the kind that most tables belong to, and of several of that kind the one that is called
 * after it.
 */
export function preferredOwner(
  columns: readonly OwnerColumn[],
  kinds: readonly Kind[],
): OwnerColumn | null {
  const telling = columns.filter((each) => !byTheWay.test(snake(each.column)))
  const among = telling.length > 0 ? telling : columns
  const first = kinds.find((kind) => among.some((each) => each.kind === kind))
  const ofFirst = among.filter((each) => each.kind === first)
  if (ofFirst.length <= 1) return ofFirst[0] ?? null
  return ofFirst.find((each) => ownerNames(each.kind).includes(snake(each.column))) ?? null
}

/** Foreign keys to tables whose rows have owners, the most telling one first. */
export function parentPaths(
  schema: Schema,
  table: RelationInfo,
  decided: ReadonlyMap<string, OwnedTable>,
): ParentPath[] {
  return table.foreignKeys
    .flatMap((key): ParentPath[] => {
      const parent = schema.find(key.references)
      if (!parent || path(parent) === path(table) || !decided.has(path(parent))) return []
      const nullable = key.columns.some((name) => !columnOf(table, name)?.notNull)
      return [{ parent, key, nullable, score: telling(table, parent, key, nullable) }]
    })
    .sort((a, b) => b.score - a.score)
}

function telling(
  table: RelationInfo,
  parent: RelationInfo,
  key: ForeignKeyInfo,
  nullable: boolean,
): number {
  const parentWord = singular(parent.name)
  return (
    (nullable ? -4 : 4) +
    (key.onDelete === 'cascade' ? 3 : 0) +
    (key.onDelete === 'set null' ? -3 : 0) +
    (table.primaryKey?.columns[0] === key.columns[0] ? 2 : 0) +
    (singular(table.name).startsWith(`${parentWord}_`) ? 3 : 0) +
    (key.columns.some((column) => byTheWay.test(snake(column))) ? -5 : 0)
  )
}

/** A table that ties two others together: its key consists of exactly the keys of the two. */
export function isManyToMany(table: RelationInfo): boolean {
  const key = new Set(table.primaryKey?.columns ?? table.uniques[0]?.columns ?? [])
  const inside = table.foreignKeys.filter((each) => each.columns.every((column) => key.has(column)))
  const covered = new Set(inside.flatMap((each) => each.columns))
  return key.size > 0 && inside.length >= 2 && covered.size === key.size
}
