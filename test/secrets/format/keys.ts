import { createCipheriv, createDecipheriv, hkdfSync, timingSafeEqual } from 'node:crypto'
import { hmac, part, uuidBytes } from './bytes.js'

// The keys of extension/doc/sealed-values.md, written from that description and from nothing else.

const HEAD_AND_TAG_BYTES = 16 + 32

/** What both shares of a master key give together. */
export interface WrappingKeys {
  readonly encrypt: Buffer
  readonly authenticate: Buffer
  readonly verifier: Buffer
}

/** What a wrapped key is bound to. */
export interface WrapPlace {
  /** `kind:id#serial#version`, `index:<column id>` or `bridge:<master key id>`. */
  readonly label: string
  readonly masterKeyId: string
}

function hkdf(ikm: Buffer | string, salt: Buffer | string, info: string): Buffer {
  return Buffer.from(hkdfSync('sha256', ikm, salt, info, 32))
}

/** The share that the application brings, from its one secret. */
export function applicationShare(secret: string): Buffer {
  return hkdf(secret, 'tenantry', 'tenantry/v1/key-share')
}

/** The key that signs credentials, from the same secret. */
export function credentialKey(secret: string): Buffer {
  return hkdf(secret, 'tenantry', 'tenantry/v1/credential')
}

/** The keys of a master key, from its two shares. */
export function wrappingKeys(application: Buffer, database: Buffer): WrappingKeys {
  return {
    encrypt: hkdf(application, database, 'tenantry/v1/wrap/encrypt'),
    authenticate: hkdf(application, database, 'tenantry/v1/wrap/authenticate'),
    verifier: hkdf(application, database, 'tenantry/v1/wrap/verify'),
  }
}

export function dataKeyLabel(owner: string, serial: number, version: number): string {
  return `${owner}#${serial}#${version}`
}

export function indexKeyLabel(columnId: string): string {
  return `index:${hyphenated(columnId)}`
}

export function bridgeLabel(masterKeyId: string): string {
  return `bridge:${hyphenated(masterKeyId)}`
}

function hyphenated(uuid: string): string {
  return uuidBytes(uuid)
    .toString('hex')
    .replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
}

/** What a bridge holds: enough of a master key to unwrap by. */
export function bridged(keys: WrappingKeys): Buffer {
  return Buffer.concat([keys.encrypt, keys.authenticate])
}

/** Wraps a key of 32 bytes, or a bridge of 64. The IV is random outside of tests. */
export function wrap(keys: WrappingKeys, place: WrapPlace, key: Buffer, iv: Buffer): Buffer {
  if (key.length !== 32 && key.length !== 64) throw new RangeError('a key has 32 bytes')
  const cipher = createCipheriv('aes-256-cbc', keys.encrypt, iv)
  const body = Buffer.concat([iv, cipher.update(key), cipher.final()])
  return Buffer.concat([body, wrapTag(keys, place, body)])
}

/** @throws Error when the wrapped key was made for another place or with other keys, or was changed */
export function unwrap(keys: WrappingKeys, place: WrapPlace, wrapped: Buffer): Buffer {
  const ciphertext = wrapped.length - HEAD_AND_TAG_BYTES
  if (ciphertext !== 48 && ciphertext !== 80) throw new Error('the wrapped key cannot be opened')
  const body = wrapped.subarray(0, -32)
  if (!timingSafeEqual(wrapped.subarray(-32), wrapTag(keys, place, body))) {
    throw new Error('the wrapped key cannot be opened')
  }
  const decipher = createDecipheriv('aes-256-cbc', keys.encrypt, body.subarray(0, 16))
  return Buffer.concat([decipher.update(body.subarray(16)), decipher.final()])
}

function wrapTag(keys: WrappingKeys, { label, masterKeyId }: WrapPlace, body: Buffer): Buffer {
  return hmac(keys.authenticate, 'tenantry/v1/key', part(label), uuidBytes(masterKeyId), body)
}

/** What stands in the column beside the encrypted one, to be searched for. */
export function blindIndex(indexKey: Buffer, plaintext: Buffer): Buffer {
  return hmac(indexKey, plaintext)
}
