import { join } from 'node:path'
import { blocksOf } from '../../docs/blocks.js'
import { repositoryRoot } from '../../support/repository.js'

// The test vectors as they are published. Whatever is called a `Hex` is lower-case hexadecimal, a uuid without hyphens.

export type Hex = string

export interface Vectors {
  readonly tag_key: Hex
  readonly derivation: {
    readonly secret: string
    readonly application_share: Hex
    readonly credential_key: Hex
  }
  readonly master_key: {
    readonly id: Hex
    readonly application_share: Hex
    readonly database_share: Hex
    readonly prk: Hex
    readonly encrypt: Hex
    readonly authenticate: Hex
    readonly verifier: Hex
  }
  readonly wrapped_keys: readonly WrappedKeyVector[]
  readonly blind_indexes: readonly BlindIndexVector[]
  readonly key_columns: readonly KeyColumnVector[]
  readonly values: readonly ValueVector[]
}

export interface WrappedKeyVector {
  readonly label: string
  readonly iv: Hex
  readonly key: Hex
  readonly wrapped: Hex
}

export interface BlindIndexVector {
  readonly name: string
  readonly index_key: Hex
  readonly plaintext: Hex
  readonly index: Hex
}

export interface KeyColumnVector {
  readonly type: string
  readonly text: string
  readonly bytes: Hex
}

export interface ValueVector {
  readonly name: string
  readonly type: 'bytea' | 'json' | 'jsonb' | 'text'
  readonly key_number: number
  readonly data_key: Hex
  readonly column_id: Hex
  readonly owner: string
  readonly primary_key: readonly KeyColumnVector[]
  readonly primary_key_bytes: Hex
  readonly random: Hex
  readonly plaintext: Hex
  readonly message: Hex
  readonly sealed: Hex
  readonly text_form: string
}

/** The vectors of extension/doc/sealed-values.md. */
export function readVectors(): Vectors {
  const file = join(repositoryRoot, 'extension/doc/sealed-values.md')
  const [block, ...others] = blocksOf(file).filter(({ language }) => language === 'json')
  if (!block || others.length > 0) throw new Error(`${file}: one block of json is expected`)
  return JSON.parse(block.text) as Vectors
}

/** The bytes that hexadecimal digits stand for; throws rather than stop at what is none. */
export function bytes(hex: Hex): Buffer {
  if (!/^([0-9a-f]{2})*$/.test(hex)) throw new TypeError(`not hexadecimal: ${hex}`)
  return Buffer.from(hex, 'hex')
}
