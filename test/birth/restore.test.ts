import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { installedBy, paths } from '../extension/support/installation.js'
import { makeNotes, protectNotes } from '../extension/support/notes.js'
import { clientProgram, noClientPrograms, run } from '../extension/support/programs.js'
import { expectRefusal } from '../extension/support/refusal.js'
import { testDatabase, type TestDatabase, type TestRole } from '../support/database.js'
import { skipWithReason } from '../support/skip.js'

// A restore makes, alters and protects tables in an order of its own, with the event triggers of an extension looking on.
// They act at birth only, so that it comes out as it was; sync() makes what is restored guarded.

describe.each(paths)('a managed schema in a dump, installed by %s', (path) => {
  let source: TestDatabase
  let target: TestDatabase
  let owner: TestRole
  let folder: string

  beforeEach(async (ctx) => {
    source = await testDatabase({ template: installedBy(path) })
    target = await testDatabase({ empty: true })
    folder = mkdtempSync(join(tmpdir(), 'tenantry-birth-'))
    if (clientProgram('pg_dump', source.major) === null) skipWithReason(ctx, noClientPrograms)
    owner = await source.role('owner', { ordinary: false })
    await makeNotes(source.admin, owner)
    await protectNotes(source.admin)
    await source.admin.query(`
      set role "${owner.name}";
      create table app.undeclared (id int);
      reset role;
      select tenantry.manage_schema('app', owner_column => 'owner_id', owner_kind => 'user');
      select tenantry.register_rule('app', '%\\_mail', owner_column => 'receiver', owner_kind => 'user')`)
    const made = await owner.connect()
    await made.query(`
      create table app.born (id int primary key, owner_id int not null references app.users, body text);
      create table app.in_mail (id int primary key, receiver int not null references app.users);
      create table app.closed (id int primary key, body text);
      create table app.events (id int, owner_id int not null) partition by range (id);
      create table app.events_1 partition of app.events for values from (0) to (10);
      create materialized view app.counted as select count(*) as n from app.closed`)
  })
  afterEach(async () => {
    await target.drop()
    await source.drop()
    rmSync(folder, { recursive: true, force: true })
  })

  /** Row-level security, policies and grants of every relation of the schema, and what is known of it. */
  async function picture(db: TestDatabase): Promise<unknown> {
    const rows = async (query: string) => (await db.admin.query(query)).rows
    return [
      await rows(`select c.relname, c.relkind, c.relrowsecurity, c.relforcerowsecurity,
          (select count(*)::int from pg_policy p where p.polrelid = c.oid) as policies,
          (select array_agg(a::text order by a::text) from unnest(c.relacl) a) as acl
        from pg_class c where c.relnamespace = 'app'::regnamespace and c.relkind in ('r', 'p', 'm') order by 1`),
      await rows(`select relation::text, closed from tenantry_private.known_relations order by 1`),
      await rows(`select relation::text, class, owner_column from tenantry.tables order by 1`),
      await rows('select * from tenantry.schemas'),
      await rows('select * from tenantry.rules'),
      await rows('select count(*)::int from tenantry_private.audit_entries'),
    ]
  }

  it('is restored as it was, in one transaction and without; after sync() it is guarded, and new tables are born as before', async () => {
    const file = join(folder, 'dump')
    run(clientProgram('pg_dump', source.major) ?? '', ['-Fc', '-f', file, source.url()])
    const restore = (db: TestDatabase, ...how: string[]) =>
      run(clientProgram('pg_restore', db.major) ?? '', [
        ...how,
        '--exit-on-error',
        '-d',
        db.url(),
        file,
      ])
    const before = await picture(source)
    restore(target, '-1')
    expect(await picture(target)).toEqual(before)
    const other = await testDatabase({ empty: true })
    restore(other)
    expect(await picture(other)).toEqual(before)
    await other.drop()

    await target.admin.query('select * from tenantry.sync()')
    const made = await owner.connect({
      connectionString: owner.url.replace(source.name, target.name),
    })
    try {
      await expectRefusal(made.query('alter table app.born disable row level security'), '42501')
      await expectRefusal(made.query('drop policy tenantry_select on app.notes'), '42501')
      // What nobody had declared is as it was, and no birth.
      await made.query('alter table app.undeclared add column owner_id int')
      await made.query(
        'create table app.later (id int primary key, owner_id int not null, body text)',
      )
      await made.query('create table app.out_mail (id int primary key, receiver int not null)')
      const { rows } = await target.admin.query(
        `select relation::text, owner_column from tenantry.tables
          where relation in ('app.undeclared'::regclass, 'app.later'::regclass, 'app.out_mail'::regclass) order by 1`,
      )
      expect(rows).toEqual([
        { relation: 'app.later', owner_column: 'owner_id' },
        { relation: 'app.out_mail', owner_column: 'receiver' },
      ])
      await target.admin.query(`select tenantry.share('app.closed')`)
      const weakened = await target.admin.query(
        `select * from tenantry.audit where action = 'weaken'`,
      )
      expect(weakened.rows).toEqual([])
    } finally {
      await made.end()
    }
  })
})
