import type pg from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { inTransaction, outcome, refusal } from '../extension/support/stage.js'
import { anna, encryptVault, secretStage, vaultTable, type SecretStage } from './support/stage.js'

// ALTER TABLE on tables with encrypted columns, by an owner who knows nothing of tenantry, with the event triggers that a
// superuser's installation makes; and by tenantry.alter_table() without them.

let on: SecretStage
let owner: pg.Client

beforeAll(async () => {
  on = await secretStage()
  await on.setUp.query(`${vaultTable}; alter table vault add column spare text, add column num int`)
  await on.setUp.query(encryptVault)
  await on.holding(anna, (client) =>
    client.query(
      `insert into vault (id, token, email, spare, num) values (1, 'one', 'one@x', 's', 7)`,
    ),
  )
  owner = await on.owner.connect()
  await on.db.admin.query(`select tenantry.disallow($1, 'admin')`, [on.owner.name])
})

afterAll(() => on.drop())

const shown = () =>
  on.holding(
    anna,
    async (client) =>
      (await client.query('select * from tenant.vault')).rows[0] as Record<string, unknown>,
  )

const outcomeOf = (client: pg.Client, statement: string) =>
  inTransaction(client, () => outcome(client, statement))

test('the owner of the tables is no admin here', async () => {
  expect((await refusal(owner.query('select * from tenantry.check()'))).code).toBe('42501')
})

test('a column is added, retyped, renamed and dropped; the view follows', async () => {
  await owner.query('alter table vault add column added int default 5')
  expect(await shown()).toMatchObject({ token: 'one', added: 5 })
  await owner.query('alter table vault alter column num type bigint')
  expect(await shown()).toMatchObject({ token: 'one', num: '7' })
  await owner.query('alter table vault rename column spare to extra')
  expect(await shown()).toMatchObject({ extra: 's' })
  await owner.query('alter table vault drop column added, drop column extra')
  const row = await shown()
  expect(row).toMatchObject({ token: 'one', num: '7', email: 'one@x' })
  expect(Object.keys(row)).not.toContain('extra')
  expect(await on.check()).toEqual([])
})

test('an encrypted column is renamed: it is still sealed and shown', async () => {
  await owner.query('alter table vault rename column token to key')
  await owner.query('alter table vault rename column email_index to mail_index')
  await on.holding(anna, (client) =>
    client.query(`update vault set key = 'changed', email = 'two@x' where id = 1`),
  )
  expect(await shown()).toMatchObject({ key: 'changed', email: 'two@x' })
  const [stored] = await on.stored<{ key: string }>('select key from vault')
  expect(stored!.key).toMatch(/^tn1:/)
  expect(await on.check()).toEqual([])
  await owner.query('alter table vault rename column key to token')
  await owner.query('alter table vault rename column mail_index to email_index')
})

test('a renamed table keeps its view under its new name, and moves to another schema', async () => {
  await owner.query('alter table vault rename to safe')
  expect(
    await on.holding(
      anna,
      async (client) => (await client.query('select token from tenant.safe')).rows,
    ),
  ).toEqual([{ token: 'changed' }])
  expect(await on.check()).toEqual([])
  await owner.query('alter table safe rename to vault')
  expect(await shown()).toMatchObject({ token: 'changed' })
})

test('what would leave a column unsealed fails, and says why', async () => {
  const type = await refusal(owner.query('alter table vault alter column token type varchar(3)'))
  expect(type.code).toBe('0A000')
  const dropped = await refusal(owner.query('alter table vault drop column token cascade'))
  expect(dropped).toMatchObject({
    code: 'TN011',
    hint: expect.stringMatching(/unencrypt_column/) as string,
  })
  expect(await shown()).toMatchObject({ token: 'changed' })
})

test('tables of others are not touched by a statement that names them', async () => {
  const stranger = await on.db.role('stranger')
  await on.db.admin.query(`create schema theirs authorization "${stranger.name}"`)
  const client = await stranger.connect()
  await client.query(
    'create table theirs.vault (a int, b int); alter table theirs.vault drop column b',
  )
  expect(await outcomeOf(client, `select tenantry_private.suspend_facades('vault')`)).toBe('42501')
  expect(await shown()).toMatchObject({ token: 'changed' })
})

test('without event triggers alter_table() does it, and sync() follows what was done without', async () => {
  await on.db.admin.query(`select tenantry.allow($1, 'admin')`, [on.owner.name])
  await on.db.admin.query(
    'alter event trigger tenantry_before_alter disable; alter event trigger tenantry_after_alter disable',
  )
  await owner.query('alter table vault add column late int default 1')
  expect(Object.keys(await shown())).not.toContain('late')
  expect((await on.check()).map(({ code }) => code)).toEqual(['facade_stale', 'reach_stale'])
  await on.db.admin.query('select tenantry.sync()')
  expect(await shown()).toMatchObject({ late: 1 })
  expect((await refusal(owner.query('alter table vault drop column late'))).code).toBe('2BP01')
  await owner.query(`select tenantry.alter_table('vault', 'drop column late')`)
  expect(Object.keys(await shown())).not.toContain('late')
  await owner.query('alter table vault rename column token to key')
  const broken = await on.holding(anna, (client) => outcome(client, `update vault set key = 'x'`))
  expect(broken).toBe('42703')
  expect((await on.check()).map(({ code }) => code)).toContain('column_renamed')
  await on.db.admin.query('select tenantry.sync()')
  expect(await on.holding(anna, (client) => outcome(client, `update vault set key = 'x'`))).toBe(
    '1 rows',
  )
  expect(await on.check()).toEqual([])
})
