// Parts of the catalog query that describe what acts on the rows of relation `c`.

export const triggers = `
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

export const policies = `
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
