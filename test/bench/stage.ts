import { randomBytes } from 'node:crypto'
import pg from 'pg'
import { deriveSigningKey, mintCredential } from '../../src/credential.js'
import { identity } from '../../src/index.js'
import { databaseOn, type TestDatabase } from '../support/database/clone.js'
import type { TestServer } from '../support/servers.js'

/** A database with an issuer of credentials, and everybody who measures in it. */
export interface Parties {
  readonly db: TestDatabase
  /** The application's login, bound by row-level security. */
  readonly app: pg.Client
  /** The ordinary owner of the tables. */
  readonly tableOwner: pg.Client
  /** A superuser. */
  readonly admin: pg.Client
  /** A credential of a user that lasts for the whole run. */
  credential(user: string): string
}

/** Opens a database on a server and fills it; drops it where that fails. */
export async function prepared<T>(
  server: TestServer,
  fill: (parties: Parties) => Promise<T>,
): Promise<T> {
  const db = await databaseOn(server)
  try {
    return await fill(await parties(db))
  } catch (error) {
    await db.drop()
    throw error
  }
}

async function parties(db: TestDatabase): Promise<Parties> {
  const key = deriveSigningKey(randomBytes(32).toString('base64url'))
  const appRole = await db.role('app', { allow: 'user' })
  const ownerRole = await db.role('owner', { allow: 'admin', ordinary: false })
  const adminRole = await db.role('dba', { attributes: 'superuser', ordinary: false })
  const [app, tableOwner, admin] = await Promise.all([
    appRole.connect(),
    ownerRole.connect(),
    adminRole.connect(),
  ])
  await admin.query(`grant create on schema public to ${pg.escapeIdentifier(ownerRole.name)}`)
  await admin.query('select tenantry.register_issuer($1, $2)', [key.keyId, key.key])
  const credential = (user: string): string => {
    const me = identity('user')(user)
    const expiresAt = Math.floor(Date.now() / 1000) + 3600
    return mintCredential(key, { principal: me, actor: me }, { audience: db.name, expiresAt })
  }
  return { db, app, tableOwner, admin, credential }
}
