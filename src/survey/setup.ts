import type { Snapshot } from '../../codegen/snapshot.js'
import type { Facts } from './facts.js'
import type { Survey } from './model.js'
import { identifier, literal } from './names.js'
import { rowsOf, type Schema } from './schema.js'

interface Setup {
  readonly blocks: Survey['setup']
  readonly warnings: readonly string[]
}

/** What comes before the tables: keys, the login of the application, the role of migrations. */
export function setupFor(
  schema: Schema,
  snapshot: Snapshot,
  facts: Facts,
  runtimeLogin: string | undefined,
): Setup {
  const owners = [...new Set(schema.tables.map((table) => table.owner))].sort()
  const mainOwner = mostFrequent(schema.tables.map((table) => table.owner))
  const login = runtimeLogin ?? `${mainOwner ?? 'application'}_runtime`
  const schemas = [...new Set(schema.tables.map((table) => table.schema))].sort()
  const blocks = [
    {
      reason:
        'The key that contexts are signed with is made here, once, and never leaves the database.',
      statements: ['select tenantry.initialise();'],
    },
    {
      reason:
        `The application's login from now on. It owns nothing. Give it a password with ` +
        `\\password ${login} in psql, and put it into DATABASE_URL.`,
      statements: [
        createLogin(login),
        `select tenantry.allow(${literal(login)}, 'user');`,
        ...schemas.map(
          (name) => `grant usage on schema ${identifier(name)} to ${identifier(login)};`,
        ),
      ],
    },
    ...schemas.map((name) => manageSchema(name, schema, facts)),
  ]
  return { blocks, warnings: warnings(schema, snapshot, facts, owners, login) }
}

function createLogin(login: string): string {
  return [
    'do $$ begin',
    `  if not exists (select from pg_roles where rolname = ${literal(login)}) then`,
    `    create role ${identifier(login)} login;`,
    '  end if;',
    'end $$;',
  ].join('\n')
}

function manageSchema(name: string, schema: Schema, facts: Facts): Survey['setup'][number] {
  const owner = mostFrequent(
    schema.tables.filter((table) => table.schema === name).map((table) => table.owner),
  )
  const role = owner === null ? undefined : facts.roles.get(owner)
  if (owner === null || !role || role.superuser) {
    return {
      reason: `Schema ${name}: migrations run as the superuser that owns its tables.`,
      statements: [`select tenantry.manage_schema(${literal(name)});`],
    }
  }
  return {
    reason: `Schema ${name}: ${owner} owns its tables. Migrations go on running as ${owner}, the application does not.`,
    statements: [
      `select tenantry.manage_schema(${literal(name)}, migration_role => ${literal(owner)});`,
    ],
  }
}

function warnings(
  schema: Schema,
  snapshot: Snapshot,
  facts: Facts,
  owners: readonly string[],
  login: string,
): string[] {
  const ownerLogins = owners.filter((owner) => facts.roles.get(owner)?.login)
  const superusers = owners.filter((owner) => facts.roles.get(owner)?.superuser)
  const unknown = schema.tables.filter((table) => rowsOf(table) === null).length
  return [
    ...(snapshot.registry.installed
      ? []
      : ['tenantry is not installed in this database yet: run tenantry install first.']),
    ...(ownerLogins.length > 0
      ? [
          `${ownerLogins.join(', ')} can log in and own${ownerLogins.length === 1 ? 's' : ''} tables. Whoever owns a table can lift its ` +
            `isolation, so the application must connect as ${login} instead.`,
        ]
      : []),
    ...(superusers.length > 0
      ? [
          `${superusers.join(', ')}: a superuser owns tables. A superuser is bound by no policy, and the functions and ` +
            `views it owns are not either. Better: alter table … owner to a role that is none.`,
        ]
      : []),
    ...(unknown > 0
      ? [
          `${unknown} tables were never analysed, so their times below are too low: run analyze first.`,
        ]
      : []),
  ]
}

function mostFrequent(names: readonly string[]): string | null {
  const counts = new Map<string, number>()
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1)
  return [...counts].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1))[0]?.[0] ?? null
}
