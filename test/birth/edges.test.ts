import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { inTransaction, outcome, refusal } from '../extension/support/stage.js'
import { anna, bert, nursery, type Nursery } from './support/nursery.js'

// Ways into a managed schema and around a guard that are not CREATE TABLE and ALTER TABLE on the table itself, where default
// privileges give the application everything.

let on: Nursery

beforeAll(async () => {
  on = await nursery()
  await on.db.admin.query(`
    alter default privileges for role "${on.stranger.name}" grant all on tables to public, tenantry_user;
    grant create on database "${on.db.name}" to "${on.stranger.name}"`)
  await on.made.query(`
    create table app.notes (id int primary key, owner_id uuid not null, body text);
    create schema lab; grant usage on schema lab to public`)
})
afterAll(() => on.drop())

const weakened = async () =>
  (
    await on.db.admin.query<{ what: string }>(
      `select object || ': ' || (detail ->> 'what') as what from tenantry.audit where action = 'weaken' order by id`,
    )
  ).rows.map(({ what }) => what)

describe('what was closed at birth', () => {
  test('is opened by share() and exempt(), and closed again by unprotect()', async () => {
    await on.made.query(`
      create table app.colours (name text); insert into app.colours values ('red');
      create table app.jobs (name text); insert into app.jobs values ('mail');
      create table app.mixed (owner text, author uuid)`)
    const read = (table: string) => on.as(anna, (client) => outcome(client, `select from ${table}`))
    expect([await read('app.colours'), await read('app.jobs')]).toEqual(['42501', '42501'])
    const shown = await on.db.admin.query<{ statement: string }>(
      `select statement from tenantry.share('app.colours', dry_run => true)`,
    )
    expect(shown.rows[0]).toEqual({
      statement: 'alter table app.colours disable row level security',
    })
    const admin = on.db.admin
    await admin.query(
      `select tenantry.share('app.colours'); select tenantry.exempt('app.jobs', 'a queue')`,
    )
    expect(await read('app.colours')).toBe('1 rows')
    expect(await read('app.jobs')).toBe('42501')
    await on.made.query(`grant select on app.jobs to "${on.app.name}"`)
    expect(await read('app.jobs')).toBe('1 rows')
    await admin.query(
      `select tenantry.protect('app.mixed', owner_column => 'author', owner_kind => 'user')`,
    )
    expect(await on.state('app.mixed')).toMatchObject({ enabled: true, forced: true, policies: 16 })
    await admin.query(`select tenantry.unprotect('app.mixed')`)
    await on.made.query('alter table app.mixed add column more int')
    expect(await on.state('app.mixed')).toMatchObject({ enabled: true, forced: false, policies: 0 })
    expect(await on.declared('app.mixed')).toBeUndefined()
    await on.made.query('drop table app.colours, app.jobs, app.mixed')
  })

  test('but row-level security of the application’s own is not taken from a shared table', async () => {
    await on.made.query(
      'create table app.own (id int); create policy own on app.own using (id > 1)',
    )
    const refused = await refusal(on.db.admin.query(`select tenantry.share('app.own')`))
    expect(refused).toMatchObject({ code: 'TN011' })
    await on.made.query('drop table app.own')
  })
})

describe('other ways in', () => {
  test('CREATE SCHEMA with its tables; a schema that is dropped and made anew is still managed', async () => {
    await on.db.admin.query(
      `create schema fresh; select tenantry.manage_schema('fresh'); drop schema fresh`,
    )
    await on.made.query('create schema fresh create table fresh.inside (id int)')
    expect(await on.state('fresh.inside')).toMatchObject({ enabled: true, open: false })
    await on.made.query('drop schema fresh cascade')
  })

  test('a schema that is renamed is still managed, and what is in it protected', async () => {
    await on.db.admin.query('alter schema app rename to premises')
    await on.made.query('create table premises.later (id int primary key, owner_id uuid)')
    expect(await on.declared('premises.later')).toMatchObject({ class: 'owned' })
    await on.as(anna, async (client) => {
      await client.query(`insert into premises.notes (id) values (1)`)
      expect(await outcome(client, 'select from premises.notes')).toBe('1 rows')
      expect(await outcome(client, 'select from reach.notes')).toBe('1 rows')
    })
    await on.made.query('drop table premises.later')
    await on.db.admin.query('alter schema premises rename to app')
    const { rows } = await on.db.admin.query(
      `select schema_name, owner_column from tenantry.schemas where schema_name in ('app', 'premises')`,
    )
    expect(rows).toEqual([{ schema_name: 'app', owner_column: 'owner_id' }])
  })

  test('IMPORT FOREIGN SCHEMA', async () => {
    const { hostname, port, username, password } = new URL(on.db.url())
    await on.db.admin.query('create table public.far (id int)')
    await on.db.admin.query(`
      create extension postgres_fdw;
      create server loop foreign data wrapper postgres_fdw options (host '${hostname}', port '${port}', dbname '${on.db.name}');
      create user mapping for current_user server loop options (user '${username}', password '${decodeURIComponent(password) || 'none'}');
      alter default privileges grant select on tables to tenantry_user;
      import foreign schema public limit to (far) from server loop into app`)
    expect(await on.state('app.far')).toMatchObject({ open: false })
    await on.db.admin.query(`
      import foreign schema public limit to (far) from server loop into lab;
      alter default privileges revoke select on tables from tenantry_user`)
    expect(await on.state('lab.far'), 'the control').toMatchObject({ open: true })
    await on.db.admin.query('drop foreign table app.far, lab.far')
  })

  test('a materialized view over protected data gets no grants, wherever it is', async () => {
    await on.made.query(`
      create materialized view lab.held as select * from app.notes;
      create view lab.through with (security_invoker = true) as select * from app.notes;
      create materialized view lab.indirect as select * from lab.through;
      create materialized view lab.harmless as select 1 as one`)
    for (const name of ['held', 'indirect']) {
      expect(await on.state(`lab.${name}`), name).toMatchObject({ open: false })
      expect(
        await refusal(on.made.query(`grant select on lab.${name} to tenantry_user`)),
      ).toMatchObject({
        code: '42501',
        message: expect.stringMatching(/must not have select on it/) as string,
      })
    }
    expect(await on.state('lab.harmless'), 'the control').toMatchObject({ open: true })
    // An admin says that it need not be kept.
    await on.db.admin.query(`select tenantry.exempt('lab.held', 'nobody''s')`)
    await on.made.query('grant select on lab.held to tenantry_user')
    await on.made.query(
      'drop materialized view lab.held, lab.indirect, lab.harmless; drop view lab.through',
    )
  })
})

describe('owners from a parent', () => {
  test('that was protected long before, of a table that is empty and of one that has rows', async () => {
    await on.made.query('create table app.orders (id int primary key, owner_id uuid not null)')
    await on.db.admin.query(
      `select tenantry.register_rule('app', '%\\_line', owner_from => '{order_id}')`,
    )
    await on.as(anna, (client) => client.query('insert into app.orders (id) values (1)'))
    await on.made.query(
      'create table app.order_line (id int primary key, order_id int not null references app.orders)',
    )
    expect(await on.declared('app.order_line')).toMatchObject({ class: 'by_parent' })
    await on.made.query(
      'create table lab.moved_line (id int primary key, order_id int not null references app.orders)',
    )
    // As it would be with rows from before.
    await on.db.admin.query('insert into lab.moved_line values (1, 1)')
    await on.made.query('alter table lab.moved_line set schema app')
    expect(await on.declared('app.moved_line')).toMatchObject({ class: 'by_parent' })
    const read = (who: typeof anna | typeof bert) =>
      on.as(who, (client) => outcome(client, 'select from app.moved_line'))
    expect([await read(anna), await read(bert)]).toEqual(['1 rows', '0 rows'])
    expect((await on.check()).filter(({ object }) => /order|line/.test(object))).toEqual([])
    expect(await weakened()).toEqual([])
    // Nor is the parent let go of meanwhile.
    const refused = await refusal(
      inTransaction(on.made, async () => {
        await on.made.query('alter table app.moved_line set schema lab')
        await on.made.query(
          'create table app.other_line (id int primary key, order_id int not null references app.orders)',
        )
        await on.made.query('alter table app.orders no force row level security')
      }),
    )
    expect(refused).toMatchObject({ code: '42501' })
    await on.made.query('rollback').catch(() => undefined)
    await on.made.query('drop table app.moved_line, app.order_line; drop table app.orders')
  })
})

describe('around the guard', () => {
  test('a view on the reach path decides itself who looks; one on a materialized view does not', async () => {
    await on.db.admin.query(
      `grant select on reach.notes to "${on.stranger.name}"; grant usage on schema reach to "${on.stranger.name}"`,
    )
    await on.made.query(
      'create view lab.mine as select id from reach.notes; create materialized view lab.held as select * from app.notes',
    )
    expect(
      await refusal(on.made.query('create view lab.shown as select * from lab.held')),
    ).toMatchObject({ code: '42501' })
    await on.made.query('drop view lab.mine; drop materialized view lab.held')
  })

  test('DROP OWNED by a login of the application does not take the policies of its group', async () => {
    const before = await on.state('app.notes')
    const client = await on.app.connect()
    expect(await refusal(client.query('drop owned by tenantry_user'))).toMatchObject({
      code: '42501',
    })
    expect(await on.state('app.notes')).toEqual(before)
    expect(before.policies).toBe(16)
  })

  test('another owner, also one who owns protected tables already', async () => {
    await on.setUp.query('create table app.theirs (id int primary key, owner_id uuid)')
    expect(await on.declared('app.theirs')).toMatchObject({ class: 'owned' })
    await on.db.admin.query(
      `grant "${on.owner.name}" to "${on.stranger.name}"; grant create on schema app to "${on.owner.name}"`,
    )
    const give = `alter table app.notes owner to "${on.owner.name}"`
    expect(await refusal(on.made.query(give))).toMatchObject({ code: '42501' })
    await on.db.admin.query(`revoke "${on.owner.name}" from "${on.stranger.name}"`)
    // The control: an admin may.
    const before = await weakened()
    await on.db.admin.query(give)
    expect((await weakened()).slice(before.length)).toEqual([
      `app.notes: it belongs to ${on.owner.name}`,
    ])
    await on.db.admin.query(
      `alter table app.notes owner to "${on.stranger.name}"; select tenantry.sync()`,
    )
  })

  test('another owner by REASSIGN OWNED, which no event trigger sees, is refused with the next change', async () => {
    const heir = await on.db.role('heir')
    await on.db.admin.query(
      `grant "${heir.name}" to "${on.stranger.name}"; grant create on schema app, lab to "${heir.name}"`,
    )
    await inTransaction(
      on.made,
      async () => {
        await on.made.query(`reassign owned by "${on.stranger.name}" to "${heir.name}"`)
        expect(
          await refusal(on.made.query('alter table app.notes add column more int')),
        ).toMatchObject({
          code: '42501',
          message: expect.stringMatching(/it belongs to heir/) as string,
        })
      },
      'rollback',
    )
  })

  test('a policy made anew under its old name by an admin is recorded, and by tenantry it is not', async () => {
    const before = await weakened()
    await on.db.admin.query(`
      begin; drop policy tenantry_select on app.notes;
      create policy tenantry_select on app.notes for select to tenantry_user using (true); commit`)
    expect((await weakened()).slice(before.length)).toEqual([
      'app.notes: policy tenantry_select is not as it was made',
    ])
    await on.db.admin.query('select tenantry.sync()')
    expect((await weakened()).slice(before.length)).toHaveLength(1)
    expect((await on.check()).filter(({ object }) => object === 'app.notes')).toEqual([])
  })

  test('what an admin once granted does not stand in the way of other grants', async () => {
    await on.db.admin.query('grant truncate on app.notes to tenantry_user')
    await on.made.query(
      'create table app.other (id int primary key, owner_id uuid); grant select on app.other to tenantry_user',
    )
    await on.db.admin.query('revoke truncate on app.notes from tenantry_user')
  })

  test('a rename inside of a function that hides it', async () => {
    await inTransaction(on.made, async () => {
      await on.made.query(
        `do $$ begin execute 'alter table app.notes ' || 'ren' || 'ame column owner_id to holder'; end $$`,
      )
      const { rows } = await on.made.query(
        `select owner_column from tenantry.tables where relation = 'app.notes'::regclass`,
      )
      expect(rows).toEqual([{ owner_column: 'holder' }])
    })
  })

  test('with session_replication_role = replica', async () => {
    const before = await weakened()
    await on.db.admin.query(
      `set session_replication_role = replica; alter table app.notes no force row level security`,
    )
    expect((await weakened()).slice(before.length)).toEqual([
      'app.notes: row-level security is not forced',
    ])
    await on.db.admin.query(`reset session_replication_role; select tenantry.sync()`)
  })
})

test('a whole schema is dropped by its owner, and what was declared goes with it', async () => {
  await on.made.query(`create table lab.loose (id int primary key, owner_id uuid)`)
  await on.db.admin.query(
    `select tenantry.protect('lab.loose', owner_column => 'owner_id', owner_kind => 'user')`,
  )
  await on.made.query('drop schema lab cascade')
  const { rows } = await on.db.admin.query<{ left: number }>(`
    select (select count(*) from tenantry_private.tables t where not exists (select from pg_class c where c.oid = t.relation))
         + (select count(*) from tenantry_private.guarded_relations g where not exists (select from pg_class c where c.oid = g.relation))
         + (select count(*) from tenantry_private.views v where not exists (select from pg_class c where c.oid = v.relation)) as left`)
  expect(rows).toEqual([{ left: '0' }])
})
