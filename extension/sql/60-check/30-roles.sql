create function tenantry_private.role_findings()
returns table (severity text, code text, object text, problem text, fix text)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  item record;
begin
  for item in
    select r.rolname as role_name, m.rolname as member
      from pg_catalog.pg_auth_members a
      join pg_catalog.pg_roles r on r.oid = a.roleid
      join pg_catalog.pg_roles m on m.oid = a.member
     where r.rolname in ('tenantry_owner', 'tenantry_engine', 'tenantry_facade', 'tenantry_reach')
       and coalesce((to_jsonb(a) ->> 'inherit_option')::boolean or (to_jsonb(a) ->> 'set_option')::boolean, true)
     order by 1, 2
  loop
    severity := 'critical'; code := 'internal_role_member'; object := quote_ident(item.role_name);
    problem := format('%I is a member and so commands all of tenantry', item.member);
    fix := format('revoke %I from %I;', item.role_name, item.member);
    return next;
  end loop;

  if has_database_privilege('public', current_database(), 'temporary') then
    severity := 'critical'; code := 'temporary_privilege'; object := quote_ident(current_database());
    problem := 'everybody may create temporary tables, and one left on a pooled connection shadows the real one for whoever comes next';
    fix := format('revoke temporary on database %I from public;', current_database());
    return next;
  end if;

  for item in
    select a.role_name, r.rolsuper, w.role_name as becomes, w.why,
           has_database_privilege(a.role_name, current_database(), 'temporary')
             and not has_database_privilege('public', current_database(), 'temporary') as temporary,
           pg_has_role(a.role_name, 'tenantry_user', 'usage') as member
      from tenantry_private.allowed_logins() a
      join pg_catalog.pg_roles r on r.rolname = a.role_name
      left join lateral (select * from tenantry_private.ways_out(a.role_name) limit 1) w on true
     where a.granted_as = 'user'
     order by a.role_name
  loop
    object := quote_ident(item.role_name);
    if item.why like 'owns %' then
      severity := 'critical'; code := 'login_owns';
      problem := case when item.becomes = item.role_name then 'this application login ' || item.why
                      else format('this application login may become %I, which %s', item.becomes, item.why) end;
      fix := format('select tenantry.disallow(%L);', item.role_name);
      return next;
    elsif item.why is not null then
      severity := 'critical'; code := 'login_unbound';
      problem := case when item.becomes = item.role_name then 'this application login ' || item.why
                      else format('this application login may become %I, which %s', item.becomes, item.why) end;
      fix := case when item.becomes = item.role_name then format('alter role %I nosuperuser nobypassrls noreplication nocreaterole;', item.role_name)
                  else format('select tenantry.disallow(%L);', item.role_name) end;
      return next;
    end if;
    if item.temporary and item.why is null then
      severity := 'critical'; code := 'temporary_privilege';
      problem := 'this application login may create temporary tables, and one left on a pooled connection shadows the real one for whoever comes next';
      fix := format('revoke temporary on database %I from %I;', current_database(), item.role_name);
      return next;
    end if;
    if not item.member then
      severity := 'warning'; code := 'login_outside';
      problem := 'this login is allowed here but does not inherit from tenantry_user, whose policies therefore do not bind it';
      fix := format('select * from tenantry.allow(%L);', item.role_name);
      return next;
    end if;
    if exists (select from tenantry_private.allow_plan(item.role_name, 'user') p where p.statement like 'alter role%') then
      severity := 'warning'; code := 'login_search_path';
      problem := 'its search_path in this database does not end in pg_temp, which is then searched first';
      fix := format('select * from tenantry.allow(%L);', item.role_name);
      return next;
    end if;
  end loop;

  for item in
    select m.rolname as member
      from pg_catalog.pg_auth_members a
      join pg_catalog.pg_roles m on m.oid = a.member
     where a.roleid = to_regrole('tenantry_user') and m.rolcanlogin
       and not exists (select from tenantry_private.allowed_logins() l where l.role_name = m.rolname)
       and has_database_privilege(m.oid, current_database(), 'connect')
     order by 1
  loop
    severity := 'info'; code := 'login_of_another_database'; object := quote_ident(item.member);
    problem := 'a member of tenantry_user that is not allowed here may connect: it cannot enter, but reads shared tables';
    -- Whoever works here must not be locked out by it.
    fix := case when has_database_privilege('public', current_database(), 'connect')
      then format('grant connect on database %I to %s; revoke connect on database %1$I from public;', current_database(),
             (select string_agg(distinct quote_ident(keep.role_name), ', ')
                from (select 'tenantry_admin'::name as role_name
                      union all select l.role_name from tenantry_private.allowed_logins() l
                      union all select m.migration_role from tenantry.schemas m where m.migration_role is not null
                      union all select r.rolname from tenantry_private.table_owner_roles() o join pg_catalog.pg_roles r on r.oid = o) keep))
      else format('revoke connect on database %I from %I;', current_database(), item.member) end;
    return next;
  end loop;
end
$$;

comment on function tenantry_private.role_findings() is
  'Findings internal_role_member, temporary_privilege, login_unbound, login_owns, login_outside, login_search_path, login_of_another_database.';

create function tenantry_private.key_findings()
returns table (severity text, code text, object text, problem text, fix text)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
begin
  perform tenantry_private.require_admin('check');
  object := quote_ident(current_database());
  if not exists (select from tenantry_private.signing_keys) then
    severity := 'warning'; code := 'signing_key_missing';
    problem := 'there is no key to sign contexts with, so nobody can enter';
    fix := 'select tenantry.initialise();';
    return next;
  end if;
  if not exists (select from tenantry_private.issuer_keys) then
    severity := 'info'; code := 'issuer_missing';
    problem := 'no issuer of credentials is registered, so only bound roles and admins can work';
    fix := 'select tenantry.register_issuer(''<kid>'', ''\x<at least 32 bytes>'');';
    return next;
  end if;
  if exists (
       select
         from tenantry_private.tables t
        where not exists (select from pg_catalog.pg_class c where c.oid = t.relation)
           or t.parent is not null and not exists (select from pg_catalog.pg_class c where c.oid = t.parent)) then
    severity := 'warning'; code := 'declaration_stale';
    problem := 'a declared table, or the parent of one, is gone';
    fix := 'select * from tenantry.sync();';
    return next;
  end if;
  if exists (
       select
         from tenantry_private.kinds k
         join tenantry_private.entities e on e.kind = k.kind and e.gone_at is null
        where k.relation is not null and not exists (select from pg_catalog.pg_class c where c.oid = k.relation)) then
    severity := 'critical'; code := 'kind_gone';
    problem := 'the table of a kind is gone, and its entities live on';
    fix := 'select * from tenantry.sync();';
    return next;
  end if;
  -- Every function that is as powerful as the package must belong to the package.
  return query
  select 'critical', 'definer_owner', p.oid::regprocedure::text,
         format('it is SECURITY DEFINER and belongs to %I', r.rolname),
         format('alter function %s owner to %I;', p.oid::regprocedure, wanted.owner)
    from pg_catalog.pg_proc p
    join pg_catalog.pg_namespace n on n.oid = p.pronamespace
    join pg_catalog.pg_roles r on r.oid = p.proowner
   cross join lateral (
         select case when p.proname in ('define_facade', 'drop_facade', 'lock_facade', 'suspend_facades', 'resume_facades') then 'tenantry_facade'
                     when p.proname in ('define_reach_view', 'drop_reach_view', 'suspend_reach_views', 'resume_reach_views', 'make_born_view') then 'tenantry_reach'
                     when p.proname = 'engine_batch' then 'tenantry_engine'
                     else 'tenantry_owner' end) as wanted (owner)
   where n.nspname in ('tenantry', 'tenantry_private') and p.prosecdef and r.rolname <> wanted.owner
     -- the one that reads the key file, which only a superuser's may
     and not (p.proname = 'key_file' and r.rolsuper and tenantry_private.key_provider() = 'file')
   order by 3;
end
$$;

comment on function tenantry_private.key_findings() is 'Findings signing_key_missing, issuer_missing, declaration_stale, kind_gone, definer_owner.';
