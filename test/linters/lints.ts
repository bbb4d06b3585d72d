/** Lints by what splinter's pages say they are for, in SQL of our own: each returns what it finds as `where`. */
export interface Lint {
  readonly name: string
  readonly sql: string
  /** What it must find, in a schema called bad. */
  readonly bad: string
}

const ours = `n.nspname not in ('pg_catalog', 'information_schema') and n.nspname not like 'pg\\_%'`
const relations = (kinds: string, condition: string) => `
  select c.oid::regclass::text as "where"
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
   where ${ours} and c.relkind in (${kinds}) and ${condition}`
const unowned = (catalog: string, oid: string) =>
  `not exists (select from pg_depend d where d.classid = '${catalog}'::regclass and d.objid = ${oid} and d.deptype = 'e')`
/** What an application's login reads. */
const exposed = `(has_table_privilege('tenantry_user', c.oid, 'select') or exists (select from aclexplode(c.relacl) a where a.grantee = 0))`
const policies = (condition: string) => `
  select distinct p.polrelid::regclass || '.' || p.polname as "where"
    from pg_policy p
   cross join lateral (values (pg_get_expr(p.polqual, p.polrelid)), (pg_get_expr(p.polwithcheck, p.polrelid))) as e (text)
   where ${condition}`

export const lints: readonly Lint[] = [
  {
    name: 'unindexed_foreign_keys',
    sql: `
      select f.conrelid::regclass || '.' || f.conname as "where"
        from pg_constraint f join pg_class c on c.oid = f.conrelid join pg_namespace n on n.oid = c.relnamespace
       where f.contype = 'f' and ${ours}
         and not exists (
             select from pg_index i
              where i.indrelid = f.conrelid and i.indisvalid
                and (select array_agg(k order by k) from unnest((i.indkey::smallint[])[0:cardinality(f.conkey) - 1]) k)
                    = (select array_agg(k order by k) from unnest(f.conkey) k))`,
    bad: 'create table bad.child (id int primary key, parent int references bad.parent)',
  },
  {
    name: 'no_primary_key',
    sql: relations(
      `'r', 'p'`,
      `not exists (select from pg_index i where i.indrelid = c.oid and i.indisprimary)`,
    ),
    bad: 'create table bad.keyless (id int)',
  },
  {
    name: 'duplicate_index',
    sql: `
      select min(i.indexrelid::regclass::text) as "where"
        from pg_index i join pg_class c on c.oid = i.indrelid join pg_namespace n on n.oid = c.relnamespace
       where ${ours}
       group by i.indrelid, i.indkey::text, i.indclass::text, i.indcollation::text, i.indoption::text,
                pg_get_expr(i.indexprs, i.indrelid), pg_get_expr(i.indpred, i.indrelid)
      having count(*) > 1`,
    bad: 'create index on bad.parent (owner); create index on bad.parent (owner)',
  },
  {
    name: 'policy_exists_rls_disabled',
    sql: relations(
      `'r', 'p'`,
      'not c.relrowsecurity and exists (select from pg_policy p where p.polrelid = c.oid)',
    ),
    bad: 'create policy p on bad.parent using (true)',
  },
  {
    name: 'rls_enabled_no_policy',
    sql: relations(
      `'r', 'p'`,
      'c.relrowsecurity and not exists (select from pg_policy p where p.polrelid = c.oid)',
    ),
    bad: 'alter table bad.parent enable row level security',
  },
  {
    name: 'rls_disabled_in_public',
    sql: relations(`'r', 'p'`, `not c.relrowsecurity and ${exposed}`),
    bad: 'grant select on bad.parent to tenantry_user',
  },
  {
    name: 'multiple_permissive_policies',
    sql: `
      select distinct p.polrelid::regclass::text as "where"
        from pg_policy p
       cross join unnest(p.polroles) as role_oid
       cross join lateral unnest(case p.polcmd when '*' then '{r,a,w,d}' else array[p.polcmd] end) as command
       where p.polpermissive
       group by p.polrelid, role_oid, command
      having count(*) > 1`,
    bad: 'create policy p on bad.parent using (true); create policy q on bad.parent using (true)',
  },
  {
    name: 'auth_rls_initplan',
    // What is left when sub-selects are taken out must call nothing that a statement needs once.
    sql: policies(
      `regexp_replace(e.text, '\\( *SELECT (?:[^()]|\\((?:[^()]|\\([^()]*\\))*\\))*\\)', '', 'g') ~* '(tenantry\\.\\w+|current_setting)\\('`,
    ),
    bad: `create policy p on bad.parent using (owner = current_setting('bad.owner'))`,
  },
  {
    name: 'rls_references_user_metadata',
    // The like of it here: whatever a session may set by itself.
    sql: policies(`e.text ~* 'current_setting\\('`),
    bad: `create policy p on bad.parent using (owner = (select current_setting('bad.owner')))`,
  },
  {
    name: 'security_definer_view',
    sql: relations(
      `'v'`,
      `not coalesce((select o.option_value::boolean from pg_options_to_table(c.reloptions) o where o.option_name = 'security_invoker'), false)
       and ${unowned('pg_class', 'c.oid').replace("d.deptype = 'e'", `d.deptype = 'e' and d.refobjid <> coalesce((select x.oid from pg_extension x where x.extname = 'tenantry'), 0)`)}`,
    ),
    bad: 'create view bad.shown as select * from bad.parent',
  },
  {
    name: 'materialized_view_in_api',
    sql: relations(`'m'`, exposed),
    bad: 'create materialized view bad.shown as select * from bad.parent; grant select on bad.shown to tenantry_user',
  },
  {
    name: 'foreign_table_in_api',
    sql: relations(`'f'`, exposed),
    bad: `create foreign data wrapper bad; create server bad foreign data wrapper bad;
      create foreign table bad.far (id int) server bad; grant select on bad.far to tenantry_user`,
  },
  {
    name: 'function_search_path_mutable',
    sql: `
      select p.oid::regproc::text as "where"
        from pg_proc p join pg_namespace n on n.oid = p.pronamespace
       where ${ours} and p.prokind <> 'a' and not exists (select from unnest(p.proconfig) s where s like 'search\\_path=%')
         and not exists (select from pg_depend d join pg_extension x on x.oid = d.refobjid and x.extname <> 'tenantry'
                          where d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.deptype = 'e')`,
    bad: `create function bad.loose() returns int language sql as 'select 1'`,
  },
  {
    name: 'extension_in_public',
    sql: `select x.extname::text as "where" from pg_extension x join pg_namespace n on n.oid = x.extnamespace where n.nspname = 'public'`,
    bad: 'create extension if not exists pg_trgm schema public',
  },
  {
    name: 'unsupported_reg_types',
    // pg_upgrade carries regclass, regrole and regtype, and none of the others.
    sql: `
      select c.oid::regclass || '.' || a.attname as "where"
        from pg_attribute a join pg_class c on c.oid = a.attrelid join pg_namespace n on n.oid = c.relnamespace
       where ${ours} and c.relkind in ('r', 'p', 'm') and a.attnum > 0 and not a.attisdropped
         and a.atttypid in ('regcollation'::regtype, 'regconfig'::regtype, 'regdictionary'::regtype, 'regnamespace'::regtype, 'regoper'::regtype,
                            'regoperator'::regtype, 'regproc'::regtype, 'regprocedure'::regtype)`,
    bad: 'create table bad.routines (routine regprocedure primary key)',
  },
]
