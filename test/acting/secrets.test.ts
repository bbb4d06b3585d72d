import { afterAll, beforeAll, expect, it } from 'vitest'
import { outcome } from '../extension/support/stage.js'
import { anna, bert, secretStage, share, type SecretStage } from '../secrets/support/stage.js'

let on: SecretStage
beforeAll(async () => {
  on = await secretStage()
  await on.setUp.query(`
    create table accounts (id int primary key, owner_id uuid not null references users, email text, mail text);
    select tenantry.protect('accounts')`)
  await on.setUp.query(`select tenantry.encrypt_column('accounts', 'email', blind_index => true)`)
  await on.holding(anna, (c) =>
    c.query(`insert into accounts (id, email, mail) values (1, 'a@x', 'a@x')`),
  )
  await on.holding(anna, (c) =>
    c.query(`select tenantry.delegate($1, '{select,insert,update,delete}')`, [bert]),
  )
})
afterAll(() => on.drop())

it('shows on the reach path neither blind indexes nor copies of values, and secrets sealed', async () => {
  await on.setUp.query(`select tenantry.encrypt_column('accounts', 'mail')`)
  await on.setUp.query(
    `call tenantry.encrypt_existing('accounts', 'mail', to_step => 'filled', key_share => '\\x${share.toString('hex')}')`,
  )
  const columns = await on.stored<{ name: string }>(
    `select attname as name from pg_attribute where attrelid = 'reach.accounts'::regclass and attnum > 0 order by attnum`,
  )
  expect(columns.map(({ name }) => name)).toEqual(['id', 'owner_id', 'email', 'mail'])
  await on.holding(bert, async (c) => {
    const { rows } = await c.query<{ email: string; mail: string }>(
      'select email, mail from reach.accounts',
    )
    expect(rows).toHaveLength(1)
    expect(rows[0]?.email).toMatch(/^tn1:/)
    expect(await outcome(c, 'select email_index from reach.accounts')).toBe('42703')
  })
})
