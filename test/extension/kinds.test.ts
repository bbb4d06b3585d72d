import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type pg from 'pg'
import { testDatabase, type TestDatabase, type TestRole } from '../support/database.js'
import { entitiesOf, living } from './support/kinds.js'
import { expectRefusal } from './support/refusal.js'
import { unwatched } from './support/stage.js'

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
const kindsOf = async (table: string) =>
  (
    await admin.query<object>(
      'select kind, id_column, id_type, owner_kind, acts_for_owner from tenantry.kinds where relation = $1::regclass',
      [table],
    )
  ).rows

describe('a kind', () => {
  it.each([
    [
      'uuid',
      `'00000000-0000-0000-0000-0000000000AB'`,
      '00000000-0000-0000-0000-0000000000ab',
      'uuid',
    ],
    ['bigint', '9223372036854775807', '9223372036854775807', 'bigint'],
    ['integer', '-7', '-7', 'integer'],
    ['smallint', '3', '3', 'smallint'],
    ['text', `'Grüße: 1'`, 'Grüße: 1', 'text'],
    ['varchar(40)', `'short'`, 'short', 'text'],
    ['app.handle', `'@ada'`, '@ada', 'text'],
    ['app.number', '42', '42', 'bigint'],
    ['bigint generated always as identity', 'default', '1', 'bigint'],
    ['serial', 'default', '1', 'integer'],
  ])('takes ids of type %s', async (type, value, id, idType) => {
    await made(`
      drop table if exists "Odd ""Name"; drop domain if exists handle, number;
      create domain handle as varchar(20); create domain number as bigint check (value > 0);
      create table "Odd ""Name" ("The Id" ${type.replaceAll('app.', '')} primary key, t text);
      insert into "Odd ""Name" ("The Id") values (${value})`)
    await register('odd', 'app."Odd ""Name"', `, id_column => 'The Id'`)
    expect(await kindsOf('app."Odd ""Name"')).toEqual([
      {
        kind: 'odd',
        id_column: 'The Id',
        id_type: idType,
        owner_kind: null,
        acts_for_owner: false,
      },
    ])
    expect(await living(admin, 'odd')).toEqual([id])
    await made('delete from "Odd ""Name"')
    expect(await living(admin, 'odd')).toEqual([])
    await admin.query(`select tenantry.unregister_kind('odd')`)
    expect(await entitiesOf(admin, 'odd')).toEqual([])
    await made(`insert into "Odd ""Name" (t) values (null) on conflict do nothing`).catch(
      (error: unknown) => {
        expect(error).toMatchObject({ code: '23502' })
      },
    )
  })

  it('is registered once, changed by a second call, and taken away', async () => {
    await made(`
      create table users (id int primary key); create table orgs (id int primary key);
      create table agents (id int primary key, user_id int, org_id int);
      insert into users values (1); insert into orgs values (1); insert into agents values (1, 1, null)`)
    await register('user', 'app.users')
    await register('org', 'app.orgs')
    await register('agent', 'app.agents', `, owner_column => 'user_id', owner_kind => 'user'`)
    expect(await entitiesOf(admin, 'agent')).toEqual([{ id: '1', owner: 'user:1', alive: true }])
    await register(
      'agent',
      'app.agents',
      `, owner_column => 'org_id', owner_kind => 'org', acts_for_owner => true`,
    )
    expect(await kindsOf('app.agents')).toMatchObject([{ owner_kind: 'org', acts_for_owner: true }])
    await made('update agents set org_id = 1')
    expect(await entitiesOf(admin, 'agent')).toEqual([{ id: '1', owner: 'org:1', alive: true }])

    await expectRefusal(
      register('agent', 'app.orgs'),
      'TN011',
      /registered already, from app.agents/,
    )
    await expectRefusal(register('robot', 'app.agents'), 'TN011', /holds another kind/)
    await expectRefusal(
      register('user', 'app.users', `, id_column => 'nope'`),
      'TN011',
      /no column/,
    )
    const used = await expectRefusal(
      admin.query(`select tenantry.unregister_kind('org')`),
      'TN011',
      /in use by kind agent/,
    )
    expect(used.hint).toContain('first')
    await admin.query(`select tenantry.unregister_kind('agent')`)
    await admin.query(`select tenantry.unregister_kind('org')`)
    expect(
      (
        await admin.query(
          `select from pg_trigger where tgname like 'tenantry%' and tgrelid = 'app.agents'::regclass`,
        )
      ).rowCount,
    ).toBe(0)
    await made('insert into agents values (2, 1, 1); truncate agents')
    await expectRefusal(admin.query(`select tenantry.unregister_kind('agent')`), 'TN011', /no kind/)
    await expectRefusal(admin.query('select tenantry.unregister_kind(null)'), 'TN011')
  })

  it('follows its table and its column when they are renamed', async () => {
    await made('create table renamed (id int primary key); insert into renamed values (1)')
    await register('renamed', 'app.renamed')
    await made('alter table renamed rename to other_name; insert into other_name values (2)')
    expect(await living(admin, 'renamed')).toEqual(['1', '2'])
    await made('alter table other_name rename column id to uid; insert into other_name values (3)')
    expect(await living(admin, 'renamed')).toEqual(['1', '2', '3'])
    // Where no event trigger sees it, what is written stops until somebody says so.
    await admin.query(unwatched('alter table app.other_name rename column uid to id'))
    await expectRefusal(made('insert into other_name values (4)'), '42703')
    await made('alter table other_name rename column id to uid; insert into other_name values (4)')
    expect(await living(admin, 'renamed')).toEqual(['1', '2', '3', '4'])
  })

  it('is registered by the table’s owner or a superuser, and by no other admin', async () => {
    await made('create table mine (id int primary key)')
    const other = await db.role('other', { allow: 'admin' })
    const theirs = await other.connect()
    const ask = `select tenantry.register_kind('mine', 'app.mine')`
    const error = await expectRefusal(theirs.query(ask), 'TN011', /does not own/)
    expect(error.hint).toContain(owner.name)
    const app = await db.role('app', { allow: 'user' })
    await expectRefusal((await app.connect()).query(ask), '42501')
    const client = await owner.connect()
    expect((await client.query(ask)).rowCount).toBe(1)
    expect(await kindsOf('app.mine')).toHaveLength(1)
  })
})
