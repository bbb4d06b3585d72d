import { randomBytes } from 'node:crypto'
import pg from 'pg'
import { assertOrdinaryRole } from '../guard.js'
import { withLogin } from '../server/url.js'

export interface RoleOptions {
  /** Runs `tenantry.allow(role, …)`. */
  readonly allow?: 'user' | 'admin'
  /** Further words for `create role`, such as 'bypassrls'. */
  readonly attributes?: string
  /** `false` lets a role in that the guard refuses: only to test how tenantry refuses it. */
  readonly ordinary?: boolean
}

/** A login role of one test database. */
export interface TestRole {
  /** The role's name; unique in the cluster, since roles are. */
  readonly name: string
  readonly password: string
  readonly url: string
  /** A pool whose connections pass the guard before a test gets them. Ended by `db.drop()`. */
  pool(config?: pg.PoolConfig): pg.Pool
  /** A connected client that passed the guard. Ended by `db.drop()`. */
  connect(config?: pg.ClientConfig): Promise<pg.Client>
}

/** What a role needs of its database. */
export interface RoleHome {
  readonly url: string
  readonly admin: pg.Pool
  /** Remembers what has to be closed before the database can go. */
  readonly closeLater: (close: () => Promise<void>) => void
}

export async function createRole(
  home: RoleHome,
  name: string,
  options: RoleOptions,
): Promise<TestRole> {
  const password = randomBytes(12).toString('base64url')
  const { attributes = '', allow, ordinary = true } = options
  await home.admin.query(
    `create role ${pg.escapeIdentifier(name)} login ${attributes} password '${password}'`,
  )
  if (allow) await home.admin.query('select tenantry.allow($1, $2)', [name, allow])
  const url = withLogin(home.url, name, password)
  const guard = async (client: Pick<pg.ClientBase, 'query'>) => {
    if (ordinary) await assertOrdinaryRole(client)
  }
  return {
    name,
    password,
    url,
    pool(config) {
      const onConnect = async (client: pg.ClientBase) => {
        await guard(client)
        await Promise.resolve(config?.onConnect?.(client)) // pg awaits it, whatever its type says
      }
      const pool = new pg.Pool({ connectionString: url, max: 5, ...config, onConnect })
      home.closeLater(() => (pool.ended ? Promise.resolve() : pool.end()))
      return pool
    },
    async connect(config) {
      const client = new pg.Client({ connectionString: url, ...config })
      await client.connect()
      home.closeLater(() => client.end())
      await guard(client)
      return client
    },
  }
}
