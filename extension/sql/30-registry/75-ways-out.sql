-- What a login may become counts as what it is: SET ROLE turns it into any role that it is a member of, and the table's
-- policies then bind that role instead.
create function tenantry_private.ways_out(login_role name)
returns table (role_name name, why text)
language plpgsql stable rows 5
set search_path = pg_catalog, pg_temp
as $$
begin
  return query
  with recursive reachable (oid) as (
    select r.oid from pg_catalog.pg_roles r where r.rolname = login_role
    union
    select m.roleid from reachable join pg_catalog.pg_auth_members m on m.member = reachable.oid),
  judged as (
    select r.rolname,
           case
             when r.rolsuper       then 'is a superuser, whom row-level security does not bind'
             when r.rolbypassrls   then 'has BYPASSRLS, so row-level security does not bind it'
             when r.rolreplication then 'has REPLICATION and may read every change of every table'
             -- From 16 on it gives no membership that it does not have.
             when r.rolcreaterole and current_setting('server_version_num')::integer < 160000
                                   then 'has CREATEROLE, which before PostgreSQL 16 may make itself a member of any role'
             when r.oid in (select o from tenantry_private.table_owner_roles() o)
                                   then 'owns protected tables and can take every protection away'
             when exists (select from tenantry.schemas s where s.migration_role = r.rolname)
                                   then 'is the migration role of a schema, which sees every row'
             when exists (select from tenantry.granted_across a where a.role_name = r.rolname)
                                   then 'was granted a table across all owners'
             when r.rolname in ('tenantry_owner', 'tenantry_engine', 'tenantry_facade', 'tenantry_reach')
                                   then 'is one of tenantry''s own roles'
             when r.rolname in ('pg_read_all_data', 'pg_write_all_data', 'pg_read_server_files', 'pg_write_server_files', 'pg_execute_server_program')
                                   then 'reaches every table or the server''s files'
           end as why
      from reachable
      join pg_catalog.pg_roles r on r.oid = reachable.oid)
  select j.rolname, j.why from judged j where j.why is not null order by j.rolname <> login_role, j.rolname;
end
$$;

comment on function tenantry_private.ways_out(name) is
  'Roles that a login is, or may become with SET ROLE, in which row-level security would not bind it, and why.';
