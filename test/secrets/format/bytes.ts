import { createHmac } from 'node:crypto'

/** HMAC-SHA-256 of the message's parts, one after the other. */
export function hmac(key: Buffer, ...message: readonly (Buffer | string)[]): Buffer {
  const mac = createHmac('sha256', key)
  for (const part of message) mac.update(part)
  return mac.digest()
}

/** An unsigned number as 4 bytes, big-endian. */
export function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}

/** The length of the bytes, then the bytes. */
export function part(value: Buffer | string): Buffer {
  const bytes = Buffer.from(value)
  return Buffer.concat([uint32(bytes.length), bytes])
}

/** The 16 bytes of a uuid, written with hyphens or without. */
export function uuidBytes(uuid: string): Buffer {
  const digits = uuid.replaceAll('-', '')
  if (!/^[0-9a-f]{32}$/i.test(digits)) throw new TypeError(`no uuid: ${uuid}`)
  return Buffer.from(digits, 'hex')
}
