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
  -- a table that is only to be rewritten is no work for tenantry_engine
  return exists (select from tenantry_private.engine_jobs j where j.relation = target and j.job not like 'scrub %');
end
$$;

comment on function tenantry_private.engine_works_on(regclass) is 'Whether a batch job is open on a table that tenantry_engine does.';

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
      select array_agg(l.rel), array_agg(l.place), array_agg(l.value), array_agg(l.copy), array_agg(l.owner), array_agg(l.pk)
        from (select t.tableoid as rel, t.ctid as place, (%1$s)::text as value, %2$s as copy, (%3$s) collate "C" as owner, %4$s as pk
                from %5$s t
               where %1$s is not null%6$s and ($1 is null or (%7$s) > (%8$s))
               order by %7$s
               limit $2
                 for no key update of t) l $sql$,
      value, coalesce(tenantry_private.format_with('(t.%I)::text', secret.plain_column), 'null::text'),
      tenantry_private.owner_expression(declaration, 't'), tenantry_private.key_expression(secret.relation, 't'), secret.relation,
      case when secret.path <> '{}' then format(' and %s <> ''null''', value) else '' end, sort, after),
    format('select array[%s] from %s t where t.tableoid = $1 and t.ctid = $2', keys, secret.relation),
    -- Of a plaintext that is sealed now, the copy comes from the row itself; a value that stays has one, if any.
    format($sql$
      update %1$s t
         set %2$I = %3$s%4$s%5$s
        from unnest($1::oid[], $2::tid[], $3::text[], $4::bytea[]) as u (rel, place, value, blind)
       where t.ctid = u.place and t.tableoid = u.rel and u.value is not null $sql$,
      secret.relation, secret.column_name, assigned,
      coalesce(tenantry_private.format_with(case mode when 'fill' then ', %1$I = case when u.value <> (%2$s)::text collate "C" then (%2$s)::text::%3$s else t.%1$I end' when 'open' then ', %1$I = null' end,
        secret.plain_column, value, format_type(tenantry_private.column_type(secret.relation, secret.plain_column), null)), ''),
      coalesce(tenantry_private.format_with(case mode when 'fill' then ', %1$I = u.blind' when 'open' then ', %1$I = null' end, secret.index_column), '')),
    format('select concat_ws('' and '', %s) from %s t where t.tableoid = $1 and t.ctid = $2', named, secret.relation)];
end
$$;

comment on function tenantry_private.engine_queries(uuid, text) is 'How a batch is read, where it ends, how it is written, and how a row is called.';

create type tenantry_private.converted as (
  given    text[],
  blind    bytea[],
  changed  integer,
  unopened integer[]
);

comment on type tenantry_private.converted is 'What becomes of the values of a batch.';
comment on column tenantry_private.converted.given is 'The new values as text; null where one stays.';
comment on column tenantry_private.converted.blind is 'Their blind indexes.';
comment on column tenantry_private.converted.changed is 'How many new values there are.';
comment on column tenantry_private.converted.unopened is 'Of a value that does not open and is left as it is: the key that it names, or 0 where this database has not sealed it.';

-- The supplied function is called by one of ours, whose body the catalog keeps by numbers: so it is followed when it is renamed
-- or moved, cannot be dropped or exchanged for another of its name meanwhile, and goes through pg_dump and pg_upgrade, which
-- refuses columns of type regprocedure.
create function tenantry_private.import_name(secret_column uuid)
returns text
language sql immutable
set search_path = pg_catalog, pg_temp
return 'import_' || replace(secret_column::text, '-', '');

comment on function tenantry_private.import_name(uuid) is 'The name of the function that calls the one which opens what the application had encrypted in a column.';

create function tenantry_private.make_import(secret_column uuid, import_with regprocedure)
returns void
language plpgsql volatile
as $$
declare
  routine  constant text := format('tenantry_private.%I(text)', tenantry_private.import_name(secret_column));
  supplied record;
begin
  select n.nspname, p.proname,
         p.prokind = 'f' and p.prosecdef and not p.proretset and p.pronargs = 1 and p.proargtypes[0] = 'text'::regtype and p.prorettype = 'text'::regtype
           and has_function_privilege('tenantry_owner', p.oid, 'execute') and has_schema_privilege('tenantry_owner', n.oid, 'usage') as fits
    into supplied
    from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace where p.oid = import_with;
  if supplied.fits is not true then
    perform tenantry_private.refuse(format('%s cannot open what the application had encrypted', import_with),
      format('It takes text, returns text and runs as its author. Run: alter function %s security definer set search_path = pg_catalog, pg_temp; grant execute on function %1$s to tenantry_owner; grant usage on schema %2$I to tenantry_owner;', import_with, supplied.nspname));
  end if;
  execute format('create function %s returns text language sql volatile set search_path = pg_catalog, pg_temp return %I.%I($1)', routine, supplied.nspname, supplied.proname);
  execute format('revoke all on function %s from public', routine);
  execute format('comment on function %s is %L', routine, 'Opens what the application had encrypted itself, while its column is being encrypted.');
end
$$;

comment on function tenantry_private.make_import(uuid, regprocedure) is 'Makes the function that calls a supplied one, after looking at it. Error: TN011.';

create function tenantry_private.drop_idle_imports()
returns void
language plpgsql volatile
as $$
declare
  idle regprocedure;
begin
  for idle in
    select p.oid
      from pg_catalog.pg_proc p
     where p.pronamespace = 'tenantry_private'::regnamespace and p.proname ~ '^import_[0-9a-f]{32}$'
       and not exists (select from tenantry_private.encrypted_columns c where c.imports and tenantry_private.import_name(c.column_id) = p.proname)
  loop
    execute format('drop function %s', idle);
  end loop;
end
$$;

comment on function tenantry_private.drop_idle_imports() is 'Drops the functions of make_import() whose columns import no more.';

create function tenantry_private.imported(secret_column uuid, value text)
returns text
language plpgsql volatile
as $$
#print_strict_params off
declare
  result text;
begin
  -- Its author may have changed that since: then it would run with tenantry's powers.
  if exists (
       select
         from pg_catalog.pg_proc ours
         join pg_catalog.pg_depend d on d.classid = 'pg_catalog.pg_proc'::regclass and d.objid = ours.oid and d.refclassid = d.classid
         join pg_catalog.pg_proc supplied on supplied.oid = d.refobjid
        where ours.pronamespace = 'tenantry_private'::regnamespace and ours.proname = tenantry_private.import_name(secret_column) and not supplied.prosecdef) then
    perform tenantry_private.refuse('the function that opens what the application had encrypted no longer runs as its author',
      'Run: alter function … security definer; and go on. Nothing is lost.');
  end if;
  execute format('select tenantry_private.%I($1)', tenantry_private.import_name(secret_column)) into result using value;
  return result;
end
$$;

comment on function tenantry_private.imported(uuid, text) is 'What a supplied function makes of a value that the application had encrypted itself. Error: TN011.';

-- sealing_key() for many entities at once: what is the same for all of them is asked for once.
create function tenantry_private.hold_sealing_keys(labels text[], keys tenantry_private.unlocked_key[], leave_gone boolean)
returns integer
language plpgsql volatile
as $$
#print_strict_params off
declare
  held     text[];
  missing  text[];
  serials  bigint[];
  versions integer[];
  wrapping tenantry_private.unlocked_key;
  secret   bytea;
  made     bytea[] := '{}';
  label    text;
  ignored  integer;
begin
  select array_agg(k.label)
    into held
    from (select l.label
            from unnest(labels) as l (label)
            join tenantry_private.entities e on e.kind = tenantry_private.kind_of(l.label) and e.id = tenantry_private.id_of(l.label) and e.gone_at is null
            join tenantry_private.data_keys k on k.kind = e.kind and k.id = e.id and k.serial = e.serial and k.superseded_at is null and k.wrapped is not null
           order by k.number
             for key share of k) k;
  if cardinality(held) = cardinality(labels) then
    return 0;
  end if;
  select array_agg(l.label), array_agg(e.serial),
         array_agg((select coalesce(max(k.version), 0) + 1 from tenantry_private.data_keys k where k.kind = e.kind and k.id = e.id and k.serial = e.serial))
    into missing, serials, versions
    from (select unnest(labels) except select unnest(held)) as l (label)
    join tenantry_private.entities e on e.kind = tenantry_private.kind_of(l.label) and e.id = tenantry_private.id_of(l.label) and e.gone_at is null;
  if missing is not null then
    wrapping := tenantry_private.key_of(keys, null);
    perform tenantry_private.hold_master_key(wrapping.master_key);
    for position in 1 .. cardinality(missing) loop
      secret := tenantry_private.random_bytes(32);
      made[position] := tenantry_private.wrapped(missing[position] || '#' || serials[position] || '#' || versions[position], secret, wrapping);
    end loop;
    with fresh as (
      insert into tenantry_private.data_keys (kind, id, serial, version, master_key, wrapped)
      select tenantry_private.kind_of(m.label), tenantry_private.id_of(m.label), m.serial, m.version, wrapping.master_key, m.wrapped
        from unnest(missing, serials, versions, made) as m (label, serial, version, wrapped)
          on conflict do nothing
      returning kind || ':' || id as label)
    select held || array_agg(f.label) into held from fresh f;
  end if;
  -- What others are changing at this moment, and what there is no entity of.
  for label in select unnest(labels) except select unnest(held) loop
    continue when leave_gone and not exists (
      select
        from tenantry_private.entities e
       where e.kind = tenantry_private.kind_of(label) and e.id = tenantry_private.id_of(label) and e.gone_at is null);
    ignored := (tenantry_private.sealing_key(tenantry_private.kind_of(label), tenantry_private.id_of(label), keys)).number;
  end loop;
  return coalesce(cardinality(missing), 0);
end
$$;

comment on function tenantry_private.hold_sealing_keys(text[], tenantry_private.unlocked_key[], boolean) is 'Sees to it that each of some entities has a key that seals, and keeps it; how many were missing. leave_gone: or is not there any more. Errors: TN005, TN009, 40001.';

create function tenantry_private.ring_contents(labels text[], keys tenantry_private.unlocked_key[])
returns bytea[]
language plpgsql stable
as $$
#print_strict_params off
declare
  tag_key  constant bytea := (select t.secret from tenantry_private.tag_keys t);
  shredded constant bytea := decode(repeat('00', 32), 'hex');
  contents bytea[] := array_fill(tag_key, array[cardinality(labels)]);
  key      record;
begin
  for key in
    select l.place, k.number, k.master_key, k.wrapped, l.label || '#' || k.serial || '#' || k.version as label
      from unnest(labels) with ordinality as l (label, place)
      join tenantry_private.entities e on e.kind = tenantry_private.kind_of(l.label) and e.id = tenantry_private.id_of(l.label) and e.gone_at is null
      join tenantry_private.data_keys k on k.kind = e.kind and k.id = e.id and k.serial = e.serial and k.retired_at is null
     order by k.version desc
  loop
    contents[key.place] := contents[key.place] || int4send(key.number)
      || case when key.wrapped is null then shredded else tenantry_private.unwrapped(key.label, key.wrapped, tenantry_private.key_of(keys, key.master_key)) end;
  end loop;
  return contents;
end
$$;

comment on function tenantry_private.ring_contents(text[], tenantry_private.unlocked_key[]) is 'ring_content() of some entities. Errors: TN005, TN006.';

-- Many rows go through this, so it does by itself, with what an owner's values have in common made once, what seal_bytes()
-- does for one.
create function tenantry_private.convert_values(
  secret_column uuid,
  mode          text,
  key_share     bytea,
  given         text[],
  copies        text[],
  owners        text[],
  pks           bytea[]
)
returns tenantry_private.converted
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set bytea_output = hex
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
#print_strict_params off
declare
  secret    tenantry_private.encrypted_columns;
  keys      constant tenantry_private.unlocked_key[] := tenantry_private.unlock(coalesce(key_share, tenantry_private.current_share()));
  shredded  constant bytea   := decode(repeat('00', 32), 'hex');
  filling   constant boolean := mode = 'fill';
  resealing constant boolean := mode = 'reseal';
  blind_key bytea;
  index_row tenantry_private.index_keys;
  labels    text[];
  contents  bytea[];
  content   bytea;
  tag_key   bytea;
  newest    bytea;
  head      bytea;
  origin    bytea;
  bound     bytea;
  data_key  bytea;
  quoted    boolean;
  binary_   boolean;
  bytes     bytea;
  plain     bytea;
  salts     bytea;
  iv        bytea;
  sealed    boolean;
  simple    boolean;
  seal_key  bytea;
  value     text;
  label     text;
  values_   text[]    := '{}';
  blinds    bytea[]   := '{}';
  unopened  integer[] := '{}';
  ignored   integer;
begin
  secret  := (select c from tenantry_private.encrypted_columns c where c.column_id = secret_column);
  -- Whose table is worked on has code run by it (constraints, triggers), as tenantry_engine, which may call this, too.
  if not exists (select from tenantry_private.engine_jobs j where j.relation = secret.relation and j.job = mode || ' ' || secret_column) then
    perform tenantry_private.refuse('no job that does this is open', 'Values are converted by the procedures for encrypted columns: call tenantry.encrypt_existing(…), and the like.');
  end if;
  quoted  := secret.data_type in ('json', 'jsonb');
  binary_ := secret.data_type = 'bytea';
  tag_key := (select t.secret from tenantry_private.tag_keys t);
  simple  := filling and not quoted and not binary_ and not secret.imports and secret.index_column is null;
  if secret.index_column is not null and filling then
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

  labels := (select array_agg(o.owner order by o.owner) from (select distinct unnest(owners) collate "C" as owner) o);
  if filling or resealing then
    -- Rows whose owner is gone: their keys are not on the ring, so none of their values opens.
    ignored := tenantry_private.hold_sealing_keys(labels, keys, leave_gone => resealing);
    salts   := (select string_agg(tenantry_private.random_bytes(1024), '') from generate_series(1, cardinality(given) / 128 + 1));
  end if;
  contents := tenantry_private.ring_contents(labels, keys);

  for position in 1 .. cardinality(given) loop
    if owners[position] is distinct from label then
      label    := owners[position];
      content  := contents[array_position(labels, label)];
      newest   := substr(content, 33, 4);
      seal_key := substr(content, 37, 32);
      head     := E'\\x01'::bytea || newest;
      origin   := E'\\x74656e616e7472792f76312f6f726967696e'::bytea || head;
      bound    := tenantry_private.bound_bytes(secret_column, head, label, ''::bytea);
    end if;
    -- The usual case in as few expressions as it takes: each costs as much as a hash.
    if simple and tenantry_private.shaped(given[position]) is null then
      iv    := substr(salts, 8 * position - 7, 8)
               || substr(tenantry_private.hmac_sha256(origin || substr(salts, 8 * position - 7, 8), tag_key), 1, 8);
      bytes := iv || tenantry_private.aes_encrypt(convert_to(given[position], 'UTF8'), seal_key, iv);
      values_[position] := tenantry_private.as_text(head || bytes || tenantry_private.hmac_sha256(bound || pks[position] || bytes, tag_key));
      continue;
    end if;
    bytes := case
      when binary_ then tenantry_private.shaped(given[position]::bytea)
      when quoted then tenantry_private.shaped(trim(both '"' from given[position]))
      else tenantry_private.shaped(given[position]) end;
    sealed  := bytes is not null and coalesce(tenantry_private.is_for(bytes, tag_key, secret_column, label, pks[position]), false);
    plain   := null;
    value   := null;
    if not sealed and not resealing and bytes is not null and tenantry_private.is_ours(bytes, tag_key) then
      perform tenantry_private.refuse_value();
    end if;

    if filling then
      if not sealed then
        plain := case
          when not secret.imports and binary_ then given[position]::bytea
          when not secret.imports then convert_to(given[position], 'UTF8')
          when binary_ then decode(substr(tenantry_private.imported(secret_column, given[position]), 3), 'hex')
          when quoted and left(given[position], 1) = '"'
            then convert_to(to_jsonb(tenantry_private.imported(secret_column, given[position]::jsonb #>> '{}'))::text, 'UTF8')
          else convert_to(tenantry_private.imported(secret_column, given[position]), 'UTF8') end;
        if plain is null then
          perform tenantry_private.refuse(format('the import function gives NULL for the value of %s', label),
            'It must open every value that is there, or raise an error that says what is wrong.');
        end if;
      elsif copies[position] is not null or blind_key is not null then
        plain := case when blind_key is not null
          then tenantry_private.open_bytes(bytes, tenantry_private.key_on_ring(content, substr(bytes, 2, 4)), tag_key, secret_column, label, pks[position]) end;
        value := given[position];
      end if;
      if blind_key is not null then
        blinds[position] := tenantry_private.hmac_sha256(plain, blind_key);
      end if;
    elsif resealing then
      data_key := case when sealed then tenantry_private.key_on_ring(content, substr(bytes, 2, 4)) end;
      if data_key is null then
        unopened[position] := case when tenantry_private.is_ours(bytes, tag_key) then ('x' || encode(substr(bytes, 2, 4), 'hex'))::bit(32)::integer else 0 end;
      -- A shredded value stays as it is: nobody can open it any more.
      elsif substr(bytes, 2, 4) <> newest and data_key <> shredded then
        plain := tenantry_private.open_bytes(bytes, data_key, tag_key, secret_column, label, pks[position]);
      end if;
    elsif not sealed then
      -- In verify that is a difference, in open it is done already.
      value := case when mode = 'verify' then 'plain' end;
    else
      data_key := tenantry_private.key_on_ring(content, substr(bytes, 2, 4));
      if data_key is null then
        perform tenantry_private.refuse_value();
      end if;
      plain := case when data_key <> shredded then tenantry_private.open_bytes(bytes, data_key, tag_key, secret_column, label, pks[position]) end;
      if mode = 'open' then
        -- The copy is what stood there before, which matters where values were imported.
        value := case
          when copies[position] is not null then copies[position]
          when binary_ then coalesce(plain, bytes)::text
          when plain is null then given[position]
          else convert_from(plain, 'UTF8') end;
      else
        value := case
          when plain is null then 'unreadable'
          when copies[position] is null then null
          when not secret.imports
               and plain is distinct from case when binary_ then copies[position]::bytea else convert_to(copies[position], 'UTF8') end
            then 'different'
          when secret.imports
               and plain is distinct from case
                     when quoted and left(copies[position], 1) = '"'
                       then convert_to(to_jsonb(tenantry_private.imported(secret_column, copies[position]::jsonb #>> '{}'))::text, 'UTF8')
                     when binary_ then decode(substr(tenantry_private.imported(secret_column, copies[position]), 3), 'hex')
                     else convert_to(tenantry_private.imported(secret_column, copies[position]), 'UTF8') end
               and plain is distinct from convert_to(copies[position], 'UTF8')
            then 'different' end;
      end if;
    end if;

    if plain is not null and (resealing or filling and not sealed) then
      iv    := substr(salts, 8 * position - 7, 8);
      iv    := iv || substr(tenantry_private.hmac_sha256(origin || iv, tag_key), 1, 8);
      bytes := iv || tenantry_private.aes_encrypt(plain, seal_key, iv);
      bytes := head || bytes || tenantry_private.hmac_sha256(bound || pks[position] || bytes, tag_key);
      value := case
        when binary_ then bytes::text
        when quoted then '"' || tenantry_private.as_text(bytes) || '"'
        else tenantry_private.as_text(bytes) end;
    end if;
    values_[position] := value;
  end loop;
  return row(values_, blinds, cardinality(array_remove(values_, null)), unopened)::tenantry_private.converted;
end
$$;

comment on function tenantry_private.convert_values(uuid, text, bytea, text[], text[], text[], bytea[]) is
  'Turns the values of a batch into what they become. Errors: TN005, TN006, TN009, TN011.';

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

create function tenantry_private.is_job_open(target regclass, working text)
returns boolean
language sql stable
set search_path = pg_catalog, pg_temp
return (tenantry_private.job_place(target, working)).relation is not null;

comment on function tenantry_private.is_job_open(regclass, text) is 'Whether a job is open.';

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
  update tenantry_private.engine_jobs j
     set after = coalesce(place, j.after), done = j.done + more
   where j.relation = target and j.job = working;
end
$$;

comment on function tenantry_private.keep_job_place(regclass, text, text[], bigint) is 'Keeps how far a job is.';

-- Not for tenantry_engine, as which code of a table's owner runs.
create function tenantry_private.record_job(target regclass, working text)
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
  insert into tenantry_private.engine_jobs (relation, job) values (target, working) on conflict do nothing;
end
$$;

comment on function tenantry_private.record_job(regclass, text) is 'Notes that a job is open, if it is not open already.';

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
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
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
  rels    oid[];
  places  tid[];
  given   text[];
  copies  text[];
  owners  text[];
  pks     bytea[];
  last    text[];
  result  tenantry_private.converted;
  named   text;
begin
  perform tenantry_private.require_admin('run batches');
  if mode = 'reseal' and place.after is null then
    perform tenantry_private.forget_unopened(secret_column);
  end if;
  execute queries[1] into rels, places, given, copies, owners, pks using place.after, batch_size;
  if places is null then
    return array[0, 0];
  end if;
  execute queries[2] into last using rels[cardinality(places)], places[cardinality(places)];
  result := tenantry_private.convert_values(secret_column, mode, key_share, given, copies, owners, pks);
  for position in coalesce(array_lower(result.unopened, 1), 1) .. coalesce(array_upper(result.unopened, 1), 0) loop
    if result.unopened[position] is not null then
      execute queries[4] into named using rels[position], places[position];
      perform tenantry_private.note_unopened(secret_column, owners[position], result.unopened[position], named);
    end if;
  end loop;
  if mode <> 'verify' and result.changed > 0 then
    execute queries[3] using rels, places, result.given, result.blind;
  end if;
  perform tenantry_private.keep_job_place(target, working, last, cardinality(places));
  return array[cardinality(places), result.changed];
end
$$;

comment on function tenantry_private.engine_batch(regclass, uuid, text, bytea, integer) is
  'One batch of a job: {rows looked at, rows changed (verify: rows that differ)}; {0, 0} at the end. Errors: 42501, TN005, TN006, TN009, TN011.';

revoke all on function tenantry_private.engine_batch(regclass, uuid, text, bytea, integer) from public;
grant execute on function tenantry_private.engine_batch(regclass, uuid, text, bytea, integer) to tenantry_admin;

set local role tenantry_owner;
revoke create on schema tenantry_private from tenantry_engine;
