import type { RelationInfo } from '../../codegen/snapshot.js'
import type { Decision } from './decision.js'
import { soundsLikeTenants } from './kinds.js'
import { isLarge, lookupReason, personalColumns } from './lookup.js'
import type { Alternative, Kind } from './model.js'
import { identifier, path, qualified, singular, snake } from './names.js'
import type { OwnedTable } from './owners.js'
import { columnOf, type Schema } from './schema.js'
import { exempt, protectByColumn, share } from './statements.js'

const bookkeeping = new Set([
  'schema_migrations',
  'ar_internal_metadata',
  '_prisma_migrations',
  '__drizzle_migrations',
  'drizzle_migrations',
  'knex_migrations',
  'knex_migrations_lock',
  'kysely_migration',
  'kysely_migration_lock',
  'pgmigrations',
  'typeorm_migrations',
  'sequelizemeta',
  'flyway_schema_history',
  'databasechangelog',
  'databasechangeloglock',
  'alembic_version',
  'django_migrations',
  'goose_db_version',
])

/** A table from which no foreign key leads to an owner: a look-up, bookkeeping, or a question. */
export function withoutOwner(
  schema: Schema,
  table: RelationInfo,
  kinds: readonly Kind[],
  shared: ReadonlySet<string>,
  decided: ReadonlyMap<string, OwnedTable>,
): Decision {
  if (bookkeeping.has(table.name.toLowerCase())) {
    const why = 'bookkeeping of a migration tool'
    return decision(table, 'exempt', why, [exempt(table, why)])
  }
  const hints = [...byNameOnly(schema, table, kinds), ...polymorphic(table)]
  const people = personalColumns(table)
  const large = isLarge(schema, table)
  const tenants = soundsLikeTenants(table)
  if (!large && !tenants && people.length === 0 && hints.length === 0) {
    const reason = lookupReason(schema, table, shared)
    if (reason !== null) return decision(table, 'shared', reason, [share(table)])
  }
  const referenced = schema.referencing(table).some((each) => each.table !== table)
  const reason = [
    'nothing leads from it to an owner',
    ...(referenced ? [] : ['nothing references it']),
    ...(large ? ['it is too large for a look-up'] : []),
    ...(tenants ? ['it sounds like a table of tenants'] : []),
    ...(people.length > 0 ? [`what stands in ${people.join(', ')} looks personal`] : []),
  ].join(', ')
  const alternatives = [
    ...hints,
    ...fromReferencing(schema, table, decided),
    { statements: [share(table)], reason: 'everybody may read it' },
    {
      statements: [exempt(table, 'the application does not read it')],
      reason: 'it is nobody’s, and stays outside',
    },
  ]
  return { ...decision(table, 'undecided', reason, []), alternatives }
}

function decision(
  table: RelationInfo,
  kind: Decision['class'],
  reason: string,
  statements: readonly string[],
): Decision {
  return {
    table,
    class: kind,
    reason,
    statements,
    alternatives: [],
    notes: [],
    owned: null,
  }
}

/** Rows that belong to whoever points at them, such as addresses: the owner has to be added. */
function fromReferencing(
  schema: Schema,
  table: RelationInfo,
  decided: ReadonlyMap<string, OwnedTable>,
): Alternative[] {
  for (const { table: other, key } of schema.referencing(table)) {
    const owned = decided.get(path(other))
    const column = owned?.ownerColumn && columnOf(other, owned.ownerColumn)
    if (!owned || !column || columnOf(table, column.name)) continue
    const name = identifier(column.name)
    const join = key.columns
      .map(
        (each, index) =>
          `o.${identifier(each)} = t.${identifier(key.references.columns[index] ?? '')}`,
      )
      .join(' and ')
    return [
      {
        statements: [
          `alter table ${qualified(table)} add column if not exists ${name} ${column.sqlType};`,
          `update ${qualified(table)} t set ${name} = o.${name} from ${qualified(other)} o where ${join} and t.${name} is null;`,
          protectByColumn(table, { column: column.name, kind: owned.kind }),
        ],
        reason: `its rows belong to whoever references them from ${other.name} (all three statements)`,
      },
    ]
  }
  return []
}

/** Columns called like another table's key, though no foreign key says so. */
function byNameOnly(schema: Schema, table: RelationInfo, kinds: readonly Kind[]): Alternative[] {
  return table.columns.flatMap((column): Alternative[] => {
    const named = snake(column.name)
    const actor = kinds.find((kind) => !kind.main && named === `${kind.kind}_id`)
    if (actor) {
      return [
        {
          statements: [protectByColumn(table, { column: column.name, kind: actor })],
          reason: `${column.name} is called after ${actor.table.name}`,
        },
      ]
    }
    const parent = schema.tables.find(
      (other) => other !== table && named === `${singular(other.name)}_id`,
    )
    const key = parent?.primaryKey?.columns
    if (
      !parent ||
      key?.length !== 1 ||
      table.foreignKeys.some((fk) => fk.columns.includes(column.name))
    ) {
      return []
    }
    return [
      {
        statements: [
          `alter table ${qualified(table)} add foreign key (${identifier(column.name)}) references ${qualified(parent)};`,
        ],
        reason: `${column.name} is called after ${parent.name}: with the foreign key, survey again`,
      },
    ]
  })
}

/** `owner_type` and `owner_id`: whose row it is depends on the row. */
function polymorphic(table: RelationInfo): Alternative[] {
  const names = new Set(table.columns.map((column) => snake(column.name)))
  const prefix = [...names].find(
    (name) => name.endsWith('_type') && names.has(name.replace(/_type$/, '_id')),
  )
  return prefix
    ? [
        {
          statements: [],
          reason: `${prefix} says what ${prefix.replace(/_type$/, '_id')} points at: add an owner column, fill it, and protect by it`,
        },
      ]
    : []
}
