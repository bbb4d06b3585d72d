import type { RelationInfo } from '../../codegen/snapshot.js'
import type { Decision } from './decision.js'
import type { Alternative, Kind } from './model.js'
import { identifier, path, qualified, singular, snake, words } from './names.js'
import { rowsOf, type Schema } from './schema.js'
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

const personal = new Set(
  'email mail phone password secret token session ip address birthday ssn iban'.split(' '),
)

/** More rows than this are no look-up table, whoever references it. */
const largeForLookup = 100_000

/** A table from which no foreign key leads to an owner: a look-up, bookkeeping, or a question. */
export function withoutOwner(
  schema: Schema,
  table: RelationInfo,
  kinds: readonly Kind[],
  shared: ReadonlySet<string>,
): Decision {
  if (bookkeeping.has(table.name.toLowerCase())) {
    const why = 'bookkeeping of a migration tool'
    return decision(table, 'exempt', why, [exempt(table, why)])
  }
  const references = new Set(schema.referencing(table).map((each) => each.table.name))
  references.delete(table.name)
  const hints = [...byNameOnly(schema, table, kinds), ...polymorphic(table)]
  const rows = rowsOf(table)
  const large = rows !== null && rows > largeForLookup
  const people = table.columns.filter((column) =>
    words(column.name).some((word) => personal.has(word)),
  )
  if (!large && people.length === 0 && hints.length === 0) {
    if (references.size > 0) {
      const reason = `nothing leads from it to an owner, and ${references.size === 1 ? 'one table references' : `${references.size} tables reference`} it`
      return decision(table, 'shared', reason, [share(table)])
    }
    const lookups = table.foreignKeys.filter((key) => shared.has(path(key.references)))
    if (lookups.length > 0 && lookups.length === table.foreignKeys.length) {
      const names = [...new Set(lookups.map((key) => key.references.name))].join(' and ')
      return decision(table, 'shared', `it only adds to ${names}, which are shared`, [share(table)])
    }
  }
  const reason = [
    'nothing leads from it to an owner',
    ...(references.size === 0 ? ['nothing references it'] : []),
    ...(large ? ['it is too large for a look-up'] : []),
    ...(people.length > 0
      ? [`what stands in ${people.map((column) => column.name).join(', ')} looks personal`]
      : []),
  ].join(', ')
  const alternatives = [
    ...hints,
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
