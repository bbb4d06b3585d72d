import { createHash } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import pg from 'pg'
import { repositoryRoot } from '../repository.js'
import { extensionFiles } from '../server/extension-files.js'
import type { ServerDescription } from '../server/types.js'
import { withDatabase } from '../server/url.js'

/** A database that is built once per server and then cloned. */
export interface Template {
  /** Says in the database's name what it is. */
  readonly name: string
  /** Whatever the content depends on: SQL text, or paths of files below the checkout. */
  readonly sql?: readonly string[]
  /** Stands on a database without tenantry, which `build` installs in a way of its own. */
  readonly empty?: boolean
  /** Fills the new database; runs as the superuser, with tenantry installed. */
  readonly build: (admin: pg.Client) => Promise<void>
}

const installScript = join(repositoryRoot, 'extension', 'install.sql')

/** The name of a database with tenantry installed and nothing else; made when it is missing. */
export async function installedTemplate(server: ServerDescription): Promise<string> {
  const name = databaseName(server, 'tenantry', installationKey())
  await ensure(server, name, 'template1', (admin) => install(server, admin))
  return name
}

/** The name of a database filled by `template.build`; made when it is missing. */
export async function filledTemplate(
  server: ServerDescription,
  template: Template,
): Promise<string> {
  const parts = (template.sql ?? []).map(textOf)
  const key = hash([installationKey(), template.name, template.build.toString(), ...parts])
  const name = databaseName(server, template.name, key)
  if (await exists(server, name)) return name
  const base = template.empty ? 'template1' : await installedTemplate(server)
  await ensure(server, name, base, (admin) => template.build(admin))
  return name
}

/** Installs tenantry in the database that `admin` is connected to. */
export async function install(server: ServerDescription, admin: pg.Client): Promise<void> {
  const script = server.installs === 'extension' ? createExtension : readInstallScript()
  try {
    await admin.query(script)
    await admin.query(acceptServer)
  } catch (error) {
    throw error instanceof pg.DatabaseError ? located(error, script) : error
  }
}

/** Tests run on whatever servers there are; which fixes theirs lack is not what they are about. */
export const acceptServer = `select tenantry.configure('accepted_server', v / 10000 || '.' || v % 10000)
  from (select current_setting('server_version_num')::integer as v) as server`

const createExtension = 'create extension tenantry cascade'

function readInstallScript(): string {
  if (existsSync(installScript)) return readFileSync(installScript, 'utf8')
  throw new Error(`${installScript} is missing: run "make build"`)
}

/** Says where in thousands of lines the error is, which the message itself does not. */
function located(error: pg.DatabaseError, script: string): Error {
  const before = script.slice(0, Number(error.position ?? 0))
  const line = error.position ? `line ${before.split('\n').length} of install.sql` : ''
  const where = [line, error.where].filter(Boolean).join('\n')
  return new Error(`tenantry cannot be installed: ${error.message}\n${where}`, { cause: error })
}

/**
 * Many workers may want the same template at once: the first that gets the lock builds it.
 * It takes its final name when it is complete, and nobody can connect to it from then on, so
 * that a clone never finds it in use.
 */
async function ensure(
  server: ServerDescription,
  name: string,
  base: string,
  build: (admin: pg.Client) => Promise<void>,
): Promise<void> {
  if (await exists(server, name)) return
  await withAdmin(server.url, async (maintenance) => {
    await maintenance.query('select pg_advisory_lock(hashtext($1))', [name])
    if (await exists(server, name)) return
    const unfinished = `${name}_unfinished`
    await maintenance.query(`drop database if exists "${unfinished}" with (force)`)
    await maintenance.query(createDatabase(unfinished, base))
    await withAdmin(withDatabase(server.url, unfinished), build)
    await maintenance.query(`alter database "${unfinished}" with allow_connections false`)
    await maintenance.query(`alter database "${unfinished}" rename to "${name}"`)
  })
}

/** Copying files beats writing every page to the log, and needs no durability here. */
export function createDatabase(name: string, template: string): string {
  return `create database "${name}" template "${template}" strategy file_copy`
}

export async function withAdmin<T>(url: string, use: (admin: pg.Client) => Promise<T>): Promise<T> {
  const admin = new pg.Client({ connectionString: url })
  await admin.connect()
  try {
    return await use(admin)
  } finally {
    await admin.end()
  }
}

async function exists(server: ServerDescription, name: string): Promise<boolean> {
  return withAdmin(server.url, async (admin) => {
    const found = await admin.query('select from pg_database where datname = $1', [name])
    return found.rowCount === 1
  })
}

function installationKey(): string {
  const files = extensionFiles().map((name) => join(repositoryRoot, 'extension', name))
  return hash(
    [...files, installScript].filter(existsSync).map((file) => readFileSync(file, 'utf8')),
  )
}

function databaseName(server: ServerDescription, name: string, key: string): string {
  return `template_${server.runId}_${name.replace(/[^a-z0-9]+/gi, '_').slice(0, 16)}_${key}`
}

function textOf(sqlOrFile: string): string {
  const file = join(repositoryRoot, sqlOrFile.includes('\n') ? '' : sqlOrFile)
  return /\.\w+$/.test(sqlOrFile) && existsSync(file) ? readFileSync(file, 'utf8') : sqlOrFile
}

function hash(parts: readonly string[]): string {
  const sum = createHash('sha256')
  for (const part of parts) sum.update(part).update('\0')
  return sum.digest('hex').slice(0, 12)
}
