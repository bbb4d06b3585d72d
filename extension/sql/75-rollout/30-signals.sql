-- Signals: queries that tell whose a row is. Each yields the row's tableoid and ctid, or its key, and an owner for the rows
-- that it can decide, and is narrowed to some rows when it runs. Written with names that are qualified by their schemas, and run as the
-- owner of the table, never as a superuser: whoever owns the table wrote them.

create function tenantry_private.rollout_key(target regclass)
returns table (columns name[], types text[])
language sql stable
set search_path = pg_catalog, pg_temp
begin atomic
  select coalesce(k.columns, '{ctid}'), coalesce(k.types, '{tid}')
    from (select array_agg(a.attname order by n.position) as columns, array_agg(format_type(a.atttypid, a.atttypmod) order by n.position) as types
            from pg_catalog.pg_index i
           cross join lateral unnest(i.indkey::smallint[]) with ordinality as n (attnum, position)
            join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = n.attnum
           where i.indrelid = target and i.indisprimary) k;
end;

comment on function tenantry_private.rollout_key(regclass) is 'The primary key by which rows are named; the ctid where there is none.';

-- Elsewhere two rows can have the same ctid.
create function tenantry_private.has_one_heap(target regclass)
returns boolean
language sql stable
set search_path = pg_catalog, pg_temp
begin atomic
  select c.relkind = 'r' and not exists (select from pg_catalog.pg_inherits i where i.inhparent = target)
    from pg_catalog.pg_class c where c.oid = target;
end;

comment on function tenantry_private.has_one_heap(regclass) is 'Whether a table has neither partitions nor children.';

create function tenantry_private.quoted_columns(columns name[], prefix text)
returns text
language sql immutable
set search_path = pg_catalog, pg_temp
return (select string_agg(prefix || quote_ident(c.name), ', ' order by c.position) from unnest(columns) with ordinality as c (name, position));

comment on function tenantry_private.quoted_columns(name[], text) is 'Some columns, quoted, in a list.';

create function tenantry_private.key_list(target regclass, prefix text default '')
returns text
language sql stable
set search_path = pg_catalog, pg_temp
return (select tenantry_private.quoted_columns(k.columns, prefix) from tenantry_private.rollout_key(target) k);

comment on function tenantry_private.key_list(regclass, text) is 'The quoted columns of a table''s key.';

create function tenantry_private.row_name(target regclass)
returns text
language sql stable
set search_path = pg_catalog, pg_temp
return case when tenantry_private.has_one_heap(target) then 't.tableoid, t.ctid' else tenantry_private.key_list(target, 't.') end;

comment on function tenantry_private.row_name(regclass) is 'What the query of a signal says of a row t: its place, or its key where ctids are not unique.';

-- No index has to be asked for a ctid. It names a row for as long as one statement runs: what is kept is the key.
create function tenantry_private.row_key(target regclass)
returns table (columns name[], types text[])
language sql stable
set search_path = pg_catalog, pg_temp
begin atomic
  select case when p.by_place then '{ctid}' else k.columns end, case when p.by_place then '{tid}' else k.types end
    from tenantry_private.rollout_key(target) k
   cross join (select coalesce(bool_and(s.by_place), false) and tenantry_private.has_one_heap(target) as by_place
                 from tenantry.rollout_signals s where s.relation = target) p;
end;

comment on function tenantry_private.row_key(regclass) is 'What rows are called within a statement: the ctid where all signals yield it, else the primary key.';

create function tenantry_private.key_names(target regclass, prefix text default '')
returns text
language sql stable
set search_path = pg_catalog, pg_temp
return (select tenantry_private.quoted_columns(k.columns, prefix) from tenantry_private.row_key(target) k);

comment on function tenantry_private.key_names(regclass, text) is 'The quoted columns of what rows are called.';

-- A list of aliases k1, k2 … for the columns of a key, whatever they are called.
create function tenantry_private.key_aliases(target regclass, prefix text default '')
returns text
language sql stable
set search_path = pg_catalog, pg_temp
return (
  select string_agg(prefix || 'k' || n, ', ' order by n)
    from tenantry_private.row_key(target) k
   cross join lateral generate_series(1, cardinality(k.columns)) as n);

comment on function tenantry_private.key_aliases(regclass, text) is 'k1, k2 …, as many as a key has columns.';

create function tenantry_private.key_selection(target regclass)
returns text
language sql stable
set search_path = pg_catalog, pg_temp
return (
  select string_agg(format('t.%I as k%s', c.name, c.position), ', ' order by c.position)
    from tenantry_private.row_key(target) k
   cross join lateral unnest(k.columns) with ordinality as c (name, position));

comment on function tenantry_private.key_selection(regclass) is 'The columns of the key of a row t, as k1, k2 ….';

-- Where there is no key, the version of the row goes with its place: another row, or another version of it, may lie there later.
create function tenantry_private.key_texts(target regclass)
returns text
language sql stable
set search_path = pg_catalog, pg_temp
return (
  select format('array[%s%s]', string_agg(format('t.%I::text', c.name), ', ' order by c.position), case when k.columns = '{ctid}' then ', t.xmin::text' end)
    from tenantry_private.rollout_key(target) k
   cross join lateral unnest(k.columns) with ordinality as c (name, position)
   group by k.columns);

comment on function tenantry_private.key_texts(regclass) is 'The key of a row t as an array of texts, as the quarantine has it; ctid and xmin where there is none.';

-- An array is looked up in an index also inside a signal that groups or joins.
create function tenantry_private.among(target regclass, keys_query text)
returns text
language sql stable
set search_path = pg_catalog, pg_temp
return (
  select format(case when cardinality(k.columns) = 1 then 's.k1 = any (array(%2$s))' else '(%1$s) in (%2$s)' end, tenantry_private.key_aliases(target, 's.'), keys_query)
    from tenantry_private.row_key(target) k);

comment on function tenantry_private.among(regclass, text) is 'A condition that a signal''s row s has one of the keys of a query.';

create function tenantry_private.record_signal(target regclass, signal_rank integer, signal_name text, signal_query text, by_place boolean)
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
  if signal_query is null then
    delete from tenantry_private.rollout_signals s where s.relation = target and s.name = signal_name;
  else
    insert into tenantry_private.rollout_signals as s (relation, name, rank, query, by_place)
    values (target, signal_name, signal_rank, signal_query, record_signal.by_place)
        on conflict (relation, name) do update set rank = excluded.rank, query = excluded.query, by_place = excluded.by_place,
                author = case when s.query = excluded.query then s.author else session_user end;
  end if;
end
$$;

comment on function tenantry_private.record_signal(regclass, integer, text, text, boolean) is 'Writes or forgets a signal.';

create function tenantry_private.yields_places(target regclass, query text)
returns boolean
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  by_place boolean;
begin
  begin
    execute format(E'select s.source = 0::oid, s.place = ''(0,0)''::tid, s.owner::text from (%s\n) s (source, place, owner) limit 0', query);
    by_place := true;
  exception
    when others then
      by_place := false;
      execute format(E'select %s, s.owner::text from (%s\n) s (%1$s, owner) limit 0',
        (select string_agg('k' || n, ', ' order by n) from tenantry_private.rollout_key(target) k cross join lateral generate_series(1, cardinality(k.columns)) as n), query);
  end;
  if by_place and not tenantry_private.has_one_heap(target) then
    raise exception 'rows of %, which has partitions or children, are not told apart by their ctid', target using errcode = 'TN011';
  end if;
  return by_place;
end
$$;

comment on function tenantry_private.yields_places(regclass, text) is 'Whether a signal''s query yields ctids, or keys; raises what is wrong with it.';

-- Those that could not be tried when they were written.
create function tenantry_private.try_signals(target regclass)
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  signal  record;
  learned boolean := false;
begin
  for signal in select s.name, s.rank, s.query from tenantry.rollout_signals s where s.relation = target and s.by_place is null loop
    perform tenantry_private.record_signal(target, signal.rank, signal.name, signal.query, tenantry_private.yields_places(target, signal.query));
    learned := true;
  end loop;
  if learned and (tenantry_private.rollout(target)).state <> 'planned' then
    perform tenantry_private.define_filling(target);
  end if;
end
$$;

comment on function tenantry_private.try_signals(regclass) is 'Learns what signals yield that read what was not there yet.';

create function tenantry.rollout_signal(target regclass, rank integer, name text, query text)
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  rollout  constant tenantry_private.rollouts := tenantry_private.require_rollout(target);
  wrong    text;
  by_place boolean;
begin
  if rank is null or rank not between 1 and 1000 then
    perform tenantry_private.refuse('a rank is a number between 1 and 1000', '1 decides before 2; signals of one rank must agree.');
  end if;
  if name is null or btrim(name) = '' then
    perform tenantry_private.refuse('a signal needs a name', 'It stands in reports, and beside every row that it decides.');
  end if;
  if rollout.state not in ('planned', 'prepared') then
    perform tenantry_private.refuse(format('%s is %s: its signals have been used', target, rollout.state), format('Go back first: call tenantry.rollout_to(%L, ''prepared'');', target));
  end if;
  <<try>>
  begin
    by_place := tenantry_private.yields_places(target, query);
  exception
    when others then
      get stacked diagnostics wrong = message_text;
      if sqlstate = '42703' and exists (
           select from tenantry.rollout_status r
            where r.relation <> target and r.state = 'planned' and strpos(wrong, r.owner_column) > 0 and tenantry_private.column_type(r.relation, r.owner_column) is null) then
        raise notice 'signal % of % cannot be tried before its parent is prepared', quote_literal(name), target;
        exit try;
      end if;
      perform tenantry_private.refuse(format('this query cannot be a signal of %s: %s', target, wrong),
        format('It is one query that yields %s and an owner, all names qualified: select %s, t.… from %s t',
          case when tenantry_private.has_one_heap(target) then 'tableoid and ctid of the row' else tenantry_private.key_list(target) end, tenantry_private.row_name(target), target));
  end;
  perform tenantry_private.record_signal(target, rank, name, query, by_place);
  if rollout.state = 'prepared' then
    perform tenantry_private.define_filling(target);
  end if;
end
$$;

comment on function tenantry.rollout_signal(regclass, integer, text, text) is
  'Declares what tells whose a row is. rank: 1 decides before 2; signals of one rank that disagree put the row into quarantine. name: for reports. query: yields (tableoid, ctid, owner) for the rows it can decide, or (key columns in their order, owner), which is slower, and the only way where the table has partitions or children; names qualified by schema; see the tenantry.rollout_from_… functions. Runs as the table''s owner. A second call changes the signal. Errors: 42501, TN011.';

create function tenantry.rollout_unsignal(target regclass, name text)
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  rollout constant tenantry_private.rollouts := tenantry_private.require_rollout(target);
begin
  if not exists (select from tenantry.rollout_signals s where s.relation = target and s.name = rollout_unsignal.name) then
    perform tenantry_private.refuse(format('%s has no signal %s', target, coalesce(quote_literal(name), 'null')), 'List them: select * from tenantry.rollout_signals;');
  end if;
  perform tenantry_private.record_signal(target, null, name, null, null);
  if rollout.state not in ('planned', 'strict') then
    perform tenantry_private.define_filling(target);
  end if;
end
$$;

comment on function tenantry.rollout_unsignal(regclass, text) is 'Takes a signal back. Rows that it decided keep their owners until the rollout goes back. Errors: 42501, TN011.';

create function tenantry_private.require_columns(target regclass, variadic columns name[])
returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  missing name;
begin
  select c.name into missing from unnest(columns) as c (name) where tenantry_private.column_type(target, c.name) is null limit 1;
  if missing is not null or array_position(columns, null) is not null then
    perform tenantry_private.refuse(format('%s has no column %I', coalesce(target::text, 'null'), coalesce(missing, 'null')), 'Name columns that are there.');
  end if;
end
$$;

comment on function tenantry_private.require_columns(regclass, name[]) is 'Refuses columns that a table does not have. Error: TN011.';

create function tenantry.rollout_from_column(target regclass, column_name name)
returns text
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  perform tenantry_private.require_columns(target, column_name);
  return format('select %s, t.%I from %s t where t.%2$I is not null', tenantry_private.row_name(target), column_name, target);
end
$$;

comment on function tenantry.rollout_from_column(regclass, name) is 'A signal''s query: the owner''s id stands in a column. Error: TN011.';

create function tenantry.rollout_from_parent(target regclass, columns name[], parent regclass default null, parent_columns name[] default null, parent_owner name default null)
returns text
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_variable
declare
  key pg_catalog.pg_constraint;
begin
  if parent is null then
    key := tenantry_private.parent_key(target, columns);
    if key.oid is null then
      perform tenantry_private.refuse(format('%s has no foreign key over %s', target, columns), 'Name the parent and its columns: parent => ''…'', parent_columns => ''{id}''.');
    end if;
    parent := key.confrelid;
    parent_columns := array(
      select a.attname
        from unnest(columns) with ordinality as own (name, position)
        join pg_catalog.pg_attribute mine on mine.attrelid = target and mine.attname = own.name
        join unnest(key.conkey, key.confkey) as pair (own, theirs) on pair.own = mine.attnum
        join pg_catalog.pg_attribute a on a.attrelid = parent and a.attnum = pair.theirs
       order by own.position);
  end if;
  parent_columns := coalesce(parent_columns, (select k.columns from tenantry_private.rollout_key(parent) k));
  parent_owner := coalesce(parent_owner, (tenantry_private.rollout(parent)).owner_column, (tenantry_private.declared(parent)).owner_column);
  if parent_owner is null then
    perform tenantry_private.refuse(format('the owner column of %s is not known', parent), 'Declare its rollout first, or name the column: parent_owner => ''owner_id''.');
  end if;
  perform tenantry_private.require_columns(target, variadic columns);
  perform tenantry_private.require_columns(parent, variadic parent_columns);
  return format('select %s, p.%I from %s t join %s p on (%s) = (%s) where p.%2$I is not null', tenantry_private.row_name(target), parent_owner, target, parent,
    (select string_agg('p.' || quote_ident(c), ', ' order by position) from unnest(parent_columns) with ordinality as u (c, position)),
    (select string_agg('t.' || quote_ident(c), ', ' order by position) from unnest(columns) with ordinality as u (c, position)));
end
$$;

comment on function tenantry.rollout_from_parent(regclass, name[], regclass, name[], name) is
  'A signal''s query: the row belongs to whoever owns the row it points at. columns: of a foreign key. parent, parent_columns: where there is no key. parent_owner: default as declared. Error: TN011.';

create function tenantry.rollout_from_member(target regclass, container_column name, members regclass, members_container name, member_column name, condition text default null)
returns text
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  perform tenantry_private.require_columns(target, container_column);
  perform tenantry_private.require_columns(members, members_container, member_column);
  if condition is not null then
    perform tenantry_private.require_expression(condition);
  end if;
  return format('select %s, sole.member from %s t cross join lateral (select min(m.%I::text) from %s m where m.%I = t.%I and m.%3$I is not null%7$s having count(distinct m.%3$I) = 1) as sole (member)',
    tenantry_private.row_name(target), target, member_column, members, members_container, container_column, coalesce(' and (' || condition || ')', ''));
end
$$;

comment on function tenantry.rollout_from_member(regclass, name, regclass, name, name, text) is
  'A signal''s query: the row''s container has one member. container_column: of the row. members, members_container, member_column: who is in which. condition: over the members, an alias m of them, say to leave out agents. Error: TN011.';

create function tenantry.rollout_from_json(target regclass, column_name name, variadic path text[])
returns text
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  perform tenantry_private.require_columns(target, column_name);
  return format('select %s, t.%I #>> %L from %s t where t.%2$I #>> %3$L is not null', tenantry_private.row_name(target), column_name, path, target);
end
$$;

comment on function tenantry.rollout_from_json(regclass, name, text[]) is 'A signal''s query: the owner''s id stands in a json or jsonb column, at a path. Error: TN011.';

create function tenantry.rollout_from_alias(target regclass, column_name name, aliases regclass, alias_column name, owner_column name)
returns text
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  cast_to text := '';
begin
  perform tenantry_private.require_columns(target, column_name);
  perform tenantry_private.require_columns(aliases, alias_column, owner_column);
  if tenantry_private.base_type(tenantry_private.column_type(target, column_name)) <> tenantry_private.base_type(tenantry_private.column_type(aliases, alias_column)) then
    cast_to := '::text';
  end if;
  return format('select %s, a.%I from %s t join %s a on a.%I%s = t.%I%6$s where a.%2$I is not null', tenantry_private.row_name(target), owner_column, target, aliases, alias_column, cast_to, column_name);
end
$$;

comment on function tenantry.rollout_from_alias(regclass, name, regclass, name, name) is
  'A signal''s query: a column names somebody by another id, which a table ties to the owner. Error: TN011.';

create function tenantry.rollout_from_constant(target regclass, owner tenantry.entity, condition text default 'true')
returns text
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  perform tenantry_private.require_expression(condition);
  return format('select %s, %L from %s t where (%s)', tenantry_private.row_name(target), split_part(owner, ':', 2), target, condition);
end
$$;

comment on function tenantry.rollout_from_constant(regclass, tenantry.entity, text) is 'A signal''s query: rows that meet a condition belong to one entity. Error: TN011.';

create function tenantry_private.known_ids(the_kind text, ids text[])
returns setof text
language sql stable security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
begin atomic
  select e.id from tenantry_private.entities e where e.kind = the_kind and e.id = any (ids) and e.gone_at is null;
end;

comment on function tenantry_private.known_ids(text, text[]) is 'Those of some ids that are living entities of a kind.';

-- Every candidate for the rows that a condition leaves, on aliases s.k1, s.k2 …
create function tenantry_private.candidates_query(target regclass, condition text, with_late boolean, of_rank integer default null)
returns text
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  places constant boolean := (select k.columns = '{ctid}' from tenantry_private.row_key(target) k);
  broken text;
begin
  select s.name into broken from tenantry.rollout_signals s where s.relation = target and s.by_place and not tenantry_private.has_one_heap(target) limit 1;
  if broken is not null then
    perform tenantry_private.refuse(format('signal %L yields places, and %s has got partitions or children since', broken, target),
      format('Let it yield %s: select tenantry.rollout_signal(%L, …);', tenantry_private.key_list(target), target));
  end if;
  return (
    select string_agg(format(E'select %s, s.owner::text as owner, %s as rank, %s as number, %L as signal from (%s\n) s (%1$s, owner) where s.owner is not null and %6$s',
             tenantry_private.key_aliases(target), s.rank, coalesce(n.number, 0), s.name,
             case when not coalesce(s.by_place, false) then s.query
                  -- A place in another table says nothing.
                  else format(E'select %s, s.owner from (%s\n) s (source, place, owner) %s where s.source = %s',
                         case when places then 's.place' else tenantry_private.key_names(target, 't.') end, s.query,
                         case when not places then format('join %s t on t.ctid = s.place', target) end, target::oid) end, condition), E'\nunion all ' order by s.rank, s.name)
      from tenantry.rollout_signals s
      join lateral (select max(o.number) as number from tenantry.rollout_sources o where o.relation = target and o.signal = s.name and o.late = with_late) n on true
     where s.relation = target and (of_rank is null or s.rank = of_rank));
end
$$;

comment on function tenantry_private.candidates_query(regclass, text, boolean, integer) is 'The query of every signal''s candidates for some rows, or of those of one rank; null without signals.';

-- The candidates of the best rank of each key: low and high are alike where all its signals agree. what: further aggregates.
create function tenantry_private.best_candidates(target regclass, candidates text, what text default '')
returns text
language sql stable
set search_path = pg_catalog, pg_temp
return format('with candidate as (%1$s),
  ranked as (select %2$s, rank, min(owner collate "C") as low, max(owner collate "C") as high%3$s from candidate group by %2$s, rank),
  best as (select distinct on (%2$s) * from ranked order by %2$s, rank)', candidates, tenantry_private.key_aliases(target), what);

comment on function tenantry_private.best_candidates(regclass, text, text) is 'The beginning of a query: candidate, ranked and best, a row a key.';

-- What gives rows their owners: the best rank decides, if all its signals agree and name somebody who is known. Each rank is
-- asked for those rows only of which the ranks before it say nothing: so a row's candidates are all of one rank.
create function tenantry_private.filling_statement(target regclass, rows_query text, with_late boolean)
returns text
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  rollout    constant tenantry_private.rollouts := tenantry_private.rollout(target);
  aliases    constant text := tenantry_private.key_aliases(target);
  queries    text := format('batch as materialized (%s)', rows_query);
  asked      text := format('select %s from batch', aliases);
  by_place   constant boolean := tenantry_private.key_names(target) = 'ctid';
  candidates text[] := '{}';
  the_rank   integer;
begin
  for the_rank in select distinct s.rank from tenantry.rollout_signals s where s.relation = target order by 1 loop
    if candidates <> '{}' then
      queries := queries || format(E',\n  rest_%s as materialized (%s except select %s from %s)', the_rank, asked, aliases, candidates[cardinality(candidates)]);
      asked   := format('select %s from rest_%s', aliases, the_rank);
    end if;
    candidates := candidates || format('candidate_%s', the_rank);
    queries := queries || format(E',\n  %s as materialized (%s)', candidates[cardinality(candidates)],
      tenantry_private.candidates_query(target, tenantry_private.among(target, asked), with_late, the_rank));
  end loop;
  if candidates = '{}' then
    return null;
  end if;
  -- The planner expects a handful of rows of each step, whatever it is asked for: so from each of them to its row by the key.
  return format($statement$with %1$s,
  candidate as (select * from %2$s),
  agreed as materialized (
    select %3$s, min(owner collate "C") as low, min(number) as number from candidate group by %3$s having min(owner collate "C") = max(owner collate "C")),
  decided as materialized (
    select a.* from agreed a
      join tenantry_private.known_ids(%4$L, array(select distinct low from agreed)) e (id) on e.id collate "C" = a.low)
update %5$s t
   set %6$I = d.low::%7$s, tenantry_source = d.number
  from decided d%10$s
 where (%8$s) = (%9$s) and t.%6$I is null and %11$s$statement$,
    queries, array_to_string(candidates, ' union all select * from '), aliases, rollout.owner_kind, target, rollout.owner_column,
    format_type(tenantry_private.column_type(target, rollout.owner_column), null),
    tenantry_private.key_names(target, 't.'), tenantry_private.key_aliases(target, 'd.'),
    -- A row that somebody changes while this waits for it is another version then, which the signals have not been asked about.
    case when not by_place then format(' join %s seen on (%s) = (%s)', target, tenantry_private.key_names(target, 'seen.'), tenantry_private.key_aliases(target, 'd.')) end,
    case when not by_place then 't.ctid = seen.ctid and t.tableoid = seen.tableoid'
         -- The table may get a child at any time, where the same places are other rows.
         else format('t.tableoid = %s', target::oid) end);
end
$$;

comment on function tenantry_private.filling_statement(regclass, text, boolean) is 'The statement that gives owners to the rows whose keys (k1, k2 …) a query yields and that have none; null without signals.';

-- What is left, with all that speaks for somebody.
create function tenantry_private.leftover_query(target regclass, rows_query text, with_late boolean)
returns text
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  candidates constant text := tenantry_private.candidates_query(target, format('(%s) in (select %s from leftover)', tenantry_private.key_aliases(target, 's.'), tenantry_private.key_aliases(target)), with_late);
begin
  return format($query$with leftover as materialized (%1$s)
select jsonb_agg(jsonb_build_object('key', %2$s, 'candidates', coalesce(c.candidates, '[]')))
  from leftover l
  join %7$s t on (%8$s) = (%6$s)
  left join (select %3$s, jsonb_agg(jsonb_build_object('owner', owner, 'signal', signal, 'rank', rank) order by rank, signal) as candidates
               from (%4$s) candidate group by %3$s) c on (%5$s) = (%6$s)$query$,
    rows_query, tenantry_private.key_texts(target), tenantry_private.key_aliases(target),
    coalesce(candidates, format('select %s, null::text as owner, null::integer as rank, null::text as signal from leftover where false', tenantry_private.key_aliases(target))),
    tenantry_private.key_aliases(target, 'c.'), tenantry_private.key_aliases(target, 'l.'), target, tenantry_private.key_names(target, 't.'));
end
$$;

comment on function tenantry_private.leftover_query(regclass, text, boolean) is 'The query of rows without an owner (k1, k2 … of rows_query) with every candidate, as one jsonb.';

create function tenantry_private.quarantine(target regclass, what jsonb)
returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
declare
  rollout constant tenantry_private.rollouts := tenantry_private.rollout(target);
begin
  perform tenantry_private.require_admin('roll out isolation');
  perform tenantry_private.require_declarable(target);
  -- A row that can be decided was changed between the filling and this: it is left for the next look.
  insert into tenantry_private.quarantined_rows as q (relation, key, reason, candidates, run)
  -- A child may have the key of another row.
  select distinct on (f.item -> 'key')
         target, array(select jsonb_array_elements_text(f.item -> 'key')),
         case when best.owners = 0 then 'no signal' when best.owners > 1 then 'conflict' else 'unknown entity' end,
         f.item -> 'candidates', rollout.run
    from jsonb_array_elements(what) as f (item)
   cross join lateral (
       select count(distinct c.value ->> 'owner') as owners, min(c.value ->> 'owner') as owner
         from jsonb_array_elements(f.item -> 'candidates') c
        where (c.value ->> 'rank')::integer = (f.item #>> '{candidates,0,rank}')::integer) best
   where best.owners <> 1
      or not exists (select from tenantry_private.known_ids(rollout.owner_kind, array[best.owner]))
      on conflict (relation, key) do update set reason = excluded.reason, candidates = excluded.candidates, run = excluded.run, found_at = now();
end
$$;

comment on function tenantry_private.quarantine(regclass, jsonb) is 'Puts rows into quarantine that no signal decides.';
