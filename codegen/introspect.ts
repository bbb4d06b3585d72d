import type { ClientBase } from 'pg'
import { catalogSql, pinnedSettings, probeSql } from './catalog/query.js'
import { CodegenError } from './errors.js'
import type { Snapshot } from './snapshot.js'

/** The group that `tenantry.allow` gives every application login. */
export const defaultRole = 'tenantry_user'

export interface IntrospectOptions {
  /** Only these schemas; without it every schema but the system's and tenantry's own. */
  readonly schemas?: readonly string[]
  /**
   * Whose privileges to compute, inherited ones included. Default: `tenantry_user`;
   * `null` computes none.
   */
  readonly role?: string | null
  /** Add the planner's row estimates, which are the one thing here that changes by itself. */
  readonly estimates?: boolean
  /** List partitions beside the partitioned tables they belong to. */
  readonly partitions?: boolean
}

/**
 * Reads the catalog in one query, inside one read-only snapshot of the database. The client must
 * not be in a transaction, because this opens and ends one of its own.
 */
export async function introspect(
  client: ClientBase,
  options: IntrospectOptions = {},
): Promise<Snapshot> {
  const role = options.role === undefined ? defaultRole : options.role
  if (inTransaction(client)) {
    throw new CodegenError(
      'IN_TRANSACTION',
      'introspect() opens a transaction of its own: commit or roll back the open one first.',
    )
  }
  await client.query('begin transaction isolation level repeatable read, read only')
  try {
    await client.query(pinnedSettings)
    const probe = await client.query<Probe>(probeSql, [role])
    const found = probe.rows[0]
    if (!found?.role) throw missingRole(role)
    if (!found.readable) throw await unreadable(client)
    const { rows } = await client.query<{ snapshot: string }>(catalogSql(found), [
      options.schemas ?? null,
      role,
      options.estimates ?? false,
      options.partitions ?? false,
    ])
    const snapshot = JSON.parse(rows[0]?.snapshot ?? 'null') as Snapshot | null
    if (!snapshot) throw new CodegenError('NO_CATALOG', 'The catalog query returned no row.')
    assertSchemas(snapshot, options.schemas)
    await client.query('commit')
    return snapshot
  } catch (error) {
    // The first error is the one worth reading; a rollback can only fail on a dead connection.
    await client.query('rollback').catch(() => undefined)
    throw error
  }
}

interface Probe {
  readonly registry: boolean
  readonly secrets: boolean
  readonly readable: boolean
  readonly role: boolean
}

function inTransaction(client: ClientBase): boolean {
  const status = client.getTransactionStatus()
  return status === 'T' || status === 'E'
}

async function unreadable(client: ClientBase): Promise<CodegenError> {
  const { rows } = await client.query<{ name: string }>(
    'select quote_literal(current_user) as name',
  )
  return new CodegenError(
    'REGISTRY_UNREADABLE',
    'This login may not read what tenantry knows about the database. ' +
      `Run select tenantry.allow(${rows[0]?.name}) as a tenantry admin, or connect as one who may.`,
  )
}

function missingRole(role: string | null): CodegenError {
  return new CodegenError(
    'UNKNOWN_ROLE',
    `There is no role ${JSON.stringify(role)} in this database cluster. ` +
      (role === defaultRole
        ? 'Install tenantry first, or name the role your application logs in as with --role.'
        : 'Name the role your application logs in as with --role.'),
  )
}

function assertSchemas(snapshot: Snapshot, wanted: readonly string[] = []): void {
  const missing = wanted.filter((name) => !snapshot.schemas.some((schema) => schema.name === name))
  if (missing.length > 0) {
    throw new CodegenError(
      'UNKNOWN_SCHEMA',
      `There is no schema ${missing.map((name) => JSON.stringify(name)).join(', ')} in this database.`,
    )
  }
}
