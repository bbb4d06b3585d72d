import { part, uint32, uuidBytes } from './bytes.js'

/** A column of a primary key: its type and its value as text, instants in UTC. */
export interface KeyColumn {
  readonly type: string
  readonly text: string
}

const EPOCH_DAYS = 10_957n // from 1970-01-01 to 2000-01-01
const DAY_MICROSECONDS = 86_400_000_000n

/** The bytes that stand for a primary key in the message of a tag. */
export function primaryKeyBytes(columns: readonly KeyColumn[]): Buffer {
  return Buffer.concat([
    uint32(columns.length),
    ...columns.map((column) => part(keyColumnBytes(column))),
  ])
}

/** The bytes of one column of a primary key. */
export function keyColumnBytes({ type, text }: KeyColumn): Buffer {
  switch (type) {
    case 'uuid':
      return uuidBytes(text)
    case 'smallint':
      return signed(2, BigInt(text))
    case 'integer':
      return signed(4, BigInt(text))
    case 'bigint':
      return signed(8, BigInt(text))
    case 'text':
    case 'varchar':
      return Buffer.from(text)
    case 'bytea':
      return Buffer.from(text.replace(/^\\x/, ''), 'hex')
    case 'date':
      return signed(4, infinite(text, 32) ?? days(text))
    case 'timestamp':
    case 'timestamptz':
      return signed(8, infinite(text, 64) ?? microseconds(text))
    case 'boolean':
      return Buffer.from([text === 'true' ? 1 : 0])
    default:
      throw new TypeError(`no primary key is described for the type ${type}`)
  }
}

function signed(length: number, value: bigint): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeBigInt64BE(value)
  return bytes.subarray(8 - length)
}

function infinite(text: string, bits: number): bigint | undefined {
  if (text === 'infinity') return 2n ** BigInt(bits - 1) - 1n
  return text === '-infinity' ? -(2n ** BigInt(bits - 1)) : undefined
}

function days(date: string): bigint {
  return BigInt(Date.parse(`${date}T00:00:00Z`)) / 86_400_000n - EPOCH_DAYS
}

function microseconds(instant: string): bigint {
  const parts = /^(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d)(?:\.(\d{1,6}))?(?:\+00)?$/.exec(instant)
  if (!parts) throw new TypeError(`no instant in UTC: ${instant}`)
  const [, date, time, fraction = ''] = parts
  const whole = BigInt(Date.parse(`${date}T${time}Z`)) * 1_000n
  return whole + BigInt(fraction.padEnd(6, '0')) - EPOCH_DAYS * DAY_MICROSECONDS
}
