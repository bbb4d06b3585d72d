/** The columns of relation `c`; $2 is the role. */
export const columns = `
  select coalesce(json_agg(json_build_object(
    'name',       a.attname,
    'type',       r.ref,
    'sqlType',    format_type(a.atttypid, a.atttypmod),
    'dimensions', a.attndims,
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
