import { createHash, createHmac, hkdfSync } from 'node:crypto'
import { TenantryError } from './errors.js'
import type { Identity } from './identity.js'

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
  if (typeof secret !== 'string' || Buffer.byteLength(secret) < SECRET_MIN_BYTES) {
    throw new TenantryError(
      'TN_CONFIG',
      `The secret must have at least ${SECRET_MIN_BYTES} bytes.`,
      {
        hint: 'Make one with `openssl rand -base64 48` and give it as TENANTRY_SECRET.',
      },
    )
  }
  const key = Buffer.from(hkdfSync('sha256', secret, 'tenantry', 'tenantry/v1/credential', 32))
  const keyId = createHash('sha256').update(key).digest('base64url').slice(0, 16)
  return { key, keyId }
}

export interface MintOptions {
  /** What the database expects as `aud`: `select tenantry.audience()`. */
  audience: string
  /** Unix time in seconds at which the credential ends. */
  expiresAt: number
}

/** Signs a credential: a JWT (HS256) whose `sub` is the principal and `act` the actor. */
export function mintCredential(signing: SigningKey, who: Identity, options: MintOptions): string {
  const header = base64url({ alg: 'HS256', typ: 'JWT', kid: signing.keyId })
  const claims = base64url({
    sub: who.principal,
    ...(who.actor === who.principal ? {} : { act: { sub: who.actor } }),
    aud: options.audience,
    exp: options.expiresAt,
  })
  const signature = createHmac('sha256', signing.key).update(`${header}.${claims}`)
  return `${header}.${claims}.${signature.digest('base64url')}`
}

function base64url(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url')
}
