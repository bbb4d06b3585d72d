import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { outcome } from '../extension/support/stage.js'
import { anna, bert, nursery, type Nursery } from './support/nursery.js'

// Where no superuser installs there are no event triggers: check() finds what they would have seen, sync() does what they
// would have done.

let on: Nursery

beforeAll(async () => {
  on = await nursery()
  await on.db.admin.query(`
    alter event trigger tenantry_before_alter disable; alter event trigger tenantry_after_alter disable;
    alter event trigger tenantry_after_drop disable; alter event trigger tenantry_after_ddl disable;
    alter default privileges for role "${on.stranger.name}" grant select, insert on tables to tenantry_user;
    create schema attic authorization "${on.stranger.name}"`)
  await on.setUp.query(
    `select tenantry.register_rule('app', '%\\_mail', owner_column => 'receiver', owner_kind => 'user'); drop table app.old`,
  )
})
afterAll(() => on.drop())

const found = async () => (await on.check()).map(({ code, object }) => `${code} ${object}`).sort()
const closed = { enabled: true, forced: false, policies: 0, open: false }
const tables = ['app.chosen', 'app.copied', 'app.in_mail', 'app.lists', 'app.moved', 'app.notes']

describe('new tables', () => {
  test('are open until somebody asks, and check() names each', async () => {
    await on.made.query(`
      create table app.notes (id int primary key, owner_id uuid not null, body text);
      create table app.in_mail (id int primary key, receiver uuid not null);
      create table app.lists (id int primary key);
      create table app.copied as select id as owner_id from app.users;
      select id as whose into app.chosen from app.users;
      create table attic.moved (id int primary key, owner_id uuid);
      alter table attic.moved set schema app;
      create materialized view app.counted as select count(*) as n from app.lists`)
    for (const table of tables)
      expect(await on.state(table), table).toMatchObject({ enabled: false, open: true })
    expect(await found()).toEqual([
      'relation_unprotectable app.counted',
      ...tables.map((table) => `table_undeclared ${table}`),
    ])
    expect(await on.as(bert, (client) => outcome(client, 'select from app.chosen'))).toBe('2 rows')
  })

  test('sync() shows what it would do, and protects or closes them', async () => {
    const { rows } = await on.db.admin.query<{ statement: string }>(
      'select statement from tenantry.sync(dry_run => true)',
    )
    expect(rows.map(({ statement }) => statement)).toContain(
      'alter table app.lists enable row level security',
    )
    expect(await on.state('app.lists')).toMatchObject({ enabled: false })
    await on.db.admin.query('select * from tenantry.sync()')
    for (const [table, column] of [
      ['app.notes', 'owner_id'],
      ['app.in_mail', 'receiver'],
      ['app.copied', 'owner_id'],
      ['app.moved', 'owner_id'],
    ] as const)
      expect(await on.declared(table), table).toMatchObject({
        class: 'owned',
        owner_column: column,
      })
    for (const table of ['app.lists', 'app.chosen'])
      expect(await on.state(table), table).toEqual(closed)
    expect(await on.state('app.counted')).toMatchObject({ open: false })
    expect(await found()).toEqual(['table_undeclared app.chosen', 'table_undeclared app.lists'])
    await on.as(anna, async (client) => {
      await client.query(`insert into app.notes (id) values (1)`)
      expect(await outcome(client, 'select from reach.notes')).toBe('1 rows')
    })
    expect(await on.as(bert, (client) => outcome(client, 'select from app.notes'))).toBe('0 rows')
    expect(await on.as(bert, (client) => outcome(client, 'select from app.copied'))).toBe('1 rows')
    expect(await on.as(bert, (client) => outcome(client, 'select from app.chosen'))).toBe('42501')
  })

  test('what check() prints for the closed ones settles them', async () => {
    for (const { fix } of await on.check()) await on.db.admin.query(fix)
    expect(await found()).toEqual([])
    expect(await on.state('app.lists')).toMatchObject({ enabled: false, open: false })
  })

  test('partitions, attached ones too, and what a table was moved out of', async () => {
    await on.made.query(`
      create table app.events (id int, owner_id uuid not null) partition by range (id);
      create table attic.part (id int, owner_id uuid not null)`)
    await on.db.admin.query('select * from tenantry.sync()')
    await on.made.query(`
      create table app.events_1 partition of app.events for values from (0) to (10);
      alter table app.events attach partition attic.part for values from (10) to (20)`)
    expect(await on.state('app.events_1')).toMatchObject({ enabled: false, open: true })
    expect((await found()).filter((finding) => /events/.test(finding))).not.toEqual([])
    await on.db.admin.query('select * from tenantry.sync()')
    for (const table of ['app.events_1', 'attic.part'])
      expect(await on.state(table), table).toEqual({
        enabled: true,
        forced: true,
        policies: 0,
        open: false,
      })
    expect(await found()).toEqual([])
  })
})

test('what is taken away is found, and sync() puts it back; sync() a second time finds nothing to do', async () => {
  await on.made.query(`
    alter table app.notes disable row level security; alter table app.notes no force row level security;
    drop policy tenantry_select_floor on app.notes; alter policy tenantry_select on app.notes using (true);
    drop trigger tenantry_owner_kept on app.notes; grant truncate on app.notes to tenantry_user;
    alter table app.moved rename column owner_id to holder; drop table app.in_mail cascade`)
  expect(new Set((await found()).map((finding) => finding.split(' ')[0]))).toEqual(
    new Set([
      'column_renamed',
      'declaration_stale',
      'grant_excess',
      'owner_unguarded',
      'policy_changed',
      'policy_missing',
      'row_security_not_forced',
      'row_security_off',
    ]),
  )
  await on.db.admin.query('select * from tenantry.sync()')
  expect(await found()).toEqual([])
  expect(await on.declared('app.moved')).toMatchObject({ owner_column: 'holder' })
  const { rows } = await on.db.admin.query<{ statement: string }>(
    `select statement from tenantry.sync() where statement not like 'select %tenantry_private.read_%'`,
  )
  expect(rows).toEqual([])
})
