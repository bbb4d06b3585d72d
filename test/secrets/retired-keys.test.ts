import { afterAll, beforeAll, expect, test } from 'vitest'
import { outcome } from '../extension/support/stage.js'
import { anna, secretStage, share, type SecretStage } from './support/stage.js'

let on: SecretStage

beforeAll(async () => {
  on = await secretStage()
  await on.setUp.query(`
    create table vault (id int primary key, owner_id uuid not null references users, token text);
    select tenantry.protect('vault');
    select tenantry.encrypt_column('vault', 'token')`)
  await on.holding(anna, (client) => client.query(`insert into vault values (1, default, 'kept')`))
})
afterAll(() => on.drop())

test('a sealed value from before a rotation cannot be written back, and so blocks no later rotation', async () => {
  const stored = async () =>
    (await on.stored<{ token: string }>('select token from vault'))[0]!.token
  const before = await stored()
  await on.setUp.query('call tenantry.rotate_data_keys($1)', [share])
  const now = await stored()
  const written = await on.holding(anna, async (client) => [
    await outcome(client, 'update vault set token = $1', [before]),
    await outcome(client, 'update vault set token = $1', [now]),
  ])
  expect(written).toEqual(['TN006', '1 rows'])
  await on.setUp.query('call tenantry.rotate_data_keys($1)', [share])
  const { rows } = await on.holding(anna, (client) =>
    client.query('select token from tenant.vault'),
  )
  expect(rows).toEqual([{ token: 'kept' }])
})
