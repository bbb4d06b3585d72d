-- What pg_dump carries: the rules, and which tables are known. What is guarded goes by numbers: sync() looks at what a restore brought.
select pg_extension_config_dump('tenantry_private.birth_rules'::regclass, '');
select pg_extension_config_dump('tenantry_private.known_relations'::regclass, '');
