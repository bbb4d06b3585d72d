-- Back to the installer, without the membership that 20-become-owner lent. The installer is an admin here.
insert into tenantry_private.allowed_roles (role_name, role_oid, granted_as)
select r.rolname, r.oid, 'admin'
  from pg_catalog.pg_roles r
 where r.rolname = current_setting('tenantry.installer')
   and not r.rolsuper;

do $leave$
declare
  installer name := current_setting('tenantry.installer');
  internal  text;
begin
  execute format('set local role %I', installer);
  -- Event triggers need a superuser.
  if (select r.rolsuper from pg_catalog.pg_roles r where r.rolname = installer) then
    perform tenantry.watch_ddl();
  end if;
  if not (select r.rolsuper from pg_catalog.pg_roles r where r.rolname = installer) then
    foreach internal in array array['tenantry_owner', 'tenantry_facade', 'tenantry_reach', 'tenantry_engine'] loop
      execute format('revoke %I from %I', internal, installer)
           || case when current_setting('server_version_num')::integer >= 160000 then format(' granted by %I', installer) else '' end;
    end loop;
    execute format('revoke create on database %I from tenantry_owner', current_database());
    execute format('grant tenantry_admin to %I', installer);
  end if;
end
$leave$;
