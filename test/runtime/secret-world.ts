import { inspect } from 'node:util'
import pg from 'pg'
import { deriveKeyShare, deriveSigningKey } from '../../src/index.js'
import { createWorld, type World } from './world.js'

/** The world of the other tests with a table `vault` that is not encrypted yet. */
export interface SecretWorld extends World {
  /** The application's share of the master key. */
  readonly share: Buffer
  /** Makes the master key and encrypts `vault.token`, as an admin does on a living database. */
  encrypt(): Promise<void>
  /** What the table itself holds, as a superuser reads it. */
  stored(): Promise<string[]>
  /** Lets `secret` issue credentials here, without making its share the master key's. */
  register(secret: string): Promise<void>
}

const TABLE = `
  create table vault (
    id       bigint primary key,
    owner_id bigint not null references users,
    label    text   not null default 'a label',
    token    text
  )`

export async function createSecretWorld(): Promise<SecretWorld> {
  const world = await createWorld()
  const { admin } = world.db
  const share = deriveKeyShare(world.secret)
  const { rows } = await admin.query<{ owner: string }>(
    `select pg_get_userbyid(relowner) as owner from pg_class where oid = 'notes'::regclass`,
  )
  await admin.query(`
    set role ${pg.escapeIdentifier(rows[0]!.owner)}; ${TABLE}; reset role;
    select tenantry.protect('vault', owner_column => 'owner_id', owner_kind => 'user')`)
  return {
    ...world,
    share,
    async encrypt() {
      await admin.query('select tenantry.create_master_key($1)', [share])
      await admin.query(`select tenantry.encrypt_column('vault', 'token')`)
    },
    async stored() {
      const found = await admin.query<{ token: string }>('select token from vault order by id')
      return found.rows.map(({ token }) => token)
    },
    async register(secret) {
      const { key, keyId } = deriveSigningKey(secret)
      await admin.query('select tenantry.register_issuer($1, $2)', [keyId, key])
    },
  }
}

/** Forms in which a share, or a text that holds it, could show. */
export function formsOf(share: Buffer): string[] {
  const hex = share.toString('hex')
  return [
    hex,
    hex.toUpperCase(),
    share.toString('base64'),
    share.toString('base64url'),
    // As Node prints a Buffer: of the bytes, and of their hexadecimal text.
    hex.match(/../g)!.join(' '),
    Buffer.from(hex.slice(0, 32)).toString('hex').match(/../g)!.join(' '),
  ]
}

/** The error that some work ends in. */
export const caught = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => undefined,
    (error: unknown) => error,
  )

/** Everything that can be printed of some values. */
export const printed = (...values: unknown[]): string =>
  values
    .map((value) => inspect(value, { depth: 12, showHidden: true, maxStringLength: 9999 }))
    .join('\n')
