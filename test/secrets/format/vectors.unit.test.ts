import { createHmac } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { flipped, truncated } from './damage.js'
import { keyColumnBytes, primaryKeyBytes } from './primary-key.js'
import {
  CannotOpen,
  fromText,
  isSealedHere,
  isTagRight,
  message,
  open,
  seal,
  toText,
  type OpeningKeys,
  type Place,
} from './sealed-value.js'
import { bytes, readVectors, type ValueVector } from './vectors.js'

const vectors = readVectors()
const tagKey = bytes(vectors.tag_key)
const otherTagKey = Buffer.alloc(32, 0x55)
const keys: OpeningKeys = {
  tagKey,
  dataKeys: new Map(vectors.values.map((v) => [v.key_number, bytes(v.data_key)])),
}
const placeOf = (vector: ValueVector): Place => ({
  columnId: vector.column_id,
  owner: vector.owner,
  primaryKey: vector.primary_key,
})

/** How many values are not refused; a refusal must be the one error. */
function openedOf(values: Iterable<Buffer>, place: Place): number {
  let opened = 0
  for (const value of values) {
    try {
      open(keys, place, value)
      opened += 1
    } catch (error) {
      if (!(error instanceof CannotOpen)) throw error
    }
  }
  return opened
}

test('there is a vector for everything that is described', () => {
  const lengths = vectors.values.map(({ plaintext }) => bytes(plaintext).length)
  expect(lengths).toEqual(expect.arrayContaining([0, 15, 16, 17]))
  expect(new Set(vectors.values.map(({ type }) => type))).toEqual(
    new Set(['text', 'bytea', 'json', 'jsonb']),
  )
  expect(vectors.values.map(({ primary_key }) => primary_key.length)).toEqual(
    expect.arrayContaining([1, 2, 3]),
  )
  const types = 'uuid smallint integer bigint text varchar bytea date timestamp timestamptz boolean'
  expect(new Set(vectors.key_columns.map(({ type }) => type))).toEqual(new Set(types.split(' ')))
  expect(
    vectors.wrapped_keys.map(({ label }) => label.replace(/^(index|bridge):.*/, '$1')),
  ).toEqual(expect.arrayContaining([expect.stringMatching(/#\d+#\d+$/), 'index', 'bridge']))
  expect(vectors.blind_indexes).not.toEqual([])
})

test.each(vectors.key_columns)('a key column of $type: $text', (vector) => {
  expect(keyColumnBytes(vector).toString('hex')).toBe(vector.bytes)
})

describe.each(vectors.values)('$name', (vector) => {
  const place = placeOf(vector)
  const sealed = bytes(vector.sealed)
  const plaintext = bytes(vector.plaintext)
  const key = { tagKey, keyNumber: vector.key_number, dataKey: bytes(vector.data_key) }

  test('its primary key and message are as published', () => {
    expect(primaryKeyBytes(place.primaryKey).toString('hex')).toBe(vector.primary_key_bytes)
    expect(message(sealed.subarray(0, -32), place).toString('hex')).toBe(vector.message)
  })

  test('is sealed to the published bytes, and opened from them', () => {
    expect(seal(key, place, plaintext, bytes(vector.random)).toString('hex')).toBe(vector.sealed)
    expect(open(keys, place, sealed).toString('hex')).toBe(vector.plaintext)
    const overhead = sealed.length - plaintext.length
    expect(overhead).toBeGreaterThanOrEqual(54)
    expect(overhead).toBeLessThanOrEqual(69)
  })

  test('has one text', () => {
    expect(toText(sealed)).toBe(vector.text_form)
    expect(fromText(vector.text_form)).toEqual(sealed)
    const others = [
      vector.text_form.slice(4), // without tn1:
      vector.text_form.replace('tn1:', 'tn2:'),
      `${vector.text_form}\n`,
      `${vector.text_form.slice(0, 40)}\n${vector.text_form.slice(40)}`,
      `${vector.text_form}=`,
    ]
    if (vector.text_form.endsWith('=')) {
      others.push(vector.text_form.replace(/=+$/, ''))
      // Four or two bits of the last letter stand for nothing. They are zero, so the letter is not the next one's.
      others.push(vector.text_form.replace(/.(?==+$)/, (last) => nextLetter(last)))
    }
    for (const other of others) expect(() => fromText(other), other).toThrow(CannotOpen)
  })

  test('with any bit flipped, or cut anywhere, is refused', () => {
    expect(openedOf([sealed], place)).toBe(1)
    expect([...flipped(sealed)]).toHaveLength(sealed.length * 8)
    expect(openedOf(flipped(sealed), place)).toBe(0)
    expect(openedOf(truncated(sealed), place)).toBe(0)
    const extended = Buffer.concat([sealed, Buffer.alloc(16)])
    expect(openedOf([extended], place)).toBe(0)
  })

  test('is refused at the place of every other vector', () => {
    const others = vectors.values.filter((other) => other !== vector)
    expect(others.length).toBeGreaterThan(0)
    for (const other of others) expect(openedOf([sealed], placeOf(other)), other.name).toBe(0)
    const { columnId, owner, primaryKey } = place
    const moved: Place[] = [
      { columnId: columnId.replace(/.$/, 'f'), owner, primaryKey },
      { columnId, owner: `${owner}0`, primaryKey },
      { columnId, owner: owner.replace('user:', 'team:'), primaryKey },
      { columnId, owner, primaryKey: [...primaryKey, { type: 'integer', text: '0' }] },
      { columnId, owner, primaryKey: primaryKey.slice(1) },
    ]
    for (const elsewhere of moved) expect(openedOf([sealed], elsewhere)).toBe(0)
    expect(openedOf([sealed], place)).toBe(1)
  })

  test('is refused by a reader without its key, and by another database', () => {
    const dataKeys = new Map([...keys.dataKeys].filter(([number]) => number !== key.keyNumber))
    expect(() => open({ tagKey, dataKeys }, place, sealed)).toThrow(CannotOpen)
    expect(() => open({ ...keys, tagKey: otherTagKey }, place, sealed)).toThrow(CannotOpen)
    expect(open(keys, place, sealed)).toEqual(plaintext)
  })

  test('its origin tells that this database sealed it, its tag for which place', () => {
    expect(isSealedHere(tagKey, sealed)).toBe(true)
    expect(isTagRight(tagKey, place, sealed)).toBe(true)
    expect(isSealedHere(otherTagKey, sealed)).toBe(false)
    expect(isTagRight(otherTagKey, place, sealed)).toBe(false)

    // What the origin is made over, and itself: afterwards it counts as a plaintext. The rest: refused by its tag.
    const changes = [...flipped(sealed)]
    expect(changes.slice(0, 21 * 8).filter((changed) => isSealedHere(tagKey, changed))).toEqual([])
    expect(changes.slice(21 * 8).every((changed) => isSealedHere(tagKey, changed))).toBe(true)
    expect(changes.filter((changed) => isTagRight(tagKey, place, changed))).toEqual([])
  })
})

test('a plaintext that looks sealed is a plaintext here', () => {
  const lookalike = vectors.values.find(({ name }) =>
    name.startsWith('a plaintext that looks sealed'),
  )
  const plaintext = fromText(bytes(lookalike!.plaintext).toString())
  expect(isSealedHere(tagKey, plaintext)).toBe(false)
  expect(isSealedHere(otherTagKey, plaintext)).toBe(true)
})

test('a tag forged with the tag key opens, so the padding is asked last and has no error of its own', () => {
  const vector = vectors.values.find(({ plaintext }) => bytes(plaintext).length === 16)!
  const place = placeOf(vector)
  const forge = (mask: number): Buffer => {
    const body = Buffer.from(bytes(vector.sealed).subarray(0, -32))
    body[body.length - 17]! ^= mask // the last byte before the last block: changes the last byte of the padding
    const tag = createHmac('sha256', tagKey).update(message(body, place)).digest()
    return Buffer.concat([body, tag])
  }
  expect(openedOf([forge(0)], place)).toBe(1)
  expect(openedOf([forge(0x80)], place)).toBe(0)
})

function nextLetter(letter: string): string {
  const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'
  return letters[letters.indexOf(letter) + 1]!
}
