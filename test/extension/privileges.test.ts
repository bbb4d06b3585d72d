import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type pg from 'pg'
import { expectRefusal } from './support/refusal.js'
import { notesDatabase, type Notes } from './support/notes.js'

// Groups belong to the cluster, authority to one database: whoever is an admin of another database is nobody here.
describe('an admin of another database', () => {
  let notes: Notes
  let foreign: pg.Client
  let own: pg.Client
  beforeAll(async () => {
    notes = await notesDatabase()
    const stranger = await notes.db.role('dba_elsewhere')
    await notes.db.admin.query(`grant tenantry_admin to "${stranger.name}"`)
    foreign = await stranger.connect()
    own = await (await notes.db.role('dba', { allow: 'admin' })).connect()
  })
  afterAll(async () => {
    await notes.db.drop()
  })

  it.each([
    [`select tenantry.configure('audience', null)`, 'done'],
    [`select tenantry.initialise()`, 'done'],
    [`select tenantry.register_issuer('k', '\\x${'00'.repeat(32)}')`, 'done'],
    [`select tenantry.unregister_issuer('k')`, '22023'],
    [`select tenantry.register_entity('bot:1')`, 'done'],
    [`select tenantry.register_service('bot:1', 'user')`, 'TN009'],
    [`select tenantry.unregister_service('bot:1', 'user')`, 'TN011'],
    [`select tenantry.unregister_entity('bot:1')`, 'TN009'],
    [`select * from tenantry.allow('APP')`, 'done'],
    [`select tenantry.assume('user:1')`, 'done'],
    [`select * from tenantry.check()`, 'done'],
    [`select * from tenantry.uninstall(dry_run => true)`, 'done'],
    [`select tenantry_private.record_allowed('APP', 'user', true)`, 'done'],
    [`select tenantry_private.import_entities('bot', '{7}', '{null}')`, '23503'],
  ])('may not: %s', async (text, outcome) => {
    const statement = text.replaceAll('APP', notes.app.name)
    await expectRefusal(foreign.query(statement), '42501', /may not/)
    // The same by an admin of this database, whom it does for, or tells what is wrong with it.
    await own.query('begin')
    const done = await own.query(statement).then(
      () => 'done',
      (error: unknown) => (error as pg.DatabaseError).code,
    )
    await own.query('rollback')
    expect(done).toBe(outcome)
  })

  it('reaches no definer function that does not ask who is there, but for these, which only tell', async () => {
    const { rows } = await notes.db.admin.query<{ name: string }>(`
      select p.oid::regprocedure::text as name
        from pg_proc p
       where p.pronamespace in ('tenantry'::regnamespace, 'tenantry_private'::regnamespace)
         and p.prosecdef and p.prorettype <> 'trigger'::regtype
         and has_function_privilege('tenantry_admin', p.oid, 'execute')
         and p.provolatile = 'v' and p.prosrc not like '%require_admin(%'
       order by 1`)
    // Views of the session's own tables; delegations, for which a context is needed; and the keys of the context's principal, sealed: without a context that may
    // decrypt, nothing.
    expect(rows.map(({ name }) => name)).toEqual([
      'tenantry.delegate(tenantry.entity,text[],tenantry.entity,timestamp with time zone,regclass[],integer)',
      'tenantry.revoke(uuid,tenantry.entity,tenantry.entity)',
      'tenantry_private.judge_ddl()',
      'tenantry_private.resume_facades(oid[])',
      'tenantry_private.resume_reach_views(oid[])',
      'tenantry_private.ring_now(text)',
      'tenantry_private.ring_now(text,uuid[])',
      'tenantry_private.settle_births()',
      'tenantry_private.suspend_facades(text)',
      'tenantry_private.suspend_reach_views(text)',
    ])
    const tables = await foreign.query(`select kind from tenantry.kinds`)
    expect(tables.rows).toEqual([{ kind: 'user' }])
    for (const table of [
      'entities',
      'signing_keys',
      'issuer_keys',
      'tag_keys',
      'master_keys',
      'data_keys',
      'index_keys',
      'services',
      'bound_roles',
      'settings',
    ]) {
      await expectRefusal(foreign.query(`select from tenantry_private.${table}`), '42501')
      await expectRefusal(own.query(`select from tenantry_private.${table}`), '42501')
    }
  })

  it('cannot make the registry follow a table of its own', async () => {
    await notes.db.admin.query(
      'create schema theirs; grant create, usage on schema theirs to public',
    )
    await foreign.query(`create table theirs.users (id int primary key, name text)`)
    await foreign.query(
      `create trigger t after insert on theirs.users for each row execute function tenantry_private.follow_kind()`,
    )
    const error = await expectRefusal(
      foreign.query(`insert into theirs.users values (99)`),
      'TN011',
      /not the table of a kind/,
    )
    expect(error.hint).toContain('drop trigger')
    await expectRefusal(foreign.query('select tenantry_private.follow_kind()'), '0A000')
    await notes.db.admin.query(`insert into app.users values (99, 'x')`)
    expect(
      (await notes.db.admin.query(`select from tenantry_private.entities where id = '99'`))
        .rowCount,
    ).toBe(1)
  })
})
