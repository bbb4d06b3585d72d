import { unwatched } from '../stage.js'
import { share } from './base.js'
import type { Case } from './case.js'

/** Runs a statement with the name of a trigger of a table in it. */
const onTrigger = (table: string, like: string, statement: string) => `do $$
  declare t name;
  begin
    for t in select tgname from pg_trigger where tgrelid = '${table}'::regclass and not tgisinternal and tgname like '${like}' loop
      execute format('${statement}', t);
    end loop;
  end $$`

const filled = [/<the application's share>/g, share] as const

/** What is wrong with secrets, views and triggers of tenantry's own. */
export const secrets: readonly Case[] = [
  {
    name: 'a seal that is off',
    given: onTrigger('vault', '~tenantry%', 'alter table vault disable trigger %I'),
    found: 'critical secret_unsealed',
  },
  {
    name: 'a seal that is gone',
    given: unwatched(onTrigger('vault', '~tenantry%', 'drop trigger %I on vault')),
    found: 'critical secret_unsealed',
  },
  {
    name: 'a trigger behind the seal',
    given: `create function late() returns trigger language plpgsql as 'begin return new; end';
      create trigger "~~late" before insert on vault for each row execute function late()`,
    found: 'critical seal_not_last',
  },
  {
    name: 'a decrypting view that is gone',
    given: 'drop view tenant.vault',
    found: 'warning facade_stale',
  },
  {
    name: 'a reach view that is gone',
    given: 'drop view reach.posts',
    found: 'warning reach_stale',
  },
  {
    name: 'members who may take rows over',
    given: 'drop trigger tenantry_owner_kept on posts',
    found: 'critical owner_unguarded',
  },
  {
    name: 'an actor that is not recorded',
    given: 'alter table posts disable trigger tenantry_actor',
    found: 'warning actor_unrecorded',
  },
  {
    name: 'an index for public rows that nobody knows any more',
    given: `do $$ begin execute (
      select format('comment on index %s is null', i.indexrelid::regclass) from pg_index i
       where i.indrelid = 'posts'::regclass and i.indpred is not null); end $$`,
    found: 'warning owner_unindexed',
  },
  {
    name: 'a view that nobody asked for',
    given: `create table bills (id int primary key, owner_id uuid not null references users); alter table bills owner to @owner;
      select tenantry.protect('bills', reach => false); create view reach.bills as select * from bills; alter view reach.bills owner to tenantry_reach`,
    found: 'warning not_as_declared',
  },
  {
    name: 'keys that are gone from an empty table',
    given: 'delete from tenantry_private.master_keys; delete from tenantry_private.tag_keys',
    found: 'critical secret_keys_missing',
    fill: filled,
  },
  {
    name: 'keys that are gone, and values that they sealed',
    given: `alter table vault disable trigger user; insert into vault select 1, id, 'sealed' from users limit 1; alter table vault enable trigger user;
      select tenantry.sync(); delete from tenantry_private.master_keys; delete from tenantry_private.tag_keys`,
    found: 'critical secret_keys_missing',
    printed: /^pg_restore --data-only --schema=tenantry_private, from a full dump/,
  },
  {
    name: 'triggers and no declaration of their secrets',
    given: `create schema elsewhere authorization @owner;
      create table elsewhere.stray (id int primary key, owner_id uuid not null references users, token text); alter table elsewhere.stray owner to @owner;
      select tenantry.protect('elsewhere.stray'); select tenantry.encrypt_column('elsewhere.stray', 'token');
      delete from tenantry_private.encrypted_columns where relation = 'elsewhere.stray'::regclass;
      delete from tenantry_private.tables where relation = 'elsewhere.stray'::regclass`,
    found: 'critical secret_registry_missing',
    printed: /^pg_restore --data-only --schema=tenantry_private, from a full dump/,
  },
  {
    name: 'a key file that the server was never told of',
    given: `insert into tenantry_private.settings values ('key_provider', 'file')`,
    found: 'critical key_file_missing',
  },
  {
    name: 'plaintexts that are not sealed yet',
    given: `create table letters (id int primary key, owner_id uuid not null references users, body text); alter table letters owner to @owner;
      insert into letters select 1, id, 'dear' from users limit 1; select tenantry.protect('letters');
      select tenantry.encrypt_column('letters', 'body')`,
    found: 'warning plaintext_copies',
    fill: filled,
    undo: `call tenantry.unencrypt_column('letters', 'body', '{}', ${share}); drop table letters`,
  },
  {
    name: 'a batch job that somebody left',
    given: `create table letters (id int primary key, owner_id uuid not null references users, body text); alter table letters owner to @owner;
      select tenantry.protect('letters'); select tenantry.encrypt_column('letters', 'body');
      insert into tenantry_private.engine_jobs (relation, job) select e.relation, 'scrub ' || e.column_id from tenantry_private.encrypted_columns e where e.relation = 'letters'::regclass`,
    found: 'warning job_open',
    undo: `call tenantry.unencrypt_column('letters', 'body', '{}', ${share}); drop table letters`,
  },
]
