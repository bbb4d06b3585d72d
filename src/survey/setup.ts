import type { Snapshot } from '../../codegen/snapshot.js'
import type { Facts } from './facts.js'
import type { Survey } from './model.js'
import { counted, identifier, literal } from './names.js'
import { createRole, type Ownership } from './ownership.js'
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
  ownership: Ownership,
  runtimeLogin: string | undefined,
): Setup {
  const login =
    runtimeLogin ??
    `${ownership.newOwner === null ? (ownership.main ?? 'application') : facts.database}_runtime`
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
        `\\password ${login} in psql, and put it into DATABASE_URL. (This block takes a superuser.)`,
      statements: [createRole(login, 'login'), `select tenantry.allow(${literal(login)}, 'user');`],
    },
    ...(ownership.newOwner === null ? [] : [newOwner(ownership, ownership.newOwner, schemas)]),
    ...schemas.map((name) => manageSchema(name, ownership.ownerOf(name))),
  ]
  return { blocks, warnings: warnings(schema, snapshot, facts, ownership, login) }
}

function newOwner(
  ownership: Ownership,
  name: string,
  schemas: readonly string[],
): Survey['setup'][number] {
  const grants = schemas.map(
    (schema) => `grant usage, create on schema ${identifier(schema)} to ${identifier(name)};`,
  )
  return {
    reason:
      `${ownership.unbound.join(', ')} is bound by no policy, and neither is what runs as the owner of its tables, so ` +
      `${name} becomes their owner. Migrations run as ${name}: set role ${identifier(name)}.`,
    statements: [createRole(name, 'nologin'), ...grants],
  }
}

function manageSchema(name: string, owner: string | null): Survey['setup'][number] {
  const role = owner === null ? '' : `, migration_role => ${literal(owner)}`
  return {
    reason: `Schema ${name}: migrations run as ${owner ?? 'whoever owns its tables'}, the application does not.`,
    statements: [`select tenantry.manage_schema(${literal(name)}${role});`],
  }
}

function warnings(
  schema: Schema,
  snapshot: Snapshot,
  facts: Facts,
  ownership: Ownership,
  login: string,
): string[] {
  const owners = [...new Set(schema.tables.map((table) => table.owner))].sort()
  const ownerLogins = owners.filter(
    (owner) => facts.roles.get(owner)?.login && !ownership.unbound.includes(owner),
  )
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
    ...(ownership.unbound.length > 0
      ? [
          `${ownership.unbound.join(', ')} owns tables and is bound by no policy: below, ${ownership.newOwner ?? ''} becomes ` +
            `their owner. The application must connect as ${login}, which owns nothing.`,
        ]
      : []),
    ...(unknown > 0
      ? [
          `${counted(unknown, 'table')} never analysed: the times below are too low. Run analyze first.`,
        ]
      : []),
  ]
}
