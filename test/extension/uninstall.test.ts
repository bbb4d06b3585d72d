import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type pg from 'pg'
import { testDatabase, type TestDatabase, type TestRole } from '../support/database.js'
import { installedBy, paths, remains, script } from './support/installation.js'
import { claims, entered, makeNotes, protectNotes, token } from './support/notes.js'
import { expectRefusal } from './support/refusal.js'

const rows = `
  select (select count(*)::int from app.users) as users, (select count(*)::int from app.notes) as notes,
         (select count(*)::int from app.pages) as pages, (select count(*)::int from app.countries) as countries`

describe.each(paths)('taking tenantry away, installed by %s', (path) => {
  let db: TestDatabase
  let admin: pg.PoolClient
  let owner: TestRole
  let app: TestRole

  beforeEach(async () => {
    db = await testDatabase({ template: installedBy(path) })
    admin = await db.admin.connect()
    owner = await db.role('owner', { ordinary: false })
    await makeNotes(db.admin, owner)
    await protectNotes(db.admin)
    app = await db.role('app', { allow: 'user' })
    const client = await app.connect()
    const seen = await entered(client, token(claims(db, 'user:1')), () => client.query(rows))
    expect(seen.rows).toEqual([{ users: 1, notes: 1, pages: 1, countries: 2 }])
    await client.end()
  })
  afterEach(async () => {
    admin.release(true)
    await db.drop()
  })

  async function ownerWorks(): Promise<void> {
    const client = await owner.connect()
    expect((await client.query(rows)).rows).toEqual([
      { users: 2, notes: 2, pages: 2, countries: 2 },
    ])
    await client.query(`insert into app.users values (3, 'three')`)
    await client.query(`insert into app.notes (owner_id, body) values (3, 'note of three')`)
    await client.query(`insert into app.pages values (3, 3, 'page of three', 3)`)
    await client.query(`update app.notes set body = 'changed' where owner_id = 1`)
    await client.query('delete from app.pages where id = 2')
    await client.query('delete from app.users where id = 2')
    await client.query('begin; truncate app.users, app.notes, app.pages; rollback')
    expect((await client.query('select body from app.notes order by id')).rows).toEqual([
      { body: 'changed' },
      { body: 'note of three' },
    ])
    // What stays of protect() is the owner column, its values and the composite key.
    await expectRefusal(client.query('insert into app.pages values (4, 1, null, 3)'), '23503')
  }

  async function nothingRemains(): Promise<void> {
    expect(await remains(admin)).toEqual([])
    const flags = await admin.query(`
      select count(*)::int as n from pg_class where relnamespace = 'app'::regnamespace and (relrowsecurity or relforcerowsecurity)`)
    expect(flags.rows).toEqual([{ n: 0 }])
    const grants = await admin.query(`
      select c.relname from pg_class c cross join aclexplode(c.relacl) a
       where a.grantee = 'tenantry_user'::regrole and c.relnamespace = 'app'::regnamespace
      union all
      select n.nspname from pg_namespace n cross join aclexplode(n.nspacl) a where a.grantee = 'tenantry_user'::regrole`)
    expect(grants.rows).toEqual([])
  }

  it('by uninstall.sql leaves tables that their owner works with, and says what it leaves', async () => {
    const notices: string[] = []
    admin.on('notice', ({ message }) => notices.push(message ?? ''))
    await admin.query(script('uninstall.sql'))
    await nothingRemains()
    await ownerWorks()
    const said = notices.join('\n')
    expect(said).toContain(
      `role ${app.name} keeps its membership of tenantry_user and its search_path`,
    )
    expect(said).toContain('to drop them: drop role tenantry_owner')
    expect(said).toContain(`grant temporary on database ${db.name} to public`)
  })

  it('by hand, uninstall() and drop, ends in the same', async () => {
    const planned = await admin.query<{ statement: string }>(
      'select * from tenantry.uninstall(dry_run => true)',
    )
    expect((await admin.query('select from tenantry.tables')).rowCount).toBe(4)
    const done = await admin.query<{ statement: string }>('select * from tenantry.uninstall()')
    expect(done.rows).toEqual(planned.rows)
    expect(done.rows.map(({ statement }) => statement)).toEqual([
      `select * from tenantry.unprotect('app.pages')`,
      `select * from tenantry.unshare('app.countries')`,
      `select * from tenantry.unprotect('app.notes')`,
      `select * from tenantry.unprotect('app.users')`,
      `select tenantry.unregister_kind('user')`,
      'revoke usage on schema app from tenantry_reach',
      'revoke usage on schema app from tenantry_user',
      'revoke usage on sequence app.notes_id_seq from tenantry_user',
    ])
    await admin.query(
      path === 'extension'
        ? 'drop extension tenantry'
        : 'drop schema tenant, reach, tenantry, tenantry_private cascade',
    )
    await nothingRemains()
    await ownerWorks()
  })

  it.each([
    [
      'a view',
      `create view app.mine as select * from app.notes where owner_id::text = tenantry.principal('user')`,
      'drop view app.mine',
      'view app.mine',
    ],
    [
      'a default',
      `alter table app.countries add column who text default tenantry.actor()`,
      'alter table app.countries drop column who',
      'column who of table app.countries',
    ],
    [
      'a column of its domain',
      `alter table app.countries add column who tenantry.entity`,
      'alter table app.countries drop column who',
      'column who of table app.countries',
    ],
    [
      'a policy',
      `create policy own on app.countries using (tenantry.principal('user') is not null)`,
      'drop policy own on app.countries',
      'policy own on table app.countries',
    ],
  ])('is refused while %s of the application uses it', async (_what, make, unmake, named) => {
    await admin.query(make)
    const before = (await admin.query(rows)).rows
    const error = await expectRefusal(
      admin.query(script('uninstall.sql')),
      path === 'extension' ? '2BP01' : 'TN011',
    )
    await admin.query('rollback')
    expect(`${error.message} ${error.detail ?? ''}`).toContain(named)
    // Nothing is half gone: the tables are still protected.
    expect((await admin.query('select from tenantry.tables')).rowCount).toBe(4)
    const client = await app.connect()
    const seen = await entered(client, token(claims(db, 'user:1')), () =>
      client.query('select body from app.notes'),
    )
    expect(seen.rows).toEqual([{ body: 'note of one' }])
    await admin.query(unmake)
    await admin.query(script('uninstall.sql'))
    await nothingRemains()
    expect((await admin.query(rows)).rows).toEqual(before)
  })

  it('takes every kind of declaration with it, kinds that own one another included', async () => {
    const migrator = await db.role('migrator')
    await admin.query(`
      set role "${owner.name}";
      alter table app.users add column org_id int;
      create table app.orgs (id int primary key, owner_id int references app.users);
      create table app.audit (n int);
      create view app.all_notes with (security_invoker = true) as select * from app.notes;
      reset role;
      insert into app.orgs values (1, 1);
      select tenantry.register_kind('org', 'app.orgs', owner_column => 'owner_id', owner_kind => 'user');
      select tenantry.register_kind('user', 'app.users', owner_column => 'org_id', owner_kind => 'org');
      select tenantry.protect('app.orgs', owner_column => 'owner_id');
      select tenantry.manage_schema('app', '${migrator.name}');
      select tenantry.exempt('app.audit', 'written by nobody');
      select tenantry.register_entity('bot:1', owner => 'org:1');
      select tenantry.register_service('bot:1', 'user');
      select tenantry.register_service('user:1', 'bot');
      select tenantry.configure('audience', 'x')`)
    const person = await db.role('person')
    await admin.query(`select tenantry.bind_role('${person.name}', 'user:1', person => true)`)
    await admin.query(script('uninstall.sql'))
    await nothingRemains()
    await admin.query(`drop owned by "${migrator.name}", "${person.name}"`)
    const client = await owner.connect()
    await client.query(
      `insert into app.users values (5, 'five', 1); insert into app.orgs values (5, 5)`,
    )
    expect((await client.query('select from app.orgs')).rowCount).toBe(2)
    expect((await client.query('select from app.all_notes')).rowCount).toBe(2)
  })

  it('is refused for whoever is no admin', async () => {
    const client = await app.connect()
    await expectRefusal(client.query('select * from tenantry.uninstall()'), '42501')
    await expectRefusal(client.query(script('uninstall.sql')), '42501')
    await client.query('rollback')
    expect((await admin.query('select from tenantry.tables')).rowCount).toBe(4)
  })
})
