import { afterAll, beforeAll, expect, test } from 'vitest'
import { credential, inTransaction } from '../extension/support/stage.js'
import { anna, secretStage, share, type SecretStage } from './support/stage.js'

// A user's settings change how PostgreSQL reads literals and prints values, and nothing of what is stored.

let on: SecretStage

beforeAll(async () => {
  on = await secretStage()
  await on.setUp.query(`
    create table one (id int primary key, owner_id uuid not null references users, a text, raw bytea, doc jsonb);
    select tenantry.protect('one');
    select tenantry.encrypt_column('one', 'a'); select tenantry.encrypt_column('one', 'raw');
    select tenantry.encrypt_column('one', 'doc', '{s}')`)
  await on.holding(anna, (client) => client.query(`insert into one (id, a) values (1, 'first')`))
})
afterAll(() => on.drop())

test('settings of a session change nothing in what is sealed, opened and recognised', async () => {
  const settings = [
    'standard_conforming_strings = off',
    'transform_null_equals = on',
    'quote_all_identifiers = on',
    'array_nulls = off',
    `bytea_output = 'escape'`,
    `datestyle = 'SQL, DMY'`,
    `intervalstyle = 'sql_standard'`,
    `timezone = 'Asia/Kolkata'`,
    'search_path = pg_temp, public',
    `xmloption = 'document'`,
    'extra_float_digits = -15',
    'plan_cache_mode = force_generic_plan',
    'from_collapse_limit = 1',
    `lc_monetary = 'C'`,
    `plpgsql.extra_errors = 'all'`,
    'plpgsql.print_strict_params = on',
    `default_transaction_isolation = 'serializable'`,
    'jit = off',
  ]
  for (const [index, setting] of settings.entries()) {
    // A new session each time: functions are compiled once a session, under the settings of that moment.
    const client = await on.app.connect()
    await client.query(`set ${setting}`)
    const written = `value ${index} é`
    const enter = () =>
      client.query('select tenantry.enter($1, $2)', [credential(on.db.name, anna), share])
    const stored = await inTransaction(client, async () => {
      await enter()
      await client.query(`update public.one set a = $1, raw = $2, doc = $3 where id = 1`, [
        written,
        Buffer.from([0, 92, 255, index]),
        JSON.stringify({ s: written }),
      ])
      const { rows } = await client.query<{ a: string; raw: Buffer; s: string }>(
        `select a, raw, doc ->> 's' as s from tenant.one where id = 1`,
      )
      expect([setting, rows]).toEqual([
        setting,
        [{ a: written, raw: Buffer.from([0, 92, 255, index]), s: written }],
      ])
      return (await client.query<{ a: string }>('select a from public.one where id = 1')).rows[0]!.a
    })
    await client.end()
    await on.holding(anna, async (elsewhere) => {
      // Read and written back, it is kept: neither refused nor sealed again.
      const { rows } = await elsewhere.query<{ a: string }>(
        `insert into one (id, a) values (1, $1) on conflict (id) do update set a = excluded.a returning a`,
        [stored],
      )
      expect([setting, rows]).toEqual([setting, [{ a: stored }]])
      const shown = await elsewhere.query('select a from tenant.one where id = 1')
      expect([setting, shown.rows]).toEqual([setting, [{ a: written }]])
    })
  }
})
