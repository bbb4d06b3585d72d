-- Batches by ranges of blocks, each a transaction. They run as the table's owner, because the signals do.

create function tenantry_private.number_sources(target regclass, the_run integer)
returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
begin
  perform tenantry_private.require_admin('roll out isolation');
  perform tenantry_private.require_declarable(target);
  insert into tenantry_private.rollout_sources (relation, number, run, signal, rank, late)
  select target, coalesce((select max(o.number) from tenantry_private.rollout_sources o where o.relation = target), 0) + row_number() over (order by s.rank, s.name, twin.late),
         the_run, s.name, s.rank, twin.late
    from tenantry_private.rollout_signals s
   cross join (values (false), (true)) as twin (late)
   where s.relation = target;
end
$$;

comment on function tenantry_private.number_sources(regclass, integer) is 'Gives the signals of a run their numbers.';

create function tenantry_private.source_of(target regclass, the_signal text)
returns smallint
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
declare
  known smallint;
begin
  perform tenantry_private.require_admin('roll out isolation');
  perform tenantry_private.require_declarable(target);
  select s.number into known
    from tenantry_private.rollout_sources s
    join tenantry_private.rollouts r on r.relation = s.relation and r.run = s.run
   where s.relation = target and s.signal = the_signal and not s.late
   order by s.number limit 1;
  if known is null then
    insert into tenantry_private.rollout_sources as s (relation, number, run, signal)
    select target, coalesce((select max(o.number) from tenantry_private.rollout_sources o where o.relation = target), 0) + 1, r.run, the_signal
      from tenantry_private.rollouts r where r.relation = target
    returning s.number into known;
  end if;
  return known;
end
$$;

comment on function tenantry_private.source_of(regclass, text) is 'The number of a source in this run.';

create function tenantry_private.unquarantine(target regclass, keys jsonb)
returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
begin
  perform tenantry_private.require_admin('roll out isolation');
  perform tenantry_private.require_declarable(target);
  delete from tenantry_private.quarantined_rows q
   where q.relation = target
     and (keys is null or q.key = any (select array(select jsonb_array_elements_text(k.value)) from jsonb_array_elements(keys) k));
end
$$;

comment on function tenantry_private.unquarantine(regclass, jsonb) is 'Takes rows out of quarantine; null takes all.';

-- A superuser would run what the table's owner wrote.
create function tenantry_private.require_runner(target regclass)
returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  owner constant name := (select r.rolname from pg_catalog.pg_class c join pg_catalog.pg_roles r on r.oid = c.relowner where c.oid = target);
begin
  if exists (select from pg_catalog.pg_roles r where r.rolname in (session_user, current_user) and r.rolsuper) then
    perform tenantry_private.refuse(format('a superuser must not run the signals of %s, which are code of its owner''s', target),
      format('Log in as %I, or as a member of it who may administer tenantry: select * from tenantry.allow(<login>, ''admin'');', owner));
  end if;
end
$$;

comment on function tenantry_private.require_runner(regclass) is 'Refuses superusers where code of the table''s owner runs. Error: TN011.';

-- The application's triggers (updated_at, audit) must not take an owner that is filled for a change of the row.
create function tenantry_private.hushes_triggers(target regclass)
returns boolean
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  owner_column constant name := (tenantry_private.rollout(target)).owner_column;
  fired        text;
  may_hush     boolean;
begin
  select string_agg(format('%I', t.trigger_name), ', ')
    into fired
    from tenantry_private.update_triggers(target) t
    join pg_catalog.pg_trigger g on g.tgrelid = t.relation and g.tgname = t.trigger_name
   where not tenantry_private.is_own_trigger(t.trigger_name)
     -- of columns that are not the owner's
     and (g.tgattr::text = '' or tenantry_private.column_number(target, owner_column) = any (g.tgattr::smallint[]));
  if fired is null then
    return false;
  end if;
  may_hush := has_parameter_privilege(current_user, 'session_replication_role', 'set');
  if not may_hush or exists (
       select from tenantry_private.update_triggers(target) t where t.enabled = 'A' and not tenantry_private.is_own_trigger(t.trigger_name)) then
    perform tenantry_private.refuse(format('triggers of the application would take the filling of owners for changes of the rows of %s: %s', target, fired),
      case when may_hush then 'One of them is ENABLE ALWAYS. Make it an ordinary one while this runs: alter table … enable trigger …;'
           else format('A superuser runs: grant set on parameter session_replication_role to %I; which lets this hold them still for its own statements, and takes it back afterwards.', current_user) end);
  end if;
  return true;
end
$$;

comment on function tenantry_private.hushes_triggers(regclass) is 'Whether triggers have to be held still while owners are filled; refuses where they cannot be. Error: TN011.';

create function tenantry_private.update_quietly(target regclass, statement text, places tid[] default null, turns integer default null, turn integer default null)
returns bigint
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  hushed constant boolean := tenantry_private.hushes_triggers(target);
  rows   bigint;
begin
  if hushed then
    perform set_config('session_replication_role', 'replica', true);
  end if;
  execute statement using places, turns, turn;
  get diagnostics rows = row_count;
  if hushed then
    perform set_config('session_replication_role', 'origin', true);
  end if;
  return rows;
end
$$;

comment on function tenantry_private.update_quietly(regclass, text, tid[], integer, integer) is 'Updates owners, the application''s triggers held still; returns how many rows. places, turns, turn: $1 to $3 of the statement. Error: TN011.';

-- The query yields k1, k2 … of rows without an owner, which are looked at again then.
create function tenantry_private.fill_rows(target regclass, rows_query text, with_late boolean, places tid[] default null)
returns bigint
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  statement constant text := tenantry_private.filling_statement(target, rows_query, with_late);
  filled    bigint := 0;
  left_over jsonb;
begin
  if statement is not null then
    filled := tenantry_private.update_quietly(target, statement, places);
  end if;
  execute tenantry_private.leftover_query(target, rows_query, with_late) into left_over using places;
  if left_over is not null then
    perform tenantry_private.quarantine(target, left_over);
  end if;
  return filled;
end
$$;

comment on function tenantry_private.fill_rows(regclass, text, boolean, tid[]) is 'Gives rows their owners, and puts those into quarantine that have none then; returns how many were given one. places: $1 of the query. Error: TN011.';

-- Every partition is gone through at once: a range of blocks is one of each.
create function tenantry_private.table_size(target regclass, out blocks bigint, out rows_each numeric)
language sql stable
set search_path = pg_catalog, pg_temp
begin atomic
  with recursive parts (relation) as (
    select target::oid
    union
    select i.inhrelid from parts p join pg_catalog.pg_inherits i on i.inhparent = p.relation)
  select coalesce(max(pg_relation_size(c.oid) / current_setting('block_size')::bigint) filter (where c.relkind = 'r'), 0),
         greatest(1, coalesce((sum(c.reltuples) filter (where c.relkind = 'r' and c.reltuples > 0) / nullif(max(c.relpages) filter (where c.relkind = 'r'), 0))::numeric, 50))
    from parts p join pg_catalog.pg_class c on c.oid = p.relation;
end;

comment on function tenantry_private.table_size(regclass) is 'How many blocks a table has, or its longest partition, and about how many rows there are to a block.';

create function tenantry_private.block_place(block bigint)
returns tid
language sql immutable
set search_path = pg_catalog, pg_temp
return format('(%s,0)', block)::tid;

comment on function tenantry_private.block_place(bigint) is 'Where a block begins.';

create function tenantry_private.block_range(first bigint, behind bigint)
returns text
language sql immutable
set search_path = pg_catalog, pg_temp
return format('t.ctid >= %L and t.ctid < %L', tenantry_private.block_place(first), tenantry_private.block_place(behind));

comment on function tenantry_private.block_range(bigint, bigint) is 'A condition that rows t lie in a range of blocks.';

create function tenantry_private.most_turns()
returns integer
language sql immutable
set search_path = pg_catalog, pg_temp
return 12;

comment on function tenantry_private.most_turns() is 'How many times a range is gone over: more of them leave more rows where they are, and read more often over all of them.';

create function tenantry_private.range_parts()
returns integer
language sql immutable
set search_path = pg_catalog, pg_temp
return 3;

comment on function tenantry_private.range_parts() is 'How many parts a range has, which are gone over in turn: a snapshot of another session must be gone before this one is back.';

-- As let_go() does it for the jobs of secrets: whatever is done between two COMMITs is a block of its own that lets go what it
-- holds before its error goes on.
create function tenantry_private.let_rollout_go(target regclass, range bigint default null)
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
  perform tenantry_private.unlock_job(target, 'rollout range ' || range) where range is not null;
  perform tenantry_private.unlock_job(target, 'rollout');
end
$$;

comment on function tenantry_private.let_rollout_go(regclass, bigint) is 'Lets the next runner at a rollout that an error has ended, and at the range that this session was at.';

create function tenantry_private.pause(target regclass, range bigint, seconds float8)
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
  perform pg_sleep(seconds);
exception
  when query_canceled then
    perform tenantry_private.let_rollout_go(target, range);
    raise;
end
$$;

comment on function tenantry_private.pause(regclass, bigint, float8) is 'Waits so many seconds. Interrupted, it lets the next runner begin.';

-- Whoever is at a range holds the lock of its job. What an ended session has left comes first.
create function tenantry_private.take_range(target regclass, rows bigint, out first bigint, out behind bigint, out counted boolean, out holder integer)
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
declare
  size   constant record := tenantry_private.table_size(target);
  most   constant numeric := rows / size.rows_each;
  blocks bigint;
  place  bigint;
  known  record;
begin
  perform tenantry_private.require_admin('roll out isolation');
  perform tenantry_private.require_declarable(target);
  select r.place into place from tenantry_private.rollouts r where r.relation = target and r.state = 'prepared' and r.began_at is not null and not r.finished for update;
  if place is null or tenantry_private.job_process(target, 'rollout') is null then
    return;
  end if;
  for known in select r.first, r.behind, r.counted from tenantry_private.rollout_ranges r where r.relation = target order by r.first loop
    if tenantry_private.try_job(target, 'rollout range ' || known.first) then
      first   := known.first;
      behind  := known.behind;
      counted := known.counted;
      return;
    end if;
    holder := coalesce(holder, tenantry_private.job_process(target, 'rollout range ' || known.first));
  end loop;
  if place >= size.blocks then
    if not exists (select from tenantry_private.rollout_ranges g where g.relation = target) then
      update tenantry_private.rollouts r set finished = true, brake = null where r.relation = target returning r.run, r.filled, r.began_at into known;
      perform tenantry_private.log_step(target, 'prepared', 'backfilled', '(backfill)', 'ROW EXCLUSIVE', null, null, known.filled,
        jsonb_build_object('run', known.run, 'seconds', round(extract('epoch' from clock_timestamp() - known.began_at)::numeric, 2)));
    end if;
    return;
  end if;
  -- Towards the end they get smaller, so that all sessions are done at about the same time.
  blocks := ceil(least(most, greatest((size.blocks - place) / 4.0, most / 8)));
  perform tenantry_private.lock_job(target, 'rollout range ' || place);
  insert into tenantry_private.rollout_ranges (relation, first, behind) values (target, place, place + blocks);
  update tenantry_private.rollouts r set place = r.place + blocks where r.relation = target;
  first   := place;
  behind  := place + blocks;
  counted := false;
  holder  := null;
end
$$;

comment on function tenantry_private.take_range(regclass, bigint) is
  'A range of blocks, of about so many rows or, towards the end, fewer, for this session to fill, with whether its rows have been counted; null where the table is finished, which it logs, nobody runs its rollout, or others are at the last ranges: holder is the process of one of them. Error: 55P03.';

create function tenantry_private.note_progress(target regclass, range bigint, looked_at bigint, filled bigint, batch_size integer, ended boolean)
returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
begin
  perform tenantry_private.require_admin('roll out isolation');
  perform tenantry_private.require_declarable(target);
  if ended then
    delete from tenantry_private.rollout_ranges r where r.relation = target and r.first = range;
  else
    update tenantry_private.rollout_ranges r set counted = true where r.relation = target and r.first = range;
  end if;
  if not found then
    perform tenantry_private.refuse(format('the rollout of %s was taken back meanwhile', target), 'Nothing of this batch was kept.');
  end if;
  update tenantry_private.rollouts r
     set done = r.done + note_progress.looked_at, filled = r.filled + note_progress.filled, batch_size = note_progress.batch_size, brake = null
   where r.relation = target;
end
$$;

comment on function tenantry_private.note_progress(regclass, bigint, bigint, bigint, integer, boolean) is
  'Adds to what a backfill has done. range: the first block of the range that this session is at; ended: whether it is at its end. Error: TN011 where the rollout was taken back meanwhile.';

create function tenantry_private.drop_ranges(target regclass)
returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
begin
  perform tenantry_private.require_admin('roll out isolation');
  perform tenantry_private.require_declarable(target);
  delete from tenantry_private.rollout_ranges r where r.relation = target;
  update tenantry_private.rollouts r set place = 0, finished = false, began_at = null where r.relation = target;
end
$$;

comment on function tenantry_private.drop_ranges(regclass) is 'Takes a backfill back to its beginning; whoever is at a range of it cannot commit it.';

create function tenantry_private.begin_batch(target regclass)
returns tenantry_private.rollouts
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  rollout constant tenantry_private.rollouts := tenantry_private.require_rollout(target);
begin
  perform tenantry_private.require_runner(target);
  if rollout.state <> 'prepared' or rollout.began_at is null then
    perform tenantry_private.refuse(format('the rollout of %s was taken back meanwhile', target), 'Nothing of this batch was kept.');
  end if;
  -- Below deadlock_timeout, so that it is never the application that gives way.
  perform set_config('lock_timeout', '300ms', true);
  -- A batch that a crash takes back is done again, and its place is taken back with it.
  perform set_config('synchronous_commit', 'off', true);
  -- What is broken is found before COMMIT, where nothing could be let go any more.
  set constraints all immediate;
  return rollout;
end
$$;

comment on function tenantry_private.begin_batch(regclass) is 'What every transaction of a backfill begins with; returns its rollout. Errors: 42501, TN011.';

create function tenantry_private.begin_range(target regclass, first bigint, behind bigint, counted boolean, batch_size integer, out turns integer, out unowned bigint)
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  rollout   constant tenantry_private.rollouts := tenantry_private.begin_batch(target);
  as_it_was bigint;
begin
  execute format('select count(*) filter (where t.%1$I is null), count(*) filter (where t.%1$I is not null and t.tenantry_source is null) from %2$s t where %3$s',
    rollout.owner_column, target, tenantry_private.block_range(first, behind)) into unowned, as_it_was;
  if not counted then
    perform tenantry_private.note_progress(target, first, as_it_was, 0, batch_size, false);
  end if;
  -- So few are filled at once, at the end.
  turns := case when unowned <= batch_size then 0 else least(tenantry_private.most_turns(), ceil(unowned / (tenantry_private.range_parts() * least(batch_size, 500.0)))) end;
end
$$;

comment on function tenantry_private.begin_range(regclass, bigint, bigint, boolean, integer) is
  'How many times a range of blocks is gone over, in batches of about batch_size rows, and how many rows have no owner. Counts what had an owner before. Error: TN011.';

-- A range is gone over several times, each time with every n-th row of each block. What a full block had to give up to make
-- room for the first of them is free again after the commit, so that the rest are changed where they are: no index sees them.
-- Free it is only when no older snapshot is left, of an application or of a helper: hence one part of the range after the other.
-- The last byte of a ctid is the row's number in its block. It is asked first: to look into a row takes longer.
create function tenantry_private.part_query(target regclass)
returns text
language sql stable
set search_path = pg_catalog, pg_temp
return format('select %s from (select t.*, t.ctid from %s t where t.ctid >= ($1)[1] and t.ctid < ($1)[2] and get_byte(tidsend(t.ctid), 5) %% $2 = $3 offset 0) t where t.%I is null',
  tenantry_private.key_selection(target), target, (tenantry_private.rollout(target)).owner_column);

comment on function tenantry_private.part_query(regclass) is 'The query of rows without an owner from one place to before another, both in $1, of every $2 in a block the $3-th.';

create function tenantry_private.fill_part(target regclass, first bigint, behind bigint, step integer, turns integer, batch_size integer, refused boolean)
returns bigint
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  parts     constant integer := tenantry_private.range_parts();
  part      constant integer := step % parts;
  rows      text := tenantry_private.part_query(target);
  statement text;
  filled    bigint := 0;
begin
  perform tenantry_private.begin_batch(target);
  -- What somebody holds is left for the end.
  if refused then
    rows := format('select %s from %s t where (%s) in (%s) for no key update skip locked',
      tenantry_private.key_selection(target), target, tenantry_private.key_names(target, 't.'), rows);
  end if;
  statement := tenantry_private.filling_statement(target, rows, false);
  if statement is not null then
    filled := tenantry_private.update_quietly(target, statement,
      array[tenantry_private.block_place(first + (behind - first) * part / parts), tenantry_private.block_place(first + (behind - first) * (part + 1) / parts)], turns, step / parts);
  end if;
  perform tenantry_private.note_progress(target, first, filled, filled, batch_size, false);
  return filled;
end
$$;

comment on function tenantry_private.fill_part(regclass, bigint, bigint, integer, integer, integer, boolean) is
  'Gives some rows of a range their owners, and keeps the progress; returns how many. step: from 0, the parts of the range in turn. refused: whether the attempt before met rows that somebody holds. Errors: 55P03, TN011.';

create function tenantry_private.end_range(target regclass, first bigint, behind bigint, slice integer, slices integer, batch_size integer, left_before bigint, out looked_at bigint, out left_over bigint)
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  rollout constant tenantry_private.rollouts := tenantry_private.begin_batch(target);
  range   constant text := tenantry_private.block_range(first + (behind - first) * slice / slices, first + (behind - first) * (slice + 1) / slices);
  unowned constant text := format('from %s t where t.%I is null and t.ctid', target, rollout.owner_column);
  last    constant boolean := slice = slices - 1;
  seen    tid[]  := '{}';
  places  tid[];
  filled  bigint := 0;
begin
  -- What an application changes meanwhile lies elsewhere then. It is looked for again, but not for ever.
  for times in 1 .. 5 loop
    execute format('select array_agg(t.ctid) %s <> all ($1) and %s', unowned, range) into places using seen;
    looked_at := coalesce(looked_at, cardinality(places), 0);
    exit when places is null;
    filled := filled + tenantry_private.fill_rows(target, format('select %s %s = any ($1)', tenantry_private.key_selection(target), unowned), false, places);
    seen   := seen || places;
  end loop;
  -- What is left is counted with the last slice: whoever goes on with this range looks at it again.
  left_over := left_before + greatest(0, looked_at - filled);
  perform tenantry_private.note_progress(target, first, filled + case when last then left_over else 0 end, filled, batch_size, last);
end
$$;

comment on function tenantry_private.end_range(regclass, bigint, bigint, integer, integer, integer, bigint) is
  'Gives the rest of a range their owners, and puts those into quarantine that have none then. slice: from 0 to slices - 1, the last of which ends the range. left_before: how many rows were left in the slices before; left_over: with those of this one. Errors: 55P03, TN011.';

-- Rows that were written or moved meanwhile where neither the trigger nor a batch could fill them.
create function tenantry_private.fill_late(target regclass)
returns bigint
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  rollout constant tenantry_private.rollouts := tenantry_private.require_rollout(target);
  late    constant text := format('select %s from %s t where t.%I is null and not exists (select from tenantry.rollout_quarantine q where q.relation = %L::regclass and q.key = %s)',
                             tenantry_private.key_selection(target), target, rollout.owner_column, target, tenantry_private.key_texts(target));
begin
  perform tenantry_private.require_runner(target);
  return tenantry_private.fill_rows(target, late, true);
end
$$;

comment on function tenantry_private.fill_late(regclass) is 'Gives rows without an owner that are not in quarantine one, or puts them there; returns how many were given one. Error: TN011.';

create function tenantry_private.brake_limit(name text)
returns text
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
begin
  return nullif((select s.value from tenantry.settings s where s.setting = name and s.setting like 'brake\_%'), 'off');
end
$$;

comment on function tenantry_private.brake_limit(text) is 'A limit of the backfill as it was set, or its default; null where it is off.';

-- Why a backfill should wait. What this role may not look at holds nothing back.
create function tenantry_private.brake_reason(usual_ms numeric, probe_ms numeric, wal_rate numeric)
returns text
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  lag     constant text := tenantry_private.brake_limit('brake_replica_lag');
  rate    constant text := tenantry_private.brake_limit('brake_wal_rate');
  age     constant text := tenantry_private.brake_limit('brake_transaction_age');
  latency constant text := tenantry_private.brake_limit('brake_latency');
  reason  text;
begin
  select format('replica %s is %s behind (brake_replica_lag: %s)', coalesce(nullif(s.application_name, ''), s.client_addr::text), date_trunc('milliseconds', s.replay_lag), lag)
    into reason
    from pg_stat_replication s where s.replay_lag > lag::interval order by s.replay_lag desc limit 1;
  if reason is null and wal_rate > tenantry_private.wal_rate(rate) then
    reason := format('%s of WAL a second are written (brake_wal_rate: %s)', pg_size_pretty(wal_rate), rate);
  end if;
  if reason is null then
    select format('process %s has a transaction open since %s, which keeps dead rows (brake_transaction_age: %s)', a.pid, date_trunc('milliseconds', clock_timestamp() - a.xact_start), age)
      into reason
      from pg_stat_activity a
     where a.datname = current_database() and a.pid <> pg_backend_pid() and a.backend_type = 'client backend' and a.xact_start < clock_timestamp() - age::interval
     order by a.xact_start limit 1;
  end if;
  if reason is null and probe_ms > extract('epoch' from latency::interval) * 1000 and probe_ms > 4 * usual_ms then
    reason := format('a look at one row takes %s ms, usually %s ms (brake_latency: %s)', round(probe_ms, 1), round(usual_ms, 1), latency);
  end if;
  return reason;
end
$$;

comment on function tenantry_private.brake_reason(numeric, numeric, numeric) is 'Why a backfill should wait: lag of replicas, WAL rate, long transactions, latency of a probe; null where it need not.';

create function tenantry_private.probe(target regclass)
returns numeric
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  began constant timestamptz := clock_timestamp();
begin
  execute format('select from %s t where (%s) = (select %2$s from %1$s t limit 1)', target, tenantry_private.key_list(target, 't.'));
  return extract('epoch' from clock_timestamp() - began) * 1000;
end
$$;

comment on function tenantry_private.probe(regclass) is 'How long a look at one row takes, in milliseconds.';

create function tenantry_private.look_around(target regclass, range bigint, usual_ms numeric, since pg_lsn, since_at timestamptz, out probed_ms numeric, out reason text)
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
  probed_ms := tenantry_private.probe(target);
  reason    := tenantry_private.brake_reason(usual_ms, probed_ms,
    (pg_current_wal_insert_lsn() - since) / extract('epoch' from clock_timestamp() - since_at + interval '1 millisecond'));
exception
  when others or query_canceled or assert_failure then
    perform tenantry_private.let_rollout_go(target, range);
    raise;
end
$$;

comment on function tenantry_private.look_around(regclass, bigint, numeric, pg_lsn, timestamptz) is
  'How long a look at one row takes, and why a backfill should wait. since, since_at: what had been written before the batch, and when.';

-- Batches that write too much make up for it here: the rate is that of the batch and of the wait behind it.
create procedure tenantry_private.heed_brakes(target regclass, range bigint, since pg_lsn, since_at timestamptz, inout usual_ms numeric, inout waited interval)
language plpgsql
as $$
declare
  began  constant pg_catalog.timestamptz := pg_catalog.clock_timestamp();
  before constant interval := waited;
  told   pg_catalog.timestamptz;
  probed numeric;
  reason pg_catalog.text;
  times  integer := 0;
begin
  loop
    select l.probed_ms, l.reason into probed, reason from tenantry_private.look_around(target, range, usual_ms, since, since_at) l;
    waited := before OPERATOR(pg_catalog.+) (pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-) began);
    -- A reason that stays is no reason never to end.
    exit when reason is null or waited OPERATOR(pg_catalog.>=) tenantry_private.brake_limit('brake_wait')::interval;
    times := times OPERATOR(pg_catalog.+) 1;
    begin
      perform tenantry_private.change_rollout(target, pg_catalog.jsonb_build_object('brake', reason));
    exception
      when others or query_canceled or assert_failure then
        perform tenantry_private.let_rollout_go(target, range);
        raise;
    end;
    commit;
    if told is null or pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-) told OPERATOR(pg_catalog.>) interval '10 seconds' then
      told := pg_catalog.clock_timestamp();
      raise notice '%: waits, because %', target, reason;
    end if;
    perform tenantry_private.pause(target, range, pg_catalog.float8smaller(1, 0.05 OPERATOR(pg_catalog.*) times));
  end loop;
  if reason is null then
    usual_ms := (usual_ms OPERATOR(pg_catalog.*) 0.9) OPERATOR(pg_catalog.+) (probed OPERATOR(pg_catalog.*) 0.1);
    waited   := interval '0';
  elsif times OPERATOR(pg_catalog.>) 0 then
    raise notice '%: goes on after %, although %', target, pg_catalog.date_trunc('second', waited), reason;
  end if;
end
$$;

comment on procedure tenantry_private.heed_brakes(regclass, bigint, pg_lsn, timestamptz, numeric, interval) is
  'Waits for as long as there is a reason to, but no longer than brake_wait until there is none again. range: that this session is at; since: what had been written before the batch; usual_ms: how long a look at one row takes; waited: how long it has waited already.';

-- What the runner and its helpers do, each in ranges of its own.
create procedure tenantry_private.fill_ranges(target regclass, batch_size integer)
language plpgsql
as $$
declare
  size      integer := batch_size;
  rows      bigint;
  range     record;
  turns     integer;
  step      integer;
  slices    integer;
  slice     integer;
  unowned   bigint;
  left_over bigint;
  began     pg_catalog.timestamptz;
  told      pg_catalog.timestamptz := pg_catalog.clock_timestamp();
  usual     numeric;
  waited    interval := interval '0';
  lsn       pg_catalog.pg_lsn := pg_catalog.pg_current_wal_insert_lsn();
  lsn_at    pg_catalog.timestamptz := pg_catalog.clock_timestamp();
  refused   integer;
  rollout   tenantry_private.rollouts;
begin
  select l.probed_ms into usual from tenantry_private.look_around(target, null, 0, lsn, lsn_at) l;
  loop
    begin
      select t.first, t.behind, t.counted, t.holder into range
        from tenantry_private.take_range(target, tenantry_private.range_parts() OPERATOR(pg_catalog.*) tenantry_private.most_turns() OPERATOR(pg_catalog.*) size) t;
    exception
      when others or query_canceled or assert_failure then
        perform tenantry_private.let_rollout_go(target);
        raise;
    end;
    commit;
    if range.first is null then
      rollout := tenantry_private.rollout(target);
      -- Taken back meanwhile, or nobody's whom this could help.
      exit when rollout.finished or rollout.began_at is null or tenantry_private.job_process(target, 'rollout') is null;
      if pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-) told OPERATOR(pg_catalog.>) interval '10 seconds' then
        told := pg_catalog.clock_timestamp();
        raise notice '%: waits for process %, which is at the last rows', target, range.holder;
      end if;
      perform tenantry_private.pause(target, null, 0.02);
      continue;
    end if;
    turns     := null;
    slices    := null;
    step      := 0;
    slice     := 0;
    left_over := 0;
    refused   := 0;
    -- First it is seen how many turns there are, and last comes what they have left, in slices of some batches each.
    while slices is null or slice OPERATOR(pg_catalog.<) slices loop
      began := pg_catalog.clock_timestamp();
      rows  := 0;
      begin
        if turns is null then
          select b.turns, b.unowned into turns, unowned from tenantry_private.begin_range(target, range.first, range.behind, range.counted, size) b;
        elsif step OPERATOR(pg_catalog.<) (turns OPERATOR(pg_catalog.*) tenantry_private.range_parts()) then
          rows := tenantry_private.fill_part(target, range.first, range.behind, step, turns, size, refused OPERATOR(pg_catalog.>) 0);
          step := step OPERATOR(pg_catalog.+) 1;
          unowned := unowned OPERATOR(pg_catalog.-) rows;
        else
          slices := coalesce(slices, least(range.behind OPERATOR(pg_catalog.-) range.first, greatest(1, unowned OPERATOR(pg_catalog./) (4 OPERATOR(pg_catalog.*) size))));
          select e.looked_at, e.left_over into rows, left_over
            from tenantry_private.end_range(target, range.first, range.behind, slice, slices, size, left_over) e;
          slice := slice OPERATOR(pg_catalog.+) 1;
        end if;
        refused := 0;
      exception
        when lock_not_available or deadlock_detected then
          -- Somebody holds rows of it: again.
          refused := refused OPERATOR(pg_catalog.+) 1;
          if refused OPERATOR(pg_catalog.>) 200 then
            perform tenantry_private.let_rollout_go(target, range.first);
            raise;
          end if;
        when others or query_canceled or assert_failure then
          perform tenantry_private.let_rollout_go(target, range.first);
          raise;
      end;
      commit;
      if refused OPERATOR(pg_catalog.>) 0 then
        perform tenantry_private.pause(target, range.first, pg_catalog.random() OPERATOR(pg_catalog.*) 0.1);
      elsif rows OPERATOR(pg_catalog.>) (size OPERATOR(pg_catalog./) 2) then
        -- About a tenth of a second a batch, at most twice or half as many rows as before.
        size := pg_catalog.int4smaller(50000, pg_catalog.int4larger(100, pg_catalog.float8larger(size OPERATOR(pg_catalog.*) 0.5, pg_catalog.float8smaller(size OPERATOR(pg_catalog.*) 2.0,
          rows OPERATOR(pg_catalog.*) 0.1 OPERATOR(pg_catalog./) pg_catalog.float8larger(0.001, pg_catalog.extract('epoch', pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-) began)::double precision)))::integer));
      end if;
      call tenantry_private.heed_brakes(target, range.first, lsn, lsn_at, usual, waited);
      lsn    := pg_catalog.pg_current_wal_insert_lsn();
      lsn_at := pg_catalog.clock_timestamp();
      if pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-) told OPERATOR(pg_catalog.>) interval '2 seconds' then
        told := pg_catalog.clock_timestamp();
        rollout := tenantry_private.rollout(target);
        raise notice '%: % of about % rows looked at, % given an owner', target, rollout.done, rollout.total, rollout.filled;
      end if;
    end loop;
    perform tenantry_private.unlock_job(target, 'rollout range ' OPERATOR(pg_catalog.||) range.first::pg_catalog.text);
  end loop;
end
$$;

comment on procedure tenantry_private.fill_ranges(regclass, integer) is
  'Fills ranges of blocks until none is left, in transactions of about a tenth of a second. Interrupted, it goes on where it was. Errors: 55P03, TN011.';

-- Rows that the old application writes meanwhile. After the statement, because the signals look at the rows. As the table's
-- owner, as the batches; what a signal cannot do must not cost the application its row.
create function tenantry_private.grant_filling(target regclass)
returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
begin
  perform tenantry_private.require_admin('roll out isolation');
  perform tenantry_private.require_declarable(target);
  execute format('grant execute on function tenantry_private.known_ids(text, text[]) to %I',
    (select r.rolname from pg_catalog.pg_class c join pg_catalog.pg_roles r on r.oid = c.relowner where c.oid = target));
end
$$;

comment on function tenantry_private.grant_filling(regclass) is 'Lets the owner of a table look up entities, for the trigger of the rollout.';

create function tenantry_private.filling_function(target regclass)
returns text
language sql stable
set search_path = pg_catalog, pg_temp
return (
  select format('%I.%I()', n.nspname, 'tenantry_rollout_' || (tenantry_private.rollout(target)).tag)
    from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace where c.oid = target);

comment on function tenantry_private.filling_function(regclass) is 'The trigger function that fills owners of rows written meanwhile: in the schema of the table, of its owner.';

create function tenantry_private.define_filling(target regclass)
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  rollout constant tenantry_private.rollouts := tenantry_private.rollout(target);
  owner   constant name := (select r.rolname from pg_catalog.pg_class c join pg_catalog.pg_roles r on r.oid = c.relowner where c.oid = target);
  statement text;
begin
  perform tenantry_private.require_runner(target);
  -- Without a key the rows of a statement cannot be told from others: the next pass fills them.
  if (select k.columns from tenantry_private.rollout_key(target) k) <> '{ctid}' then
    statement := tenantry_private.filling_statement(target,
      format('select %s from %s t where (%s) in (select %s from new_rows n where n.%I is null)',
        tenantry_private.key_selection(target), target, tenantry_private.key_list(target, 't.'), tenantry_private.key_list(target, 'n.'), rollout.owner_column), true);
  end if;
  if statement is null then
    perform tenantry_private.drop_filling(target);
    return;
  end if;
  perform tenantry_private.grant_filling(target);
  execute format($function$create or replace function %s
returns trigger
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as %L$function$, tenantry_private.filling_function(target), format($body$
begin
  if exists (select from new_rows n where n.%I is null) then
    %s;
  end if;
  return null;
exception
  when others then
    -- The row stays without an owner, and the next pass finds it.
    raise log 'tenantry: owners of new rows of %% were not filled: %%', %L, sqlerrm;
    return null;
end
$body$, rollout.owner_column, statement, target::text));
  execute format('alter function %s owner to %I', tenantry_private.filling_function(target), owner);
  execute format('revoke all on function %s from public', tenantry_private.filling_function(target));
  if not exists (select from pg_catalog.pg_trigger t where t.tgrelid = target and t.tgname = 'tenantry_rollout_fill') then
    execute format('create trigger tenantry_rollout_fill after insert on %s referencing new table as new_rows for each statement execute function %s', target, tenantry_private.filling_function(target));
  end if;
end
$$;

comment on function tenantry_private.define_filling(regclass) is 'Makes, or makes anew, the trigger that fills the owners of rows written meanwhile.';

create function tenantry_private.filling_drops(target regclass)
returns text[]
language sql stable
set search_path = pg_catalog, pg_temp
return array[format('drop trigger if exists tenantry_rollout_fill on %s', target), format('drop function if exists %s', tenantry_private.filling_function(target))];

comment on function tenantry_private.filling_drops(regclass) is 'The statements that take the trigger and its function away.';

create function tenantry_private.drop_filling(target regclass)
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  statement text;
begin
  foreach statement in array tenantry_private.filling_drops(target) loop
    execute statement;
  end loop;
end
$$;

comment on function tenantry_private.drop_filling(regclass) is 'Takes that trigger away.';
