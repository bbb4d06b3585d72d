import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import pg from 'pg'
import { deriveSigningKey } from '../../src/credential.js'
import { databaseOn, type TestDatabase } from '../support/database/clone.js'
import type { TestRole } from '../support/database/role.js'
import type { TestServer } from '../support/servers.js'
import {
  type ElizaosTruth,
  fixturePath,
  type LoadProgress,
  loadElizaos,
  type SizeName,
} from '../fixtures/elizaos/generator.js'

/** The protected fixture and everybody who measures in it. */
export interface Bench {
  readonly db: TestDatabase
  readonly truth: ElizaosTruth
  readonly secret: string
  /** The application's login, bound by row-level security. */
  readonly app: TestRole
  /** The same without row-level security (BYPASSRLS): the bare query, and the hand-written WHERE. */
  readonly bare: TestRole
}

/** Loads the fixture into a database of its own, protects it and makes the two logins. */
export async function prepare(
  server: TestServer,
  size: SizeName,
  onProgress: (progress: LoadProgress) => void,
): Promise<Bench> {
  const db = await databaseOn(server)
  const secret = randomBytes(32).toString('base64url')
  const client = new pg.Client({ connectionString: db.url() })
  await client.connect()
  try {
    const truth = await loadElizaos(client, { schema: 'later', size, onProgress })
    await client.query(readFileSync(fixturePath('protect.sql'), 'utf8'))
    const app = await db.role('app', { allow: 'user' })
    const bare = await db.role('bare', { attributes: 'bypassrls', ordinary: false })
    await client.query(
      `grant select on all tables in schema public to ${pg.escapeIdentifier(bare.name)}`,
    )
    const key = deriveSigningKey(secret)
    await client.query('select tenantry.register_issuer($1, $2)', [key.keyId, key.key])
    await client.query('vacuum analyze')
    return { db, truth, secret, app, bare }
  } finally {
    await client.end()
  }
}
