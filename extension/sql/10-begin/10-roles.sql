-- Whoever installs this may be a superuser, and others may have made functions in the schemas on their search_path that
-- fit a call better than PostgreSQL's own.
set local search_path = pg_catalog, pg_temp;

-- Roles belong to the cluster, so they may be here already from another database: each is made when it is
-- missing and refused when somebody has given it powers that it must not have.
do $roles$
declare
  wanted   record;
  found    record;
  members  text;
begin
  if current_setting('server_version_num')::integer < 150000 then
    raise exception 'tenantry needs PostgreSQL 15 or later, this server is %', current_setting('server_version')
      using errcode = 'TN011', hint = 'Upgrade the server first.';
  end if;
  -- A creator who sets this would become a member of what it creates.
  if current_setting('createrole_self_grant', true) <> '' then
    set local createrole_self_grant = '';
  end if;

  for wanted in
    select *
      from (values
        ('tenantry_owner',       true,  'tenantry: owns the package and its security definer functions. No login, no members, ever.'),
        ('tenantry_engine',      true,  'tenantry: runs batches (backfill, rotation) through policies of its own. No login, no members.'),
        ('tenantry_facade',      true,  'tenantry: owns the decrypting views, bound by row-level security. No login, no members.'),
        ('tenantry_reach',       true,  'tenantry: owns the reach views, bound by row-level security. No login, no members.'),
        ('tenantry_user',        false, 'tenantry: group of every application and psql login. No login of its own; tenantry.allow() adds members.'),
        ('tenantry_admin',       false, 'tenantry: group of DBAs who set isolation up. No login of its own; tenantry.allow(role, ''admin'') adds members.'),
        ('tenantry_maintenance', false, 'tenantry: group for people in an emergency. No login of its own.')
      ) as role (name, internal, purpose)
  loop
    if to_regrole(wanted.name) is null then
      begin
        execute format('create role %I nologin noinherit', wanted.name);
      exception
        -- Another database of the cluster has made it this very moment.
        when duplicate_object or unique_violation then null;
      end;
    end if;

    select r.rolsuper or r.rolbypassrls or r.rolcanlogin or r.rolcreaterole or r.rolcreatedb or r.rolreplication as too_much
      into found
      from pg_catalog.pg_roles r
     where r.rolname = wanted.name;
    if found.too_much then
      raise exception 'role % exists and has attributes that tenantry''s roles must not have', wanted.name
        using errcode = 'TN011',
              hint = format('Run: alter role %I nologin nosuperuser nobypassrls nocreaterole nocreatedb noreplication;', wanted.name);
    end if;

    if wanted.internal then
      -- The creator's own ADMIN OPTION (16 and later) gives neither its privileges nor SET ROLE, so it does not count.
      select string_agg(quote_ident(m.rolname), ', ')
        into members
        from pg_catalog.pg_auth_members a
        join pg_catalog.pg_roles m on m.oid = a.member
        join pg_catalog.pg_roles r on r.oid = a.roleid
       where r.rolname = wanted.name
         and coalesce((to_jsonb(a) ->> 'inherit_option')::boolean or (to_jsonb(a) ->> 'set_option')::boolean, true);
      if members is not null then
        raise exception 'role % has members (%): whoever may become it owns all of tenantry', wanted.name, members
          using errcode = 'TN011', hint = format('Run: revoke %I from %s;', wanted.name, members);
      end if;
    end if;

    -- Only who may administer the role may comment on it; the comment of its first installer stands.
    if shobj_description(to_regrole(wanted.name)::oid, 'pg_authid') is null then
      begin
        execute format('comment on role %I is %L', wanted.name, wanted.purpose);
      exception
        when insufficient_privilege then null;
      end;
    end if;
  end loop;
end
$roles$;
