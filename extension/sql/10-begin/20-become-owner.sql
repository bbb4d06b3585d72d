-- Everything below is made BY tenantry_owner, so that no function ever belongs to the installer: a definer
-- function of a superuser would bypass row-level security. An installer who is not a superuser becomes a member
-- for this transaction only; 90-end takes that back.
-- Batches and decrypting views are made by the roles that own those.
do $become$
declare
  internal text;
begin
  perform set_config('tenantry.installer', current_user, true);
  if not (select r.rolsuper from pg_catalog.pg_roles r where r.rolname = current_user) then
    begin
      foreach internal in array array['tenantry_owner', 'tenantry_facade', 'tenantry_reach', 'tenantry_engine'] loop
        execute format('grant %I to %I', internal, current_user)
             || case when current_setting('server_version_num')::integer >= 160000 then ' with set true, inherit false' else '' end;
      end loop;
    exception
      when insufficient_privilege then
        raise exception '% may not act as tenantry_owner, which another installer has made', current_user
          using errcode = 'TN011',
                hint = format(
                  case when current_setting('server_version_num')::integer >= 160000
                    then 'A superuser runs: grant tenantry_owner, tenantry_facade, tenantry_reach, tenantry_engine, tenantry_user, tenantry_admin to %I with admin true, inherit false, set false;'
                    else 'A superuser runs: alter role %I createrole;'
                  end, current_user);
    end;
    execute format('grant create on database %I to tenantry_owner', current_database());
  end if;
end
$become$;

do $free$
declare
  taken name;
begin
  if to_regprocedure('tenantry.version()') is not null then
    raise exception 'tenantry is installed in this database already'
      using errcode = 'TN011', hint = 'To see the version: select tenantry.version(); to take it away: psql -f uninstall.sql.';
  end if;
  select n.nspname into taken from pg_catalog.pg_namespace n where n.nspname in ('tenantry', 'tenantry_private', 'tenant', 'reach') order by 1 limit 1;
  if taken is not null then
    raise exception 'schema % exists already and is not tenantry''s', taken
      using errcode = 'TN011', hint = format('Run: alter schema %I rename to <another name>; or drop it, and install tenantry again.', taken);
  end if;
end
$free$;

create schema tenantry authorization tenantry_owner;
create schema tenantry_private authorization tenantry_owner;
create schema tenant authorization tenantry_facade;
create schema reach authorization tenantry_reach;

-- pgcrypto may stand in any schema, and @extschema:name@ exists from 16 on only, so it is looked up. A schema in
-- which others may create would let them slip in a function of a better matching signature.
do $pgcrypto$
declare
  home name;
begin
  select n.nspname
    into home
    from pg_catalog.pg_extension e
    join pg_catalog.pg_namespace n on n.oid = e.extnamespace
   where e.extname = 'pgcrypto';
  if home is null then
    raise exception 'tenantry needs the extension pgcrypto'
      using errcode = 'TN011', hint = 'Run: create extension pgcrypto; and install tenantry again.';
  end if;
  if has_schema_privilege('public', home, 'create') then
    raise exception 'pgcrypto stands in schema %, in which everybody may create functions', home
      using errcode = 'TN011', hint = format('Run: revoke create on schema %I from public; and install tenantry again.', home);
  end if;
  if not has_schema_privilege('tenantry_owner', home, 'usage') then
    execute format('grant usage on schema %I to tenantry_owner', home);
  end if;
  perform set_config('tenantry.pgcrypto', home, true);
end
$pgcrypto$;

set local role tenantry_owner;
set local check_function_bodies = on;

comment on schema tenantry is 'tenantry: multi-tenant isolation in the database. The functions that people call.';
comment on schema tenantry_private is 'tenantry: registry, keys and the halves of functions that nobody calls by hand.';
grant usage on schema tenantry to public;
grant usage on schema tenantry_private to tenantry_user, tenantry_admin;
grant usage on schema tenantry, tenantry_private to tenantry_facade, tenantry_reach, tenantry_engine;

set local role tenantry_facade;
comment on schema tenant is 'tenantry: own rows with secrets decrypted, a view for each table with encrypted columns.';
grant usage on schema tenant to tenantry_user, tenantry_admin;
set local role tenantry_reach;
comment on schema reach is 'tenantry: every row that one may reach, a view for each protected table.';
grant usage on schema reach to tenantry_user, tenantry_admin;
set local role tenantry_owner;
