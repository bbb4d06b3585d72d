import { unwatched } from '../stage.js'
import type { Case } from './case.js'

/** What is wrong with tables, views, functions and triggers beside what sync() mends. */
export const tables: readonly Case[] = [
  {
    name: 'a table that the application reaches and nobody declared',
    given:
      'create table orders (id int, owner_id uuid references users); grant select on orders to tenantry_user; alter table orders owner to @owner',
    found: 'critical table_undeclared',
    object: /^public\.orders$/,
  },
  {
    name: 'a table that nobody declared and nobody reaches',
    given: 'create table orders (id int); alter table orders owner to @owner',
    found: 'warning table_undeclared',
    fill: ['<why it needs no isolation>', 'a test'],
  },
  {
    name: 'a table whose only owner is behind its parent',
    given:
      'create table orders (id int, project_id int references projects); alter table orders owner to @owner',
    found: 'warning table_undeclared',
  },
  {
    name: 'a materialized view that the application reads',
    given: 'create materialized view stale as select 1 as x; grant select on stale to @app',
    found: 'critical relation_unprotectable',
  },
  {
    name: 'a managed schema that is not there',
    given: `create schema former; select tenantry.manage_schema('former'); drop schema former`,
    found: 'warning schema_missing',
  },
  {
    name: 'a view of a superuser',
    given:
      'create view all_notes as select * from notes; grant select on all_notes to tenantry_user',
    found: 'critical view_runs_as_owner',
  },
  {
    name: 'a view of a standing reader',
    given: `select tenantry.grant_across(@'extra', 'notes', 'select', 'the billing job'); create view reports as select * from notes;
      alter view reports owner to @extra; grant select on reports to tenantry_user`,
    found: 'critical view_runs_as_owner',
    beside: ['info granted_across'],
    leaves: ['info granted_across'],
  },
  {
    name: 'a view of somebody who sees nothing',
    given:
      'create view no_notes as select * from notes; alter view no_notes owner to @owner; grant select on no_notes to @app',
    found: 'warning view_runs_as_owner',
  },
  {
    name: 'a table of a superuser',
    given: 'alter table notes owner to session_user',
    found: 'critical owner_unbound',
    fill: ['<an ordinary role>', '@owner'],
  },
  {
    name: `a policy of the application's own`,
    given: 'create policy mine on notes using (true)',
    found: 'info policy_foreign',
  },
  {
    name: 'a rule of the table’s owner',
    given: 'create rule mine as on update to notes do also select * from notes',
    found: 'warning rule_runs_as_owner',
  },
  {
    name: 'a reference that is not checked',
    given: `select tenantry.protect('notes', unchecked_references => '{task_id}')`,
    found: 'info reference_exempt',
  },
  {
    name: 'a reference that nobody can satisfy',
    given: `create table bills (id int primary key, shop_id int references shops, note_id int references notes);
      alter table bills owner to @owner; select tenantry.protect('bills')`,
    found: 'warning reference_across_kinds',
    leaves: ['info reference_exempt'],
  },
  {
    name: 'a kind whose entities are owned by another column than their rows',
    given: `create table bots (id uuid primary key, owner_id uuid not null references users, boss uuid not null);
      alter table bots owner to @owner;
      select tenantry.register_kind('bot', 'bots', owner_column => 'boss', owner_kind => 'user', acts_for_owner => true);
      select tenantry.protect('bots', owner_column => 'owner_id')`,
    found: 'warning kind_owner_differs',
  },
  {
    name: 'a function that reads protected tables as a superuser',
    given:
      'create function total() returns bigint language sql security definer as $$select count(*) from notes$$',
    found: 'critical function_runs_as_owner',
  },
  {
    name: 'a function that reads protected tables as a standing reader',
    given: `select tenantry.grant_across(@'extra', 'notes', 'select', 'the billing job');
      create function total() returns bigint language sql security definer set search_path = pg_catalog, public, pg_temp as $$select count(*) from notes$$;
      alter function total() owner to @extra`,
    found: 'critical function_runs_as_owner',
    beside: ['info granted_across'],
    leaves: ['info granted_across'],
  },
  {
    name: 'a function that runs as a superuser and reads nothing',
    given:
      'create function one() returns int language sql security definer set search_path = pg_catalog, pg_temp as $$select 1$$',
    found: 'info function_runs_as_owner',
  },
  {
    name: 'a trigger that the application may not run',
    given: `create table audit (id int); alter table audit owner to @owner; select tenantry.exempt('audit', 'a test');
      create function audited() returns trigger language plpgsql as $$begin insert into audit values (1); return new; end$$;
      create trigger audited after insert on notes for each row execute function audited()`,
    found: 'warning trigger_denied',
  },
  {
    name: 'a trigger whose owner sees nothing',
    given: `create function counted() returns trigger language plpgsql security definer set search_path = pg_catalog, public, pg_temp
        as $$begin perform count(*) from tasks; return new; end$$;
      alter function counted() owner to @owner;
      create trigger counted after insert on notes for each row execute function counted()`,
    found: 'warning trigger_bound',
  },
  {
    name: 'a declared table that is gone',
    given: `create table gone (id int); alter table gone owner to @owner; select tenantry.exempt('gone', 'a test'); ${unwatched('drop table gone')}`,
    found: 'warning declaration_stale',
  },
  {
    name: 'an owner column that is gone',
    given: `create table lost (id int, owner_id uuid references users); alter table lost owner to @owner;
      select tenantry.protect('lost'); alter table lost drop column owner_id cascade`,
    found: 'critical owner_missing',
    leaves: ['warning table_undeclared'],
  },
  {
    name: 'a function that runs as a superuser, and calls what its caller says',
    given: 'create function one() returns int language sql security definer as $$select 1$$',
    found: 'critical function_runs_as_owner',
  },
  {
    name: 'a function that runs as somebody ordinary, and calls what its caller says',
    given:
      'create function one() returns int language sql security definer as $$select 1$$; alter function one() owner to @owner',
    found: 'warning function_search_path',
  },
  {
    name: 'a trigger that runs as its owner, and calls what whoever writes says',
    given: `create function one() returns trigger language plpgsql security definer as $$begin return new; end$$;
      alter function one() owner to @owner; create trigger one before insert on notes for each row execute function one()`,
    found: 'warning function_search_path',
  },
  {
    name: 'a constraint that tells whether somebody else has a value',
    given: 'alter table notes add constraint notes_body unique (body)',
    found: 'info unique_across_owners',
  },
  {
    name: 'an index that tells whether somebody else has a value',
    given: 'create unique index projects_title on projects (country, title)',
    found: 'info unique_across_owners',
  },
  {
    name: 'rows that go when somebody else deletes theirs',
    given: `create table bills (id int primary key, owner_id uuid not null references users, note_id int references notes on delete cascade);
      alter table bills owner to @owner; select tenantry.protect('bills', unchecked_references => '{note_id}')`,
    found: 'info cascade_across_owners',
    beside: ['info reference_exempt'],
    leaves: ['info reference_exempt'],
  },
  {
    name: 'a kind whose table is gone',
    given: `create schema elsewhere authorization @owner; create table elsewhere.things (id int primary key);
      insert into elsewhere.things values (1); alter table elsewhere.things owner to @owner; select tenantry.register_kind('thing', 'elsewhere.things');
      ${unwatched('drop table elsewhere.things')}`,
    found: 'critical kind_gone',
  },
  {
    name: 'memberships that nobody follows',
    given: 'drop trigger tenantry_membership_truncate on members',
    found: 'critical membership_unfollowed',
  },
  {
    name: 'an owner column that was renamed',
    given: unwatched('alter table notes rename owner_id to mine'),
    found: 'critical column_renamed',
  },
]
