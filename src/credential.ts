import { createHash, createHmac, hkdfSync } from 'node:crypto'
import { TenantryError } from './errors.js'
import { identityKey, type Identity } from './identity.js'
import { LruMap } from './runtime/lru.js'

const SECRET_MIN_BYTES = 32
const CACHE_ENTRIES = 10_000

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

/** Gives the credential of an identity, minting only when the last one nears its end. */
export type CredentialSource = (who: Identity) => string

/**
 * Mints credentials of `lifetime` seconds and keeps each until a quarter of its life, at most ten
 * seconds, is left: a call must not fail because it waited for a connection.
 */
export function credentialSource(
  signing: SigningKey,
  audience: string,
  lifetime: number,
): CredentialSource {
  const cache = new LruMap<string, { credential: string; renewAt: number }>(CACHE_ENTRIES)
  const margin = Math.min(10, lifetime / 4)
  return (who) => {
    const now = Date.now() / 1000
    const key = identityKey(who)
    const cached = cache.get(key)
    // The second comparison notices a clock that was set back.
    if (cached && now < cached.renewAt && cached.renewAt - now <= lifetime) return cached.credential
    const expiresAt = Math.ceil(now + lifetime)
    const credential = mintCredential(signing, who, { audience, expiresAt })
    cache.set(key, { credential, renewAt: expiresAt - margin })
    return credential
  }
}

function base64url(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url')
}
