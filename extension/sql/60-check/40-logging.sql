-- What a server logs is its operator's business; whether that holds secrets, credentials or key shares is asked here. Bind
-- parameters are where they travel. Settings are those that a new session of a login gets in this database.
create function tenantry_private.effective_setting(login_role name, setting_name text)
returns text
language sql stable
set search_path = pg_catalog, pg_temp
return coalesce(
  (select substr(option, length(setting_name) + 2)
     from pg_catalog.pg_db_role_setting s
    cross join unnest(s.setconfig) as option
    where option like replace(setting_name, '_', '\_') || '=%'
      and s.setrole in (0, to_regrole(quote_ident(login_role)))
      and s.setdatabase in (0, (select d.oid from pg_catalog.pg_database d where d.datname = current_database()))
    order by s.setrole <> 0 desc, s.setdatabase <> 0 desc
    limit 1),
  (select coalesce(p.reset_val, p.setting) from pg_catalog.pg_settings p where p.name = setting_name));

comment on function tenantry_private.effective_setting(name, text) is 'What a setting is for a new session of a login in this database; null for one that is not known here.';

create function tenantry_private.logging_findings()
returns table (severity text, code text, object text, problem text, fix text)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  carried text;
  item    record;
  rule    record;
begin
  carried := concat_ws(', ',
    case when exists (select from tenantry.encrypted_columns) then 'secrets and key shares' end,
    case when exists (select from tenantry.issuers) then 'credentials' end);
  if carried = '' then
    return;
  end if;
  for item in
    select a.role_name,
           coalesce(tenantry_private.effective_setting(a.role_name, 'log_statement'), 'none') as statement,
           coalesce(tenantry_private.effective_setting(a.role_name, 'log_min_duration_statement'), '-1') as duration,
           coalesce(tenantry_private.effective_setting(a.role_name, 'log_min_duration_sample'), '-1') as sample,
           coalesce(tenantry_private.effective_setting(a.role_name, 'log_transaction_sample_rate'), '0')::float8 as transactions,
           coalesce(tenantry_private.effective_setting(a.role_name, 'log_parameter_max_length'), '-1') as parameters,
           coalesce(tenantry_private.effective_setting(a.role_name, 'log_parameter_max_length_on_error'), '0') as on_error,
           coalesce(tenantry_private.effective_setting(a.role_name, 'auto_explain.log_min_duration'), '-1') as explained,
           coalesce(tenantry_private.effective_setting(a.role_name, 'pgaudit.log_parameter'), 'off') as audited,
           coalesce(tenantry_private.effective_setting(a.role_name, 'pgaudit.log'), 'none') as audit,
           array(select name from unnest(array['debug_print_parse', 'debug_print_rewritten', 'debug_print_plan']) as name
                  where tenantry_private.effective_setting(a.role_name, name) in ('on', 'true', 'yes', '1')) as debug
      from tenantry_private.allowed_logins() a
     where a.granted_as = 'user'
     order by 1
  loop
    object := quote_ident(item.role_name);
    for rule in
      select *
        from (values
          (1, (item.statement in ('mod', 'all') or item.duration <> '-1' or item.sample <> '-1' or item.transactions > 0) and item.parameters <> '0',
           'warning', 'logging_parameters', 'log_parameter_max_length', '0',
           'its statements are logged with their bind parameters, which carry ' || carried),
          (2, item.on_error <> '0', 'warning', 'logging_parameters_on_error', 'log_parameter_max_length_on_error', '0',
           'bind parameters of its failing statements are logged, which carry ' || carried),
          (3, item.explained <> '-1', 'warning', 'auto_explain_values', 'auto_explain.log_min_duration', '-1',
           'its plans are logged with the values of bind parameters in them, which carry ' || carried),
          (4, item.audited in ('on', 'true', 'yes', '1') and item.audit <> 'none', 'warning', 'pgaudit_parameters', 'pgaudit.log_parameter', 'off',
           'pgaudit logs its bind parameters, which carry ' || carried),
          (5, item.statement in ('mod', 'all') or item.duration <> '-1' or item.sample <> '-1' or item.transactions > 0, 'info', 'logging_statements', null, null,
           'the text of its statements is logged, and with it whatever stands there as a literal'),
          (6, cardinality(item.debug) > 0, 'warning', 'debug_print', item.debug[1], 'off',
           'its query trees are logged, constants included')
        ) as r (position, applies, severity, code, setting, value, problem)
       where r.applies
       order by r.position
    loop
      severity := rule.severity; code := rule.code; problem := rule.problem;
      fix := case
        when rule.setting is not null then format('alter role %I in database %I set %s = %s;', item.role_name, current_database(),
               (select string_agg(quote_ident(part), '.') from unnest(string_to_array(rule.setting, '.')) as part), rule.value)
        else format('alter role %1$I in database %2$I set log_statement = none; alter role %1$I in database %2$I set log_min_duration_statement = -1; alter role %1$I in database %2$I set log_min_duration_sample = -1; alter role %1$I in database %2$I set log_transaction_sample_rate = 0;',
               item.role_name, current_database()) end;
      return next;
    end loop;
  end loop;

  -- SET with a literal is kept word by word where utility statements are tracked.
  if exists (select from pg_catalog.pg_settings p where p.name = 'pg_stat_statements.track_utility' and p.reset_val = 'on')
     and current_setting('server_version_num')::integer < 180000 then
    severity := 'info'; code := 'statements_utility'; object := quote_ident(current_database());
    problem := 'pg_stat_statements keeps utility statements as they are written, literals included';
    fix := format('alter database %I set pg_stat_statements.track_utility = off;', current_database());
    return next;
  end if;
end
$$;

comment on function tenantry_private.logging_findings() is
  'Findings logging_parameters, logging_parameters_on_error, auto_explain_values, pgaudit_parameters, debug_print, logging_statements, statements_utility.';
