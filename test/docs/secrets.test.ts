import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { anna, annaId, secretStage, type SecretStage } from '../secrets/support/stage.js'
import { repositoryRoot } from '../support/repository.js'
import { blocksOf, statementsOf } from './blocks.js'

// Every SQL block of extension/doc/secrets.md is run.

let on: SecretStage
const blocks = blocksOf(join(repositoryRoot, 'extension', 'doc', 'secrets.md'))
const run = async (who: string) => {
  for (const statement of statementsOf(blocks, who)) await on.setUp.query(statement)
}

beforeAll(async () => {
  on = await secretStage()
})
afterAll(() => on.drop())

test('encrypted columns, as the page declares them', async () => {
  await run('secrets')
  const [column] = await on.stored<{ column_id: string }>(
    `select column_id from tenantry.encrypted_columns where column_name = 'email'`,
  )
  const seen = await on.holding(anna, async (client) => {
    await client.query(
      `insert into accounts (email, settings) values ('a@x', '{"secrets":{"k":1}}')`,
    )
    return [
      (
        await client.query(
          `select email, settings from tenant.accounts where email_index = tenantry.blind_index($1, 'a@x')`,
          [column!.column_id],
        )
      ).rows,
      (await client.query(`select email from tenant.accounts`)).rowCount,
    ]
  })
  expect(seen).toEqual([[{ email: 'a@x', settings: { secrets: { k: 1 } } }], 1])
  expect(await on.check()).toEqual([])
  // audited: one row for the one statement that decrypted it
  const readings = await on.stored(
    'select actor, principal, column_name, path from tenantry.secret_readings',
  )
  expect(readings).toEqual([
    { actor: anna, principal: anna, column_name: 'settings', path: ['secrets'] },
  ])
})

test('a column that has values, in the steps of the page', async () => {
  await on.setUp
    .query(`create table letters (id int primary key, owner_id uuid not null references users, body text);
    select tenantry.protect('letters')`)
  await on.db.admin.query(`insert into letters values (1, '${annaId}', 'dear')`)
  await run('existing')
  expect((await on.stored<{ body: string }>('select body from letters'))[0]!.body).toMatch(/^tn1:/)
  expect(
    await on.holding(
      anna,
      async (client) => (await client.query('select body from tenant.letters')).rows,
    ),
  ).toEqual([{ body: 'dear' }])
  expect(await on.check()).toEqual([])
})
