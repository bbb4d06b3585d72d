import type pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { refusal } from '../extension/support/stage.js'
import { anna, bert, nursery, type Nursery } from './support/nursery.js'

// What becomes a part of a protected table, and what is tried while something is born, or on its way.

let on: Nursery
/** The tables' owner, who is no admin. */
let made: pg.Client

beforeAll(async () => {
  on = await nursery()
  made = on.made
  await made.query(`
    create table app.notes (id int primary key, owner_id uuid not null references app.users, body text);
    create table app.logs (id int, owner_id uuid not null, body text) partition by range (id)`)
})
afterAll(() => on.drop())

/** All findings but that of the table that was there before the schema was managed. */
const findings = async () => (await on.check()).filter(({ object }) => object !== 'app.old')

describe('whoever owns a table and is no admin', () => {
  test('what is attached is closed as deep as it goes, whatever it was before', async () => {
    await on.db.admin.query(
      `create schema aside authorization "${on.stranger.name}"; grant usage on schema aside to public`,
    )
    await made.query(`
      create table aside.known (id int, owner_id uuid not null, body text);
      alter table aside.known enable row level security; alter table aside.known force row level security;
      create policy open on aside.known using (true);
      grant select, truncate on aside.known to tenantry_user; grant select (body) on aside.known to public;
      create table aside.tree (id int, owner_id uuid not null, body text) partition by range (id);
      create table aside.branch partition of aside.tree for values from (500) to (600) partition by range (id);
      create table aside.leaf (id int, owner_id uuid not null, body text);
      grant select on aside.leaf to tenantry_user`)
    const attach =
      'alter table app.logs attach partition aside.known for values from (300) to (400)'
    expect(await refusal(made.query(attach))).toMatchObject({
      code: 'TN011',
      hint: 'Run: drop policy open on aside.known;',
    })
    await made.query(`drop policy open on aside.known; ${attach};
      alter table app.logs attach partition aside.tree for values from (500) to (600);
      alter table aside.branch attach partition aside.leaf for values from (500) to (550)`)
    for (const part of ['aside.known', 'aside.tree', 'aside.branch', 'aside.leaf']) {
      expect(await on.state(part), part).toEqual({
        enabled: true,
        forced: true,
        policies: 0,
        open: false,
      })
    }
    const { rows } = await on.db.admin.query(
      `select attname from pg_attribute where attrelid = 'aside.known'::regclass and attacl <> '{}'`,
    )
    expect(rows).toEqual([])
    expect(await findings()).toEqual([])
    await made.query('drop table aside.known, aside.tree')
  })

  test('an inheritance child has the triggers of the table, which stay; of tables that are followed or encrypted there is none', async () => {
    const trees = `create table app.trees (id int primary key, owner_id uuid not null, tall int, secret text)`
    await made.query(`${trees};
      create table app.birches () inherits (app.trees);
      create table app.dwarf_birches () inherits (app.birches)`)
    const { rows } = await on.db.admin.query<{ child: string }>(
      `select tgrelid::regclass::text as child from pg_trigger where tgname = 'tenantry_owner_kept' and tgrelid in ('app.birches'::regclass, 'app.dwarf_birches'::regclass) order by 1`,
    )
    expect(rows.map(({ child }) => child)).toEqual(['app.birches', 'app.dwarf_birches'])
    expect(await findings()).toEqual([])
    for (const statement of [
      'drop trigger tenantry_owner_kept on app.birches',
      'alter table app.dwarf_birches disable trigger tenantry_owner_kept',
      'alter trigger tenantry_owner_kept on app.birches rename to mine',
    ])
      expect(await refusal(made.query(statement)), statement).toMatchObject({ code: '42501' })
    const encrypt = `select tenantry.encrypt_column('app.trees', 'secret')`
    expect(await refusal(on.db.admin.query(encrypt))).toMatchObject({
      code: 'TN011',
      message: expect.stringContaining('inherit from app.trees') as string,
    })
    await made.query('drop table app.birches cascade')
    await on.db.admin.query(
      `select tenantry.create_master_key('\\x${'ab'.repeat(32)}'); ${encrypt}`,
    )
    for (const parent of ['app.trees', 'app.users']) {
      const child = `create table app.oaks () inherits (${parent})`
      expect(
        await refusal((parent === 'app.users' ? on.setUp : made).query(child)),
        parent,
      ).toMatchObject({
        code: 'TN011',
        hint: expect.stringContaining('Partition the table instead') as string,
      })
    }
    await on.db.admin.query('drop table app.trees')
  })

  test('not even while a child of the table is born, by code that the birth runs', async () => {
    await on.db.admin.query(
      `select tenantry.register_rule('app', '%\\_line', owner_from => '{note_id}')`,
    )
    await on.db.admin.query(`insert into app.notes values (9, '${bert.slice(5)}', 'bert’s')`)
    await made.query(`
      create table aside.some_line (id int primary key, note_id int references app.notes);
      insert into aside.some_line values (1, 9);
      create function aside.strike(int) returns boolean language plpgsql as $$
        begin
          if exists (select from pg_policy where polrelid = 'app.notes'::regclass and polname = 'tenantry_select_floor' and not polpermissive)
             and to_regclass('app.some_line') is not null then
            drop policy tenantry_select_floor on app.notes;
            create policy tenantry_select_floor on app.notes as permissive for select using (true);
            raise notice 'struck';
          end if;
          return true;
        end $$;
      alter table aside.some_line add check (aside.strike(id)) not valid`)
    const said: string[] = []
    made.on('notice', ({ message }) => said.push(message ?? ''))
    expect(await refusal(made.query('alter table aside.some_line set schema app'))).toMatchObject({
      code: '42501',
      message: expect.stringContaining(
        'policy tenantry_select_floor is not as it was made',
      ) as string,
    })
    expect(said).toContain('struck')
    expect(await findings()).toEqual([])
    await made.query('drop table aside.some_line')
    await on.db.admin.query('truncate app.notes cascade')
  })

  test('nor where a rollout has isolated a table and is not at its end', async () => {
    await made.query('create table app.orders (id int primary key, owner_id uuid)')
    await on.db.admin.query(
      `select tenantry.unprotect('app.orders'); grant "${on.stranger.name}" to "${on.owner.name}"`,
    )
    await on.db.admin.query(`insert into app.orders values (1, '${anna.slice(5)}')`)
    await on.setUp.query(`select tenantry.rollout('app.orders', 'owner_id', 'user')`)
    await on.setUp.query(`call tenantry.rollout_to('app.orders', 'backfilled')`)
    const weaken = [
      'alter table app.orders disable row level security',
      'create policy mine on app.orders using (true)',
      'alter policy tenantry_select_floor on app.orders rename to mine',
      'alter table app.orders disable trigger tenantry_owner_kept',
    ]
    // Before, the table is its owner's.
    await made.query(`${weaken[1]}; drop policy mine on app.orders`)
    for (const state of ['transitional', 'verified', 'strict']) {
      await on.setUp.query(`call tenantry.rollout_to('app.orders', '${state}')`)
      for (const statement of weaken)
        expect(await refusal(made.query(statement)), `${state}: ${statement}`).toMatchObject({
          code: '42501',
        })
    }
    await on.setUp.query(`call tenantry.rollout_to('app.orders', 'planned')`)
    expect(await on.audited('app.orders')).not.toContain('weaken')
    await on.db.admin.query('drop table app.orders')
  })

  test('nor of a table that says who is a member, protected or not', async () => {
    await made.query('create table app.people (id int primary key, user_id uuid, boss uuid)')
    await on.db.admin.query(`select tenantry.exempt('app.people', 'written by its owner alone');
      select tenantry.register_membership('app.people', member_column => 'user_id', member_kind => 'user', container_column => 'boss', container_kind => 'user')`)
    const own = '"Asks_tenantry_membership"'
    for (const statement of [
      `drop trigger ${own} on app.people`,
      `alter table app.people disable trigger ${own}`,
      `alter table app.people enable replica trigger ${own}`,
      `alter trigger ${own} on app.people rename to mine`,
      `create or replace trigger ${own} after insert on app.people for each row execute function suppress_redundant_updates_trigger()`,
      'alter table app.people disable trigger all',
    ])
      expect(await refusal(made.query(statement)), statement).toMatchObject({ code: '42501' })
    expect((await findings()).map(({ code }) => code)).not.toContain('membership_unfollowed')
    await made.query('alter table app.people add column note text; drop table app.people')
  })
})
