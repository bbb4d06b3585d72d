-- A SECURITY DEFINER function runs as its owner. If row-level security does not bind that role, or the migration role's
-- policy shows it every row, whoever may call the function reads through it what is not theirs.
create function tenantry_private.function_findings()
returns table (severity text, code text, object text, problem text, fix text)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  item record;
begin
  for item in
    select p.oid::regprocedure as routine, case p.prokind when 'p' then 'procedure' else 'function' end as sort, o.rolname,
           -- By name, in the text; a function that builds its statements is one to look at, too.
           exists (
             select
               from tenantry.tables t
              where t.class in ('owned', 'by_parent')
                and coalesce(nullif(p.prosrc, ''), pg_get_function_sqlbody(p.oid))
                    ~* ('\m' || regexp_replace(t.table_name, '([^\w])', '\\\1', 'g') || '\M|\mexecute\M')) as touches
      from pg_catalog.pg_proc p
      join pg_catalog.pg_namespace n on n.oid = p.pronamespace
      join pg_catalog.pg_roles o on o.oid = p.proowner
     where p.prosecdef
       and p.prorettype not in ('trigger'::regtype, 'event_trigger'::regtype)
       and n.nspname not in ('pg_catalog', 'information_schema', 'tenantry', 'tenantry_private', 'tenant', 'reach')
       and not exists (
           select
             from pg_catalog.pg_depend d
            where d.classid = 'pg_catalog.pg_proc'::regclass and d.objid = p.oid and d.deptype = 'e')
       and (o.rolsuper or o.rolbypassrls
            or exists (
               select
                 from tenantry.schemas s
                where s.migration_role is not null
                  and pg_has_role(o.oid, to_regrole(quote_ident(s.migration_role)), 'member')))
       and (has_function_privilege('tenantry_user', p.oid, 'execute')
            or exists (
               select
                 from tenantry_private.allowed_logins() a
                 join pg_catalog.pg_roles r on r.rolname = a.role_name and not r.rolsuper
                where a.granted_as = 'user' and has_function_privilege(r.oid, p.oid, 'execute')))
     order by 1
  loop
    severity := case when item.touches then 'critical' else 'info' end;
    code     := 'function_runs_as_owner';
    object   := item.routine;
    problem  := format('the application may call it, it runs as %I, who sees every row%s', item.rolname,
                  case when item.touches then ', and it reads protected tables or builds statements' else '' end);
    fix      := format('alter %s %s security invoker;', item.sort, item.routine);
    return next;
  end loop;
end
$$;

comment on function tenantry_private.function_findings() is 'Finding function_runs_as_owner.';
