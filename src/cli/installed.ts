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
