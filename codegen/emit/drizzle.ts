import type { ColumnInfo, ForeignKeyInfo, IndexInfo, RelationInfo, Snapshot } from '../snapshot.js'
import { drizzleHelper } from './drizzle-helper.js'

/** What stands on a table because tenantry put it there. */
interface Made {
  readonly defaults?: Record<string, string>
  readonly columns?: Record<string, { type: string; notNull: boolean; default: string | null }>
  readonly indexes?: Record<string, { unique: boolean; columns: readonly string[]; where?: string }>
  readonly keys?: Record<string, unknown>
  readonly policies: Record<string, unknown>
}

/**
 * A module that declares to `drizzle-kit push` what tenantry made, on top of the modules with the
 * application's own tables: what nobody declares, push drops.
 */
export function emitDrizzle(snapshot: Snapshot, modules: readonly string[]): string {
  const { relations, registry } = snapshot
  const made = Object.fromEntries(
    registry.tables.flatMap((registered) => {
      const table = relations.find((r) => same(r, registered))
      if (!table) return []
      const hidden = registry.concealed.filter((c) => same(c, table)).map(({ column }) => column)
      const additions = madeOn(table, registered.ownerColumn, hidden, referenced(snapshot, table))
      return additions ? [[`${table.schema}.${table.name}`, additions]] : []
    }),
  )
  const imports = modules
    .map((name, n) => `import * as declared${n} from ${JSON.stringify(name)}\n`)
    .join('')
  const again = modules.map((name) => `export * from ${JSON.stringify(name)}\n`).join('')
  const declared = modules.map((_, n) => `...Object.values(declared${n})`).join(', ')
  return drizzleHelper
    .replace('/* imports */\n', () => imports + again)
    .replace('/* made */', () => JSON.stringify(made, null, 2))
    .replace('/* declared */', () => declared)
}

const same = (
  a: { readonly schema: string; readonly name: string },
  b: { readonly schema: string; readonly name: string },
): boolean => a.schema === b.schema && a.name === b.name

function madeOn(
  table: RelationInfo,
  ownerColumn: string | null,
  hidden: readonly string[],
  referred: ReadonlySet<string>,
): Made | null {
  const policies = table.policies.filter(({ name }) => name.startsWith('tenantry_'))
  if (policies.length === 0) return null
  const owner = table.columns.find(({ name }) => name === ownerColumn)
  const added = table.columns.filter((c) => c === owner || hidden.includes(c.name))
  const indexes = table.indexes.filter(
    (i) => isOurs(i, hidden) && !referred.has(columnSet(i.columns)),
  )
  const keys = table.foreignKeys.filter(({ name }) => name.includes('tenantry_owner'))
  return {
    ...(owner?.default?.includes('tenantry.') && {
      defaults: { [owner.name]: asDrizzleReads(owner.default) },
    }),
    ...(added.length > 0 && { columns: named(added, column) }),
    ...(indexes.length > 0 && { indexes: named(indexes, indexOf) }),
    ...(keys.length > 0 && { keys: named(keys, key) }),
    policies: named(policies, (policy) => ({
      as: policy.permissive ? 'permissive' : 'restrictive',
      for: policy.command,
      to: policy.roles,
      ...(policy.using !== null && { using: policy.using }),
      ...(policy.check !== null && { withCheck: policy.check }),
    })),
  }
}

const named = <T extends { readonly name: string }, R>(
  items: readonly T[],
  of: (item: T) => R,
): Record<string, R> => Object.fromEntries(items.map((item) => [item.name, of(item)]))

const columnSet = (names: readonly (string | null)[]): string => JSON.stringify([...names].sort())

/** Columns that foreign keys refer to: drizzle-kit takes an index below them for a constraint, and does not look at it. */
function referenced({ relations }: Snapshot, table: RelationInfo): ReadonlySet<string> {
  const keys = relations.flatMap(({ foreignKeys }) => foreignKeys)
  return new Set(
    keys
      .filter(({ references }) => same(references, table))
      .map(({ references }) => columnSet(references.columns)),
  )
}

/** Whether tenantry made an index; of expressions it makes none. */
function isOurs(index: IndexInfo, hidden: readonly string[]): boolean {
  if (index.constraint !== null || index.columns.includes(null)) return false
  return (
    index.name.includes('tenantry_') || index.columns.some((name) => hidden.includes(name ?? ''))
  )
}

const column = ({ sqlType, notNull, default: value }: ColumnInfo) => ({
  type: sqlType,
  notNull,
  default: value === null ? null : asDrizzleReads(value),
})

const indexOf = ({ unique, columns, predicate }: IndexInfo) => ({
  unique,
  columns: columns.flatMap((name) => name ?? []),
  ...(predicate !== null && { where: predicate }),
})

const key = ({ columns, references, onUpdate, onDelete }: ForeignKeyInfo) => ({
  columns,
  references: `${references.schema}.${references.name}`,
  foreignColumns: references.columns,
  onUpdate,
  onDelete,
})

/** A default as drizzle-kit reads it from the catalog: it cuts a text that ends in a cast at the first one. */
function asDrizzleReads(value: string): string {
  return value.replace(/::(.*?)(?<![^\w"])(?=$)/, '')
}
