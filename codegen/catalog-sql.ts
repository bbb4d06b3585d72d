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

/** Are tenantry's registry views there, and does the role exist? */
export const probeSql = `
  select to_regclass('tenantry.kinds') is not null
         and to_regclass('tenantry.tables') is not null as registry,
         $1::text is null or exists (select from pg_roles where rolname = $1::text) as role`

/**
 * The whole catalog as one JSON document, every array with an order of its own.
 * $1 schemas (null: all but the system's and tenantry's), $2 role, $3 estimates, $4 partitions.
 */
export function catalogSql(registry: boolean): string {
  return `${head}
select json_build_object(
  'role',      $2::text,
  'schemas',   (${schemas}),
  'types',     (${types}),
  'relations', (${relations}),
  'registry',  (${registry ? registered : unregistered})
)::text as snapshot`
}

const head = `
with app_schemas as materialized (
  select n.oid, n.nspname, n.nspowner
  from pg_namespace as n
  where case
          when $1::text[] is null
          then n.nspname !~ '^pg_'
               and n.nspname not in ('information_schema', 'tenantry', 'tenantry_private')
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

const columns = `
  select coalesce(json_agg(json_build_object(
    'name',       a.attname,
    'type',       r.ref,
    'sqlType',    format_type(a.atttypid, a.atttypmod),
    'notNull',    a.attnotnull,
    'default',    case when a.attgenerated = '' then pg_get_expr(d.adbin, d.adrelid) end,
    'identity',   case a.attidentity when 'a' then 'always' when 'd' then 'by default' end,
    'generated',  case a.attgenerated when 's' then 'stored' when 'v' then 'virtual' end,
    'generation', case when a.attgenerated <> '' then pg_get_expr(d.adbin, d.adrelid) end,
    'comment',    col_description(c.oid, a.attnum),
    'sequence',   (select json_build_object('schema', sn.nspname, 'name', s.relname)
                   from pg_depend as p
                   join pg_class as s on s.oid = p.objid and s.relkind = 'S'
                   join pg_namespace as sn on sn.oid = s.relnamespace
                   where p.classid = 'pg_class'::regclass and p.refclassid = 'pg_class'::regclass
                     and p.refobjid = c.oid and p.refobjsubid = a.attnum
                     and p.deptype in ('a', 'i')
                   order by sn.nspname, s.relname limit 1),
    'privileges', case when $2::text is not null then json_build_object(
                    'select', has_column_privilege($2::text, c.oid, a.attnum, 'SELECT'),
                    'insert', has_column_privilege($2::text, c.oid, a.attnum, 'INSERT'),
                    'update', has_column_privilege($2::text, c.oid, a.attnum, 'UPDATE')) end
  ) order by a.attnum), '[]')
  from pg_attribute as a
  join type_refs as r on r.oid = a.atttypid
  left join pg_attrdef as d on d.adrelid = a.attrelid and d.adnum = a.attnum
  where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped`

/** Names of the columns of an attnum array, in the array's order. */
const columnNames = (relation: string, numbers: string): string => `(
      select coalesce(json_agg(ka.attname order by u.ord), '[]')
      from unnest(${numbers}) with ordinality as u(num, ord)
      left join pg_attribute as ka on ka.attrelid = ${relation} and ka.attnum = u.num and u.num > 0)`

const key = `json_build_object(
    'name',       k.conname,
    'columns',    ${columnNames('k.conrelid', 'k.conkey')},
    'deferrable', k.condeferrable)`

const check = (type: string): string => `
  select coalesce(json_agg(json_build_object(
    'name', k.conname, 'definition', pg_get_constraintdef(k.oid), 'validated', k.convalidated
  ) order by k.conname), '[]')
  from pg_constraint as k where k.conrelid = c.oid and k.contype = '${type}'`

const action = (column: string): string => `case ${column}
      when 'a' then 'no action' when 'r' then 'restrict' when 'c' then 'cascade'
      when 'n' then 'set null'  when 'd' then 'set default' end`

// conparentid: a foreign key to a partitioned table owns one row more for each partition.
const foreignKeys = `
  select coalesce(json_agg(json_build_object(
    'name',       k.conname,
    'columns',    ${columnNames('k.conrelid', 'k.conkey')},
    'references', json_build_object('schema', fn.nspname, 'name', fc.relname,
                    'columns', ${columnNames('k.confrelid', 'k.confkey')}),
    'onUpdate',   ${action('k.confupdtype')},
    'onDelete',   ${action('k.confdeltype')},
    'match',      case k.confmatchtype when 'f' then 'full' when 'p' then 'partial' else 'simple' end,
    'deferrable', k.condeferrable,
    'deferred',   k.condeferred,
    'validated',  k.convalidated
  ) order by k.conname), '[]')
  from pg_constraint as k
  join pg_class as fc on fc.oid = k.confrelid
  join pg_namespace as fn on fn.oid = fc.relnamespace
  where k.conrelid = c.oid and k.contype = 'f'
    and not exists (select from pg_constraint as up
                    where up.oid = k.conparentid and up.conrelid = k.conrelid)`

const indexes = `
  select coalesce(json_agg(json_build_object(
    'name',             ic.relname,
    'method',           am.amname,
    'unique',           i.indisunique,
    'primary',          i.indisprimary,
    'valid',            i.indisvalid,
    'nullsNotDistinct', i.indnullsnotdistinct,
    'columns',          ${columnNames('c.oid', '(i.indkey::int2[])[0:i.indnkeyatts - 1]')},
    'include',          ${columnNames('c.oid', '(i.indkey::int2[])[i.indnkeyatts:]')},
    'predicate',        pg_get_expr(i.indpred, i.indrelid),
    'constraint',       (select k.conname from pg_constraint as k
                         where k.conindid = i.indexrelid and k.conrelid = c.oid
                           and k.contype in ('p', 'u', 'x')),
    'definition',       pg_get_indexdef(i.indexrelid)
  ) order by ic.relname), '[]')
  from pg_index as i
  join pg_class as ic on ic.oid = i.indexrelid
  join pg_am as am on am.oid = ic.relam
  where i.indrelid = c.oid`

const triggers = `
  select coalesce(json_agg(json_build_object(
    'name',            t.tgname,
    'timing',          case when t.tgtype & 64 > 0 then 'instead of'
                            when t.tgtype & 2 > 0 then 'before' else 'after' end,
    'level',           case when t.tgtype & 1 > 0 then 'row' else 'statement' end,
    'events',          (select json_agg(e.name order by e.bit)
                        from (values (4, 'insert'), (8, 'delete'), (16, 'update'), (32, 'truncate'))
                             as e(bit, name)
                        where t.tgtype & e.bit > 0),
    'function',        json_build_object('schema', pn.nspname, 'name', p.proname),
    'securityDefiner', p.prosecdef,
    'enabled',         case t.tgenabled when 'D' then 'disabled' when 'R' then 'replica'
                                        when 'A' then 'always' else 'origin' end,
    'constraint',      t.tgconstraint <> 0,
    'deferrable',      t.tgdeferrable,
    'definition',      pg_get_triggerdef(t.oid)
  ) order by t.tgname), '[]')
  from pg_trigger as t
  join pg_proc as p on p.oid = t.tgfoid
  join pg_namespace as pn on pn.oid = p.pronamespace
  where t.tgrelid = c.oid and not t.tgisinternal`

const policies = `
  select coalesce(json_agg(json_build_object(
    'name',       y.polname,
    'permissive', y.polpermissive,
    'command',    case y.polcmd when 'r' then 'select' when 'a' then 'insert'
                                when 'w' then 'update' when 'd' then 'delete' else 'all' end,
    'roles',      (select coalesce(json_agg(n.name order by n.name), '[]')
                   from (select case when u.oid = 0 then 'public'
                                     else pg_get_userbyid(u.oid)::text end collate "C" as name
                         from unnest(y.polroles) as u(oid)) as n),
    'using',      pg_get_expr(y.polqual, y.polrelid),
    'check',      pg_get_expr(y.polwithcheck, y.polrelid)
  ) order by y.polname), '[]')
  from pg_policy as y where y.polrelid = c.oid`

const parents = (partition: boolean): string => `
  from pg_inherits as h
  join pg_class as hc on hc.oid = h.inhparent
  join pg_namespace as hn on hn.oid = hc.relnamespace
  where h.inhrelid = c.oid and ${partition ? '' : 'not '}c.relispartition`

const tablePrivilege = (name: string): string =>
  `'${name.toLowerCase()}', has_table_privilege($2::text, c.oid, '${name}')`

const relations = `
  select coalesce(json_agg(json_build_object(
    'schema',           c.nspname,
    'name',             c.relname,
    'kind',             case c.relkind when 'r' then 'table' when 'p' then 'partitioned'
                                       when 'v' then 'view' when 'm' then 'materialized view'
                                       else 'foreign table' end,
    'owner',            pg_get_userbyid(c.relowner),
    'comment',          obj_description(c.oid, 'pg_class'),
    'persistence',      case c.relpersistence when 'u' then 'unlogged' when 't' then 'temporary'
                                              else 'permanent' end,
    'rowSecurity',      c.relrowsecurity,
    'forceRowSecurity', c.relforcerowsecurity,
    'partitionOf',      (select json_build_object('schema', hn.nspname, 'name', hc.relname)
                         ${parents(true)}),
    'partitionKey',     pg_get_partkeydef(c.oid),
    'inherits',         (select coalesce(json_agg(json_build_object(
                                  'schema', hn.nspname, 'name', hc.relname)
                                order by h.inhseqno), '[]')
                         ${parents(false)}),
    'estimatedRows',    case when $3::boolean then c.reltuples::float8 end,
    'columns',          (${columns}),
    'primaryKey',       (select ${key} from pg_constraint as k
                         where k.conrelid = c.oid and k.contype = 'p'),
    'uniques',          (select coalesce(json_agg(${key} order by k.conname), '[]')
                         from pg_constraint as k
                         where k.conrelid = c.oid and k.contype = 'u'),
    'foreignKeys',      (${foreignKeys}),
    'checks',           (${check('c')}),
    'exclusions',       (${check('x')}),
    'indexes',          (${indexes}),
    'triggers',         (${triggers}),
    'policies',         (${policies}),
    'privileges',       case when $2::text is not null then json_build_object(
                          ${[
                            'SELECT',
                            'INSERT',
                            'UPDATE',
                            'DELETE',
                            'TRUNCATE',
                            'REFERENCES',
                            'TRIGGER',
                          ]
                            .map(tablePrivilege)
                            .join(',\n                          ')}) end
  ) order by c.nspname, c.relname), '[]')
  from app_relations as c`

const unregistered = `
  select json_build_object('installed', false, 'kinds', json_build_array(),
                           'tables', json_build_array())`

const relationRef = (oid: string): string => `(
      select json_build_object('schema', rn.nspname, 'name', rc.relname)
      from pg_class as rc join pg_namespace as rn on rn.oid = rc.relnamespace
      where rc.oid = ${oid})`

const registered = `
  select json_build_object(
    'installed', true,
    'kinds',  (select coalesce(json_agg(json_build_object(
                 'kind',         k.kind,
                 'relation',     ${relationRef('k.relation')},
                 'idColumn',     k.id_column,
                 'ownerColumn',  k.owner_column,
                 'ownerKind',    k.owner_kind,
                 'actsForOwner', k.acts_for_owner
               ) order by k.kind::text collate "C"), '[]')
               from tenantry.kinds as k),
    'tables', (select coalesce(json_agg(json_build_object(
                 'schema',      n.nspname,
                 'name',        c.relname,
                 'class',       t.class,
                 'ownerColumn', t.owner_column,
                 'ownerKind',   t.owner_kind,
                 'parent',      ${relationRef('t.parent')}
               ) order by n.nspname, c.relname), '[]')
               from tenantry.tables as t
               join pg_class as c on c.oid = t.relation
               join pg_namespace as n on n.oid = c.relnamespace))`
