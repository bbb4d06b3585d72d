import type pg from 'pg'
import { afterAll, beforeAll, beforeEach, describe, expect } from 'vitest'
import { attack, control } from './support/attack.js'
import { type Town, alice, ids, state, town } from './support/town.js'

describe('what an owner attaches to a table that a superuser protects', () => {
  let at: Town
  let trapper: string
  let client: pg.Client
  beforeAll(async () => {
    at = await town()
    const role = await at.db.role('trapper', { ordinary: false })
    trapper = role.name
    client = await role.connect()
    await at.db.admin.query(`create schema trap authorization "${trapper}"`)
    // It waits for a superuser, and takes back a role that was set to tame it.
    await client.query(`create function trap.spring(bigint) returns boolean language plpgsql immutable as $$
      begin return trap.snap(); end $$;
      create function trap.snap() returns boolean language plpgsql as $$
      begin
        if (select rolsuper from pg_roles where rolname = session_user) then
          execute 'reset role';
          execute 'alter role "${trapper}" superuser';
        end if;
        return true;
      end $$`)
  })
  afterAll(() => at.drop())
  beforeEach(async () => {
    await client.query(`drop table if exists trap.child, trap.parent cascade;
      create table trap.parent (id bigint primary key, owner_id uuid not null);
      insert into trap.parent values (1, '${alice.id}');
      create table trap.child (id bigint primary key, parent_id bigint references trap.parent);
      insert into trap.child values (1, 1)`)
    await at.db.admin.query('select * from tenantry.sync()')
    await at.db.admin.query(`select * from tenantry.protect('trap.parent', 'owner_id', 'user')`)
  })

  const protect = `select * from tenantry.protect('trap.child', owner_from => '{parent_id}')`
  const sprung = async (): Promise<boolean> =>
    (await ids(at.db.admin, 'select rolsuper from pg_roles where rolname = $1', [trapper]))[0] ===
    'true'

  const traps = {
    'a constraint': 'alter table trap.child add check (trap.spring(id))',
    'a generated column':
      'alter table trap.child add column g boolean generated always as (trap.spring(id)) stored',
    'an index': 'create index on trap.child (trap.spring(id))',
    'a partial index': 'create index on trap.child (id) where trap.spring(id)',
    'a rule': 'create rule r as on update to trap.child do also select trap.spring(1)',
    'a domain':
      'create domain trap.checked as bigint check (trap.spring(value)); alter table trap.child alter column id type trap.checked',
  }

  for (const [what, sql] of Object.entries(traps)) {
    attack(
      `code of a table’s owner run by a superuser’s protect(), in ${what as keyof typeof traps}`,
      async () => {
        await client.query(sql)
        expect(await state(at.db.admin.query(protect))).toBe('TN011')
        expect(await sprung()).toBe(false)
        // The control: an UPDATE of the superuser's own springs it.
        await at.db.admin.query('update trap.child set id = id + 1')
        control(await sprung()).toBe(true)
        await at.db.admin.query(`alter role "${trapper}" nosuperuser`)
        if (what === 'a domain') await client.query('drop domain trap.checked cascade')
      },
    )
  }

  attack('a trigger of a table’s owner run by a superuser’s protect()', async () => {
    await client.query(`create or replace function trap.fire() returns trigger language plpgsql as $$
        begin perform trap.spring(1); return new; end $$;
      create trigger t before update on trap.child for each row execute function trap.fire()`)
    expect(await state(at.db.admin.query(protect))).toBe('00000')
    expect(await sprung()).toBe(false)
    await at.db.admin.query('update trap.child set id = id + 1')
    control(await sprung()).toBe(true)
    await at.db.admin.query(`alter role "${trapper}" nosuperuser`)
  })
})
