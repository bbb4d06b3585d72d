import { afterAll, beforeAll, expect, test } from 'vitest'
import { outcome, refusal } from '../extension/support/stage.js'
import {
  anna,
  bert,
  encryptVault,
  secretStage,
  vaultTable,
  type SecretStage,
} from './support/stage.js'

// Every type of column, written through the table as if plain, read through the decrypting view.

let on: SecretStage

beforeAll(async () => {
  on = await secretStage()
  await on.setUp.query(vaultTable)
  await on.setUp.query(encryptVault)
})

afterAll(() => on.drop())

const row = {
  token: 'sk-live-1234',
  pin: '12345678',
  note: { a: [1, 2] },
  settings: { theme: 'dark', secrets: { openai: 'sk-1' }, deep: { key: 'k', other: 1 } },
  raw: Buffer.from([0, 1, 255]),
  email: 'anna@example.org',
}

const insert = `insert into vault (id, token, pin, note, settings, raw, email) values ($1, $2, $3, $4, $5, $6, $7)`
const values = (id: number) => [
  id,
  row.token,
  row.pin,
  JSON.stringify(row.note),
  JSON.stringify(row.settings),
  row.raw,
  row.email,
]

test('what is written plain is stored sealed and read plain by its owner', async () => {
  await on.holding(anna, (client) => client.query(insert, values(1)))
  const [stored] = await on.stored('select * from vault where id = 1')
  const text = JSON.stringify(stored)
  for (const secret of ['sk-live', '12345678', 'openai', 'sk-1', 'anna@', '"k"', '[1,2]']) {
    expect(text).not.toContain(secret)
  }
  expect(stored).toMatchObject({
    token: expect.stringMatching(/^tn1:/) as string,
    settings: { theme: 'dark', deep: { other: 1 } },
  })
  const { rows } = await on.holding(anna, (client) =>
    client.query('select token, pin, note, settings, raw, email from tenant.vault where id = 1'),
  )
  expect(rows).toEqual([row])
})

test('others see neither the row nor its secrets', async () => {
  const seen = await on.holding(bert, async (client) => [
    (await client.query('select * from tenant.vault')).rows,
    (await client.query('select * from vault')).rows,
  ])
  expect(seen).toEqual([[], []])
})

test('without a share reading a secret is refused, and reading the rest is not', async () => {
  const result = await on.as(anna, async (client) => [
    await outcome(client, 'select label from tenant.vault'),
    await outcome(client, 'select token from tenant.vault'),
    await outcome(client, insert, values(77)),
  ])
  expect(result).toEqual(['1 rows', 'TN005', 'TN005'])
  const wrong = await refusal(
    on.holding(
      anna,
      (client) => client.query('select token from tenant.vault'),
      Buffer.alloc(32, 1),
    ),
  )
  expect(wrong).toMatchObject({
    code: 'TN005',
    message: expect.stringMatching(/not the one/) as string,
  })
})
