-- As for plan_table(), plans are made once: most statements are asked of every table.
create function tenantry.check(minimum_severity text default 'warning')
returns table (severity text, code text, object text, problem text, fix text)
language plpgsql stable
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
as $$
begin
  perform tenantry_private.require_admin('check');
  if minimum_severity is null or minimum_severity not in ('critical', 'warning', 'info') then
    raise exception 'there is no severity %', coalesce(quote_literal(minimum_severity), 'null')
      using errcode = '22023', hint = 'Severities: critical, warning, info.';
  end if;
  return query
  select f.*
    from (select * from tenantry_private.key_findings()
          union all select * from tenantry_private.role_findings()
          union all select * from tenantry_private.server_findings()
          union all select * from tenantry_private.replication_findings()
          union all select * from tenantry_private.creation_findings()
          union all select * from tenantry_private.undeclared_findings()
          union all select * from tenantry_private.drift_findings()
          union all select * from tenantry_private.table_findings()
          union all select * from tenantry_private.across_key_findings()
          union all select * from tenantry_private.trigger_findings()
          union all select * from tenantry_private.function_findings()
          union all select * from tenantry_private.search_path_findings()
          union all select * from tenantry_private.package_findings()
          union all select * from tenantry_private.logging_findings()
          union all select * from tenantry_private.secret_findings()
          union all select * from tenantry_private.kind_findings()
          union all select * from tenantry_private.across_findings()
          union all select * from tenantry_private.rollout_findings()) f
   where array_position(array['critical', 'warning', 'info'], f.severity)
      <= array_position(array['critical', 'warning', 'info'], minimum_severity)
   order by array_position(array['critical', 'warning', 'info'], f.severity), f.code, f.object, f.problem;
end
$$;

comment on function tenantry.check(text) is
  'One row per finding: severity (critical, warning, info), stable code, object, problem, and the statement that fixes it. Empty means that nothing is open. minimum_severity: default warning; info also lists what was declared on purpose. Run as a superuser or an admin. Errors: 22023, 42501.';
