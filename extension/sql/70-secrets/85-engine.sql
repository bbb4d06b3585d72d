-- Batches: a few thousand rows a transaction, in the order of owner and primary key, so that the keys of each owner are
-- unwrapped once or twice in all. Two halves: tenantry_engine reads and writes the rows, through a policy that is there only
-- while a job is open, and holds no key; tenantry_owner turns values into others, and sees no rows.
--   fill    plaintexts are sealed, with a copy in plain_column
--   verify  sealed values are opened and compared with the copy
--   reseal  values under older keys are sealed by the newest; what does not open is left, and noted
--   open    sealed values become plaintexts again

create function tenantry_private.engine_works_on(target regclass)
returns boolean
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
begin
  return exists (select from tenantry_private.engine_jobs j where j.relation = target);
end
$$;

comment on function tenantry_private.engine_works_on(regclass) is 'Whether a batch job is open on a table.';

create function tenantry_private.engine_queries(secret_column uuid, mode text)
returns text[]
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
declare
  secret      tenantry_private.encrypted_columns;
  declaration tenantry_private.tables;
  value       text;
  assigned    text;
  sort        text;
  keys        text;
  after       text;
  named       text;
begin
  select * into secret from tenantry_private.encrypted_columns c where c.column_id = secret_column;
  declaration := tenantry_private.declared(secret.relation);
  value := tenantry_private.value_expression(secret, 't');
  assigned := case
    when secret.path <> '{}'        then format('jsonb_set(t.%I, %L, u.value::jsonb, false)', secret.column_name, secret.path)
    when secret.data_type = 'text'  then 'u.value'
    else 'u.value::' || secret.data_type end;
  select string_agg(format('t.%I', c.name), ', ' order by c.position),
         string_agg(format('t.%I::text', c.name), ', ' order by c.position),
         string_agg(format('($1)[%s]::%s', c.position, c.type), ', ' order by c.position),
         string_agg(format('format(''%%I = %%L'', %L, t.%I)', c.name, c.name), ', ' order by c.position) filter (where c.position > 1)
    into sort, keys, after, named
    from (select a.attname as name, row_number() over (order by k.position) as position, format_type(a.atttypid, a.atttypmod) as type
            from (select o.attnum, 0 as position
                    from pg_catalog.pg_attribute o where o.attrelid = secret.relation and o.attname = declaration.owner_column
                  union all
                  select p.attnum, p.position
                    from unnest(tenantry_private.primary_key(secret.relation)) with ordinality as p (attnum, position)) k
            join pg_catalog.pg_attribute a on a.attrelid = secret.relation and a.attnum = k.attnum) c;
  return array[
    format($sql$
      with locked as (
        select t.tableoid as rel, t.ctid as place, (%1$s)::text as value, %2$s as copy, (%3$s) collate "C" as owner, %4$s as pk,
               array[%5$s] as at, row(%8$s) as sort
          from %6$s t
         where %1$s is not null%7$s and ($1 is null or (%8$s) > (%9$s))
         order by %8$s
         limit $2
           for no key update of t),
      numbered as (
        select l.*, dense_rank() over (order by l.owner) as owner_number, row_number() over (order by l.sort) as row_number
          from locked l)
      select array_agg(n.rel), array_agg(n.place), array_agg(n.value), array_agg(n.copy), array_agg(n.owner_number::integer),
             array_agg(distinct n.owner), array_agg(n.pk), (select l.at from numbered l order by l.row_number desc limit 1)
        from numbered n $sql$,
      value, coalesce(tenantry_private.format_with('(t.%I)::text', secret.plain_column), 'null::text'),
      tenantry_private.owner_expression(declaration, 't'), tenantry_private.key_expression(secret.relation, 't'), keys, secret.relation,
      case when secret.path <> '{}' then format(' and %s <> ''null''', value) else '' end, sort, after),
    format($sql$
      update %1$s t
         set %2$I = %3$s%4$s%5$s
        from unnest($1::oid[], $2::tid[], $3::text[], $4::text[], $5::bytea[]) as u (rel, place, value, copy, blind)
       where t.ctid = u.place and t.tableoid = u.rel and u.value is not null $sql$,
      secret.relation, secret.column_name, assigned,
      coalesce(tenantry_private.format_with(', %I = u.copy::%s', secret.plain_column,
        format_type(tenantry_private.column_type(secret.relation, secret.plain_column), null)), ''),
      coalesce(tenantry_private.format_with(', %1$I = %2$s', secret.index_column, case mode when 'open' then 'null' when 'reseal' then 't.' || quote_ident(secret.index_column) else 'u.blind' end), '')),
    format($sql$
      select array_agg(concat_ws(' and ', %s) order by u.position)
        from unnest($1::oid[], $2::tid[]) with ordinality as u (rel, place, position)
        join %s t on t.ctid = u.place and t.tableoid = u.rel $sql$,
      named, secret.relation)];
end
$$;

comment on function tenantry_private.engine_queries(uuid, text) is 'How a batch is read, how it is written, and how its rows are called.';

create type tenantry_private.converted as (
  value    text,
  copy     text,
  blind    bytea,
  unopened integer
);

comment on type tenantry_private.converted is 'What becomes of a value.';
comment on column tenantry_private.converted.value is 'The new value as text; null where it stays.';
comment on column tenantry_private.converted.copy is 'The copy beside it.';
comment on column tenantry_private.converted.blind is 'Its blind index.';
comment on column tenantry_private.converted.unopened is 'Of a value that does not open and is left as it is: the key that it names, or 0 where this database has not sealed it.';

create function tenantry_private.imported(import_with regprocedure, value text)
returns text
language plpgsql volatile
as $$
#print_strict_params off
declare
  result text;
begin
  execute format('select %s($1)', import_with::regproc) into result using value;
  return result;
end
$$;

comment on function tenantry_private.imported(regprocedure, text) is 'What a supplied function makes of a value that the application had encrypted itself.';

create function tenantry_private.convert_values(
  secret_column uuid,
  mode          text,
  key_share     bytea,
  given         text[],
  copies        text[],
  owner_numbers integer[],
  owners        text[],
  pks           bytea[]
)
returns tenantry_private.converted[]
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set bytea_output = hex
set enable_seqscan = off
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
#print_strict_params off
declare
  secret    tenantry_private.encrypted_columns;
  keys      constant tenantry_private.unlocked_key[] := tenantry_private.unlock(coalesce(key_share, tenantry_private.current_share()));
  blind_key bytea;
  index_row tenantry_private.index_keys;
  content   bytea;
  tag_key   bytea;
  newest    integer;
  data_key  bytea;
  owner     integer := 0;
  quoted    boolean;
  bytes     bytea;
  plain     bytea;
  sealed    boolean;
  result    tenantry_private.converted;
  results   tenantry_private.converted[] := '{}';
  ignored   text;
  label     text;
begin
  secret := (select c from tenantry_private.encrypted_columns c where c.column_id = secret_column);
  quoted := secret.data_type in ('json', 'jsonb');
  tag_key := (select t.secret from tenantry_private.tag_keys t);
  if secret.index_column is not null and mode = 'fill' then
    index_row := (select i from tenantry_private.index_keys i where i.column_id = secret_column);
    if index_row.column_id is null then
      blind_key := tenantry_private.random_bytes(32);
      bytes := tenantry_private.wrapped('index:' || secret_column, blind_key, tenantry_private.key_of(keys, null));
      insert into tenantry_private.index_keys (column_id, master_key, wrapped)
      values (secret_column, (tenantry_private.key_of(keys, null)).master_key, bytes)
          on conflict (column_id) do nothing;
      index_row := (select i from tenantry_private.index_keys i where i.column_id = secret_column);
    end if;
    blind_key := tenantry_private.unwrapped('index:' || secret_column, index_row.wrapped, tenantry_private.key_of(keys, index_row.master_key));
  end if;

  for position in 1 .. cardinality(given) loop
    if owner_numbers[position] <> owner then
      owner := owner_numbers[position];
      label := owners[owner];
      if mode = 'fill' then
        ignored := (tenantry_private.sealing_key(tenantry_private.kind_of(label), tenantry_private.id_of(label), keys)).number;
      elsif mode = 'reseal' then
        begin
          ignored := (tenantry_private.sealing_key(tenantry_private.kind_of(label), tenantry_private.id_of(label), keys)).number;
        exception
          when sqlstate 'TN009' then
            -- Rows whose owner is gone: their keys are not on the ring, so none of their values opens.
            null;
        end;
      end if;
      content := tenantry_private.ring_content(label, keys);
      newest  := case when octet_length(content) > 32 then ('x' || encode(substr(content, 33, 4), 'hex'))::bit(32)::integer end;
    end if;
    bytes := case
      when secret.data_type = 'bytea' then tenantry_private.shaped(given[position]::bytea)
      when quoted then tenantry_private.shaped(trim(both '"' from given[position]))
      else tenantry_private.shaped(given[position]) end;
    result.value := null;
    result.copy  := copies[position];
    result.blind := null;
    result.unopened := null;
    sealed := coalesce(tenantry_private.is_for(bytes, tag_key, secret_column, label, pks[position]), false);

    if mode = 'fill' then
      if not sealed then
        if tenantry_private.is_ours(bytes, tag_key) then
          perform tenantry_private.refuse_value();
        end if;
        result.copy := given[position];
        plain := case
          when secret.import_with is not null and secret.data_type = 'bytea' then decode(substr(tenantry_private.imported(secret.import_with, given[position]), 3), 'hex')
          when secret.import_with is not null and quoted and left(given[position], 1) = '"'
            then convert_to(to_jsonb(tenantry_private.imported(secret.import_with, given[position]::jsonb #>> '{}'))::text, 'UTF8')
          when secret.import_with is not null then convert_to(tenantry_private.imported(secret.import_with, given[position]), 'UTF8')
          when secret.data_type = 'bytea' then given[position]::bytea
          else convert_to(given[position], 'UTF8') end;
        if plain is null then
          perform tenantry_private.refuse(format('the import function gives NULL for the value of %s', owners[owner]),
            'It must open every value that is there, or raise an error that says what is wrong.');
        end if;
        bytes := tenantry_private.seal_bytes(plain, newest, substr(content, 37, 32), tag_key, secret_column, label, pks[position]);
      elsif result.copy is null and secret.index_column is null then
        results[position] := result;
        continue;
      end if;
      if blind_key is not null then
        plain := coalesce(plain, tenantry_private.open_bytes(bytes, tenantry_private.key_on_ring(content, substr(bytes, 2, 4)), tag_key, secret_column, label, pks[position]));
        result.blind := tenantry_private.hmac_sha256(plain, blind_key);
      end if;
    elsif mode = 'reseal' then
      data_key := case when sealed then tenantry_private.key_on_ring(content, substr(bytes, 2, 4)) end;
      if data_key is null then
        result.unopened := case when tenantry_private.is_ours(bytes, tag_key) then ('x' || encode(substr(bytes, 2, 4), 'hex'))::bit(32)::integer else 0 end;
        bytes := null;
      elsif substr(bytes, 2, 4) <> int4send(newest) then
        -- A shredded value stays as it is: nobody can open it any more.
        if data_key <> decode(repeat('00', 32), 'hex') then
          plain := tenantry_private.open_bytes(bytes, data_key, tag_key, secret_column, label, pks[position]);
          bytes := tenantry_private.seal_bytes(plain, newest, substr(content, 37, 32), tag_key, secret_column, label, pks[position]);
        else
          bytes := null;
        end if;
      else
        bytes := null;
      end if;
    else
      if not sealed then
        if tenantry_private.is_ours(bytes, tag_key) then
          perform tenantry_private.refuse_value();
        end if;
        -- Not sealed: in verify that is a difference, in open it is done already.
        result.value := case when mode = 'verify' then 'plain' end;
        results[position] := result;
        continue;
      end if;
      data_key := tenantry_private.key_on_ring(content, substr(bytes, 2, 4));
      if data_key is null then
        perform tenantry_private.refuse_value();
      end if;
      plain := case when data_key <> decode(repeat('00', 32), 'hex')
                    then tenantry_private.open_bytes(bytes, data_key, tag_key, secret_column, label, pks[position]) end;
      if mode = 'open' then
        -- The copy is what stood there before, which matters where values were imported.
        result.value := case
          when copies[position] is not null then copies[position]
          when secret.data_type = 'bytea' then coalesce(plain, bytes)::text
          when plain is null then given[position]
          else convert_from(plain, 'UTF8') end;
        result.copy := null;
      else
        result.value := case
          when plain is null then 'unreadable'
          when copies[position] is null then null
          when secret.import_with is null
               and plain is distinct from case when secret.data_type = 'bytea' then copies[position]::bytea else convert_to(copies[position], 'UTF8') end
            then 'different'
          when secret.import_with is not null
               and plain is distinct from case
                     when quoted and left(copies[position], 1) = '"'
                       then convert_to(to_jsonb(tenantry_private.imported(secret.import_with, copies[position]::jsonb #>> '{}'))::text, 'UTF8')
                     when secret.data_type = 'bytea' then decode(substr(tenantry_private.imported(secret.import_with, copies[position]), 3), 'hex')
                     else convert_to(tenantry_private.imported(secret.import_with, copies[position]), 'UTF8') end
               and plain is distinct from convert_to(copies[position], 'UTF8')
            then 'different' end;
      end if;
      results[position] := result;
      plain := null;
      continue;
    end if;
    result.value := case
      when bytes is null then null
      when secret.data_type = 'bytea' then bytes::text
      when quoted then to_json(tenantry_private.as_text(bytes))::text
      else tenantry_private.as_text(bytes) end;
    results[position] := result;
    plain := null;
  end loop;
  return results;
end
$$;

comment on function tenantry_private.convert_values(uuid, text, bytea, text[], text[], integer[], text[], bytea[]) is
  'Turns the values of a batch into what they become. Rows come in the order of their owners. Errors: TN005, TN006, TN009, TN011.';

create function tenantry_private.job_place(target regclass, working text)
returns tenantry_private.engine_jobs
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
begin
  return (select j from tenantry_private.engine_jobs j where j.relation = target and j.job = working);
end
$$;

comment on function tenantry_private.job_place(regclass, text) is 'Where a job would go on.';

create function tenantry_private.keep_job_place(target regclass, working text, place text[], more bigint)
returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
begin
  perform tenantry_private.require_admin('run batches');
  perform tenantry_private.require_declarable(target);
  insert into tenantry_private.engine_jobs as j (relation, job, after, done)
  values (target, working, place, more)
      on conflict (relation, job) do update set after = coalesce(excluded.after, j.after), done = j.done + excluded.done;
end
$$;

comment on function tenantry_private.keep_job_place(regclass, text, text[], bigint) is 'Opens a job, or keeps how far it is.';

create function tenantry_private.note_unopened(secret_column uuid, owner text, key_number integer, example text)
returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
#variable_conflict use_column
begin
  perform tenantry_private.require_admin('run batches');
  insert into tenantry_private.unopened_values as u (column_id, owner, key_number, rows, examples)
  values (secret_column, note_unopened.owner, note_unopened.key_number, 1, array[example])
      on conflict (column_id, owner, key_number) do update
           set rows = u.rows + 1, examples = case when cardinality(u.examples) < 5 then u.examples || excluded.examples else u.examples end;
end
$$;

comment on function tenantry_private.note_unopened(uuid, text, integer, text) is 'Notes a value that does not open.';

create function tenantry_private.forget_unopened(secret_column uuid)
returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
begin
  perform tenantry_private.require_admin('run batches');
  delete from tenantry_private.unopened_values u where u.column_id = secret_column;
end
$$;

comment on function tenantry_private.forget_unopened(uuid) is 'Forgets what was noted of a column, before it is gone through anew.';

create function tenantry_private.close_job(target regclass, working text)
returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
begin
  perform tenantry_private.require_admin('run batches');
  perform tenantry_private.require_declarable(target);
  delete from tenantry_private.engine_jobs j where j.relation = target and j.job = working;
end
$$;

comment on function tenantry_private.close_job(regclass, text) is 'Closes a job.';

grant create on schema tenantry_private to tenantry_engine;
set local role tenantry_engine;

create function tenantry_private.engine_batch(target regclass, secret_column uuid, mode text, key_share bytea, batch_size integer)
returns bigint[]
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set bytea_output = hex
set datestyle = 'ISO, YMD'
set timezone = 'UTC'
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
#print_strict_params off
#variable_conflict use_variable
declare
  working constant text   := mode || ' ' || secret_column;
  queries constant text[] := tenantry_private.engine_queries(secret_column, mode);
  place   constant tenantry_private.engine_jobs := tenantry_private.job_place(target, working);
  rels          oid[];
  places        tid[];
  given         text[];
  copies        text[];
  owner_numbers integer[];
  owners        text[];
  pks           bytea[];
  last          text[];
  results       tenantry_private.converted[];
  values_       text[] := '{}';
  changed       bigint := 0;
  named         text[];
begin
  perform tenantry_private.require_admin('run batches');
  if mode = 'reseal' and place.after is null then
    perform tenantry_private.forget_unopened(secret_column);
  end if;
  execute queries[1] into rels, places, given, copies, owner_numbers, owners, pks, last using place.after, batch_size;
  if places is null then
    return array[0, 0];
  end if;
  results := tenantry_private.convert_values(secret_column, mode, key_share, given, copies, owner_numbers, owners, pks);
  for position in 1 .. cardinality(places) loop
    values_[position] := (results[position]).value;
    copies[position]  := (results[position]).copy;
    pks[position]     := (results[position]).blind;
    changed := changed + (values_[position] is not null)::integer;
    if (results[position]).unopened is not null then
      execute queries[3] into named using rels[position:position], places[position:position];
      perform tenantry_private.note_unopened(secret_column, owners[owner_numbers[position]], (results[position]).unopened, named[1]);
    end if;
  end loop;
  if mode <> 'verify' and changed > 0 then
    execute queries[2] using rels, places, values_, copies, pks;
  end if;
  perform tenantry_private.keep_job_place(target, working, last, cardinality(places));
  return array[cardinality(places), changed];
end
$$;

comment on function tenantry_private.engine_batch(regclass, uuid, text, bytea, integer) is
  'One batch of a job: {rows looked at, rows changed (verify: rows that differ)}; {0, 0} at the end. Errors: 42501, TN005, TN006, TN009, TN011.';

revoke all on function tenantry_private.engine_batch(regclass, uuid, text, bytea, integer) from public;
grant execute on function tenantry_private.engine_batch(regclass, uuid, text, bytea, integer) to tenantry_admin;

set local role tenantry_owner;
revoke create on schema tenantry_private from tenantry_engine;
