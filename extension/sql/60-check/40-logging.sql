-- What a server logs is its operator's business; whether that holds secrets, credentials or key shares is asked here. All of
-- them travel as bind parameters. What PostgreSQL logs by default is not reported: the text of statements that fail.
create function tenantry_private.pgaudit_classes(list text)
returns text[]
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
declare
  every constant text[] := array['read', 'write', 'function', 'misc'];
  token text;
  chosen text[] := '{}';
begin
  foreach token in array regexp_split_to_array(btrim(lower(coalesce(list, ''))), '\s*,\s*') loop
    chosen := case
      when token = 'all' then every
      when token in ('none', '-all') then '{}'
      when token like '-%' then array_remove(chosen, substr(token, 2))
      when token = any(every) then chosen || token
      else chosen end;
  end loop;
  return chosen;
end
$$;

comment on function tenantry_private.pgaudit_classes(text) is 'The classes in a value of pgaudit.log that log statements in which something of ours travels.';

create function tenantry_private.logging_leaks(s jsonb, credentials boolean, shares boolean, secrets boolean)
returns table (severity text, code text, problem text, cure text[])
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  of_queries constant text := concat_ws(', ', case when credentials then 'credentials' end, case when shares then 'key shares' end, case when secrets then 'secrets' end);
  explains   constant boolean := concat_ws(',', s ->> 'shared_preload_libraries', s ->> 'session_preload_libraries', s ->> 'local_preload_libraries') ~* '(^|[^a-z_])auto_explain($|[^a-z_])'
                                 and coalesce(s ->> 'auto_explain.log_min_duration', '-1') !~ '^\s*-'
                                 and coalesce((s ->> 'auto_explain.sample_rate')::float8, 1) > 0;
  in_full    constant boolean := coalesce((s ->> 'auto_explain.log_verbose')::boolean, false);
  appended   constant boolean := current_setting('server_version_num')::integer >= 160000
                                 and coalesce(s ->> 'auto_explain.log_parameter_max_length', '-1') !~ '^\s*0+\s*[a-zA-Z]*$';
  -- pgaudit has settings only where it is loaded; without its log_statement it logs no parameters either.
  audited    constant text[] := case when s ? 'pgaudit.log' and (s ->> 'pgaudit.log_statement')::boolean then tenantry_private.pgaudit_classes(s ->> 'pgaudit.log') else '{}' end;
  objects    constant boolean := s ? 'pgaudit.log' and (s ->> 'pgaudit.log_statement')::boolean and coalesce(s ->> 'pgaudit.role', '') <> '';
  printed    text[];
  causes     text[];
  carried    text;
begin
  -- Statements and plans are logged as LOG, which comes between ERROR and FATAL.
  if lower(s ->> 'log_min_messages') not in ('fatal', 'panic') then
    causes := array_remove(array[
      case when lower(s ->> 'log_statement') in ('mod', 'all') then 'log_statement' end,
      case when s ->> 'log_min_duration_statement' !~ '^\s*-' then 'log_min_duration_statement' end,
      case when s ->> 'log_min_duration_sample' !~ '^\s*-' and (s ->> 'log_statement_sample_rate')::float8 > 0 then 'log_min_duration_sample' end,
      case when (s ->> 'log_transaction_sample_rate')::float8 > 0 then 'log_transaction_sample_rate' end], null);

    -- mod logs neither enter() nor searches.
    carried := case when causes <> '{log_statement}' or lower(s ->> 'log_statement') = 'all' then of_queries when secrets then 'secrets' else '' end;
    if causes <> '{}' and carried <> '' and s ->> 'log_parameter_max_length' !~ '^\s*0+\s*[a-zA-Z]*$' then
      severity := 'warning'; code := 'logging_parameters'; cure := array['log_parameter_max_length = 0'];
      problem := format('%s: statements are logged with their bind parameters, which carry %s', tenantry_private.listed(s, causes), carried);
      return next;
    end if;

    if explains and (in_full or appended or secrets) then
      severity := 'warning'; code := 'auto_explain_values';
      -- The value that an encrypted column is compared with stands in every plan.
      cure := case when secrets then array['auto_explain.log_min_duration = -1']
                   else array_remove(array[case when in_full then 'auto_explain.log_verbose = off' end,
                                           case when appended then 'auto_explain.log_parameter_max_length = 0' end], null) end;
      problem := format('%s: plans are logged with values of bind parameters in them, which carry %s',
        tenantry_private.listed(s, array_remove(array['auto_explain.log_min_duration', case when in_full then 'auto_explain.log_verbose' end,
                                                      case when appended then 'auto_explain.log_parameter_max_length' end], null)),
        case when in_full or appended then of_queries else 'secrets that are searched for' end);
      return next;
    end if;

    carried := concat_ws(', ',
      case when credentials and audited && '{read,function}' then 'credentials' end,
      case when shares and audited && '{read,function,misc}' then 'key shares' end,
      case when secrets and (audited && '{read,write}' or objects) then 'secrets' end);
    if carried <> '' and (s ->> 'pgaudit.log_parameter')::boolean then
      severity := 'warning'; code := 'pgaudit_parameters'; cure := array['pgaudit.log_parameter = off'];
      problem := format('%s: pgaudit logs bind parameters, which carry %s', tenantry_private.listed(s, array['pgaudit.log', 'pgaudit.log_parameter']), carried);
      return next;
    end if;

    printed := array(select p.name from unnest(array['debug_print_parse', 'debug_print_rewritten', 'debug_print_plan']) with ordinality as p (name, place)
                      where (s ->> p.name)::boolean order by p.place);
    if printed <> '{}' then
      severity := case when 'debug_print_plan' = any(printed) then 'warning' else 'info' end; code := 'debug_print';
      cure := array(select format('%s = off', p.name) from unnest(printed) as p (name));
      problem := format('%s: query trees are logged with %s', tenantry_private.listed(s, printed),
        case severity when 'warning' then 'values of bind parameters in them, which carry ' || of_queries else 'whatever stands in a statement as a literal' end);
      return next;
    end if;

    causes := causes || array_remove(array[
      case when explains then 'auto_explain.log_min_duration' end,
      case when audited <> '{}' or objects then 'pgaudit.log_statement' end,
      case when lower(s ->> 'log_min_error_statement') ~ '^(debug[1-5]?|info|notice|warning)$' then 'log_min_error_statement' end], null);
    if causes <> '{}' then
      severity := 'info'; code := 'logging_statements';
      cure := array(select format('%s = %s', c.name, case c.name
                             when 'log_statement' then 'none'
                             when 'log_transaction_sample_rate' then '0'
                             when 'pgaudit.log_statement' then 'off'
                             when 'log_min_error_statement' then 'error'
                             else '-1' end)
                      from unnest(causes) with ordinality as c (name, place) order by c.place);
      problem := format('%s: the text of statements is logged, and with it whatever stands there as a literal', tenantry_private.listed(s, causes));
      return next;
    end if;
  end if;

  if lower(s ->> 'log_min_messages') not in ('log', 'fatal', 'panic') and s ->> 'log_parameter_max_length_on_error' !~ '^\s*0+\s*[a-zA-Z]*$' then
    severity := 'warning'; code := 'logging_parameters_on_error'; cure := array['log_parameter_max_length_on_error = 0'];
    problem := format('%s: bind parameters of failing statements are logged, which carry %s', tenantry_private.listed(s, array['log_parameter_max_length_on_error']), of_queries);
    return next;
  end if;

  if lower(coalesce(s ->> 'pg_stat_statements.track', 'none')) <> 'none' and (s ->> 'pg_stat_statements.track_utility')::boolean then
    severity := 'info'; code := 'statements_utility'; cure := array['pg_stat_statements.track_utility = off'];
    problem := format('%s: pg_stat_statements keeps DO and %s as they are written, literals included', tenantry_private.listed(s, array['pg_stat_statements.track_utility']),
      case when current_setting('server_version_num')::integer < 180000 then 'CALL, SET and other utility statements' else 'COPY statements' end);
    return next;
  end if;
end
$$;

comment on function tenantry_private.logging_leaks(jsonb, boolean, boolean, boolean) is
  'What sessions with these settings would put into the log of what there is: severity, code, problem, and the settings that end it.';

create function tenantry_private.listed(s jsonb, names text[])
returns text
language sql stable
set search_path = pg_catalog, pg_temp
return (select string_agg(n.name || coalesce(' = ' || (s ->> n.name), ''), ', ' order by n.place) from unnest(names) with ordinality as n (name, place));

comment on function tenantry_private.listed(jsonb, text[]) is 'Settings with their values, for a text.';

create function tenantry_private.logging_findings()
returns table (severity text, code text, object text, problem text, fix text)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  credentials constant boolean := exists (select from tenantry.issuers);
  shares      constant boolean := tenantry.wants_key_share() or tenantry_private.key_provider() = 'file';
  secrets     constant boolean := exists (select from tenantry.encrypted_columns);
  whose       record;
  leak        record;
  common      jsonb := '{}';
  whom        text;
begin
  if not (credentials or shares or secrets) then
    return;
  end if;
  for whose in
    select *
      from tenantry_private.new_session_settings(array[
             'log_min_messages', 'log_min_error_statement', 'log_statement', 'log_min_duration_statement', 'log_min_duration_sample', 'log_statement_sample_rate',
             'log_transaction_sample_rate', 'log_parameter_max_length', 'log_parameter_max_length_on_error',
             'debug_print_parse', 'debug_print_rewritten', 'debug_print_plan',
             'shared_preload_libraries', 'session_preload_libraries', 'local_preload_libraries',
             'auto_explain.log_min_duration', 'auto_explain.sample_rate', 'auto_explain.log_verbose', 'auto_explain.log_parameter_max_length',
             'pgaudit.log', 'pgaudit.log_parameter', 'pgaudit.log_statement', 'pgaudit.role',
             'pg_stat_statements.track', 'pg_stat_statements.track_utility'])
  loop
    for leak in select * from tenantry_private.logging_leaks(whose.settings, credentials, shares, secrets) loop
      if whose.login is null then
        common := common || jsonb_build_object(leak.code, leak.cure);
      elsif common -> leak.code @> to_jsonb(leak.cure)
            and not exists (select from unnest(leak.cure) as c (setting) where split_part(c.setting, ' = ', 1) = any(whose.own)) then
        continue; -- what cures the database cures this login, too
      end if;
      severity := leak.severity; code := leak.code; problem := leak.problem;
      object := quote_ident(coalesce(whose.login, current_database()));
      whom := case when whose.login is null then format('alter database %I', current_database())
                   else format('alter role %I in database %I', whose.login, current_database()) end;
      fix := (select string_agg(format('%s set %s;', whom, c.setting), ' ' order by c.place) from unnest(leak.cure) with ordinality as c (setting, place));
      return next;
    end loop;
  end loop;
end
$$;

comment on function tenantry_private.logging_findings() is
  'Findings logging_parameters, logging_parameters_on_error, auto_explain_values, pgaudit_parameters, debug_print, logging_statements, statements_utility.';
