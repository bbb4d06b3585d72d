-- The settings that new sessions get in this database. No session shows another's, so they are put together from the
-- catalog and from what the server was started with.
create function tenantry_private.server_settings(names text[])
returns jsonb
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  found  jsonb;
  hidden text[];
begin
  select coalesce(jsonb_object_agg(p.name, case when p.unit is not null and p.reset_val ~ '^[1-9]' then p.reset_val || p.unit else p.reset_val end), '{}'),
         array_agg(p.name) filter (where p.source in ('client', 'global', 'database', 'user', 'database user'))
    into found, hidden
    from pg_catalog.pg_settings p
   where p.name = any(names);
  -- This session began with something else in their place, which may have been reset since.
  if hidden is not null then
    found := found || (select jsonb_object_agg(p.name, p.boot_val) from pg_catalog.pg_settings p where p.name = any(hidden));
    if has_table_privilege('pg_catalog.pg_file_settings', 'select')
       and has_function_privilege('pg_catalog.pg_show_all_file_settings()', 'execute') then
      found := found || coalesce(
        (select jsonb_object_agg(lower(f.name), f.setting order by f.seqno)
           from pg_catalog.pg_file_settings f
          where f.applied and lower(f.name) = any(hidden)), '{}');
    end if;
  end if;
  -- Who may not see the lists of libraries sees which of them are loaded.
  if not found ? 'session_preload_libraries' then
    found := found || jsonb_build_object('session_preload_libraries',
      (select string_agg(distinct split_part(p.name, '.', 1), ',') from pg_catalog.pg_settings p where p.name like 'auto\_explain.%'));
  end if;
  return found;
end
$$;

comment on function tenantry_private.server_settings(text[]) is
  'Settings that a new session gets unless its database or its login has others; those of libraries only where they are loaded.';

create function tenantry_private.new_session_settings(names text[])
returns table (login name, own text[], settings jsonb)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  server constant jsonb := tenantry_private.server_settings(names);
begin
  return query
  with given as (
         select s.setrole as role_oid, lower(split_part(o.option, '=', 1)) as name,
                substr(o.option, strpos(o.option, '=') + 1) as value,
                -- as PostgreSQL applies them: the last one holds
                (s.setrole <> 0)::integer * 2 + (s.setdatabase <> 0)::integer as rank
           from pg_catalog.pg_db_role_setting s
          cross join unnest(s.setconfig) as o (option)
          where s.setdatabase in (0, (select d.oid from pg_catalog.pg_database d where d.datname = current_database()))
            and lower(split_part(o.option, '=', 1)) = any(names)
            -- Anything may be set for a library that is not loaded. This one is loaded by settings, too.
            and (server ? lower(split_part(o.option, '=', 1)) or o.option like 'auto\_explain.%')),
       who as (
         select null::name as login, 0::oid as role_oid
         union all
         select distinct r.rolname, r.oid
           from tenantry_private.allowed_logins() a
           join pg_catalog.pg_roles r on r.rolname = a.role_name
          where exists (select from given g where g.role_oid = r.oid))
  select w.login,
         array(select g.name from given g where g.role_oid = w.role_oid and w.role_oid <> 0),
         server || coalesce(
           (select jsonb_object_agg(g.name, g.value order by g.rank) from given g where g.role_oid in (0, w.role_oid)), '{}')
    from who w
   order by w.login nulls first;
end
$$;

comment on function tenantry_private.new_session_settings(text[]) is
  'Settings of new sessions in this database: of everybody (login null), and of each allowed login that has some of its own.';
