-- Dumped: declarations, wrapped keys, the database's shares, the key of the tags. A dump holds one share of two.
do $$
declare
  name text;
begin
  foreach name in array array['tag_keys', 'master_keys', 'data_keys', 'index_keys', 'encrypted_columns', 'seal_notes', 'engine_jobs', 'key_rotations', 'unopened_values', 'secret_readings'] loop
    perform pg_extension_config_dump(format('tenantry_private.%I', name)::regclass, '');
  end loop;
end
$$;
select pg_extension_config_dump(pg_get_serial_sequence('tenantry_private.data_keys', 'number')::regclass, '');
