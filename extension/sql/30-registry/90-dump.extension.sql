-- What pg_dump carries: every declaration, no key. A table that is not named here is empty after a restore.
select pg_extension_config_dump(format('tenantry_private.%I', name)::regclass, '')
  from unnest(array['kinds', 'entities', 'services', 'allowed_roles', 'bound_roles', 'schemas', 'tables', 'settings']) as name;
select pg_extension_config_dump(pg_get_serial_sequence('tenantry_private.entities', 'serial')::regclass, '');
