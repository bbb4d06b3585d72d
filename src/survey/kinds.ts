import type { RelationInfo, Snapshot } from '../../codegen/snapshot.js'
import type { Kind } from './model.js'
import { path, singular, snake, words } from './names.js'
import { columnOf, type Schema } from './schema.js'

/** What a table of tenants is usually called; the survey only ever proposes, the file is edited. */
const tenantWords = new Set(
  (
    'account organization organisation org tenant workspace company team merchant store shop ' +
    'customer client site club school clinic agency business studio household'
  ).split(' '),
)
const actorWords = new Set(['user', 'agent', 'bot', 'person', 'profile'])

const idTypes = new Set(
  ['uuid', 'int8', 'int4', 'int2', 'text', 'varchar'].map((name) => `pg_catalog.${name}`),
)

export class UnknownKindTable extends Error {
  readonly code = 'UNKNOWN_KIND_TABLE'
}

/** Kinds named by hand: `account=accounts` or `account=billing.accounts`. */
export type NamedKinds = Readonly<Record<string, string>>

/**
 * Finds the tables whose ids own rows. The main kind is the table of tenants that most tables point
 * at; users and agents that belong to it are kinds as well, because they act.
 */
export function findKinds(schema: Schema, snapshot: Snapshot, named: NamedKinds = {}): Kind[] {
  const registered = snapshot.registry.kinds.flatMap((known): Kind[] => {
    const table = known.relation && schema.find(known.relation)
    if (!table || !known.idColumn) return []
    return [
      {
        kind: known.kind,
        table,
        idColumn: known.idColumn,
        owner:
          known.ownerColumn && known.ownerKind
            ? { column: known.ownerColumn, kind: known.ownerKind }
            : null,
        actsForOwner: known.actsForOwner,
        main: known.ownerKind === null,
        reason: 'registered already',
        registered: true,
      },
    ]
  })
  if (registered.some((kind) => kind.main)) {
    const references = (kind: Kind) => directReferences(schema, kind.table)
    return registered.sort(
      (a, b) => Number(b.main) - Number(a.main) || references(b) - references(a),
    )
  }

  const chosen = Object.entries(named).map(([kind, name]) => namedKind(schema, kind, name))
  const main = chosen.length > 0 ? chosen : guessMain(schema)
  const taken = new Set(main.map((kind) => path(kind.table)))
  const actors = schema.tables.flatMap((table): Kind[] => {
    if (taken.has(path(table)) || !actorWords.has(lastWord(table))) return []
    const idColumn = singleKey(schema, table)
    if (!idColumn) return []
    const owner = ownerAmong(table, main)
    if (!owner && directReferences(schema, table) === 0) return []
    return [
      {
        kind: kindName(table),
        table,
        idColumn,
        owner: owner && { column: owner.column, kind: owner.kind.kind },
        actsForOwner: false,
        main: owner === null,
        reason: owner
          ? `each belongs to one ${owner.kind.kind} (${owner.column}), and acts`
          : 'they act, and belong to nobody else',
        registered: false,
      },
    ]
  })
  const known = [...main, ...actors.filter((kind) => kind.main)]
  return [...main, ...actors, ...otherTenants(schema, known, actors)]
}

/** Further tables of tenants: referenced, and belonging to nobody else. */
function otherTenants(schema: Schema, main: readonly Kind[], actors: readonly Kind[]): Kind[] {
  const taken = new Set([...main, ...actors].map((kind) => path(kind.table)))
  return schema.tables.flatMap((table): Kind[] => {
    const idColumn = singleKey(schema, table)
    if (!idColumn || taken.has(path(table)) || !tenantWords.has(lastWord(table))) return []
    if (schema.referencing(table).length === 0 || belongsToSomebody(schema, table, main)) return []
    return [
      {
        kind: kindName(table),
        table,
        idColumn,
        owner: null,
        actsForOwner: false,
        main: true,
        reason: 'they are referenced, and belong to nobody else',
        registered: false,
      },
    ]
  })
}

/** Whether foreign keys or names lead from the table to one of the kinds, over any number of steps. */
function belongsToSomebody(
  schema: Schema,
  table: RelationInfo,
  kinds: readonly Kind[],
  seen: ReadonlySet<string> = new Set(),
): boolean {
  const targets = new Set(kinds.map((kind) => path(kind.table)))
  const names = new Set(kinds.map((kind) => `${singular(kind.table.name)}_id`))
  if (table.columns.some((column) => names.has(snake(column.name)))) return true
  return table.foreignKeys.some((key) => {
    const to = path(key.references)
    if (targets.has(to)) return true
    const parent = schema.find(key.references)
    return (
      parent !== undefined &&
      !seen.has(to) &&
      belongsToSomebody(schema, parent, kinds, new Set([...seen, to]))
    )
  })
}

function namedKind(schema: Schema, kind: string, name: string): Kind {
  const table = schema.tables.find((each) => path(each) === name || each.name === name)
  const idColumn = table && singleKey(schema, table)
  if (!table || !idColumn) {
    throw new UnknownKindTable(
      table
        ? `${path(table)} cannot be the table of kind ${kind}: it needs a primary key of one uuid, integer or text column.`
        : `There is no table ${name} for kind ${kind}. Write --kind ${kind}=schema.table.`,
    )
  }
  return {
    kind,
    table,
    idColumn,
    owner: null,
    actsForOwner: false,
    main: true,
    reason: 'named with --kind',
    registered: false,
  }
}

function guessMain(schema: Schema): Kind[] {
  const candidates = schema.tables
    .flatMap((table) => {
      const idColumn = singleKey(schema, table)
      if (!idColumn) return []
      const references = directReferences(schema, table)
      const word = lastWord(table)
      const known = tenantWords.has(word) ? 2 : actorWords.has(word) ? 1 : 0
      return known > 0 ? [{ table, idColumn, references, known }] : []
    })
    .sort((a, b) => b.references - a.references || b.known - a.known)
  const best = candidates[0]
  if (!best) return []
  const others = candidates
    .slice(1, 4)
    .map((each) => `${each.table.name} ${each.references}`)
    .join(', ')
  return [
    {
      kind: kindName(best.table),
      table: best.table,
      idColumn: best.idColumn,
      owner: null,
      actsForOwner: false,
      main: true,
      reason:
        `${best.references === 1 ? '1 table points' : `${best.references} tables point`} at it` +
        (others ? ` (next: ${others} tables)` : ''),
      registered: false,
    },
  ]
}

/** Tables that name this one's key, by foreign key or by a column called after it. */
function directReferences(schema: Schema, table: RelationInfo): number {
  const byKey = schema.referencing(table).map((reference) => path(reference.table))
  const byName = schema.tables
    .filter((other) =>
      other.columns.some((column) => snake(column.name) === `${singular(table.name)}_id`),
    )
    .map(path)
  return new Set([...byKey, ...byName].filter((name) => name !== path(table))).size
}

/** The key column that can identify an entity, if the primary key is one column of a fitting type. */
function singleKey(schema: Schema, table: RelationInfo): string | null {
  const [name, ...more] = table.primaryKey?.columns ?? []
  const column = name === undefined ? undefined : columnOf(table, name)
  if (!column || more.length > 0) return null
  return idTypes.has(schema.baseType(column) ?? '') ? column.name : null
}

function ownerAmong(table: RelationInfo, kinds: readonly Kind[]) {
  for (const kind of kinds) {
    const key = table.foreignKeys.find(
      (each) => each.columns.length === 1 && path(each.references) === path(kind.table),
    )
    const column = key?.columns[0] && columnOf(table, key.columns[0])
    if (column) return { kind, column: column.name }
  }
  return null
}

/** Whether a table is called like one of tenants or people, whom nobody shares. */
export const soundsLikeTenants = (table: RelationInfo): boolean =>
  isTenant(table) || actorWords.has(lastWord(table))

/** Whether a table is called after what people are members of, rather than after people. */
export const isTenant = (table: RelationInfo): boolean => tenantWords.has(lastWord(table))

const lastWord = (table: RelationInfo): string => words(singular(table.name)).at(-1) ?? ''

/** `tbl_accounts` is a table of accounts: the kind is called by its last word. */
function kindName(table: RelationInfo): string {
  return lastWord(table)
}
