-- Back to the installer, without the membership that 20-become-owner lent. The installer is an admin here.
insert into tenantry_private.allowed_roles (role_name, role_oid, granted_as)
select r.rolname, r.oid, 'admin'
  from pg_catalog.pg_roles r
 where r.rolname = current_setting('tenantry.installer')
   and not r.rolsuper;

do $leave$
declare
  installer name := current_setting('tenantry.installer');
begin
  execute format('set local role %I', installer);
  if not (select r.rolsuper from pg_catalog.pg_roles r where r.rolname = installer) then
    if current_setting('server_version_num')::integer >= 160000 then
      execute format('revoke tenantry_owner from %I granted by %I', installer, installer);
    else
      execute format('revoke tenantry_owner from %I', installer);
    end if;
    execute format('revoke create on database %I from tenantry_owner', current_database());
    execute format('grant tenantry_admin to %I', installer);
  end if;
end
$leave$;
