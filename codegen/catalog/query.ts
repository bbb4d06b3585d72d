import { registered, unregistered } from './registry.js'
import { relations } from './relations.js'

/** Set before the catalog is read, so that printed expressions do not follow the session. */
export const pinnedSettings = `
  set local search_path             = pg_catalog, pg_temp;
  set local datestyle               = 'ISO, YMD';
  set local intervalstyle           = 'postgres';
  set local timezone                = 'UTC';
  set local bytea_output            = 'hex';
  set local extra_float_digits      = 1;
  set local quote_all_identifiers   = off;
  set local statement_timeout       = '5min'`

/**
 * Are tenantry's registry views there, may they be read, and does the role exist? An installation
 * from before secrets has no view of encrypted columns.
 */
export const probeSql = `
  select count(*) filter (where c.relname in ('kinds', 'tables')) = 2 as registry,
         count(*) = 3                                                 as secrets,
         coalesce(bool_and(has_schema_privilege(c.relnamespace, 'USAGE')
                           and has_table_privilege(c.oid, 'SELECT')), true) as readable,
         $1::text is null or exists (select from pg_roles where rolname = $1::text) as role
  from pg_class as c
  join pg_namespace as n on n.oid = c.relnamespace
  where n.nspname = 'tenantry' and c.relname in ('kinds', 'tables', 'encrypted_columns')`

/**
 * The whole catalog as one JSON document, every array with an order of its own.
 * $1 schemas (null: all but the system's and tenantry's), $2 role, $3 estimates, $4 partitions.
 */
export function catalogSql(found: {
  readonly registry: boolean
  readonly secrets: boolean
}): string {
  return `${head}
select json_build_object(
  'role',      $2::text,
  'schemas',   (${schemas}),
  'types',     (${types}),
  'relations', (${relations}),
  'registry',  (${found.registry ? registered(found.secrets) : unregistered})
)::text as snapshot`
}

const head = `
with app_schemas as materialized (
  select n.oid, n.nspname, n.nspowner
  from pg_namespace as n
  where case
          when $1::text[] is null
          then n.nspname !~ '^pg_'
               and n.nspname not in ('information_schema', 'tenantry', 'tenantry_private', 'tenant', 'reach')
               and not exists (
                 select from pg_depend as d
                 where d.classid = 'pg_namespace'::regclass and d.objid = n.oid and d.deptype = 'e'
               )
          else n.nspname = any ($1::text[])
        end
),
app_relations as materialized (
  select c.*, s.nspname
  from pg_class as c
  join app_schemas as s on s.oid = c.relnamespace
  where c.relkind in ('r', 'p', 'v', 'm', 'f')
    and ($4::boolean or not c.relispartition)
    and not exists (
      select from pg_depend as d
      where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e'
    )
),
type_refs as materialized (
  select t.oid,
         json_build_object(
           'schema', coalesce(en.nspname, n.nspname),
           'name',   coalesce(e.typname, t.typname),
           'array',  e.oid is not null
         ) as ref
  from pg_type as t
  join pg_namespace as n on n.oid = t.typnamespace
  left join pg_type as e on e.oid = t.typelem and e.typarray = t.oid
  left join pg_namespace as en on en.oid = e.typnamespace
)`

const schemas = `
  select coalesce(json_agg(json_build_object(
    'name',    s.nspname,
    'owner',   pg_get_userbyid(s.nspowner),
    'comment', obj_description(s.oid, 'pg_namespace'),
    'usage',   case when $2::text is not null
                    then has_schema_privilege($2::text, s.oid, 'USAGE') end
  ) order by s.nspname), '[]')
  from app_schemas as s`

// A composite type belongs here only when somebody created it as a type: every table has one too.
const types = `
  select coalesce(json_agg(t.info order by t.schema, t.name), '[]')
  from (
    select n.nspname as schema, t.typname as name,
           case t.typtype
             when 'e' then json_build_object(
               'kind', 'enum', 'schema', n.nspname, 'name', t.typname,
               'comment', obj_description(t.oid, 'pg_type'),
               'labels', (select coalesce(json_agg(l.enumlabel order by l.enumsortorder), '[]')
                          from pg_enum as l where l.enumtypid = t.oid))
             when 'd' then json_build_object(
               'kind', 'domain', 'schema', n.nspname, 'name', t.typname,
               'comment', obj_description(t.oid, 'pg_type'),
               'base', (select r.ref from type_refs as r where r.oid = t.typbasetype),
               'sqlBase', format_type(t.typbasetype, t.typtypmod),
               'notNull', t.typnotnull,
               'default', t.typdefault,
               'checks', (select coalesce(json_agg(json_build_object(
                                   'name', k.conname,
                                   'definition', pg_get_constraintdef(k.oid)) order by k.conname), '[]')
                          from pg_constraint as k
                          where k.contypid = t.oid and k.contype = 'c'))
             when 'c' then json_build_object(
               'kind', 'composite', 'schema', n.nspname, 'name', t.typname,
               'comment', obj_description(t.oid, 'pg_type'),
               'attributes', (select coalesce(json_agg(json_build_object(
                                       'name', a.attname,
                                       'type', r.ref,
                                       'sqlType', format_type(a.atttypid, a.atttypmod))
                                     order by a.attnum), '[]')
                              from pg_attribute as a
                              join type_refs as r on r.oid = a.atttypid
                              where a.attrelid = t.typrelid and a.attnum > 0
                                and not a.attisdropped))
             else json_build_object(
               'kind', case t.typtype when 'r' then 'range' else 'multirange' end,
               'schema', n.nspname, 'name', t.typname,
               'comment', obj_description(t.oid, 'pg_type'),
               'subtype', (select r.ref
                           from pg_range as g join type_refs as r on r.oid = g.rngsubtype
                           where t.oid in (g.rngtypid, g.rngmultitypid)))
           end as info
    from pg_type as t
    join pg_namespace as n on n.oid = t.typnamespace
    left join pg_class as tc on tc.oid = t.typrelid
    where n.nspname !~ '^pg_'
      and n.nspname <> 'information_schema'
      and (t.typtype in ('e', 'd', 'r', 'm') or t.typtype = 'c' and tc.relkind = 'c')
  ) as t`
