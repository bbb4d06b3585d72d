import { afterAll, beforeAll, expect, test } from 'vitest'
import { testDatabase, type TestDatabase } from '../support/database.js'
import { open } from './format/sealed-value.js'
import { bytes, readVectors } from './format/vectors.js'

// What extension/doc/sealed-values.md publishes, and what the second implementation was written from, against the SQL.

let db: TestDatabase
const vectors = readVectors()

beforeAll(async () => {
  db = await testDatabase()
})
afterAll(() => db.drop())

const one = async (text: string, values: unknown[]): Promise<unknown> =>
  Object.values((await db.admin.query<Record<string, unknown>>(text, values)).rows[0] ?? {})[0]

test('SQL opens every published value, and TypeScript opens what SQL seals', async () => {
  expect(vectors.values.length).toBeGreaterThan(10)
  const tagKey = bytes(vectors.tag_key)
  for (const value of vectors.values) {
    const place = [value.column_id, value.owner, bytes(value.primary_key_bytes)]
    const dataKey = bytes(value.data_key)
    const opened = await one(
      `select encode(tenantry_private.open_bytes($1, $2, $3, $4, $5, $6), 'hex')`,
      [bytes(value.sealed), dataKey, tagKey, ...place],
    )
    expect(opened).toBe(value.plaintext)
    const sealed = await one('select tenantry_private.seal_bytes($1, $2, $3, $4, $5, $6, $7)', [
      bytes(value.plaintext),
      value.key_number,
      dataKey,
      tagKey,
      ...place,
    ])
    expect(sealed).not.toEqual(bytes(value.sealed))
    const { column_id: columnId, owner, primary_key: primaryKey } = value
    const keys = { tagKey, dataKeys: new Map([[value.key_number, dataKey]]) }
    expect(open(keys, { columnId, owner, primaryKey }, sealed as Buffer).toString('hex')).toBe(
      value.plaintext,
    )
    expect(
      await one('select tenantry_private.is_ours($1, $2)', [bytes(value.sealed), tagKey]),
    ).toBe(true)
    expect(await one('select tenantry_private.as_text($1)', [bytes(value.sealed)])).toBe(
      value.text_form,
    )
    expect(
      await one(`select encode(tenantry_private.shaped($1::text), 'hex')`, [value.text_form]),
    ).toBe(value.sealed)
  }
})

test('one text stands for a value: other unused bits of base64 are not taken for it', async () => {
  const value = vectors.values.find(({ text_form: text }) => text.endsWith('=='))!
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'
  const other = value.text_form.replace(/.(?===$)/, (last) => alphabet[alphabet.indexOf(last) + 1]!)
  expect(Buffer.from(other.slice(4), 'base64')).toEqual(bytes(value.sealed))
  expect(await one('select tenantry_private.shaped($1::text) is null', [other])).toBe(true)
})

test('key columns are the same bytes under any setting of the session', async () => {
  const client = await db.admin.connect()
  try {
    for (const settings of [
      `set timezone = 'Asia/Tokyo'; set datestyle = 'SQL, DMY'; set bytea_output = escape`,
      `set timezone = 'UTC'; set datestyle = 'ISO, MDY'; set extra_float_digits = -10`,
    ]) {
      await client.query(settings)
      for (const column of vectors.key_columns) {
        const { rows } = await client.query<{ text: string }>(
          'select tenantry_private.key_bytes($1, $2::regtype) as text',
          [`$1::text::${column.type}`, column.type],
        )
        const found = await client.query<{ hex: string }>(
          `select encode(${rows[0]!.text}, 'hex') as hex`,
          [column.text],
        )
        expect([column.text, found.rows[0]!.hex]).toEqual([column.text, column.bytes])
      }
    }
  } finally {
    client.release(true)
  }
})

test('keys are derived and unwrapped as published', async () => {
  const master = vectors.master_key
  const prk = await one('select tenantry_private.hmac_sha256($1, $2)', [
    bytes(master.application_share),
    bytes(master.database_share),
  ])
  for (const [label, hex] of [
    ['encrypt', master.encrypt],
    ['authenticate', master.authenticate],
    ['verify', master.verifier],
  ]) {
    expect(
      await one(`select encode(tenantry_private.expanded($1, $2), 'hex')`, [
        prk,
        `tenantry/v1/wrap/${label}`,
      ]),
    ).toBe(hex)
  }
  for (const key of vectors.wrapped_keys) {
    const unwrapped = await one(
      `select encode(tenantry_private.unwrapped($1, $2, row($3::uuid, 'active', $4::bytea, $5::bytea)), 'hex')`,
      [key.label, bytes(key.wrapped), master.id, bytes(master.encrypt), bytes(master.authenticate)],
    )
    expect(unwrapped).toBe(key.key)
  }
  for (const blind of vectors.blind_indexes) {
    expect(
      await one(`select encode(tenantry_private.hmac_sha256($1, $2), 'hex')`, [
        bytes(blind.plaintext),
        bytes(blind.index_key),
      ]),
    ).toBe(blind.index)
  }
})
