-- What pg_dump carries: every declaration, no key. A table that is not named here is empty after a restore.
-- One call a statement: each changes the same row of pg_extension.
do $$
declare
  name text;
begin
  foreach name in array array['kinds', 'entities', 'services', 'allowed_roles', 'bound_roles', 'schemas', 'tables', 'settings'] loop
    perform pg_extension_config_dump(format('tenantry_private.%I', name)::regclass, '');
  end loop;
end
$$;
select pg_extension_config_dump(pg_get_serial_sequence('tenantry_private.entities', 'serial')::regclass, '');
