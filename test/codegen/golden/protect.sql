-- How the application is isolated, and what its role may do beyond that.

select tenantry.register_kind('user',  'public.users');
select tenantry.register_kind('org',   'public.orgs');
select tenantry.register_kind('agent', 'public.agents', owner_column => 'owner_id',
                              owner_kind => 'user', acts_for_owner => true);
select tenantry.register_kind('device', 'public.devices', owner_column => 'owner_id',
                              owner_kind => 'user');
select tenantry.register_entity('robot:r2d2');

select tenantry.protect('public.agents',      owner_column => 'owner_id', owner_kind => 'user');
select tenantry.protect('public.memories',    owner_column => 'user_id',  owner_kind => 'user');
select tenantry.protect('public.attachments', owner_from   => '{memory_id}');
select tenantry.protect('billing.invoices',   owner_column => 'org_id',   owner_kind => 'org');
select tenantry.share('public.countries');

grant usage on schema public, billing to tenantry_user;
grant select on public.users, public.people to tenantry_user;
grant select on billing.users to tenantry_user;
grant select, insert, update, delete on public.samples, public.events, public.transaction, public.settings, public.readings
  to tenantry_user;
grant insert on public.audit_trail to tenantry_user;
grant select (org_id, user_id, role, joined_at), update (role), insert (org_id, user_id), delete
  on public.members to tenantry_user;
