-- The way through the states, one after the other, each in transactions of its own.

create function tenantry_private.rollout_states()
returns text[]
language sql immutable
set search_path = pg_catalog, pg_temp
return array['planned', 'prepared', 'backfilled', 'transitional', 'verified', 'strict'];

comment on function tenantry_private.rollout_states() is 'The states of a rollout, in their order.';

create function tenantry_private.require_state(target regclass, to_state text, batch_size integer)
returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  perform tenantry_private.require_rollout(target);
  perform tenantry_private.require_runner(target);
  if to_state is null or to_state <> all (tenantry_private.rollout_states()) then
    perform tenantry_private.refuse(format('there is no state %s', coalesce(quote_literal(to_state), 'null')), format('States: %s.', array_to_string(tenantry_private.rollout_states(), ', ')));
  end if;
  if batch_size is null or batch_size not between 1 and 50000 then
    perform tenantry_private.refuse('a batch begins with between 1 and 50000 rows', 'The default is 5000; it is adapted to a tenth of a second.');
  end if;
end
$$;

comment on function tenantry_private.require_state(regclass, text, integer) is 'Refuses states that do not exist. Errors: 42501, TN011.';

-- Told from the text: a table that stands after FROM or JOIN, and whether the owner column of its alias is named.
create function tenantry_private.rollout_readers()
returns table (reader regclass, source regclass, takes_owners boolean)
language sql stable
set search_path = pg_catalog, pg_temp
begin atomic
  select s.relation, r.relation,
         bool_or(s.query ~ format('\m%s\.%s(?![A-Za-z0-9_])', m.found[1], regexp_replace(quote_ident(r.owner_column), '([.*+?^$(){}|\[\]\\])', '\\\1', 'g')))
    from tenantry.rollout_signals s
    join tenantry.rollout_status r on r.relation <> s.relation
   cross join lateral regexp_matches(s.query,
           format('\m(?:join|from)\s+%s\M(?:\s+(?:as\s+)?([a-z_][a-z0-9_]*))?', regexp_replace(r.relation::text, '([.*+?^$(){}|\[\]\\])', '\\\1', 'g')), 'gi') as m (found)
   group by s.relation, r.relation;
end;

comment on function tenantry_private.rollout_readers() is 'Which table''s signals read which other one on its way, and whether they take owners from it.';

create function tenantry_private.require_parents(target regclass)
returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  behind regclass[];
begin
  select array_agg(r.relation order by r.relation::text)
    into behind
    from tenantry.rollout_status r
    join tenantry_private.rollout_readers() d on d.source = r.relation
   where d.reader = target and d.takes_owners and r.state in ('planned', 'prepared')
     -- where every row has an owner there is nothing to wait for
     and not tenantry_private.must_have_owners(r.relation);
  if behind is not null then
    perform tenantry_private.refuse(format('%s takes owners from %s, which has not been backfilled', target, array_to_string(behind, ', ')),
      format('Parents first: %s', tenantry_private.calls_to(behind, 'backfilled')));
  end if;
end
$$;

comment on function tenantry_private.require_parents(regclass) is 'Refuses to fill a table before those that its signals take owners from. Error: TN011.';

-- Tables whose signals read this one must not find it closed. Where two read one another one of them has to be the first:
-- then it is enough that the other one is verified, and what is written there meanwhile without an owner is found before it closes.
create function tenantry_private.require_readers_done(target regclass)
returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  reading regclass[];
begin
  with recursive readers as materialized (
    select d.reader, d.source from tenantry_private.rollout_readers() d),
  sources (relation) as (
    select d.source from readers d where d.reader = target
    union
    select d.source from sources o join readers d on d.reader = o.relation)
  select array_agg(r.relation order by r.relation::text)
    into reading
    from tenantry.rollout_status r
    join readers d on d.reader = r.relation
   where d.source = target
     and (r.state in ('prepared', 'backfilled', 'transitional') or r.state = 'verified' and r.relation not in (select o.relation from sources o));
  if reading is not null then
    perform tenantry_private.refuse(format('signals of %s read %s and would find it closed', array_to_string(reading, ', '), target),
      format('Children first: %s', tenantry_private.calls_to(reading, 'strict')));
  end if;
end
$$;

comment on function tenantry_private.require_readers_done(regclass) is 'Refuses to close a table that signals of others still read. Error: TN011.';

create function tenantry_private.require_budget(target regclass)
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  rollout constant tenantry_private.rollouts := tenantry_private.rollout(target);
  counts  constant jsonb := tenantry_private.verify_rollout(target);
  named   text;
begin
  if (counts ->> 'quarantined')::bigint > rollout.budget then
    select string_agg(format('%s (%s)', array_to_string(q.key, ','), q.reason), '; ')
      into named
      from (select * from tenantry.rollout_quarantine q where q.relation = target and not q.exempt order by q.key limit 5) q;
    raise exception '% rows of % have no owner, % are allowed for: % …', counts -> 'quarantined', target, rollout.budget, named
      using errcode = 'TN012', hint = format('See them: select * from tenantry.rollout_quarantine where relation = %L::regclass; decide them: select tenantry.rollout_resolve(%1$L, ''%2$s:…'', <key>); or allow for them: select tenantry.rollout(%1$L, …, budget => %3$s);',
        target, rollout.owner_kind, counts -> 'quarantined');
  end if;
end
$$;

comment on function tenantry_private.require_budget(regclass) is 'Refuses to close a table with more rows without an owner than were allowed for. Error: TN012.';

-- What legacy roles wrote until the switch: afterwards nobody writes a row without an owner any more.
create function tenantry_private.settle_last(target regclass)
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  rollout constant tenantry_private.rollouts := tenantry_private.require_rollout(target);
begin
  -- Its owner sees every row until then.
  if (select c.relforcerowsecurity from pg_catalog.pg_class c where c.oid = target) then
    return;
  end if;
  if tenantry_private.fill_late(target) > 0 or (rollout.counts ->> 'meanwhile')::bigint > 0 then
    perform tenantry_private.change_rollout(target, jsonb_build_object('counts', tenantry_private.count_rollout(target)));
  end if;
end
$$;

comment on function tenantry_private.settle_last(regclass) is 'Fills what was written without an owner until a table was closed, and counts again. Error: TN011.';

create function tenantry_private.start_backfill(target regclass)
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  rollout constant tenantry_private.rollouts := tenantry_private.require_rollout(target);
  total   bigint;
begin
  perform tenantry_private.try_signals(target);
  if rollout.began_at is null then
    execute format('select count(*) from %s', target) into total;
    perform tenantry_private.change_rollout(target, jsonb_build_object('began_at', clock_timestamp(), 'done', 0, 'filled', 0, 'total', total));
  end if;
end
$$;

comment on function tenantry_private.start_backfill(regclass) is 'Notes when a backfill began.';

-- Back from backfilled: what was filled is emptied again, in batches, so that other signals can decide.
create function tenantry_private.empty_batch(target regclass, first bigint, batch_size integer)
returns bigint
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  rollout constant tenantry_private.rollouts := tenantry_private.require_rollout(target);
  size    constant record := tenantry_private.table_size(target);
  behind  constant bigint := first + ceil(batch_size / size.rows_each);
begin
  perform tenantry_private.require_runner(target);
  perform set_config('synchronous_commit', 'off', true);
  perform tenantry_private.update_quietly(target, format('update %s t set %I = null, tenantry_source = null where t.tenantry_source is not null and %s',
    target, rollout.owner_column, tenantry_private.block_range(first, behind)));
  return case when behind < size.blocks then behind end;
exception
  when others or query_canceled or assert_failure then
    perform tenantry_private.let_rollout_go(target);
    raise;
end
$$;

comment on function tenantry_private.empty_batch(regclass, bigint, integer) is 'Takes the owners of a range of blocks back that a rollout gave; returns where the next one begins, null at the end of the table.';

create function tenantry_private.is_emptied(target regclass)
returns boolean
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  emptied boolean;
begin
  execute format('select not exists (select from %s t where t.tenantry_source is not null)', target) into emptied;
  return emptied;
exception
  when others or query_canceled or assert_failure then
    perform tenantry_private.let_rollout_go(target);
    raise;
end
$$;

comment on function tenantry_private.is_emptied(regclass) is 'Whether no row has an owner that a rollout gave.';

create procedure tenantry_private.empty_owners(target regclass, batch_size integer)
language plpgsql
as $$
declare
  place bigint;
begin
  -- Again for what moved to where it had been already.
  while not tenantry_private.is_emptied(target) loop
    place := 0;
    while place is not null loop
      place := tenantry_private.empty_batch(target, place, batch_size);
      commit;
    end loop;
  end loop;
end
$$;

comment on procedure tenantry_private.empty_owners(regclass, integer) is 'Takes back every owner that a rollout gave, in batches.';

create function tenantry_private.back_to_prepared(target regclass)
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  rollout constant tenantry_private.rollouts := tenantry_private.require_rollout(target);
begin
  perform tenantry_private.carry_under_lock(target, 'backfilled', 'prepared', array(
    select format('drop index %s', i.indexrelid::regclass)
      from pg_catalog.pg_index i
      join pg_catalog.pg_class c on c.oid = i.indexrelid
     where i.indrelid = target and c.relname ~ '_tenantry_.*idx(_[0-9]+)?$' and not rollout.before -> 'indexes' ? i.indexrelid::regclass::text));
  perform tenantry_private.unquarantine(target, null);
  perform tenantry_private.change_rollout(target, jsonb_build_object('state', 'prepared', 'run', rollout.run + 1, 'place', 0, 'done', 0, 'filled', 0, 'finished', false, 'began_at', null, 'counts', null));
  perform tenantry_private.number_sources(target, rollout.run + 1);
  perform tenantry_private.define_filling(target);
  perform tenantry_private.log_step(target, 'backfilled', 'prepared', '(owners taken back)', 'ROW EXCLUSIVE', null, null);
end
$$;

comment on function tenantry_private.back_to_prepared(regclass) is 'Takes the indexes of a rollout away, and begins a new run. Error: 55P03.';

create function tenantry_private.take_part(target regclass, part text)
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
  case part
    when 'prepare'           then perform tenantry_private.prepare_rollout(target);
    when 'begin backfill'    then perform tenantry_private.require_parents(target);
                                  perform tenantry_private.start_backfill(target);
    when 'end backfill'      then if not (tenantry_private.rollout(target)).finished then
                                    perform tenantry_private.refuse(format('the rollout of %s was taken back meanwhile', target), 'Begin it again.');
                                  end if;
                                  perform tenantry_private.index_owners(target);
                                  perform tenantry_private.change_rollout(target, '{"state": "backfilled"}');
    when 'enter transition'  then perform tenantry_private.enter_transition(target);
    when 'settle transition' then perform tenantry_private.settle_rollout(target, 'backfilled', 'transitional');
    when 'verify'            then perform tenantry_private.fill_late(target);
                                  perform tenantry_private.verify_rollout(target);
                                  perform tenantry_private.change_rollout(target, '{"state": "verified"}');
    when 'allow closing'     then perform tenantry_private.require_readers_done(target);
                                  perform tenantry_private.fill_late(target);
                                  perform tenantry_private.require_budget(target);
                                  perform tenantry_private.settle_rollout(target, 'verified', 'verified');
    when 'close'             then perform tenantry_private.close_rollout(target);
    when 'settle last'       then perform tenantry_private.settle_last(target);
    when 'check owners'      then perform tenantry_private.check_owners(target);
    when 'require owners'    then perform tenantry_private.require_owners(target);
    when 'confirm'           then perform tenantry_private.confirm_table(target);
    when 'allow unowned'     then perform tenantry_private.allow_unowned(target);
    when 'reopen'            then perform tenantry_private.reopen_rollout(target);
    when 'unverify'          then perform tenantry_private.change_rollout(target, '{"state": "transitional"}');
    when 'leave transition'  then perform tenantry_private.leave_transition(target);
    when 'forget backfill'   then perform tenantry_private.back_to_prepared(target);
    when 'drop ranges'       then perform tenantry_private.drop_ranges(target);
    when 'unprepare'         then perform tenantry_private.unprepare_rollout(target);
  end case;
exception
  when others or query_canceled or assert_failure then
    perform tenantry_private.let_rollout_go(target);
    raise;
end
$$;

comment on function tenantry_private.take_part(regclass, text) is 'What a step of a rollout does in one transaction. After an error the next runner can begin.';

create function tenantry_private.step_parts(from_state text, to_state text)
returns text[]
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  return case from_state || ' ' || to_state
    when 'planned prepared'        then array['prepare']
    when 'prepared backfilled'     then array['begin backfill', 'fill', 'end backfill']
    when 'backfilled transitional' then array['enter transition', 'settle transition']
    when 'transitional verified'   then array['verify']
    when 'verified strict'         then array['allow closing', 'close']
    when 'strict verified'         then array['allow unowned', 'reopen']
    when 'verified transitional'   then array['unverify']
    when 'transitional backfilled' then array['leave transition']
    when 'backfilled prepared'     then array['empty', 'forget backfill']
    when 'prepared planned'        then array['drop ranges', 'empty', 'unprepare'] end;
end
$$;

comment on function tenantry_private.step_parts(text, text) is
  'What a step of a rollout consists of, one after the other: parts for take_part(), each a transaction, and fill and empty, which are many.';

create procedure tenantry_private.take_step(target regclass, from_state text, to_state text, goal text, batch_size integer)
language plpgsql
as $$
declare
  part pg_catalog.text;
begin
  foreach part in array tenantry_private.step_parts(from_state, to_state) loop
    if part OPERATOR(pg_catalog.=) 'fill' then
      call tenantry_private.fill_ranges(target, batch_size);
    elsif part OPERATOR(pg_catalog.<>) 'empty' then
      perform tenantry_private.take_part(target, part);
    -- Dropped with its column, a value need not be taken back first.
    elsif goal OPERATOR(pg_catalog.<>) 'planned' or not ((tenantry_private.rollout(target)).before OPERATOR(pg_catalog.->>) 'owner_added')::boolean then
      call tenantry_private.empty_owners(target, batch_size);
    end if;
    commit;
  end loop;
end
$$;

comment on procedure tenantry_private.take_step(regclass, text, text, text, integer) is 'One step of a rollout, forth or back.';

create procedure tenantry.rollout_to(target regclass, state text, batch_size integer default 5000)
language plpgsql
as $$
declare
  states  constant pg_catalog.text[] := tenantry_private.rollout_states();
  current pg_catalog.text;
  step_to pg_catalog.text;
begin
  perform tenantry_private.require_state(target, state, batch_size);
  perform tenantry_private.lock_job(target, 'rollout');
  commit;
  current := (tenantry_private.rollout(target)).state;
  while current OPERATOR(pg_catalog.<>) state loop
    step_to := states[pg_catalog.array_position(states, current) OPERATOR(pg_catalog.+)
      case when pg_catalog.array_position(states, current) OPERATOR(pg_catalog.<) pg_catalog.array_position(states, state) then 1 else -1 end];
    call tenantry_private.take_step(target, current, step_to, state, batch_size);
    current := (tenantry_private.rollout(target)).state;
    raise notice '%: %', target, current;
  end loop;
  if state OPERATOR(pg_catalog.=) 'strict' then
    perform tenantry_private.take_part(target, 'settle last');
    commit;
    perform tenantry_private.take_part(target, 'check owners');
    commit;
  end if;
  if state OPERATOR(pg_catalog.=) 'strict' and tenantry_private.is_closing(target) then
    -- Where rows without an owner were allowed for the check stays as it is: new rows have one.
    if tenantry_private.validate_owners(target) then
      commit;
      perform tenantry_private.take_part(target, 'require owners');
      commit;
    end if;
    perform tenantry_private.take_part(target, 'confirm');
    commit;
  end if;
  perform tenantry_private.unlock_job(target, 'rollout');
end
$$;

comment on procedure tenantry.rollout_to(regclass, text, integer) is
  'Takes a table to a state, forth or back, one state after the other, each in short transactions. state: planned, prepared (columns, and a trigger for rows written meanwhile), backfilled (owners, in batches; index), transitional (isolated, but for its legacy roles), verified (the rows add up), strict. batch_size: rows in the first batch, default 5000; adapted to a tenth of a second. Interrupted, it goes on where it was. One runner at a time. Run as the table''s owner. Errors: 42501, 55P03, TN011, TN012 (the step is refused).';

create procedure tenantry.rollout_help(target regclass, batch_size integer default 5000)
language plpgsql
as $$
declare
  patience constant pg_catalog.timestamptz := pg_catalog.clock_timestamp() OPERATOR(pg_catalog.+) interval '5 seconds';
  rollout  tenantry_private.rollouts;
begin
  perform tenantry_private.require_state(target, 'backfilled', batch_size);
  loop
    rollout := tenantry_private.rollout(target);
    exit when rollout.finished or (rollout.state OPERATOR(pg_catalog.<>) 'planned' and rollout.state OPERATOR(pg_catalog.<>) 'prepared');
    if tenantry_private.job_process(target, 'rollout') is null then
      if pg_catalog.clock_timestamp() OPERATOR(pg_catalog.>) patience then
        perform tenantry_private.refuse(pg_catalog.format('nobody fills the owners of %s', target), pg_catalog.format('In another session: call tenantry.rollout_to(%L, ''backfilled''); and then this.', target));
      end if;
    elsif rollout.began_at is not null then
      call tenantry_private.fill_ranges(target, batch_size);
    end if;
    commit;
    perform pg_catalog.pg_sleep(0.02);
  end loop;
end
$$;

comment on procedure tenantry.rollout_help(regclass, integer) is
  'Fills owners beside tenantry.rollout_to() in another session, each in ranges of its own, and returns when nothing is left to fill. Waits until there is something to fill, but no longer than 5 seconds for the runner. batch_size: as there. Run as the table''s owner. Errors: 42501, 55P03, TN011 (nobody runs the rollout, or it was taken back meanwhile).';
