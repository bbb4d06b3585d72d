-- What pg_dump carries of rollouts: how far they are, what decides, what was found and done.
do $$
declare
  name text;
begin
  foreach name in array array['rollouts', 'rollout_ranges', 'rollout_signals', 'rollout_sources', 'quarantined_rows', 'rollout_steps'] loop
    perform pg_extension_config_dump(format('tenantry_private.%I', name)::regclass, '');
  end loop;
end
$$;
