-- Who may set things up. Membership of tenantry_admin is cluster-wide and therefore not enough by itself: the login must
-- be allowed in this database. session_user is asked, not current_user, which inside a definer function is its owner.
create function tenantry_private.is_allowed(as_what text)
returns boolean
language sql stable parallel safe
return exists (
  select
    from tenantry_private.allowed_roles a
    join pg_catalog.pg_roles r on r.oid = a.role_oid and r.rolname = a.role_name
   where a.role_name = session_user and a.granted_as = as_what);

comment on function tenantry_private.is_allowed(text) is 'Whether the login of this session is allowed here as user, admin, support or maintenance.';

create function tenantry_private.is_admin()
returns boolean
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
begin
  return exists (
    select
      from pg_catalog.pg_roles r
     where r.rolname = session_user
       and (r.rolsuper or tenantry_private.is_allowed('admin')));
end
$$;

comment on function tenantry_private.is_admin() is 'Whether the login of this session may set isolation up in this database.';

create function tenantry_private.require_admin(action text)
returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  if not tenantry_private.is_admin() then
    raise exception '% may not % in database %', session_user, action, current_database()
      using errcode = '42501',
            hint = format('A superuser or a tenantry admin runs: select * from tenantry.allow(%L, ''admin'');', session_user);
  end if;
end
$$;

comment on function tenantry_private.require_admin(text) is 'Raises 42501 unless the session''s login is a tenantry admin of this database.';

create function tenantry_private.setting(name text, otherwise text)
returns text
language sql stable
set search_path = pg_catalog, pg_temp
return coalesce((select s.value from tenantry_private.settings s where s.setting = name), otherwise);

comment on function tenantry_private.setting(text, text) is 'A setting of this database, or the default that is given.';

create function tenantry_private.setting_defaults()
returns table (setting text, value text)
language sql stable
set search_path = pg_catalog, pg_temp
begin atomic
  values ('audience', current_database()::text), ('on_missing_context', 'empty'), ('context_lifetime', '1 hour'),
         ('brake_replica_lag', '10 seconds'), ('brake_wal_rate', '200 MB/s'), ('brake_transaction_age', '5 minutes'), ('brake_latency', '20 ms'), ('brake_wait', '10 minutes'),
         ('accepted_server', 'none');
end;

comment on function tenantry_private.setting_defaults() is 'Every setting that configure() knows, and its default.';

create view tenantry.settings as
-- In the order of the list, which a join would lose.
select d.setting, coalesce(changed.value, d.value) as value, changed.value is null as is_default
  from tenantry_private.setting_defaults() d
 cross join lateral (select (select s.value from tenantry_private.settings s where s.setting = d.setting) as value) changed;

comment on view tenantry.settings is 'The settings of this database, changed by configure(). For admins.';

create function tenantry_private.wal_rate(value text)
returns bigint
language sql immutable
set search_path = pg_catalog, pg_temp
return pg_size_bytes(regexp_replace(value, '/s\s*$', ''));

comment on function tenantry_private.wal_rate(text) is 'Bytes a second of a rate such as 200 MB/s. Error: 22023.';

create function tenantry_private.require_setting(setting text, value text)
returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_variable
declare
  is_brake constant boolean := starts_with(setting, 'brake_');
  least    interval;
  most     interval;
begin
  if setting is null or not exists (select from tenantry_private.setting_defaults() d where d.setting = require_setting.setting) then
    raise exception 'there is no setting %', coalesce(quote_literal(setting), 'null')
      using errcode = '22023', hint = format('Settings: %s.', (select string_agg(d.setting, ', ') from tenantry_private.setting_defaults() d));
  end if;
  if setting = 'on_missing_context' and value not in ('empty', 'log', 'error') then
    raise exception 'on_missing_context cannot be %', quote_literal(value)
      using errcode = '22023', hint = 'Use empty (no rows, the default), log (no rows, and a line in the server log) or error (SQLSTATE TN001).';
  end if;
  if setting = 'context_lifetime' and value::interval not between interval '1 second' and interval '1 day' then
    raise exception 'context_lifetime must lie between 1 second and 1 day'
      using errcode = '22023', hint = 'The default is 1 hour.';
  end if;
  if setting = 'accepted_server' and value !~ '^[1-9][0-9]{1,3}\.[0-9]{1,3}$' then
    raise exception 'accepted_server cannot be %', quote_literal(value)
      using errcode = '22023', hint = 'It is a version of PostgreSQL such as 18.7.';
  end if;
  if not is_brake or value is null or value = 'off' and setting <> 'brake_wait' then
    return;
  end if;
  if value !~ '[A-Za-z:]' then
    raise exception '% needs a unit', setting
      using errcode = '22023', hint = format('Such as %s, which is the default.', quote_literal((select d.value from tenantry_private.setting_defaults() d where d.setting = require_setting.setting)));
  end if;
  if setting = 'brake_wal_rate' then
    if tenantry_private.wal_rate(value) not between 1024 and 1024::bigint ^ 4 then
      raise exception 'brake_wal_rate must lie between 1 kB/s and 1 TB/s' using errcode = '22023', hint = 'The default is 200 MB/s; off lets it be.';
    end if;
    return;
  end if;
  least := case setting when 'brake_latency' then interval '1 ms' when 'brake_wait' then interval '0' else interval '100 ms' end;
  most  := case setting when 'brake_latency' then interval '1 minute' else interval '30 days' end;
  if value::interval not between least and most then
    raise exception '% must lie between % and %', setting, least, most
      using errcode = '22023', hint = format('The default is %s%s.', (select d.value from tenantry_private.setting_defaults() d where d.setting = require_setting.setting), case when setting <> 'brake_wait' then '; off lets it be' end);
  end if;
end
$$;

comment on function tenantry_private.require_setting(text, text) is 'Refuses settings that do not exist, and values that mean nothing. Errors: 22007, 22023.';

create function tenantry.configure(setting text, value text)
returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
#variable_conflict use_variable
begin
  perform tenantry_private.require_admin('change tenantry''s settings');
  perform tenantry_private.require_setting(setting, value);
  if value is null then
    delete from tenantry_private.settings s where s.setting = configure.setting;
    if setting = 'context_lifetime' then
      update tenantry_private.signing_keys set lifetime = default;
    end if;
    return;
  end if;
  insert into tenantry_private.settings as s (setting, value)
  values (setting, value)
      on conflict on constraint settings_pkey do update set value = excluded.value;
  if setting = 'context_lifetime' then
    update tenantry_private.signing_keys set lifetime = value::interval;
  end if;
end
$$;

comment on function tenantry.configure(text, text) is
  'Changes a setting of this database; null restores its default. audience: what credentials must name (default: the database''s name). on_missing_context: empty (default), log (as empty, and the server log names the login, application and statement) or error. context_lifetime: how long a context may live within its transaction (interval, default 1 hour). What a backfill waits for; off lets it be, and a change counts while it runs: brake_replica_lag (interval, default 10 seconds), brake_wal_rate (size a second, default 200 MB/s), brake_transaction_age (interval, default 5 minutes), brake_latency of a look at one row (interval, default 20 ms; and four times what is usual). brake_wait: how long it waits for one of them at most (interval, default 10 minutes). accepted_server: a version of PostgreSQL (18.4) whose missing security fixes are known and accepted, so that check() names them at severity info on that minor version and later ones of the same major version. Errors: 22007, 22023, 42501.';

create function tenantry_private.accepted_server()
returns text
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
begin
  return tenantry_private.setting('accepted_server', '0.0');
end
$$;

comment on function tenantry_private.accepted_server() is 'The version of PostgreSQL whose missing fixes are accepted; 0.0 if none is.';

create function tenantry.audience()
returns text
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
begin
  return tenantry_private.setting('audience', current_database());
end
$$;

comment on function tenantry.audience() is 'What the claim `aud` of a credential for this database must be. Default: the database''s name.';

create function tenantry.version()
returns text
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
return '@version@';

comment on function tenantry.version() is 'The version of tenantry that is installed.';
