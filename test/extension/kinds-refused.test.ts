import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type pg from 'pg'
import { testDatabase, type TestDatabase, type TestRole } from '../support/database.js'
import { expectRefusal } from './support/refusal.js'

let db: TestDatabase
let owner: TestRole
let admin: pg.Pool
beforeAll(async () => {
  db = await testDatabase()
  admin = db.admin
  owner = await db.role('owner', { allow: 'admin', ordinary: false })
  await admin.query(
    `create schema app authorization "${owner.name}"; grant usage on schema app to public`,
  )
})
afterAll(async () => {
  await db.drop()
})

/** Makes things as the owner of the application's schema. */
async function made(statements: string): Promise<void> {
  const client = await owner.connect()
  await client.query(`set search_path = app; ${statements}`)
  await client.end()
}

const register = (kind: string | null, table: string | null, more = '') =>
  admin.query(`select tenantry.register_kind($1, $2::regclass${more})`, [kind, table])

describe('register_kind refuses, with the next command,', () => {
  beforeAll(async () => {
    await admin.query('create extension citext; grant usage on schema public to public')
    await made(`
      create table base (id int primary key, org int); insert into base values (1, 1);
      create view a_view as select * from base;
      create materialized view a_matview as select * from base;
      create sequence a_sequence;
      create table parted (id int primary key) partition by range (id);
      create table parted_1 partition of parted for values from (0) to (9);
      create unlogged table unlogged_one (id int primary key);
      create table no_unique (id int);
      create table nearly_unique (id int, n int, unique (id, n)); create unique index on nearly_unique (id) where n > 0;
      create table char_one (id char(8) primary key); create table citext_one (id public.citext primary key);
      create table numeric_one (id numeric primary key); create table bool_one (id boolean primary key);
      create table inet_one (id inet primary key); create table bytea_one (id bytea primary key);
      create table hidden (id int primary key); alter table hidden enable row level security; alter table hidden force row level security`)
  })

  it.each([
    ['a name that is none', '"Bad"', 'app.base', '', /no name for a kind/, /lower-case/],
    ['a name with a colon', 'a:b', 'app.base', '', /no name for a kind/, /lower-case/],
    ['an empty name', '', 'app.base', '', /no name for a kind/, /lower-case/],
    ['a long name', 'x'.repeat(64), 'app.base', '', /no name for a kind/, /63|62/],
    ['no name', null, 'app.base', '', /no name for a kind/, /lower-case/],
    ['no table', 'k', null, '', /needs a table/, /tenantry\.register_entity/],
    ['a view', 'k', 'app.a_view', '', /not a table of its own/, /Register the table/],
    [
      'a materialized view',
      'k',
      'app.a_matview',
      '',
      /not a table of its own/,
      /Register the table/,
    ],
    ['a sequence', 'k', 'app.a_sequence', '', /not a table of its own/, /Register the table/],
    ['a system table', 'k', 'pg_catalog.pg_authid', '', /./, /./],
    ['a partition', 'k', 'app.parted_1', '', /not a table of its own/, /partitioned parent/],
    ['an unlogged table', 'k', 'app.unlogged_one', '', /unlogged/, /set logged/],
    ['ids that are not unique', 'k', 'app.no_unique', '', /not unique/, /add unique/],
    ['ids that are nearly unique', 'k', 'app.nearly_unique', '', /not unique/, /add unique/],
    ['char(n)', 'k', 'app.char_one', '', /type character\(?8?\)?.* not supported/, /uuid, bigint/],
    ['citext', 'k', 'app.citext_one', '', /citext are not supported/, /uuid, bigint/],
    ['numeric', 'k', 'app.numeric_one', '', /numeric are not supported/, /uuid, bigint/],
    ['boolean', 'k', 'app.bool_one', '', /boolean are not supported/, /uuid, bigint/],
    ['inet', 'k', 'app.inet_one', '', /inet are not supported/, /uuid, bigint/],
    ['bytea', 'k', 'app.bytea_one', '', /bytea are not supported/, /uuid, bigint/],
    [
      'a column that is not there',
      'k',
      'app.base',
      `, id_column => 'nope'`,
      /no column nope/,
      /id_column/,
    ],
    [
      'an owner column that is not there',
      'k',
      'app.base',
      `, owner_column => 'nope', owner_kind => 'user'`,
      /no column nope/,
      /owner/,
    ],
    [
      'an owner of an unknown kind',
      'k',
      'app.base',
      `, owner_column => 'org', owner_kind => 'nope'`,
      /kind 'nope' is not registered/,
      /register_kind/,
    ],
    [
      'an owner of no kind',
      'k',
      'app.base',
      `, owner_column => 'org'`,
      /kind null is not registered/,
      /register_kind/,
    ],
    [
      'acting for an owner that is not named',
      'k',
      'app.base',
      `, acts_for_owner => true`,
      /acts_for_owner needs an owner/,
      /owner_column/,
    ],
  ])('%s', async (_what, kind, table, more, message, hint) => {
    const error = await expectRefusal(register(kind, table, more), 'TN011', message)
    expect(error.hint).toMatch(hint)
    expect((await admin.query(`select from tenantry.kinds where kind = 'k'`)).rowCount).toBe(0)
    expect(
      (
        await admin.query(
          `select from pg_trigger where tgname like 'tenantry%' and tgrelid = $1::regclass`,
          [table ?? 'app.base'],
        )
      ).rowCount,
    ).toBe(0)
    if (table === 'app.base') {
      await register('k', 'app.base')
      await admin.query(`select tenantry.unregister_kind('k')`)
    }
  })

  it('a table whose rows it may not read', async () => {
    const client = await owner.connect()
    const ask = `select tenantry.register_kind('hidden', 'app.hidden')`
    const error = await expectRefusal(client.query(ask), 'TN011', /cannot read all rows/)
    expect(error.hint).toContain('before protecting')
    expect((await admin.query(ask)).rowCount).toBe(1)
  })

  it('a temporary table', async () => {
    const session = await admin.connect()
    await session.query('create temporary table t (id int primary key)')
    await expectRefusal(
      session.query(`select tenantry.register_kind('temp', 't')`),
      'TN011',
      /temporary or unlogged/,
    )
    session.release(true)
  })
})
