import { createHash, createHmac, hkdfSync } from 'node:crypto'
import { TenantryError } from './errors.js'
import { chainOf, type Entity, type Identity } from './identity.js'

const SECRET_MIN_BYTES = 32

/** The signing key made from the application's secret, and the name the database knows it by. */
export interface SigningKey {
  /** 32 bytes; what `tenantry.register_issuer` gets. */
  readonly key: Buffer
  /** The first 16 characters of base64url(SHA-256(key)). */
  readonly keyId: string
}

/**
 * Derives the signing key: HKDF-SHA-256 of the secret, so that the secret itself never reaches
 * the database and other keys can be made from it later.
 *
 * @param secret at least 32 bytes of text, kept like a password
 * @throws TenantryError `TN_CONFIG` when it is shorter
 */
export function deriveSigningKey(secret: string): SigningKey {
  requireSecret(secret)
  const key = derived(secret, 'tenantry/v1/credential')
  const keyId = createHash('sha256').update(key).digest('base64url').slice(0, 16)
  return { key, keyId }
}

/**
 * Derives the application's share of the master key: HKDF-SHA-256 of the same secret under
 * another label, so that neither key tells of the other. The database has the other share.
 *
 * @param secret at least 32 bytes of text, kept like a password
 * @returns 32 bytes; what `tenantry.create_master_key` and `tenantry.enter` get
 * @throws TenantryError `TN_CONFIG` when the secret is shorter
 */
export function deriveKeyShare(secret: string): Buffer {
  requireSecret(secret)
  return derived(secret, 'tenantry/v1/key-share')
}

function derived(secret: string, label: string): Buffer {
  return Buffer.from(hkdfSync('sha256', secret, 'tenantry', label, 32))
}

function requireSecret(secret: string): void {
  if (typeof secret !== 'string' || Buffer.byteLength(secret) < SECRET_MIN_BYTES) {
    throw new TenantryError(
      'TN_CONFIG',
      `The secret must have at least ${SECRET_MIN_BYTES} bytes.`,
      {
        hint: 'Make one with `openssl rand -base64 48` and give it as TENANTRY_SECRET.',
      },
    )
  }
}

export interface MintOptions {
  /** What the database expects as `aud`: `select tenantry.audience()`. */
  audience: string
  /** Unix time in seconds at which the credential ends. */
  expiresAt: number
}

/** An actor (RFC 8693, section 4.1): the outermost is who is there, and acts for the one inside. */
interface Actor {
  readonly sub: Entity
  readonly act?: Actor
}

/**
 * Signs a credential: a JWT (HS256) whose `sub` is the principal and `act` the actor, with the links
 * between the two nested inside it.
 */
export function mintCredential(signing: SigningKey, who: Identity, options: MintOptions): string {
  const header = base64url({ alg: 'HS256', typ: 'JWT', kid: signing.keyId })
  const [, ...actors] = [...chainOf(who)].reverse()
  const act = actors.reduce<Actor | undefined>(
    (inner, sub) => ({ sub, ...(inner && { act: inner }) }),
    undefined,
  )
  const claims = base64url({
    sub: who.principal,
    ...(act && { act }),
    aud: options.audience,
    exp: options.expiresAt,
  })
  const signature = createHmac('sha256', signing.key).update(`${header}.${claims}`)
  return `${header}.${claims}.${signature.digest('base64url')}`
}

function base64url(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url')
}
