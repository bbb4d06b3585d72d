import { randomBytes } from 'node:crypto'
import pg from 'pg'
import type { Major, ServerDescription } from '../server/types.js'
import { withDatabase } from '../server/url.js'
import { dropDatabase } from './drop.js'
import { createRole, type RoleOptions, type TestRole } from './role.js'
import { createDatabase, filledTemplate, installedTemplate } from './template.js'
import { withAdmin, type Template } from './template.js'

export interface TestDatabaseOptions {
  /** Clones a database filled like this instead of one that only has tenantry installed. */
  readonly template?: Template
  /** A database without tenantry, for tests of the installation itself. */
  readonly empty?: boolean
}

/** A database of its own for one test file. */
export interface TestDatabase {
  readonly name: string
  readonly major: Major
  readonly server: ServerDescription
  /** The superuser, to set things up. What is to be proved is proved through `role()`. */
  readonly admin: pg.Pool
  /** Connection URL of the superuser, or of a role. */
  url(role?: TestRole): string
  /** Makes an ordinary LOGIN role whose name starts with `name`. */
  role(name: string, options?: RoleOptions): Promise<TestRole>
  /** Closes every pool and client, then drops the database and the roles. */
  drop(): Promise<void>
}

/** Clones a template on a server that the caller started. */
export async function databaseOn(
  server: ServerDescription,
  options: TestDatabaseOptions = {},
): Promise<TestDatabase> {
  const suffix = `${server.runId}_${randomBytes(4).toString('hex')}`
  const name = `test_${suffix}`
  const template = await templateName(server, options)
  await withAdmin(server.url, (maintenance) => maintenance.query(createDatabase(name, template)))

  const url = withDatabase(server.url, name)
  const admin = new pg.Pool({ connectionString: url, max: 4 })
  const toClose: (() => Promise<void>)[] = [() => admin.end()]
  const roles: string[] = []
  return {
    name,
    major: server.major,
    server,
    admin,
    url: (role) => role?.url ?? url,
    async role(wanted, roleOptions = {}) {
      const roleName = `${wanted.slice(0, 40)}_${suffix}`
      if (roles.includes(roleName)) throw new Error(`role "${wanted}" exists already`)
      const home = { url, admin, closeLater: (close: () => Promise<void>) => toClose.push(close) }
      roles.push(roleName)
      return createRole(home, roleName, roleOptions)
    },
    async drop() {
      await Promise.all(toClose.splice(0).map((close) => close()))
      await withAdmin(server.url, async (maintenance) => {
        await dropDatabase(maintenance, name)
        for (const role of roles.splice(0)) {
          await maintenance.query(`drop role if exists ${pg.escapeIdentifier(role)}`)
        }
      })
    },
  }
}

async function templateName(
  server: ServerDescription,
  { template, empty = false }: TestDatabaseOptions,
): Promise<string> {
  if (empty) return 'template1'
  return template ? filledTemplate(server, template) : installedTemplate(server)
}
