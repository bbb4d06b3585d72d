import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import pg from 'pg'
import { deriveKeyShare, deriveSigningKey } from '../../src/credential.js'
import { databaseOn, type TestDatabase } from '../support/database/clone.js'
import type { TestRole } from '../support/database/role.js'
import { repositoryRoot } from '../support/repository.js'
import { startServer, type TestServer } from '../support/servers.js'
import {
  type ElizaosTruth,
  fixturePath,
  type LoadProgress,
  loadElizaos,
} from '../fixtures/elizaos/generator.js'

/** Everything the demo plays with. */
export interface Stage {
  readonly server: TestServer
  readonly db: TestDatabase
  readonly truth: ElizaosTruth
  /** What a real application would keep in TENANTRY_SECRET. */
  readonly secret: string
  /** The application's login. */
  readonly app: TestRole
  /** A login that row-level security does not bind: the naive application, for comparison. */
  readonly unbound: TestRole
  /** Somebody with a login of their own, in psql. */
  readonly person: TestRole
  end(): Promise<void>
}

/** What is set up step by step, and is whole at the end. */
export class Scenery {
  server: TestServer | undefined
  db: TestDatabase | undefined
  truth: ElizaosTruth | undefined
  readonly secret = randomBytes(32).toString('base64url')

  async startServer(onProgress: (line: string) => void): Promise<string> {
    this.server = await startServer({ major: 18, onProgress })
    return this.server.source
  }

  /** Clones a database in which the package was installed. */
  async install(): Promise<void> {
    if (!this.server) throw new Error('no server')
    this.db = await databaseOn(this.server)
  }

  async load(onProgress: (progress: LoadProgress) => void): Promise<void> {
    this.truth = await this.withAdmin((client) =>
      loadElizaos(client, { schema: 'later', size: 'demo', onProgress }),
    )
  }

  /** Runs the fixture's declarations, and registers the application's key. */
  async protect(): Promise<void> {
    await this.withAdmin(async (client) => {
      await client.query(readFileSync(fixturePath('protect.sql'), 'utf8'))
      const key = deriveSigningKey(this.secret)
      await client.query('select tenantry.register_issuer($1, $2)', [key.keyId, key.key])
    })
  }

  /** Makes the keys, and seals the secrets of agents and characters where they lie. */
  async encrypt(): Promise<void> {
    await this.withAdmin(async (client) => {
      const share = deriveKeyShare(this.secret)
      await client.query('select tenantry.create_master_key($1)', [share])
      await client.query(readFileSync(join(repositoryRoot, 'test', 'demo', 'secrets.sql'), 'utf8'))
      for (const [relation, column, path] of [
        ['agents', 'settings', '{secrets}'],
        ['user_characters', 'secrets', '{}'],
      ]) {
        await client.query(
          `call tenantry.encrypt_existing($1, $2, $3, to_step => 'sealed', key_share => $4)`,
          [relation, column, path, share],
        )
      }
    })
  }

  /** What is still open: the findings of check(), in words. */
  async findings(): Promise<string[]> {
    return this.withAdmin(async (client) => {
      const { rows } = await client.query<{ object: string; problem: string }>(
        'select object, problem from tenantry.check()',
      )
      return rows.map(({ object, problem }) => `${object}: ${problem}`)
    })
  }

  async roles(): Promise<Stage> {
    const { server, db, truth, secret } = this
    if (!server || !db || !truth) throw new Error('the stage is not set')
    const app = await db.role('app', { allow: 'user' })
    const person = await db.role('person')
    const unbound = await db.role('unbound', { attributes: 'bypassrls', ordinary: false })
    await db.admin.query('select tenantry.bind_role($1, $2, person => true)', [
      person.name,
      truth.identities.ordinary.entity,
    ])
    await db.admin.query(
      `grant select on all tables in schema public to ${pg.escapeIdentifier(unbound.name)}`,
    )
    return { server, db, truth, secret, app, unbound, person, end: () => this.end() }
  }

  async end(): Promise<void> {
    await this.db?.drop()
    await this.server?.stop()
  }

  async withAdmin<T>(run: (client: pg.Client) => Promise<T>): Promise<T> {
    if (!this.db) throw new Error('no database')
    const client = new pg.Client({ connectionString: this.db.url() })
    await client.connect()
    try {
      return await run(client)
    } finally {
      await client.end()
    }
  }
}
