import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type pg from 'pg'
import { repositoryRoot } from '../../support/repository.js'
import type { TestDatabase, TestRole } from '../../support/database.js'

/** The two ways into a database. */
export type Path = 'extension' | 'script'
export const paths: readonly Path[] = ['extension', 'script']

export const noExtensionFiles = 'the server does not have the files of the extension'

/** Installs tenantry as whoever `client` is connected as. */
export async function installBy(path: Path, client: Pick<pg.ClientBase, 'query'>): Promise<void> {
  await client.query(path === 'extension' ? createExtension : script('install.sql'))
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
