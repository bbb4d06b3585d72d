/** In place of the registry, where tenantry is not installed. */
export const unregistered = `
  select json_build_object('installed', false, 'kinds', json_build_array(),
                           'tables', json_build_array(), 'secrets', json_build_array(),
                           'concealed', json_build_array())`

const relationRef = (oid: string): string => `(
      select json_build_object('schema', rn.nspname, 'name', rc.relname)
      from pg_class as rc join pg_namespace as rn on rn.oid = rc.relnamespace
      where rc.oid = ${oid})`

/**
 * Columns that are read as secrets, once each. A column has several entries where paths of it are
 * encrypted, and one ring for all of them. They are secrets from the first step on, since what opens
 * them gives plaintexts as they are until all are sealed.
 */
const secrets = `
      select coalesce(json_agg(json_build_object(
        'schema',      s.schema_name,
        'name',        s.table_name,
        'column',      s.column_name,
        'columnId',    s.column_id,
        'indexColumn', case when s.filled then s.index_column end,
        'ring',        s.ring,
        'returning',   s.ring_returning,
        'opens',       s.opens
      ) order by s.schema_name, s.table_name, s.column_name), '[]')
      from (
        select e.*,
               row_number() over (partition by e.relation, e.column_name
                                  order by e.path)                                   as place,
               -- until every value is sealed, some have no blind index yet
               e.state not in ('added', 'dual')                                       as filled
        from tenantry.encrypted_columns as e
      ) as s
      where s.place = 1`

/**
 * Columns beside encrypted ones that only the database has a use for: blind indexes and, while a
 * filled column is being encrypted, copies of its values. Those are what its view leaves out.
 */
const concealed = `
      select coalesce(json_agg(json_build_object(
        'schema', n.nspname,
        'name',   c.relname,
        'column', o.column_name
      ) order by n.nspname, c.relname, o.column_name), '[]')
      from (
        select e.relation, e.index_column as column_name
        from tenantry.encrypted_columns as e
        where e.index_column is not null
        union
        select e.relation, a.attname
        from tenantry.encrypted_columns as e
        join pg_class as c on c.oid = e.relation
        join pg_class as v on v.relname = c.relname
        join pg_namespace as n on n.oid = v.relnamespace and n.nspname = 'tenant'
        join pg_attribute as a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
        where e.state <> 'sealed'
          and not exists (select from pg_attribute as shown
                          where shown.attrelid = v.oid and shown.attname = a.attname)
      ) as o
      join pg_class as c on c.oid = o.relation
      join pg_namespace as n on n.oid = c.relnamespace`

const none = `select json_build_array()`

/** What the role was given by an ACL. */
const given = (acl: string): string => `
        select acl.privilege_type
        from aclexplode(${acl}) as acl
        where acl.grantee = 0 or pg_has_role($2::text, acl.grantee, 'USAGE')`

/**
 * The view of table \`t\` on the reach path, found by what it reads, since either may be renamed. An
 * installation from before that path has neither the schema nor the role. Every ALTER TABLE makes the
 * view anew, and has_table_privilege() would not know one that this snapshot still has.
 */
const reach = `(
      select json_build_object(
               'schema', vn.nspname,
               'name',   v.relname,
               'privileges', case when $2::text is not null then json_build_object(
                               'usage',  has_schema_privilege($2::text, vn.oid, 'USAGE'),
                               'delete', 'DELETE' in (${given('v.relacl')})) end,
               'columns', (
                 select coalesce(json_agg(json_build_object(
                          'name',       va.attname,
                          'privileges', case when $2::text is not null then json_build_object(
                                          ${['SELECT', 'INSERT', 'UPDATE']
                                            .map(
                                              (name) =>
                                                `'${name.toLowerCase()}', '${name}' = any (p.names)`,
                                            )
                                            .join(', ')}) end
                        ) order by va.attnum), '[]')
                 from pg_attribute as va
                 cross join lateral (
                   select array(${given('v.relacl')}
                        union${given('va.attacl')}) as names
                 ) as p
                 where va.attrelid = v.oid and va.attnum > 0 and not va.attisdropped))
      from pg_class as v
      join pg_namespace as vn on vn.oid = v.relnamespace
      where v.oid = (
        select min(w.ev_class)
        from pg_depend as d
        join pg_rewrite as w on w.oid = d.objid
        join pg_class as r on r.oid = w.ev_class
        where d.classid = 'pg_rewrite'::regclass
          and d.refclassid = 'pg_class'::regclass and d.refobjid = t.relation
          and r.relnamespace = to_regnamespace('reach')
          and r.relowner = to_regrole('tenantry_reach')))`

/** What tenantry knows about kinds, tables and, where it knows any, encrypted columns. */
export const registered = (knowsSecrets: boolean): string => `
  select json_build_object(
    'installed', true,
    'kinds',  (select coalesce(json_agg(json_build_object(
                 'kind',         k.kind,
                 'relation',     ${relationRef('k.relation')},
                 'idColumn',     k.id_column,
                 'idType',       k.id_type,
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
                 'parent',      ${relationRef('t.parent')},
                 'reach',       ${reach}
               ) order by n.nspname, c.relname), '[]')
               from tenantry.tables as t
               join pg_class as c on c.oid = t.relation
               join pg_namespace as n on n.oid = c.relnamespace),
    'secrets',   (${knowsSecrets ? secrets : none}),
    'concealed', (${knowsSecrets ? concealed : none}))`
