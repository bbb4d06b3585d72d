import type pg from 'pg'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { outcome, refusal } from '../extension/support/stage.js'
import {
  anna,
  bert,
  bertId,
  encryptVault,
  secretStage,
  vaultTable,
  type SecretStage,
} from './support/stage.js'

// Every way to write a secret, and every way a sealed value may come back.

let on: SecretStage

beforeAll(async () => {
  on = await secretStage()
  await on.setUp.query(vaultTable)
  await on.setUp.query(encryptVault)
})

afterAll(() => on.drop())

beforeEach(async () => {
  await on.db.admin.query('truncate vault')
  await on.holding(anna, (client) =>
    client.query(
      `insert into vault (id, token, email) values (1, 'one', 'one@x'), (2, 'two', 'two@x')`,
    ),
  )
  await on.holding(bert, (client) =>
    client.query(`insert into vault (id, token, email) values (3, 'three', 'three@x')`),
  )
})

const tokens = async (client: pg.Client) =>
  (
    await client.query<{ id: number; token: string }>(
      'select id, token from tenant.vault order by id',
    )
  ).rows
    .map(({ id, token }) => `${id} ${token}`)
    .join(', ')

const sealed = async (id: number): Promise<string> =>
  (await on.stored<{ token: string }>(`select token from vault where id = ${id}`))[0]!.token

test('update, and a sealed value read and written back stays', async () => {
  const before = await sealed(1)
  const seen = await on.holding(anna, async (client) => {
    const { rows } = await client.query('select * from vault where id = 1')
    await client.query('update vault set token = $1, label = $2 where id = 1', [rows[0].token, 'x'])
    await client.query(`update vault set token = 'zwei' where id = 2`)
    return tokens(client)
  })
  expect(seen).toBe('1 one, 2 zwei')
  expect(await sealed(1)).toBe(before)
})

test('an update of something else needs no share', async () => {
  const result = await on.as(anna, async (client) => [
    await outcome(client, `update vault set label = 'x' where id = 1`),
    await outcome(client, `update vault set token = 'x' where id = 1`),
  ])
  expect(result).toEqual(['1 rows', 'TN005'])
})

test('every form of ON CONFLICT', async () => {
  const seen = await on.holding(anna, async (client) => {
    const upsert = (text: string) => client.query(text)
    await upsert(
      `insert into vault (id, token) values (1, 'eins') on conflict (id) do update set token = excluded.token`,
    )
    await upsert(`insert into vault (id, token) values (2, 'ignored') on conflict do nothing`)
    await upsert(
      `insert into vault (id, token) values (4, 'four') on conflict (id) do update set token = excluded.token`,
    )
    await upsert(
      `insert into vault (id, token) values (4, 'x') on conflict on constraint vault_pkey do update set token = 'vier'`,
    )
    return tokens(client)
  })
  expect(seen).toBe('1 eins, 2 two, 4 vier')
})

test('an upsert that lands on another row by a secondary key is sealed for that row', async () => {
  const seen = await on.holding(anna, async (client) => {
    await client.query(
      `insert into vault (id, token, email) values (9, 'new of one', 'one@x')
       on conflict (email_index) do update set token = excluded.token, email = excluded.email`,
    )
    return [
      await tokens(client),
      (await client.query('select email from tenant.vault where id = 1')).rows,
    ]
  })
  expect(seen).toEqual(['1 new of one, 2 two', [{ email: 'one@x' }]])
})

test('several rows of one upsert, some landing, some new', async () => {
  const seen = await on.holding(anna, async (client) => {
    await client.query(
      `insert into vault (id, token, email) values (11, 'a', 'one@x'), (12, 'b', 'new@x'), (13, 'c', 'two@x')
       on conflict (email_index) do update set token = excluded.token`,
    )
    return tokens(client)
  })
  expect(seen).toBe('1 a, 2 c, 12 b')
})

test('MERGE', async () => {
  const seen = await on.holding(anna, async (client) => {
    await client.query(
      `merge into vault v using (values (1, 'merged'), (5, 'five')) s (id, token) on v.id = s.id
       when matched then update set token = s.token
       when not matched then insert (id, token) values (s.id, s.token)`,
    )
    return tokens(client)
  })
  expect(seen).toBe('1 merged, 2 two, 5 five')
})

test('RETURNING shows what is stored, and the opening expression shows it decrypted, for a first secret, too', async () => {
  await on.db.admin.query(
    `insert into users values ('6f1c0000-0000-4000-8000-00000000000c', 'Cleo') on conflict do nothing`,
  )
  const [column] = await on.stored<{ opens: string; ring_returning: string }>(
    `select opens, ring_returning from tenantry.encrypted_columns where column_name = 'token'`,
  )
  const opened = column!.opens.replaceAll('$ring$', column!.ring_returning)
  const { rows } = await on.holding('user:6f1c0000-0000-4000-8000-00000000000c', (client) =>
    client.query(
      `insert into vault as t (id, token) values (21, 'first') returning token, ${opened} as opened`,
    ),
  )
  expect(rows).toEqual([{ token: expect.stringMatching(/^tn1:/) as string, opened: 'first' }])
  await on.db.admin.query(`delete from vault where id = 21; delete from users where name = 'Cleo'`)
})

test('a changed primary key is sealed anew, and so is a row given to another owner', async () => {
  const moved = await on.holding(anna, async (client) => {
    await client.query('update vault set id = 10 where id = 1')
    return tokens(client)
  })
  expect(moved).toBe('2 two, 10 one')
  const client = await on.db.admin.connect()
  try {
    await client.query('begin')
    await client.query('select tenantry.bring_key_share($1)', [Buffer.alloc(32, 0xab)])
    await client.query(`update vault set owner_id = '${bertId}' where id = 2`)
    await client.query('commit')
  } finally {
    client.release()
  }
  expect(await on.holding(bert, tokens)).toBe('2 two, 3 three')
  expect(
    await on.holding(
      bert,
      async (session) => (await session.query('select email from tenant.vault where id = 2')).rows,
    ),
  ).toEqual([{ email: 'two@x' }])
})

test('a value sealed for another row, column or owner is refused, a plaintext that looks sealed is not', async () => {
  const [two, three] = [await sealed(2), await sealed(3)]
  const results = await on.holding(anna, async (client) => [
    await outcome(client, 'update vault set token = $1 where id = 1', [two]),
    await outcome(client, 'update vault set token = $1 where id = 1', [three]),
    await outcome(client, 'update vault set email = $1 where id = 2', [two]),
    await outcome(
      client,
      'update vault set token = (select v.token from vault v where v.id = 2) where id = 1',
    ),
    await outcome(client, 'insert into vault (id, token) select 30, token from vault where id = 2'),
    await outcome(client, 'update vault set token = $1 where id = 2', [two]),
    await outcome(client, 'update vault set token = $1 where id = 1', [
      `tn1:${Buffer.alloc(69, 1).toString('base64')}`,
    ]),
  ])
  expect(results).toEqual(['TN006', 'TN006', 'TN006', 'TN006', 'TN006', '1 rows', '1 rows'])
  expect(await on.holding(anna, tokens)).toBe(
    `1 tn1:${Buffer.alloc(69, 1).toString('base64')}, 2 two`,
  )
})

test('what this statement sealed last cannot be planted for another statement', async () => {
  const before = await on.holding(anna, async (client) => {
    await client.query(`insert into vault (id, token) values (40, 'forty')`)
    const { rows } = await client.query(
      `select current_setting('tenantry.inserting') as kept, token from vault where id = 40`,
    )
    await client.query(`select set_config('tenantry.inserting', $1, true)`, [rows[0].kept])
    return outcome(client, 'update vault set token = $1 where id = 1', [rows[0].token])
  })
  expect(before).toBe('TN006')
})

test('NULL, the empty text, one megabyte, a length limit', async () => {
  const big = 'x'.repeat(1 << 20)
  const seen = await on.holding(anna, async (client) => {
    await client.query(`update vault set token = '', email = null where id = 1`)
    await client.query('update vault set token = $1 where id = 2', [big])
    const { rows } = await client.query(
      'select token, email, email_index from tenant.vault order by id',
    )
    return [
      rows[0],
      rows[1].token === big,
      await outcome(client, `update vault set pin = '12345678' where id = 1`),
      await outcome(client, `update vault set pin = '123456789' where id = 1`),
      await outcome(client, `update vault set token = null where id = 1`),
    ]
  })
  expect(seen).toEqual([
    { token: '', email: null, email_index: null },
    true,
    '1 rows',
    '22001',
    '23502',
  ])
})

test('a path keeps what lies around it, and JSON null or a missing path is no secret', async () => {
  const seen = await on.holding(anna, async (client) => {
    await client.query(
      `update vault set settings = '{"theme":"dark","secrets":{"k":"v"}}' where id = 1`,
    )
    await client.query(
      `update vault set settings = jsonb_set(settings, '{theme}', '"light"') where id = 1`,
    )
    await client.query(`update vault set settings = '{"secrets":null}' where id = 2`)
    return (await client.query('select settings from tenant.vault order by id')).rows
  })
  expect(seen).toEqual([
    { settings: { theme: 'light', secrets: { k: 'v' } } },
    { settings: { secrets: null } },
  ])
})

test('search by blind index, unique, and by nothing else', async () => {
  const [column] = await on.stored<{ column_id: string }>(
    `select column_id from tenantry.encrypted_columns where column_name = 'email'`,
  )
  const found = (value: string) =>
    `select id from tenant.vault where email_index = tenantry.blind_index('${column!.column_id}', '${value}')`
  const seen = await on.holding(anna, async (client) => [
    (await client.query(found('two@x'))).rows,
    (await client.query(found('three@x'))).rows,
    await outcome(client, `insert into vault (id, token, email) values (50, 't', 'two@x')`),
  ])
  expect(seen).toEqual([[{ id: 2 }], [], '23505'])
  expect((await on.holding(bert, (client) => client.query(found('three@x')))).rows).toEqual([
    { id: 3 },
  ])
  const refused = await refusal(on.as(anna, (client) => client.query(found('two@x'))))
  expect(refused.code).toBe('TN005')
})

test('no dead row ever held a plaintext', async () => {
  await on.db.admin.query('create extension if not exists pageinspect')
  await on.holding(anna, async (client) => {
    await client.query(
      `insert into vault (id, token) values (60, 'PLAINTEXT-1') on conflict do nothing`,
    )
    await client.query(`update vault set token = 'PLAINTEXT-2' where id = 60`)
    await client.query(
      `insert into vault (id, token) values (60, 'PLAINTEXT-3') on conflict (id) do update set token = excluded.token`,
    )
  })
  const [page] = await on.stored<{ hits: number; control: number }>(
    `select count(*) filter (where position('PLAINTEXT'::bytea in get_raw_page('vault', n)) > 0)::int as hits,
            count(*) filter (where position('tn1:'::bytea in get_raw_page('vault', n)) > 0)::int as control
       from generate_series(0, pg_relation_size('vault') / 8192 - 1) n`,
  )
  expect(page).toMatchObject({ hits: 0 })
  expect(page!.control).toBeGreaterThan(0)
})
