import type pg from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { deriveSigningKey, mintCredential } from '../../src/credential.js'
import { identityOf } from '../../src/identity.js'
import { credential, inTransaction, outcome } from '../extension/support/stage.js'
import { anna, annaId, bert, secretStage, share, type SecretStage } from './support/stage.js'

// Who works on somebody's rows without the privilege decrypt, and what rings are worth elsewhere.

let on: SecretStage
let client: pg.Client

beforeAll(async () => {
  on = await secretStage()
  await on.setUp.query(`
    create table vault (id int primary key, owner_id uuid not null references users, token text, doc jsonb, watched text);
    select tenantry.protect('vault');
    select tenantry.encrypt_column('vault', 'token');
    select tenantry.encrypt_column('vault', 'doc', '{s}');
    select tenantry.encrypt_column('vault', 'watched', audited => true)`)
  await on.db.admin.query(
    `select tenantry.register_entity('bot:1'); select tenantry.register_service('bot:1', 'user')`,
  )
  for (const who of [anna, bert]) {
    await on.holding(who, (session) =>
      session.query(
        `insert into vault values (${who === anna ? 1 : 2}, tenantry.principal('user')::uuid, 'token', '{"s": 1, "t": 2}', 'watched')`,
      ),
    )
  }
  client = await on.app.connect()
})
afterAll(() => on.drop())

/** The platform's service for Anna: it reads and writes her rows, and never decrypts. */
const asBot = <T>(work: () => Promise<T>) =>
  inTransaction(client, async () => {
    const signing = deriveSigningKey('a secret of the tests, long enough for anybody')
    const expiresAt = Math.floor(Date.now() / 1000) + 60
    const token = mintCredential(signing, identityOf('bot:1', anna), {
      audience: on.db.name,
      expiresAt,
    })
    await client.query('select tenantry.enter($1, $2)', [token, share])
    return work()
  })

const opens = async (column: string) =>
  (
    await on.stored<{ opens: string }>(
      `select opens from tenantry.encrypted_columns where column_name = '${column}'`,
    )
  )[0]!.opens

test('secrets read as NULL, new ones can be written, and old ones cannot be emptied by that NULL', async () => {
  const seen = await asBot(async () => [
    (await client.query('select id, token, doc, watched from tenant.vault')).rows,
    await outcome(client, `update vault set token = null`),
    await outcome(client, `update vault set doc = doc - 's'`),
    await outcome(client, `update vault set doc = jsonb_set(doc, '{t}', '3')`),
    await outcome(client, `update vault set token = 'by the bot'`),
    await outcome(client, `insert into vault (id, owner_id, token) values (3, '${annaId}', 'new')`),
  ])
  expect(seen).toEqual([
    [{ id: 1, token: null, doc: { s: null, t: 2 }, watched: null }],
    '42501',
    '42501',
    '1 rows',
    '1 rows',
    '1 rows',
  ])
  const own = await on.holding(anna, async (session) => [
    (await session.query('select id, token, doc from tenant.vault order by id')).rows,
    await outcome(session, 'update vault set token = null where id = 3'),
  ])
  expect(own).toEqual([
    [
      { id: 1, token: 'by the bot', doc: { s: 1, t: 3 } },
      { id: 3, token: 'new', doc: null },
    ],
    '1 rows',
  ])
})

test('the ring that seals does not open, not even for whoever made it', async () => {
  const opening = (await opens('token')).replaceAll('$ring$', '$1')
  const seen = await asBot(async () => {
    await client.query(`update vault set token = 'again' where id = 1`)
    const { rows } = await client.query<{ ring: string }>(
      `select current_setting('tenantry.seal_ring') as ring`,
    )
    return [
      await outcome(client, `select ${opening} from vault t where id = 1`, [rows[0]!.ring]),
      await outcome(client, `select ${opening} from vault t where id = 1`, [
        rows[0]!.ring.replace(/^w1/, 'r1'),
      ]),
    ]
  })
  expect(seen).toEqual(['TN006', 'TN006'])
})

test('a ring is worth nothing in a later transaction, in another session, or for somebody else', async () => {
  const opening = (await opens('token')).replaceAll('$ring$', '$1')
  const read = (session: pg.Client, ring: string) =>
    outcome(session, `select ${opening} as v from vault t`, [ring])
  const ring = await on.holding(anna, async (session) => {
    const { rows } = await session.query<{ ring: string }>(
      `select tenantry_private.ring('user') as ring`,
    )
    expect(await read(session, rows[0]!.ring)).toMatch(/rows/) // the control
    return rows[0]!.ring
  })
  expect(ring).not.toContain(share.toString('hex'))
  expect(await on.holding(anna, (session) => read(session, ring))).toBe('TN006')
  expect(await on.holding(bert, (session) => read(session, ring))).toBe('TN006')
  const other = await on.app.connect()
  await inTransaction(other, async () => {
    await other.query('select tenantry.enter($1, $2)', [credential(on.db.name, anna), share])
    expect(await read(other, ring)).toBe('TN006')
  })
})

test('an audited column leaves a row for each statement, and is not opened by a ring that was not recorded', async () => {
  const readings = async () =>
    (await on.stored<{ n: number }>('select count(*)::int as n from tenantry.secret_readings'))[0]!
      .n
  const before = await readings()
  await on.holding(anna, (session) => session.query('select token from tenant.vault'))
  expect(await readings()).toBe(before)
  await on.holding(anna, (session) => session.query('select watched from tenant.vault'))
  expect(await readings()).toBe(before + 1)
  const opening = await opens('watched')
  const around = await on.holding(anna, async (session) => [
    await outcome(
      session,
      `select ${opening.replaceAll('$ring$', `(select tenantry_private.ring('user'))`)} from vault t where id = 1`,
    ),
    await outcome(
      session,
      `select ${opening.replaceAll('$ring$', `tenantry_private.ring_now('user')`)} from vault t where id = 1`,
    ),
  ])
  expect(around).toEqual(['TN006', 'TN006'])
  // Nor by one for no column, or for an unknown one.
  for (const none of [
    'variadic null::uuid[]',
    `variadic '{}'::uuid[]`,
    'variadic array[null]::uuid[]',
    'gen_random_uuid(), null',
  ]) {
    for (const ring of ['audited_ring', 'ring_now']) {
      const opened = opening.replaceAll(
        '$ring$',
        `(select tenantry_private.${ring}('user', ${none}))`,
      )
      const found = await on.holding(anna, (session) =>
        outcome(session, `select ${opened} from vault t where id = 1`),
      )
      expect(found).not.toMatch(/rows/)
    }
  }
  // Where nothing can be written, the log has it.
  await on.holding(anna, async (session) => {
    await session.query('set local transaction_read_only = on')
    expect((await session.query('select watched from tenant.vault where id = 1')).rows).toEqual([
      { watched: 'watched' },
    ])
  })
  expect(await readings()).toBe(before + 1)
})

test('members of pg_read_all_data and other logins read no key and no secret', async () => {
  const reader = await on.db.role('reader')
  await on.db.admin.query(`grant pg_read_all_data to "${reader.name}"`)
  const session = await reader.connect()
  for (const table of ['master_keys', 'tag_keys', 'data_keys', 'index_keys', 'signing_keys']) {
    expect((await session.query(`select from tenantry_private.${table}`)).rowCount).toBe(0)
  }
  expect((await on.stored('select from tenantry_private.master_keys')).length).toBe(1)
  await expect(session.query('select token from tenant.vault')).rejects.toMatchObject({
    code: '42501',
  })
  expect((await session.query('select id from tenant.vault')).rows).toEqual([])
})

test('a superuser sees ciphertext in the table, and nobody’s rows through the view', async () => {
  expect(
    (await on.stored<{ token: string }>('select token from vault where id = 2'))[0]!.token,
  ).toMatch(/^tn1:/)
  expect(await on.stored('select * from tenant.vault')).toEqual([])
})
