import type { Case } from './case.js'

const diary = `create table diary (id int primary key, writer uuid, body text); alter table diary owner to @owner`

/** What goes across owners on purpose, leaves the database, or is under way. */
export const ongoing: readonly Case[] = [
  {
    name: 'a reader of every owner',
    given: `select tenantry.grant_across(@'extra', 'notes', 'select', 'the billing job')`,
    found: 'info granted_across',
  },
  {
    name: 'support',
    given: `select tenantry.allow(@'extra', 'support')`,
    found: 'info login_across',
  },
  {
    name: 'whoever breaks the glass',
    given: `select tenantry.allow(@'extra', 'maintenance'); select tenantry.sync()`,
    found: 'info login_across',
  },
  {
    name: 'an audit that somebody changed',
    given: `alter table tenantry_private.audit_entries disable trigger keep_audit;
      update tenantry_private.audit_entries set detail = '{}' where id = 3`,
    found: 'critical audit_broken',
    printed: /^-- compare with the server log, .*select \* from tenantry\.audit where id >= 2;$/,
  },
  {
    name: 'a publication of a table',
    given: 'create publication leaving for table notes, countries, logs',
    found: 'warning published',
  },
  {
    name: 'a publication of a schema',
    given: 'create publication leaving for tables in schema public',
    found: 'warning published',
  },
  {
    name: 'a publication of everything',
    given: 'create publication leaving for all tables with (publish_via_partition_root = true)',
    found: 'warning published',
  },
  {
    name: 'a rollout that has not begun',
    given: `${diary}; insert into diary select 1, id from users limit 1;
      select tenantry.rollout('diary', 'owner_id', 'user'); select tenantry.rollout_signal('diary', 1, 'writer', tenantry.rollout_from_column('diary', 'writer'))`,
    found: 'warning rollout_open',
    leaves: ['info rollout_open'],
    by: 'owner',
    undo: `select tenantry.rollout_end('diary'); select tenantry.unprotect('diary'); drop table diary`,
  },
  {
    name: 'rows that stayed without an owner',
    given: `${diary}; insert into diary values (1);
      select tenantry.rollout('diary', 'owner_id', 'user', budget => 1); select tenantry.rollout_signal('diary', 1, 'writer', tenantry.rollout_from_column('diary', 'writer'));
      call tenantry.rollout_to('diary', 'strict')`,
    found: 'warning rows_unowned',
    printed:
      /^call tenantry\.rollout_to\('(public\.)?diary', 'verified'\); and decide them: select tenantry\.rollout_resolve\(…\);$/,
    by: 'owner',
    undo: `call tenantry.rollout_to('diary', 'planned'); select tenantry.rollout_end('diary'); drop table diary`,
  },
]

const subscription = (more: string) => `
  create subscription arriving connection 'dbname=nowhere' publication elsewhere
    with (connect = false, enabled = false, create_slot = false, slot_name = none);
  set local allow_system_table_mods = on;
  insert into pg_subscription_rel values ((select oid from pg_subscription where subname = 'arriving'), 'notes'::regclass, 'r', null);
  set local allow_system_table_mods = off; ${more}`

/** From 16 on a subscription writes as the owner of the table unless it says otherwise. */
export const subscriptions = (major: number): readonly Case[] => [
  {
    name: 'a subscription as somebody whom nothing binds',
    given: subscription(major < 16 ? '' : 'alter subscription arriving set (run_as_owner = true)'),
    found: 'info subscribed',
  },
  {
    name: 'a subscription of somebody who is bound',
    given: `create role bound_subscriber superuser; ${subscription('')}; alter subscription arriving owner to bound_subscriber; alter role bound_subscriber nosuperuser`,
    found: 'warning subscription_bound',
    fill: ['<a superuser>', 'current_user'],
    leaves: ['info subscribed'],
  },
  ...(major < 16
    ? []
    : [
        {
          name: `a subscription as the table's owner`,
          given: subscription(''),
          found: 'warning subscription_bound',
          leaves: ['info subscribed'],
        },
      ]),
]
