// Parts of the catalog query that describe the constraints of relation `c`.

/** Names of the columns of an attnum array, in the array's order. */
export const columnNames = (relation: string, numbers: string): string => `(
      select coalesce(json_agg(ka.attname order by u.ord), '[]')
      from unnest(${numbers}) with ordinality as u(num, ord)
      left join pg_attribute as ka on ka.attrelid = ${relation} and ka.attnum = u.num and u.num > 0)`

export const key = `json_build_object(
    'name',       k.conname,
    'columns',    ${columnNames('k.conrelid', 'k.conkey')},
    'deferrable', k.condeferrable)`

export const check = (type: string): string => `
  select coalesce(json_agg(json_build_object(
    'name', k.conname, 'definition', pg_get_constraintdef(k.oid), 'validated', k.convalidated
  ) order by k.conname), '[]')
  from pg_constraint as k where k.conrelid = c.oid and k.contype = '${type}'`

const action = (column: string): string => `case ${column}
      when 'a' then 'no action' when 'r' then 'restrict' when 'c' then 'cascade'
      when 'n' then 'set null'  when 'd' then 'set default' end`

// conparentid: a foreign key to a partitioned table owns one row more for each partition.
export const foreignKeys = `
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
