import type { ClientBase } from 'pg'
import { CliError } from './errors.js'

/** The installed version; null where tenantry is not installed. */
export async function installedVersion(client: ClientBase): Promise<string | null> {
  const { rows } = await client.query<{ there: boolean }>(
    `select pg_catalog.to_regprocedure('tenantry.version()') is not null as there`,
  )
  if (!rows[0]?.there) return null
  const version = await client.query<{ version: string }>('select tenantry.version() as version')
  return version.rows[0]?.version ?? null
}

/** @throws CliError `NOT_INSTALLED` */
export async function requireTenantry(client: ClientBase): Promise<string> {
  const version = await installedVersion(client)
  if (version === null) {
    throw new CliError('NOT_INSTALLED', 'tenantry is not installed in this database.', {
      hint: 'Run: tenantry install',
    })
  }
  return version
}

/**
 * Setting up takes a superuser or a tenantry admin; the server would only say that permission is denied.
 *
 * @throws CliError `NOT_INSTALLED`, `NOT_ADMIN`
 */
export async function requireAdmin(client: ClientBase): Promise<void> {
  await requireTenantry(client)
  const { rows } = await client.query<{ name: string; quoted: string; admin: boolean }>(
    `select r.rolname as name, pg_catalog.quote_literal(r.rolname) as quoted,
            r.rolsuper or pg_catalog.pg_has_role(r.oid, 'tenantry_admin', 'member') as admin
       from pg_catalog.pg_roles r where r.rolname = session_user`,
  )
  const login = rows[0]
  if (login?.admin) return
  throw new CliError('NOT_ADMIN', `${login?.name ?? 'This login'} is no admin of tenantry here.`, {
    hint: `A superuser or a tenantry admin runs: select * from tenantry.allow(${login?.quoted ?? ''}, 'admin');`,
  })
}
