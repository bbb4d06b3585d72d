create function tenantry_private.record_allowed(login_role name, as_what text, allowed boolean)
returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
declare
  routine text;
begin
  perform tenantry_private.require_admin('allow roles');
  if allowed then
    insert into tenantry_private.allowed_roles as a (role_name, role_oid, granted_as)
    select r.rolname, r.oid, as_what from pg_catalog.pg_roles r where r.rolname = login_role
        on conflict on constraint allowed_roles_pkey do update set role_oid = excluded.role_oid;
  else
    delete from tenantry_private.allowed_roles a where a.role_name = login_role and a.granted_as = as_what;
    delete from tenantry_private.bound_roles b where b.role_name = login_role and as_what = 'user';
  end if;
  perform tenantry_private.note(case when allowed then 'allow' else 'disallow' end, login_role, jsonb_build_object('as', as_what));
  if as_what in ('support', 'maintenance') and exists (select from pg_catalog.pg_roles r where r.rolname = login_role) then
    routine := case as_what when 'support' then 'tenantry.impersonate(tenantry.entity, text, interval)' else 'tenantry.break_glass(text, interval)' end;
    execute format(case when allowed then 'grant execute on function %s to %I' else 'revoke execute on function %s from %I' end, routine, login_role);
  end if;
  if as_what = 'user' and exists (select from pg_catalog.pg_roles r where r.rolname = login_role) then
    foreach routine in array array[
        'tenantry.enter(text)', 'tenantry.enter(text, bytea)', 'tenantry.enter_session(text, interval)',
        'tenantry_private.enter_for_pass(text, integer)', 'tenantry_private.enter_for_pass(text, integer, bytea)'] loop
      execute format(case when allowed then 'grant execute on function %s to %I' else 'revoke execute on function %s from %I' end, routine, login_role);
    end loop;
  end if;
end
$$;

comment on function tenantry_private.record_allowed(name, text, boolean) is 'The definer half of tenantry.allow() and tenantry.disallow().';

-- A role may set its own search_path, to any text that PostgreSQL takes for a list of names, so it is never pasted into
-- a statement: it is taken apart, and each name is quoted.
create function tenantry_private.path_elements(path text)
returns text[]
language sql stable
set search_path = pg_catalog, pg_temp
return array(
  select case when match[1] like '"%' then replace(substr(match[1], 2, length(match[1]) - 2), '""', '"') else lower(match[1]) end
    from regexp_matches(path, '("(?:[^"]|"")*"|[^,[:space:]]+)[[:space:]]*(?:,|$)', 'g') with ordinality as m (match, position)
   order by position);

comment on function tenantry_private.path_elements(text) is 'The schemas named by a search_path, in order, without quotes.';

-- What allow() does to the role and the database, beside the registry.
create function tenantry_private.allow_plan(login_role name, grant_as text)
returns table (statement text, lock text)
language plpgsql stable rows 5
set search_path = pg_catalog, pg_temp
as $$
declare
  group_role constant text := 'tenantry_' || grant_as;
  path       text;
  elements   text[];
begin
  if grant_as = 'support' then
    return;
  end if;
  -- The group's policies bind only who inherits from it, or a login with grants of its own would escape them.
  if not coalesce(pg_has_role(to_regrole(quote_ident(login_role)), to_regrole(group_role), 'usage'), false) then
    statement := format('grant %I to %I', group_role, login_role)
              || case when current_setting('server_version_num')::integer >= 160000 then ' with inherit true' else '' end;
    return next;
    if current_setting('server_version_num')::integer < 160000
       and not (select r.rolinherit from pg_catalog.pg_roles r where r.rolname = login_role) then
      statement := format('alter role %I inherit', login_role);
      return next;
    end if;
  end if;
  if grant_as <> 'user' then
    return;
  end if;
  -- A temporary table left on a pooled connection would shadow the real one for whoever comes next.
  if has_database_privilege('public', current_database(), 'temporary') then
    statement := format('revoke temporary on database %I from public', current_database());
    return next;
  end if;
  if has_database_privilege(login_role, current_database(), 'temporary')
     and not has_database_privilege('public', current_database(), 'temporary') then
    statement := format('revoke temporary on database %I from %I', current_database(), login_role);
    return next;
  end if;
  select substr(setting, 13)
    into path
    from pg_catalog.pg_db_role_setting s
   cross join unnest(s.setconfig) as setting
   where setting like 'search\_path=%'
     and s.setrole in (0, to_regrole(quote_ident(login_role)))
     and s.setdatabase in (0, (select d.oid from pg_catalog.pg_database d where d.datname = current_database()))
   order by s.setrole <> 0 desc, s.setdatabase <> 0 desc
   limit 1;
  elements := tenantry_private.path_elements(coalesce(path, '"$user", public'));
  if array_positions(elements, 'pg_temp') <> array[cardinality(elements)] then
    statement := format('alter role %I in database %I set search_path = %s', login_role, current_database(),
                   (select string_agg(case when element = '' then quote_literal(element) else quote_ident(element) end, ', ' order by position)
                      from unnest(array_remove(elements, 'pg_temp') || 'pg_temp'::text) with ordinality as e (element, position)));
    return next;
  end if;
end
$$;

comment on function tenantry_private.allow_plan(name, text) is 'The statements that tenantry.allow() carries out.';

create function tenantry.allow(login_role name, grant_as text default 'user', dry_run boolean default false)
returns table (step integer, statement text, lock text)
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  way_out record;
  planned record;
begin
  perform tenantry_private.require_admin('allow roles');
  if grant_as is null or grant_as not in ('user', 'admin', 'support', 'maintenance') then
    perform tenantry_private.refuse(format('a role is allowed as user, admin, support or maintenance, not as %s', coalesce(quote_literal(grant_as), 'null')),
      'For an application or a person: select * from tenantry.allow(''<role>'');');
  end if;
  if not exists (select from pg_catalog.pg_roles r where r.rolname = login_role) then
    perform tenantry_private.refuse(format('there is no role %s', coalesce(quote_ident(login_role), 'null')),
      format('Run: create role %I login; first.', coalesce(login_role, 'app_runtime')));
  end if;
  if login_role ~ '^tenantry_(owner|engine|facade|reach|user|admin|maintenance)$' then
    perform tenantry_private.refuse(format('%s is one of tenantry''s own roles', login_role), 'Allow a login role of the application instead.');
  end if;
  if grant_as = 'user' then
    select w.role_name, w.why into way_out from tenantry_private.ways_out(login_role) w limit 1;
    if found and way_out.role_name = login_role then
      perform tenantry_private.refuse(format('%I %s', login_role, way_out.why),
        'Make another, ordinary role for the application: create role app_runtime login; select * from tenantry.allow(''app_runtime'');');
    elsif found then
      perform tenantry_private.refuse(format('%I may become %I, which %s', login_role, way_out.role_name, way_out.why),
        format('Run: revoke %I from %I; or make another role for the application: create role app_runtime login; select * from tenantry.allow(''app_runtime'');', way_out.role_name, login_role));
    end if;
  end if;

  if grant_as = 'maintenance' and pg_has_role(login_role, 'tenantry_user', 'member') then
    perform tenantry_private.refuse(format('%I is an application''s login, whose rights stay as they are', login_role),
      'Make another role for emergencies: create role oncall login; select * from tenantry.allow(''oncall'', ''maintenance'');');
  end if;

  step := 0;
  for planned in select p.statement, p.lock from tenantry_private.allow_plan(login_role, grant_as) p loop
    step      := step + 1;
    statement := planned.statement;
    lock      := planned.lock;
    if not dry_run then
      begin
        execute statement;
      exception
        when insufficient_privilege then
          raise exception '% may not run: %', quote_ident(current_user), statement
            using errcode = '42501', detail = sqlerrm,
                  hint = format('A superuser runs: select * from tenantry.allow(%L, %L);', login_role, grant_as);
      end;
    end if;
    return next;
  end loop;
  if not dry_run then
    perform tenantry_private.record_allowed(login_role, grant_as, true);
    -- Whoever is allowed will enter, which needs a key.
    perform tenantry.initialise();
  end if;
end
$$;

comment on function tenantry.allow(name, text, boolean) is
  'Lets a login role work in this database: as user (application or person), admin (DBA), support (a person who may impersonate, bound by bind_role() besides) or maintenance (who may break the glass; run tenantry.sync() after the first). Grants the group and the right to enter, takes TEMPORARY from PUBLIC and ends the role''s search_path in pg_temp. Returns the statements carried out; dry_run only shows them. Errors: 42501, TN011.';

create function tenantry.disallow(login_role name, grant_as text default 'user')
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
  perform tenantry_private.record_allowed(login_role, grant_as, false);
end
$$;

comment on function tenantry.disallow(name, text) is
  'Ends a role''s right to work in this database, and its binding. Its membership of the group, which other databases of the cluster may need, stays. Error: 42501.';
