import { createHmac } from 'node:crypto'
import { expect, test } from 'vitest'
import { deriveSigningKey } from '../../../src/credential.js'
import { flipped, truncated } from './damage.js'
import {
  applicationShare,
  blindIndex,
  credentialKey,
  unwrap,
  wrap,
  wrappingKeys,
  type WrapPlace,
} from './keys.js'
import { bytes, readVectors } from './vectors.js'

const vectors = readVectors()
const master = vectors.master_key
const wrapping = wrappingKeys(bytes(master.application_share), bytes(master.database_share))

test('one secret gives the share and the key of credentials', () => {
  const { secret, application_share, credential_key } = vectors.derivation
  expect(applicationShare(secret).toString('hex')).toBe(application_share)
  expect(credentialKey(secret).toString('hex')).toBe(credential_key)
  expect(deriveSigningKey(secret).key.toString('hex')).toBe(credential_key)
})

test('both shares give the wrapping keys, also when written out with HMAC', () => {
  expect(wrapping).toEqual({
    encrypt: bytes(master.encrypt),
    authenticate: bytes(master.authenticate),
    verifier: bytes(master.verifier),
  })
  const extracted = createHmac('sha256', bytes(master.database_share))
    .update(bytes(master.application_share))
    .digest()
  expect(extracted).toEqual(bytes(master.prk))
  const expanded = createHmac('sha256', extracted).update('tenantry/v1/wrap/encrypt\x01').digest()
  expect(expanded).toEqual(wrapping.encrypt)
})

test.each(vectors.wrapped_keys)('the wrapped key $label, in both directions', (vector) => {
  const place: WrapPlace = { label: vector.label, masterKeyId: master.id }
  const wrapped = bytes(vector.wrapped)
  expect(wrap(wrapping, place, bytes(vector.key), bytes(vector.iv))).toEqual(wrapped)
  expect(unwrap(wrapping, place, wrapped)).toEqual(bytes(vector.key))

  const refused = 'the wrapped key cannot be opened'
  for (const changed of [...flipped(wrapped), ...truncated(wrapped)]) {
    expect(() => unwrap(wrapping, place, changed)).toThrow(refused)
  }
  for (const other of vectors.wrapped_keys.filter(({ label }) => label !== vector.label)) {
    expect(() => unwrap(wrapping, { ...place, label: other.label }, wrapped)).toThrow(refused)
  }
  const elsewhere = { ...place, masterKeyId: vectors.values[0]!.column_id }
  expect(() => unwrap(wrapping, elsewhere, wrapped)).toThrow(refused)
  const wrongShare = wrappingKeys(Buffer.alloc(32), bytes(master.database_share))
  expect(() => unwrap(wrongShare, place, wrapped)).toThrow(refused)
  expect(wrongShare.verifier).not.toEqual(wrapping.verifier)
})

test.each(vectors.blind_indexes)('the blind index of $name', (vector) => {
  const plaintext = bytes(vector.plaintext)
  expect(blindIndex(bytes(vector.index_key), plaintext)).toEqual(bytes(vector.index))
  expect(blindIndex(bytes(vectors.tag_key), plaintext)).not.toEqual(bytes(vector.index))
})
