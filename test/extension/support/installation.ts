import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type pg from 'pg'
import { repositoryRoot } from '../../support/repository.js'
import { inject } from 'vitest'
import type { Template, TestDatabase, TestRole } from '../../support/database.js'
import { startServer, type TestServer } from '../../support/servers.js'

/** The two ways into a database. */
export type Path = 'extension' | 'script'

/** The ways that the running project's server knows: a container lacks the extension's files. */
export const paths: readonly Path[] =
  inject('server').installs === 'extension' ? ['extension', 'script'] : ['script']

/**
 * A server for tests that make, break and drop roles of the cluster. Never one that was given by
 * TENANTRY_TEST_URL, whose roles may be in use.
 */
export async function ownServer(): Promise<TestServer> {
  const { major } = inject('server')
  return startServer({ major, storage: 'memory', sources: ['embedded', 'machine', 'container'] })
}

export const noExtensionFiles = 'the server does not have the files of the extension'

/** Installs tenantry as whoever `client` is connected as. */
export async function installBy(path: Path, client: Pick<pg.ClientBase, 'query'>): Promise<void> {
  await client.query(path === 'extension' ? createExtension : script('install.sql'))
}

/** What `installBy` leaves, made once a server: for tests of what comes after, not of the installation. */
export function installedBy(path: Path): Template {
  return { name: `by_${path}`, empty: true, build: (admin) => installBy(path, admin) }
}

export const createExtension = 'create extension tenantry cascade'

/** One of the scripts that `node extension/build.mjs` writes. */
export function script(name: 'install.sql' | 'uninstall.sql'): string {
  return readFileSync(join(repositoryRoot, 'extension', name), 'utf8')
}

/** Makes `role` the owner of the database, as a hosting company would. */
export async function giveDatabaseTo(db: TestDatabase, role: TestRole): Promise<void> {
  await db.admin.query(`alter database "${db.name}" owner to "${role.name}"`)
}

/** What is left in the database of tenantry's: schemas, functions, relations, extension. */
export async function remains(client: Pick<pg.ClientBase, 'query'>): Promise<string[]> {
  const { rows } = await client.query<{ what: string }>(`
    select 'extension ' || extname as what from pg_extension where extname = 'tenantry'
    union all
    select 'schema ' || nspname from pg_namespace where nspname like 'tenantry%'
    union all
    select 'function ' || p.oid::regprocedure from pg_proc p
      join pg_namespace n on n.oid = p.pronamespace where n.nspname like 'tenantry%'
    union all
    select 'relation ' || c.oid::regclass from pg_class c
      join pg_namespace n on n.oid = c.relnamespace where n.nspname like 'tenantry%'
    union all
    select 'owned ' || c.oid::regclass from pg_class c where c.relowner::regrole::text like 'tenantry%'
    union all
    select 'trigger ' || tgname || ' on ' || tgrelid::regclass from pg_trigger
     where tgname like 'tenantry%' or tgfoid::regproc::text like 'tenantry%'
    union all
    select 'policy ' || polname || ' on ' || polrelid::regclass from pg_policy
     where polname like 'tenantry%' or pg_get_expr(polqual, polrelid) like '%tenantry%'
    union all
    select 'default of ' || adrelid::regclass from pg_attrdef
     where pg_get_expr(adbin, adrelid) like '%tenantry%'
     order by 1`)
  return rows.map(({ what }) => what)
}
