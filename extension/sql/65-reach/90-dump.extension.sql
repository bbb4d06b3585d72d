-- What pg_dump carries of acting for others: what was registered and given, and who did so.
do $$
declare
  name text;
begin
  foreach name in array array['kind_links', 'membership_sources', 'memberships', 'delegations', 'granted_across', 'audit_entries', 'views'] loop
    perform pg_extension_config_dump(format('tenantry_private.%I', name)::regclass, '');
  end loop;
end
$$;
