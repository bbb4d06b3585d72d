import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  anna,
  encryptVault,
  secretStage,
  vaultTable,
  type SecretStage,
} from '../secrets/support/stage.js'

// pg_upgrade copies the files of tables as they are. It refuses types whose values are numbers that the new cluster does not
// have, and says nothing of numbers in columns of type oid: it keeps those of tables, types, roles and databases.

let on: SecretStage
beforeAll(async () => {
  on = await secretStage()
  await on.setUp.query(vaultTable)
  await on.setUp.query(encryptVault)
  await on.setUp.query(`
    create function opened_before(value text) returns text language sql security definer set search_path = pg_catalog, pg_temp as 'select value';
    grant execute on function opened_before(text) to tenantry_owner;
    create table letters (id int primary key, owner_id uuid not null references users, body text);
    select tenantry.protect('letters');
    create table waiting (id int primary key, owner_id uuid references users)`)
  await on.db.admin.query(`insert into letters select 1, id, 'body' from users limit 1`)
  await on.setUp.query(`
    select tenantry.encrypt_column('letters', 'body', import_with => 'opened_before(text)');
    select tenantry.manage_schema('public', owner_column => 'owner_id', owner_kind => 'user');
    select tenantry.register_rule('public', '%\\_mail', owner_column => 'owner_id', owner_kind => 'user');
    create table closed (id int);
    create table born (id int primary key, owner_id uuid not null references users);
    select tenantry.rollout('waiting', owner_column => 'owner_id', owner_kind => 'user')`)
  await on.db.admin.query('alter schema public rename to app; alter schema app rename to public')
  await on.holding(anna, (client) => client.query(`insert into vault (id, token) values (1, 'x')`))
})
afterAll(() => on.drop())

/** What pg_upgrade asks in every database: tables and indexes with a column whose type is one of these, or is made of one. */
const uses = (types: string, only = '') => `
  with recursive oids as (
    select t.oid from pg_type t join pg_namespace n on n.oid = t.typnamespace where ${types}
    union all
    select * from (
      with x as (select oid from oids)
      select t.oid from pg_type t, x where t.typbasetype = x.oid and t.typtype = 'd'
      union all
      select t.oid from pg_type t, x where t.typelem = x.oid and t.typtype = 'b'
      union all
      select t.oid from pg_type t, pg_class c, pg_attribute a, x
       where t.typtype = 'c' and t.oid = c.reltype and c.oid = a.attrelid and not a.attisdropped and a.atttypid = x.oid
      union all
      select t.oid from pg_type t, pg_range r, x where t.typtype = 'r' and r.rngtypid = t.oid and r.rngsubtype = x.oid) made)
  select n.nspname || '.' || c.relname || '.' || a.attname as "column"
    from pg_class c join pg_namespace n on n.oid = c.relnamespace join pg_attribute a on a.attrelid = c.oid
   where not a.attisdropped and a.atttypid in (select oid from oids) and c.relkind in ('r', 'm', 'i')
     and n.nspname !~ '^pg_temp_|^pg_toast_temp_' and n.nspname not in ('pg_catalog', 'information_schema') ${only}
   order by 1`

const refused = {
  'names of what gets new numbers': uses(`n.nspname = 'pg_catalog' and t.typname in
    ('regcollation', 'regconfig', 'regdictionary', 'regnamespace', 'regoper', 'regoperator', 'regproc', 'regprocedure')`),
  // which 16 stores otherwise
  'access lists': uses(`n.nspname = 'pg_catalog' and t.typname = 'aclitem'`),
  'rows of the catalog': uses(
    `t.typtype = 'c' and (t.oid < 16384 or n.nspname = 'information_schema')`,
  ),
}

const columns = async (query: string) =>
  (await on.db.admin.query<{ column: string }>(query)).rows.map(({ column }) => column)

describe('pg_upgrade', () => {
  it.each(Object.entries(refused))('finds no %s in what is stored', async (_, query) => {
    expect(await columns(query)).toEqual([])
  })

  it('finds them, the control, in columns, domains, arrays, rows and ranges', async () => {
    const client = await on.db.admin.connect()
    try {
      await client.query(`begin;
        create schema bad;
        create domain bad.place as regnamespace;
        create type bad.part as (place bad.place);
        create type bad.span as range (subtype = regprocedure);
        create table bad.plain (given regprocedure);
        create table bad.made (places bad.part[], spans bad.span, name text);
        create table bad.others (list aclitem[], line pg_catalog.pg_namespace)`)
      const found = []
      for (const query of Object.values(refused))
        found.push((await client.query<{ column: string }>(query)).rows.map(({ column }) => column))
      expect(found).toEqual([
        ['bad.made.places', 'bad.made.spans', 'bad.plain.given'],
        ['bad.others.line', 'bad.others.list'],
        ['bad.others.line'],
      ])
    } finally {
      await client.query('rollback')
      client.release()
    }
  })

  it('keeps every number that is stored', async () => {
    const stored = uses(
      `n.nspname = 'pg_catalog' and t.typname in ('oid', 'oidvector')`,
      `and n.nspname ~ '^tenantry' and c.relkind = 'r' and a.attnum > 0`,
    )
    expect(await columns(stored)).toEqual([
      'tenantry_private.allowed_roles.role_oid',
      'tenantry_private.altered_schemas.namespace',
      'tenantry_private.bound_roles.role_oid',
      'tenantry_private.granted_across.role_oid',
      'tenantry_private.guarded_relations.database',
      'tenantry_private.guarded_relations.owner',
      'tenantry_private.guarded_relations.relation',
      'tenantry_private.table_owners.role_oid',
      'tenantry_private.watched_relations.relation',
    ])
    // Schemas get new ones: theirs are there while a statement runs.
    const { rows } = await on.db.admin.query('select from tenantry_private.altered_schemas')
    expect(rows).toEqual([])
  })
})
