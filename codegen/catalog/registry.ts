/** In place of the registry, where tenantry is not installed. */
export const unregistered = `
  select json_build_object('installed', false, 'kinds', json_build_array(),
                           'tables', json_build_array(), 'secrets', json_build_array())`

const relationRef = (oid: string): string => `(
      select json_build_object('schema', rn.nspname, 'name', rc.relname)
      from pg_class as rc join pg_namespace as rn on rn.oid = rc.relnamespace
      where rc.oid = ${oid})`

/** What tenantry knows about kinds and tables. */
export const registered = `
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
                 'parent',      ${relationRef('t.parent')}
               ) order by n.nspname, c.relname), '[]')
               from tenantry.tables as t
               join pg_class as c on c.oid = t.relation
               join pg_namespace as n on n.oid = c.relnamespace),
    'secrets', (select coalesce(json_agg(json_build_object(
                  'schema',      s.schema_name,
                  'name',        s.table_name,
                  'column',      s.column_name,
                  'columnId',    s.column_id,
                  'indexColumn', s.index_column,
                  'ring',        s.ring,
                  'returning',   s.ring_returning,
                  'opens',       s.opens
                ) order by s.schema_name, s.table_name, s.column_name), '[]')
                from (select distinct on (e.relation, e.column_name) e.*
                        from tenantry.encrypted_columns as e
                       order by e.relation, e.column_name, e.audited desc, e.path) as s
               where s.state not in ('added', 'dual')))`
