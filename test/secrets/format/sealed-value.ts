import { createCipheriv, createDecipheriv, timingSafeEqual } from 'node:crypto'
import { hmac, part, uint32, uuidBytes } from './bytes.js'
import { primaryKeyBytes, type KeyColumn } from './primary-key.js'

// The sealed value of extension/doc/sealed-values.md, written from that description and from nothing else.

const VERSION = 1
const HEAD_BYTES = 21
const TAG_BYTES = 32
const BLOCK_BYTES = 16
const TEXT_PREFIX = 'tn1:'

/** Where a sealed value belongs. */
export interface Place {
  readonly columnId: string
  readonly owner: string
  readonly primaryKey: readonly KeyColumn[]
}

export interface SealingKey {
  readonly tagKey: Buffer
  readonly keyNumber: number
  readonly dataKey: Buffer
}

export interface OpeningKeys {
  readonly tagKey: Buffer
  /** By key number: the data keys that the reader has. */
  readonly dataKeys: ReadonlyMap<number, Buffer>
}

/** The one error for whatever keeps a value from being opened. */
export class CannotOpen extends Error {
  readonly code = 'TN006'
  constructor() {
    super('the sealed value cannot be opened')
    this.name = 'CannotOpen'
  }
}

/** Seals a plaintext for a place. The 8 random bytes are random outside of tests. */
export function seal(key: SealingKey, place: Place, plaintext: Buffer, random: Buffer): Buffer {
  if (random.length !== 8) throw new RangeError('8 random bytes, please')
  const start = Buffer.concat([Buffer.from([VERSION]), uint32(key.keyNumber), random])
  const head = Buffer.concat([start, origin(key.tagKey, start)])
  const cipher = createCipheriv('aes-256-cbc', key.dataKey, head.subarray(5))
  const body = Buffer.concat([head, cipher.update(plaintext), cipher.final()])
  return Buffer.concat([body, hmac(key.tagKey, message(body, place))])
}

/** @throws CannotOpen whatever the reason */
export function open(keys: OpeningKeys, place: Place, sealed: Buffer): Buffer {
  if (!isTagRight(keys.tagKey, place, sealed)) throw new CannotOpen()
  const dataKey = keys.dataKeys.get(sealed.readUInt32BE(1))
  if (!dataKey) throw new CannotOpen()
  const decipher = createDecipheriv('aes-256-cbc', dataKey, sealed.subarray(5, HEAD_BYTES))
  try {
    return Buffer.concat([
      decipher.update(sealed.subarray(HEAD_BYTES, -TAG_BYTES)),
      decipher.final(),
    ])
  } catch {
    throw new CannotOpen() // OpenSSL tells of padding, which nobody is to learn
  }
}

/** Whether the database with this tag key sealed the value, for whatever place. */
export function isSealedHere(tagKey: Buffer, value: Buffer): boolean {
  return (
    hasForm(value) &&
    timingSafeEqual(value.subarray(13, HEAD_BYTES), origin(tagKey, value.subarray(0, 13)))
  )
}

/** Whether the value was sealed for this very place. */
export function isTagRight(tagKey: Buffer, place: Place, value: Buffer): boolean {
  if (!hasForm(value)) return false
  const body = value.subarray(0, -TAG_BYTES)
  return timingSafeEqual(value.subarray(-TAG_BYTES), hmac(tagKey, message(body, place)))
}

/** What the tag is made over; `body` is the sealed value without its tag. */
export function message(body: Buffer, { columnId, owner, primaryKey }: Place): Buffer {
  return Buffer.concat([
    Buffer.from('tenantry/v1/value'),
    body.subarray(0, 5),
    uuidBytes(columnId),
    part(owner),
    primaryKeyBytes(primaryKey),
    body.subarray(5),
  ])
}

/** The form in which a sealed value stands in a column of text. */
export function toText(sealed: Buffer): string {
  return TEXT_PREFIX + sealed.toString('base64')
}

/** @throws CannotOpen when the text is not exactly as `toText` writes it */
export function fromText(text: string): Buffer {
  const sealed = Buffer.from(text.slice(TEXT_PREFIX.length), 'base64')
  if (toText(sealed) !== text) throw new CannotOpen() // Buffer.from skips what is no base64
  return sealed
}

function origin(tagKey: Buffer, start: Buffer): Buffer {
  return hmac(tagKey, 'tenantry/v1/origin', start).subarray(0, 8)
}

function hasForm(value: Buffer): boolean {
  const ciphertext = value.length - HEAD_BYTES - TAG_BYTES
  return ciphertext >= BLOCK_BYTES && ciphertext % BLOCK_BYTES === 0 && value[0] === VERSION
}
