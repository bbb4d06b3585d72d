-- A SECURITY DEFINER function runs as its owner. If row-level security does not bind that role, or a policy shows it every
-- row (the migration role, a standing reader), whoever may call the function reads through it what is not theirs.
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
           not exists (select from unnest(p.proconfig) as setting where setting like 'search\_path=%') as unpinned,
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
       and tenantry_private.sees_all(o.oid, 'member')
       and (has_function_privilege('tenantry_user', p.oid, 'execute')
            or exists (
               select
                 from tenantry_private.allowed_logins() a
                 join pg_catalog.pg_roles r on r.rolname = a.role_name and not r.rolsuper
                where a.granted_as = 'user' and has_function_privilege(r.oid, p.oid, 'execute')))
     order by 1
  loop
    severity := case when item.touches or item.unpinned then 'critical' else 'info' end;
    code     := 'function_runs_as_owner';
    object   := item.routine;
    problem  := format('the application may call it, it runs as %I, who sees every row%s', item.rolname,
                  case when item.touches then ', and it reads protected tables or builds statements'
                       when item.unpinned then ', and what it calls is up to the search_path of whoever calls it' else '' end);
    fix      := format('alter %s %s security invoker;', item.sort, item.routine);
    return next;
  end loop;
end
$$;

comment on function tenantry_private.function_findings() is 'Finding function_runs_as_owner.';

-- A definer function without a search_path of its own looks names up by that of its caller. Where its owner is bound by
-- row-level security it still writes and reads what the caller may not. Trigger functions run for whoever writes.
create function tenantry_private.search_path_findings()
returns table (severity text, code text, object text, problem text, fix text)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  reported constant text[] := array(select f.object from tenantry_private.function_findings() f);
  item record;
begin
  for item in
    select p.oid::regprocedure as routine, case p.prokind when 'p' then 'procedure' else 'function' end as sort, n.nspname, o.rolname
      from pg_catalog.pg_proc p
      join pg_catalog.pg_namespace n on n.oid = p.pronamespace
      join pg_catalog.pg_roles o on o.oid = p.proowner
     where p.prosecdef
       and not exists (select from unnest(p.proconfig) as setting where setting like 'search\_path=%')
       and p.prorettype <> 'event_trigger'::regtype
       and n.nspname not in ('pg_catalog', 'information_schema', 'tenantry', 'tenantry_private', 'tenant', 'reach')
       and not exists (
           select
             from pg_catalog.pg_depend d
            where d.classid = 'pg_catalog.pg_proc'::regclass and d.objid = p.oid and d.deptype = 'e')
       and case when p.prorettype = 'trigger'::regtype
             then exists (
                    select
                      from pg_catalog.pg_trigger g
                      join tenantry.tables t on t.relation = g.tgrelid and t.class <> 'exempt'
                     where g.tgfoid = p.oid and not g.tgisinternal)
             else (has_function_privilege('tenantry_user', p.oid, 'execute')
                   or exists (
                      select
                        from tenantry_private.allowed_logins() a
                        join pg_catalog.pg_roles r on r.rolname = a.role_name and not r.rolsuper
                       where a.granted_as = 'user' and has_function_privilege(r.oid, p.oid, 'execute')))
                  -- function_runs_as_owner says it, and its fix ends it
                  and p.oid::regprocedure::text <> all (reported)
           end
     order by 1
  loop
    severity := 'warning'; code := 'function_search_path'; object := item.routine;
    problem  := format('it runs as %I for the application, and what it calls is up to the search_path of whoever calls it', item.rolname);
    fix      := format('alter %s %s set search_path = pg_catalog, %I, pg_temp;', item.sort, item.routine, item.nspname);
    return next;
  end loop;
end
$$;

comment on function tenantry_private.search_path_findings() is 'Finding function_search_path.';

create function tenantry_private.for_everybody()
returns name[]
language sql immutable
set search_path = pg_catalog, pg_temp
return '{actor,audience,encrypted_listing,entered,glass_is_broken,is_without_context,judge_ddl,may,principal,reach,reach_of,settle_births,sets_up,wants_key_share,whoami}'::name[];

comment on function tenantry_private.for_everybody() is 'Definer functions that were meant for everybody: defaults, policies, views and event triggers call them as whoever is there.';

-- What belongs to tenantry is as it was installed. Its trigger functions are called by their triggers alone.
create function tenantry_private.package_findings()
returns table (severity text, code text, object text, problem text, fix text)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  item record;
begin
  for item in
    select p.oid::regprocedure as routine, case p.prokind when 'p' then 'procedure' else 'function' end as sort, weak.why, weak.cure
      from pg_catalog.pg_proc p
      join pg_catalog.pg_namespace n on n.oid = p.pronamespace
     cross join lateral (
       select 'its search_path is not set any more, so that whoever calls it says what it calls' as why, 'alter %s %s set search_path = pg_catalog, pg_temp;' as cure
        where not exists (select from unnest(p.proconfig) as setting where setting = 'search_path=pg_catalog, pg_temp')
       union all
       select 'everybody may execute it, and it was not meant for everybody', 'revoke execute on %s %s from public;'
        where p.prorettype not in ('trigger'::regtype, 'event_trigger'::regtype)
          and exists (select from aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a where a.grantee = 0)
          and p.proname <> all (tenantry_private.for_everybody())) weak
     where n.nspname in ('tenantry', 'tenantry_private') and p.prosecdef
     order by 1, 3
  loop
    severity := 'critical'; code := 'definer_open'; object := item.routine;
    problem := 'it is SECURITY DEFINER, and ' || item.why;
    fix := format(item.cure, item.sort, item.routine);
    return next;
  end loop;
end
$$;

comment on function tenantry_private.package_findings() is 'Finding definer_open.';
