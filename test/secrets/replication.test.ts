import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { startStandby, type Standby } from '../extension/support/standby.js'
import { credential, inTransaction, outcome } from '../extension/support/stage.js'
import { databaseOn, type TestDatabase } from '../support/database/clone.js'
import { skipWithReason } from '../support/skip.js'
import { ownServer, restartWith, type OwnServer } from './support/own-server.js'
import { anna, annaId, bert, secretStage, share, type SecretStage } from './support/stage.js'

// What leaves a server by replication is ciphertext, arrives as it is, and is neither sealed twice nor stored in clear.

let publisher: OwnServer
let subscriber: OwnServer
let on: SecretStage
let far: SecretStage
let plain: TestDatabase
let standby: Standby
let folder: string
let missing: string | null = null

const vault = `create table vault (id int primary key, owner_id uuid not null references users, token text, settings jsonb, raw bytea, email text)`

// Row-level security is forced, and binds the tables' owner, as whom a subscription writes by default from 16 on.
const asItsOwner = () => (publisher.major >= 16 ? ' with (run_as_owner = true)' : '')

const encrypt = (on: SecretStage) =>
  on.setUp.query(`
    select tenantry.protect('vault');
    select tenantry.encrypt_column('vault', 'token');
    select tenantry.encrypt_column('vault', 'settings', path => '{secret}');
    select tenantry.encrypt_column('vault', 'raw');
    select tenantry.encrypt_column('vault', 'email', blind_index => true)`)

beforeEach((ctx) => {
  if (missing !== null) skipWithReason(ctx, missing)
})
beforeAll(async () => {
  const first = await ownServer()
  const second = await ownServer()
  if (typeof first === 'string' || typeof second === 'string') {
    missing = [first, second].join('; ')
    return
  }
  publisher = first
  subscriber = second
  await restartWith(publisher, { wal_level: 'logical' })
  await restartWith(subscriber, { wal_retrieve_retry_interval: '200ms' })
  folder = mkdtempSync(join(tmpdir(), 'tenantry-share-'))
  on = await secretStage(await databaseOn(publisher))
  far = await secretStage(await databaseOn(subscriber))
  plain = await databaseOn(subscriber, { empty: true })
  await on.setUp.query(vault)
  await encrypt(on)
  await far.setUp.query(vault)
  await encrypt(far)
  await plain.admin.query(
    `${vault.replace(' references users', '').replace('email text', 'email text, email_index bytea')}`,
  )
  // One row is copied when the subscription is made, the others are streamed.
  await on.holding(anna, (client) =>
    client.query(
      `insert into vault (id, token, settings, raw, email) values (1, 'CLEAR-1', '{"secret": "CLEAR-2"}', 'CLEAR-3', 'CLEAR-4')`,
    ),
  )
  await on.db.admin.query('create publication vaults for table vault')
  for (const [index, db] of [far.db, plain].entries()) {
    await db.admin.query(
      `create subscription vaults${index} connection ${pg.escapeLiteral(on.db.url())} publication vaults${asItsOwner()}`,
    )
  }
})
afterAll(async () => {
  if (missing !== null) return
  await standby?.stop()
  for (const [index, db] of [far.db, plain].entries()) {
    await db.admin.query('drop subscription if exists letters')
    await db.admin.query(`drop subscription if exists vaults${index}`)
    await db.drop()
  }
  await on.drop()
  await subscriber.stop()
  await publisher.stop()
  rmSync(folder, { recursive: true, force: true })
})

const rowsOf = async (
  db: TestDatabase,
  query = 'select id, to_jsonb(v) as all from vault v order by id',
) => (await db.admin.query<Record<string, unknown>>(query)).rows

/** Waits until `what` gives something else than `until` refuses. */
async function eventually<T>(what: () => Promise<T>, until: (seen: T) => boolean): Promise<T> {
  for (let tries = 0; ; tries += 1) {
    const seen = await what()
    if (until(seen) || tries >= 200) return seen
    await sleep(50)
  }
}

const sameAs = (rows: unknown) => (seen: unknown) => JSON.stringify(seen) === JSON.stringify(rows)

const everywhere = async () => {
  const sent = await rowsOf(on.db)
  expect(JSON.stringify(sent)).not.toMatch(/CLEAR|434c454152/)
  for (const db of [far.db, plain]) {
    expect(await eventually(() => rowsOf(db), sameAs(sent))).toEqual(sent)
  }
  return sent
}

test('a first copy, inserts, updates, a changed key and deletes arrive as the ciphertext they are, declared there or not', async () => {
  expect(await everywhere()).toHaveLength(1)
  await on.holding(anna, (client) =>
    client.query(
      `insert into vault (id, token, settings, raw, email)
       select n, 'CLEAR ' || n, '{"secret": "CLEAR"}', 'CLEAR', 'CLEAR' || n from generate_series(2, 5) n`,
    ),
  )
  await on.holding(anna, (client) =>
    client.query(`update vault set token = 'CLEAR again', settings = '{"a": 1}' where id = 2`),
  )
  await on.holding(anna, (client) => client.query(`update vault set id = 30 where id = 3`))
  await on.holding(anna, (client) =>
    client.query(
      `insert into vault (id, token) values (4, 'CLEAR upsert') on conflict (id) do update set token = excluded.token`,
    ),
  )
  await on.holding(anna, (client) => client.query('delete from vault where id = 5'))
  expect((await everywhere()).map(({ id }) => id)).toEqual([1, 2, 4, 30])
})

const read = async (client: Pick<pg.ClientBase, 'query'>) =>
  (
    await client.query<{ v: string }>(
      `select concat_ws('|', id, token, settings ->> 'secret', convert_from(raw, 'UTF8'), email) as v from tenant.vault order by id`,
    )
  ).rows.map(({ v }) => v)
const shown = [
  '1|CLEAR-1|CLEAR-2|CLEAR-3|CLEAR-4',
  '2|CLEAR again|CLEAR|CLEAR2',
  '4|CLEAR upsert|CLEAR|CLEAR|CLEAR4',
  '30|CLEAR 3|CLEAR|CLEAR|CLEAR3',
]

test('the other server opens them with the keys and declarations of the first, and not without', async () => {
  expect(await on.holding(anna, read)).toEqual(shown)
  expect(await far.holding(anna, (client) => outcome(client, 'select * from tenant.vault'))).toBe(
    'TN006',
  )
  // What a restored dump brings: keys, and the ids of the columns.
  const keys = ['tag_keys', 'master_keys', 'data_keys', 'index_keys']
  for (const name of keys.toReversed())
    await far.db.admin.query(`delete from tenantry_private.${name}`)
  for (const name of keys) {
    const [{ all } = { all: null }] = await on.stored<{ all: unknown }>(
      `select json_agg(k) as all from tenantry_private.${name} k`,
    )
    await far.db.admin.query(
      `insert into tenantry_private.${name} select * from json_populate_recordset(null::tenantry_private.${name}, $1)`,
      [JSON.stringify(all)],
    )
  }
  for (const { column_id, column_name } of await on.stored<Record<string, string>>(
    'select column_id, column_name from tenantry.encrypted_columns',
  )) {
    await far.db.admin.query(
      'update tenantry_private.encrypted_columns set column_id = $1 where column_name = $2',
      [column_id, column_name],
    )
  }
  await far.db.admin.query(
    `update tenantry_private.entities e set serial = k.serial from tenantry_private.data_keys k where k.kind = e.kind and k.id = e.id`,
  )
  await far.setUp.query('select * from tenantry.sync()')
  expect(await far.holding(anna, read)).toEqual(shown)
  expect(await far.holding(bert, read)).toEqual([])
  expect(await rowsOf(far.db)).toEqual(await rowsOf(on.db))
})

test('a plaintext that another server sends is refused without a share at hand, and sealed with a key file', async () => {
  await on.setUp.query(
    'create table letters (id int primary key, owner_id uuid not null, body text)',
  )
  await far.setUp.query(`
    create table letters (id int primary key, owner_id uuid not null references users, body text);
    select tenantry.protect('letters'); select tenantry.encrypt_column('letters', 'body')`)
  await on.db.admin.query('create publication letters for table letters')
  await far.db.admin.query(
    `create subscription letters connection ${pg.escapeLiteral(on.db.url())} publication letters${asItsOwner()}`,
  )
  await on.setUp.query(`insert into letters values (1, '${annaId}', 'CLEAR')`)
  const errors = () =>
    rowsOf(
      far.db,
      `select from pg_stat_subscription_stats where subname = 'letters' and apply_error_count + sync_error_count > 0`,
    )
  expect(await eventually(errors, ({ length }) => length === 1)).toHaveLength(1)
  expect(await rowsOf(far.db, 'select * from letters')).toEqual([])
  const file = join(folder, 'share')
  chmodSync(folder, 0o755)
  writeFileSync(file, share.toString('hex'))
  await far.db.admin.query(`select tenantry.set_key_provider('file', $1)`, [file])
  const letters = () => rowsOf(far.db, 'select body from letters')
  const arrived = await eventually(letters, ({ length }) => length === 1)
  expect(arrived).toEqual([{ body: expect.stringMatching(/^tn1:/) as string }])
  expect(
    await far.holding(
      anna,
      async (client) => (await client.query('select body from tenant.letters')).rows,
    ),
  ).toEqual([{ body: 'CLEAR' }])
  await far.db.admin.query('drop subscription letters')
})

test('a hot standby opens secrets for whoever enters with the share, and for nobody else', async () => {
  standby = await startStandby(publisher)
  const client = new pg.Client({ connectionString: standby.at(on.app.url) })
  await client.connect()
  const entered = (who = anna, using = share) =>
    inTransaction(client, async () => {
      await client.query('select tenantry.enter($1, $2)', [credential(on.db.name, who), using])
      return read(client)
    })
  try {
    expect((await client.query('select pg_is_in_recovery() as standby')).rows).toEqual([
      { standby: true },
    ])
    expect(await entered()).toEqual(shown)
    expect(await entered(bert)).toEqual([])
    await expect(entered(anna, Buffer.alloc(32))).rejects.toMatchObject({ code: 'TN005' })
    await expect(
      inTransaction(client, async () => {
        await client.query('select tenantry.enter($1)', [credential(on.db.name, anna)])
        return read(client)
      }),
    ).rejects.toMatchObject({ code: 'TN005' })
    expect(await entered()).toEqual(shown)
  } finally {
    await client.end()
  }
})
