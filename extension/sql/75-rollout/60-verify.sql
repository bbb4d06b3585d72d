-- What a step must prove before the next: that the rows add up, that nothing but owners changed, and who would lose what.

-- Over everything but what the rollout fills.
create function tenantry_private.table_checksum(target regclass)
returns jsonb
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  rollout constant tenantry_private.rollouts := tenantry_private.rollout(target);
  columns text;
  result  jsonb;
begin
  select string_agg(format('t.%I', a.attname), ', ' order by a.attnum)
    into columns
    from pg_catalog.pg_attribute a
   where a.attrelid = target and a.attnum > 0 and not a.attisdropped and a.attname not in (rollout.owner_column, 'tenantry_source');
  execute format('select jsonb_build_object(''rows'', count(*), ''checksum'', coalesce(sum(hashtextextended(row(%s)::text, 0)::numeric), 0)::text) from %s t', columns, target) into result;
  return result;
end
$$;

comment on function tenantry_private.table_checksum(regclass) is 'Rows of a table, and a checksum over all but the owner and its source, in which their order does not matter.';

create function tenantry.rollout_checksum(target regclass)
returns jsonb
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set datestyle = 'ISO'
set intervalstyle = 'iso_8601'
set timezone = 'UTC'
set bytea_output = 'hex'
set extra_float_digits = 1
as $$
declare
  rollout constant tenantry_private.rollouts := tenantry_private.require_rollout(target);
  result  constant jsonb := tenantry_private.table_checksum(target);
begin
  perform tenantry_private.log_step(target, rollout.state, rollout.state, '(checksum)', 'ACCESS SHARE', null, null, (result ->> 'rows')::bigint, result);
  return result;
end
$$;

comment on function tenantry.rollout_checksum(regclass) is
  'Rows of a table and a checksum over every column but the owner and its source; kept in the log. Where nobody else writes, it is the same before and after every step. Errors: 42501, TN011.';

create function tenantry_private.count_rollout(target regclass)
returns jsonb
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  rollout constant tenantry_private.rollouts := tenantry_private.rollout(target);
  counts  jsonb;
  sources jsonb;
  unknown jsonb;
  keys    jsonb;
  owners  bigint;
begin
  -- Rows that were decided, deleted or moved since.
  execute format($query$select jsonb_agg(q.key) from tenantry.rollout_quarantine q
    where q.relation = %L::regclass and not exists (select from %s t where %s = q.key and t.%I is null)$query$, target, target,
    tenantry_private.key_texts(target), rollout.owner_column)
    into keys;
  if keys is not null then
    perform tenantry_private.unquarantine(target, keys);
  end if;
  -- At one moment, because others write.
  execute format($query$select to_jsonb(a) || to_jsonb(b)
    from (select count(*) as rows, count(t.%2$I) as owned from %1$s t) a
   cross join (select count(*) filter (where not q.exempt) as quarantined, count(*) filter (where q.exempt) as exempt, count(*) filter (where q.key is null) as meanwhile
                 from %1$s t left join tenantry.rollout_quarantine q on q.relation = %3$L::regclass and q.key = %4$s
                where t.%2$I is null) b$query$, target, rollout.owner_column, target, tenantry_private.key_texts(target))
    into counts;
  execute format('select coalesce(jsonb_object_agg(coalesce(n.number::text, ''as it was''), n.rows), ''{}'') from (select t.tenantry_source as number, count(*) as rows from %s t where t.%I is not null group by 1) n', target, rollout.owner_column)
    into sources;
  execute format($query$select jsonb_agg(o.owner) from (select distinct t.%I::text as owner from %s t where t.%1$I is not null) o
    where o.owner collate "C" not in (select k from tenantry_private.known_ids(%3$L, array(select distinct t.%1$I::text from %2$s t where t.%1$I is not null)) k)$query$, rollout.owner_column, target, rollout.owner_kind)
    into unknown;
  execute format('select count(distinct t.%I) from %s t', rollout.owner_column, target) into owners;
  return counts || jsonb_build_object(
    'late', (select coalesce(sum(e.value::bigint), 0) from jsonb_each_text(sources) e join tenantry.rollout_sources s on s.relation = target and s.late and s.number::text = e.key),
    'sources', (select coalesce(jsonb_object_agg(n.name, n.rows), '{}') from (
                  select coalesce(s.signal || case when s.late then ' (late)' else '' end, e.key) as name, sum(e.value::bigint) as rows
                    from jsonb_each_text(sources) e left join tenantry.rollout_sources s on s.relation = target and s.number::text = e.key group by 1) n),
    'owners', owners,
    'unknown_owners', coalesce(unknown, '[]'));
end
$$;

comment on function tenantry_private.count_rollout(regclass) is 'Counts rows, owned, quarantined, exempt, written meanwhile and not looked at yet, by source; forgets what is in quarantine no more.';

create function tenantry.rollout_owners(target regclass)
returns table (owner text, rows bigint, filled bigint)
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  rollout constant tenantry_private.rollouts := tenantry_private.require_rollout(target);
  counted constant text := case when tenantry_private.column_type(target, 'tenantry_source') is null then 'false' else 't.tenantry_source is not null' end;
begin
  if tenantry_private.column_type(target, rollout.owner_column) is null then
    perform tenantry_private.refuse(format('%s has no owners yet', target), format('Give it some: call tenantry.rollout_to(%L, ''backfilled'');', target));
  end if;
  return query execute format('select %L || '':'' || t.%I, count(*), count(*) filter (where %s) from %s t group by t.%2$I order by 2 desc, 1',
    rollout.owner_kind, rollout.owner_column, counted, target);
end
$$;

comment on function tenantry.rollout_owners(regclass) is
  'How many rows each owner has in a table on its way, and how many of them the rollout gave it. owner: an entity; null for rows without one. They add up to the rows of the table. Run as its owner, who must see them all: up to verified. Errors: 42501, TN011.';

-- Rows that have neither an owner nor a place in quarantine, by their keys; of those given, which there are still.
create function tenantry_private.unsettled_rows(target regclass, among jsonb default null)
returns jsonb
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  keys jsonb;
begin
  execute format($query$select coalesce(jsonb_agg(%1$s), '[]') from %2$s t
    where t.%3$I is null and not exists (select from tenantry.rollout_quarantine q where q.relation = %4$L::regclass and q.key = %1$s)
      and (%5$L::jsonb is null or to_jsonb(%1$s) in (select a.value from jsonb_array_elements(%5$L::jsonb) a))$query$,
    tenantry_private.key_texts(target), target, (tenantry_private.rollout(target)).owner_column, target, among)
    into keys;
  return keys;
end
$$;

comment on function tenantry_private.unsettled_rows(regclass, jsonb) is 'The keys of rows that no pass of a rollout has looked at yet.';

create function tenantry_private.verify_rollout(target regclass)
returns jsonb
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  rollout constant tenantry_private.rollouts := tenantry_private.require_rollout(target);
  counts  jsonb;
  waiting jsonb;
  missing bigint := 0;
begin
  counts := tenantry_private.count_rollout(target);
  if (counts ->> 'meanwhile')::bigint > 0 then
    -- Others write: what waits now must be settled by the next pass, whatever comes after it.
    waiting := tenantry_private.unsettled_rows(target);
    perform tenantry_private.fill_late(target);
    counts := tenantry_private.count_rollout(target);
    missing := jsonb_array_length(tenantry_private.unsettled_rows(target, waiting));
  end if;
  perform tenantry_private.change_rollout(target, jsonb_build_object('counts', counts));
  perform tenantry_private.log_step(target, rollout.state, 'verified', '(rows = owned + quarantined + exempt + meanwhile)', 'ACCESS SHARE', null, null, (counts ->> 'rows')::bigint, counts);
  if missing <> 0 then
    raise exception '% rows of % do not add up: % rows, % owned, % in quarantine, % exempt', missing, target, counts -> 'rows', counts -> 'owned', counts -> 'quarantined', counts -> 'exempt'
      using errcode = 'TN012', hint = format('Two passes have neither given them an owner nor put them into quarantine. Look at them: select * from %s where %I is null; and call this again.', target, rollout.owner_column);
  end if;
  if counts -> 'unknown_owners' <> '[]' then
    raise exception 'rows of % belong to nobody who is known: %', target, left(counts ->> 'unknown_owners', 200)
      using errcode = 'TN012', hint = format('Register them, or take the owner off those rows: update %s set %I = null where %2$I = …; and call tenantry.rollout_to(%L, ''prepared'');', target, rollout.owner_column, target);
  end if;
  return counts;
end
$$;

comment on function tenantry_private.verify_rollout(regclass) is 'Makes sure that the rows add up; what was written since the last pass waits for the next. Error: TN012.';

-- Signals may read owners of tables that do not have the column yet.
create function tenantry_private.require_readable(target regclass)
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  candidates text;
  missing    text;
begin
  perform tenantry_private.try_signals(target);
  candidates := tenantry_private.candidates_query(target, 'true', false);
  if candidates is not null then
    execute format('select from (%s) c limit 0', candidates);
  end if;
exception
  when undefined_column then
    get stacked diagnostics missing = message_text;
    raise exception 'signals of % read what is not there yet: %', target, missing
      using errcode = 'TN012', hint = coalesce('Prepare their parents first: ' || tenantry_private.calls_to(array(
        select r.relation from tenantry.rollout_status r where r.relation <> target and r.state = 'planned' order by r.relation::text), 'prepared'), 'Change the signal, or bring the column back.');
end
$$;

comment on function tenantry_private.require_readable(regclass) is 'Refuses signals that read columns which are not there yet. Error: TN012.';

create function tenantry.rollout_impact(target regclass)
returns table (reader text, reads_today bigint, keeps bigint, loses bigint)
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  rollout    constant tenantry_private.rollouts := tenantry_private.require_rollout(target);
  candidates text;
  owned      text;
  legacy     name;
begin
  perform tenantry_private.require_runner(target);
  perform tenantry_private.require_readable(target);
  candidates := tenantry_private.candidates_query(target, 'true', false);
  if tenantry_private.column_type(target, rollout.owner_column) is not null then
    owned := format('select %s, t.%I::text as owner from %s t where t.%2$I is not null',
      tenantry_private.key_selection(target), rollout.owner_column, target);
  end if;
  if candidates is null and owned is null then
    perform tenantry_private.refuse(format('nothing tells whose the rows of %s are', target), 'Declare a signal first: select tenantry.rollout_signal(…);');
  end if;
  -- An entity reads today what any signal gives it: the author, the creator of the room, the agent's owner.
  return query execute format($query$%s,
  named as (select %s, owner from candidate union %s),
  kept as (%s)
select %L || ':' || n.owner, count(*), count(k.owner), count(*) - count(k.owner)
  from named n
  left join kept k on (%s) = (%s) and k.owner = n.owner
 group by n.owner
 order by 4 desc, 1$query$,
    tenantry_private.best_candidates(target,
      coalesce(candidates, format('select %s, owner, 0 as rank from (%s) o where false', tenantry_private.key_aliases(target), owned))),
    tenantry_private.key_aliases(target),
    coalesce(owned, format('select %s, owner from candidate where false', tenantry_private.key_aliases(target))),
    coalesce(owned, format('select %s, low as owner from best where low = high', tenantry_private.key_aliases(target))),
    rollout.owner_kind, tenantry_private.key_aliases(target, 'k.'), tenantry_private.key_aliases(target, 'n.'));
  foreach legacy in array rollout.legacy_roles loop
    reader := 'role ' || quote_ident(legacy);
    if has_table_privilege(legacy, target, 'select') then
      execute format('select count(*) from %s', target) into reads_today;
    else
      reads_today := 0;
    end if;
    keeps := 0;
    loses := reads_today;
    return next;
  end loop;
end
$$;

comment on function tenantry.rollout_impact(regclass) is
  'Who would lose what when the table is strict, before anything is switched. reader: an entity, which reads today what any signal gives it and keeps what it owns, or would own; or a legacy role, which reads everything and keeps nothing without a context. Reads the table several times. Errors: 42501, TN011, TN012.';

create function tenantry.rollout_plan(target regclass)
returns table (step integer, state text, statement text, lock text, rows bigint, expected text)
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  rollout     constant tenantry_private.rollouts := tenantry_private.require_rollout(target);
  candidates  text;
  wrong       text;
  total       bigint;
  item        record;
  owner_there constant boolean := tenantry_private.column_type(target, rollout.owner_column) is not null;
  owner_type  constant text := coalesce(format_type(tenantry_private.column_type(target, rollout.owner_column), null), (select k.id_type::text from tenantry.kinds k where k.kind = rollout.owner_kind));
  rows_each   constant numeric := 60000;
  unowned     constant text := case when owner_there then format('t.%I is null', rollout.owner_column) else 'true' end;
begin
  perform tenantry_private.require_runner(target);
  perform tenantry_private.require_readable(target);
  candidates := tenantry_private.candidates_query(target, 'true', false);
  step := 0;
  execute format('select count(*), count(*) filter (where %s) from %s t', unowned, target) into total, rows;
  step := step + 1; state := 'planned'; statement := format('rows without an owner, of %s', total); lock := null; expected := null;
  return next;
  if candidates is not null then
    for item in execute format($query$%s,
      judged as (select b.*, e.id is not null as known from best b left join tenantry_private.known_ids(%2$L, array(select distinct low from best)) e (id) on e.id collate "C" = b.low)
      select 1 as place, min(j.rank) as rank, 'decided by ' || j.signals as what, count(*) as rows from %4$s t join judged j on (%5$s) = (%3$s) where %6$s and j.low = j.high and j.known group by j.signals
      union all
      select 2, null, 'quarantine: ' || case when j.low is null then 'no signal' when j.low <> j.high then 'conflict' else 'unknown entity' end, count(*)
        from %4$s t left join judged j on (%5$s) = (%3$s) where %6$s and (j.low is null or j.low <> j.high or not j.known) group by 3
      order by 1, 2, 3$query$,
      tenantry_private.best_candidates(target, candidates, ', string_agg(distinct signal, '', '') as signals'), rollout.owner_kind, tenantry_private.key_aliases(target, 'j.'), target,
      tenantry_private.key_names(target, 't.'), unowned)
    loop
      step := step + 1; statement := item.what; rows := item.rows;
      return next;
    end loop;
  end if;
  rows := null; expected := 'milliseconds';
  state := 'prepared'; lock := 'ACCESS EXCLUSIVE';
  if not owner_there then
    step := step + 1; statement := format('alter table %s add column %I %s', target, rollout.owner_column, owner_type);
    return next;
  end if;
  if tenantry_private.column_type(target, 'tenantry_source') is null then
    step := step + 1; statement := format('alter table %s add column tenantry_source smallint', target);
    return next;
  end if;
  if not exists (select from pg_catalog.pg_trigger t where t.tgrelid = target and t.tgname = 'tenantry_rollout_fill') then
    step := step + 1; lock := 'SHARE ROW EXCLUSIVE'; statement := format('create trigger tenantry_rollout_fill after insert on %s …', target);
    return next;
  end if;
  state := 'backfilled';
  begin
    perform tenantry_private.hushes_triggers(target);
  exception
    when sqlstate 'TN011' then
      get stacked diagnostics wrong = message_text;
      step := step + 1; lock := null; expected := null; statement := 'REFUSED: ' || wrong;
      return next;
  end;
  step := step + 1; lock := 'ROW EXCLUSIVE'; statement := format('update %s set %I = …, in batches that commit', target, rollout.owner_column); rows := total;
  expected := format('about %s s', round(total / rows_each, 1));
  return next;
  rows := null;
  if not owner_there or tenantry_private.missing_index(target) is not null then
    step := step + 1; lock := 'SHARE UPDATE EXCLUSIVE'; statement := format('create index concurrently … on %s (%I)', target, rollout.owner_column); expected := format('about %s s', round(total / 800000.0, 1));
    return next;
  end if;
  expected := 'milliseconds'; lock := 'ACCESS EXCLUSIVE';
  for item in select p.policy from unnest(rollout.drop_policies) as p (policy) loop
    step := step + 1; state := 'transitional'; statement := format('drop policy if exists %I on %s', item.policy, target);
    return next;
  end loop;
  for item in select p.policy from tenantry_private.opening_policies(target) as p (policy) where p.policy <> all (rollout.drop_policies) loop
    step := step + 1; state := 'transitional'; lock := null; expected := null; statement := format('REFUSED until it is named in drop_policies: policy %I of the application shows rows to everybody who enters', item.policy);
    return next;
  end loop;
  step := step + 1; state := 'transitional'; lock := 'ACCESS EXCLUSIVE'; expected := 'milliseconds'; statement := format('alter table %s enable row level security; policies for tenantry_user, tenantry_reach%s; grants; reach.<table>', target,
    coalesce(' and ' || nullif(array_to_string(rollout.legacy_roles, ', '), ''), ''));
  return next;
  step := step + 1; state := 'verified'; lock := 'ACCESS SHARE'; statement := 'rows = owned + quarantined + exempt + meanwhile; every owner known'; expected := format('about %s s', round(total / 1000000.0, 1));
  return next;
  step := step + 1; state := 'strict'; lock := 'ACCESS EXCLUSIVE'; statement := format('floors of the policies; alter table %s force row level security; check (%I is not null) not valid', target, rollout.owner_column); expected := 'at most 5 ms';
  return next;
  step := step + 1; lock := 'SHARE UPDATE EXCLUSIVE'; statement := format('alter table %s validate constraint %I', target, tenantry_private.owner_check(target)); expected := format('about %s s', round(total / 5000000.0, 1));
  return next;
  step := step + 1; lock := 'ACCESS EXCLUSIVE'; statement := format('alter table %s alter column %I set not null', target, rollout.owner_column); expected := 'milliseconds';
  return next;
end
$$;

comment on function tenantry.rollout_plan(regclass) is
  'What a rollout would do, and writes nothing: rows, how many each signal would decide, conflicts, undecided ones, every statement with its lock, and how long it may take (from 60,000 rows a second). Reads the table several times. Errors: 42501, TN011, TN012.';
