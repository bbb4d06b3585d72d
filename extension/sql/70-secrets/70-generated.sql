-- What is made for an encrypted table from its declaration: the body of its trigger function, the conditions under which
-- the triggers fire, the query of its decrypting view.

create function tenantry_private.primary_key(target regclass)
returns smallint[]
language sql stable
set search_path = pg_catalog, pg_temp
return (select (i.indkey::smallint[])[0:i.indnkeyatts - 1] from pg_catalog.pg_index i where i.indrelid = target and i.indisprimary);

comment on function tenantry_private.primary_key(regclass) is 'Numbers of the columns of a table''s primary key, in its order.';

-- Bytes that do not follow the session's settings. Types with several forms of one value (numeric, citext, interval) are not
-- among them: a key that changes form would be another key.
create function tenantry_private.key_bytes(expression text, type oid)
returns text
language sql stable
set search_path = pg_catalog, pg_temp
return (
  select format(case
      when b.type in ('text'::regtype, 'character varying'::regtype) then 'convert_to(%s, ''UTF8'')'
      -- by the type's own output function: a cast could be somebody's, and run as whoever seals
      when t.typtype = 'e'                       then 'convert_to(format(''%%s'', %s), ''UTF8'')'
      when b.type = 'uuid'::regtype              then 'uuid_send(%s)'
      when b.type = 'smallint'::regtype          then 'int2send(%s)'
      when b.type = 'integer'::regtype           then 'int4send(%s)'
      when b.type = 'bigint'::regtype            then 'int8send(%s)'
      when b.type = 'bytea'::regtype             then '%s'
      when b.type = 'date'::regtype              then 'date_send(%s)'
      when b.type = 'timestamp'::regtype         then 'timestamp_send(%s)'
      when b.type = 'timestamptz'::regtype       then 'timestamptz_send(%s)'
      when b.type = 'boolean'::regtype           then 'boolsend(%s)'
    end, expression)
    from (select tenantry_private.base_type(key_bytes.type) as type) b
    join pg_catalog.pg_type t on t.oid = b.type);

comment on function tenantry_private.key_bytes(text, oid) is 'An expression for the bytes of a key column; null for a type that cannot be one.';

create function tenantry_private.key_expression(target regclass, alias text)
returns text
language sql stable
set search_path = pg_catalog, pg_temp
return (
  select format('int4send(%s)', count(*))
      || string_agg(' || tenantry_private.part(' || tenantry_private.key_bytes(format('%s.%I', alias, a.attname), a.atttypid) || ')', '' order by k.position)
    from unnest(tenantry_private.primary_key(target)) with ordinality as k (attnum, position)
    join pg_catalog.pg_attribute a on a.attrelid = target and a.attnum = k.attnum);

comment on function tenantry_private.key_expression(regclass, text) is 'An expression for the primary key of a row as values are bound to it.';

create function tenantry_private.owner_expression(declaration tenantry_private.tables, alias text)
returns text
language sql stable
set search_path = pg_catalog, pg_temp
return format('%L || %s.%I::text', (declaration).owner_kind || ':', alias, (declaration).owner_column);

comment on function tenantry_private.owner_expression(tenantry_private.tables, text) is 'An expression for the owner of a row, as kind:id.';

create function tenantry_private.encrypted(target regclass)
returns setof tenantry_private.encrypted_columns
language plpgsql stable security definer rows 1
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
begin
  return query
  select c.* from tenantry_private.encrypted_columns c where c.relation = target order by c.column_name, c.path;
end
$$;

comment on function tenantry_private.encrypted(regclass) is 'The encrypted columns of a table.';

-- A value of a row as it is compared: of json, which has no equality, the text.
create function tenantry_private.value_expression(secret tenantry_private.encrypted_columns, alias text)
returns text
language sql stable
set search_path = pg_catalog, pg_temp
return case
  when (secret).path <> '{}' then format('(%s.%I #> %L)', alias, (secret).column_name, (secret).path)
  when (secret).data_type = 'json' then format('%s.%I::text', alias, (secret).column_name)
  else format('%s.%I', alias, (secret).column_name)
end;

comment on function tenantry_private.value_expression(tenantry_private.encrypted_columns, text) is 'An expression for the value of an encrypted column or path.';

create function tenantry_private.format_with(template text, variadic names text[])
returns text
language sql immutable
set search_path = pg_catalog, pg_temp
return case when names[1] is not null then format(template, variadic names) end;

comment on function tenantry_private.format_with(text, text[]) is 'Like format(), but null where the first name is null.';

create function tenantry_private.seal_body(target regclass)
returns text
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  declaration constant tenantry_private.tables := tenantry_private.declared(target);
  secret      tenantry_private.encrypted_columns;
  body        text := '';
  label       text;
  stored      text;
  given       text;
  plain       text;
  shape       text;
begin
  for secret in select * from tenantry_private.encrypted(target) e where e.state <> 'added' loop
    label  := secret.column_name || coalesce('.' || nullif(array_to_string(secret.path, '.'), ''), '');
    given  := tenantry_private.value_expression(secret, 'new');
    shape  := case
      when secret.path <> '{}'           then format('tenantry_private.shaped(new.%I #>> %L)', secret.column_name, secret.path)
      when secret.data_type in ('json', 'jsonb') then format('tenantry_private.shaped(new.%I #>> ''{}'')', secret.column_name)
      else format('tenantry_private.shaped(new.%I)', secret.column_name) end;
    plain  := case when secret.data_type = 'bytea' then given else format('convert_to(%s::text, ''UTF8'')', given) end;
    stored := case
      when secret.path <> '{}'        then format('new.%1$I := jsonb_set(new.%1$I, %2$L, to_jsonb(tenantry_private.as_text(settled.value)), false);', secret.column_name, secret.path)
      when secret.data_type = 'jsonb' then format('new.%I := to_jsonb(tenantry_private.as_text(settled.value));', secret.column_name)
      when secret.data_type = 'json'  then format('new.%I := to_json(tenantry_private.as_text(settled.value));', secret.column_name)
      when secret.data_type = 'bytea' then format('new.%I := settled.value;', secret.column_name)
      else format('new.%I := tenantry_private.as_text(settled.value);', secret.column_name) end;
    body := body || format($body$
  -- %1$s
  if tg_op = 'UPDATE' and not moved and %2$s is not distinct from %3$s then
    %4$s;
  elsif %2$s is null%5$s then
    if tg_op = 'UPDATE' and %3$s is not null%6$s then
      perform tenantry_private.require_decrypt(%7$L, %8$L);
    end if;%9$s
  else%10$s
    settled := tenantry_private.settle_secret(%11$L, %12$L, %13$s, %14$s, owner, pk, old_owner, old_pk);%15$s
    %16$s
  end if;
$body$,
      regexp_replace(label, '[\n\r]', ' ', 'g'), given, tenantry_private.value_expression(secret, 'old'),
      coalesce(tenantry_private.format_with('new.%1$I := old.%1$I', secret.index_column), 'null'),
      case when secret.path <> '{}' then format(' or %s = ''null''', given) else '' end,
      case when secret.path <> '{}' then format(' and %s <> ''null''', tenantry_private.value_expression(secret, 'old')) else '' end,
      declaration.owner_kind, label,
      coalesce(tenantry_private.format_with(E'\n    new.%I := null;', secret.index_column), '') || coalesce(tenantry_private.format_with(E'\n    new.%I := null;', secret.plain_column), ''),
      coalesce(tenantry_private.format_with(E'\n    if char_length(%2$s) > %1$s and %3$s is null then\n      perform tenantry_private.refuse_length(%4$L, %1$s);\n    end if;', secret.max_length::text, given, shape, label), ''),
      declaration.tag, secret.column_id, shape, plain,
      coalesce(tenantry_private.format_with(E'\n    new.%1$I := tenantry_private.index_value(%2$L, settled, owner, pk, new.%1$I);', secret.index_column, secret.column_id::text), '')
      || case when secret.plain_column is null then ''
              when secret.state = 'switched' then format(E'\n    new.%I := null;', secret.plain_column)
              else format(E'\n    if settled.plain is not null then\n      new.%I := %s;\n    end if;', secret.plain_column, given) end,
      stored);
  end loop;
  return format($body$
#print_strict_params off
#variable_conflict use_variable
declare
  owner     text    := %1$s;
  pk        bytea   := %2$s;
  old_owner text;
  old_pk    bytea;
  moved     boolean := false;
  settled   tenantry_private.settled_secret;
begin
  if tg_op = 'UPDATE' then
    old_owner := %3$s;
    old_pk    := %4$s;
    moved     := owner is distinct from old_owner or pk is distinct from old_pk;
  else
    perform tenantry_private.remember_insert(%5$L, owner, pk);
  end if;
%6$s
  return new;
end
$body$,
    tenantry_private.owner_expression(declaration, 'new'), tenantry_private.key_expression(target, 'new'),
    tenantry_private.owner_expression(declaration, 'old'), tenantry_private.key_expression(target, 'old'),
    declaration.tag, body);
end
$$;

comment on function tenantry_private.seal_body(regclass) is 'The body of a table''s sealing trigger function.';

create function tenantry_private.seal_condition(target regclass)
returns text
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  declaration constant tenantry_private.tables := tenantry_private.declared(target);
begin
  return 'current_user <> ''tenantry_engine'' and ('
      || (select string_agg(format('old.%1$I is distinct from new.%1$I', c.name), ' or ' order by c.position)
            from (select declaration.owner_column as name, 0 as position
                  union
                  select a.attname, k.position
                    from unnest(tenantry_private.primary_key(target)) with ordinality as k (attnum, position)
                    join pg_catalog.pg_attribute a on a.attrelid = target and a.attnum = k.attnum and a.attname <> declaration.owner_column) c)
      || (select string_agg(format(' or %s is distinct from %s', tenantry_private.value_expression(e, 'old'), tenantry_private.value_expression(e, 'new'))
                     || coalesce(tenantry_private.format_with(' or old.%1$I is distinct from new.%1$I', e.index_column), ''), ''
                   order by e.column_name, e.path)
            from tenantry_private.encrypted(target) e)
      || ')';
end
$$;

comment on function tenantry_private.seal_condition(regclass) is 'When an update has to be looked at: the engine seals by itself, and what no secret hangs on costs nothing.';

create function tenantry_private.opening_expression(secret tenantry_private.encrypted_columns, ring text)
returns text
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  declaration constant tenantry_private.tables := tenantry_private.declared(secret.relation);
  place       constant text := format('%L::uuid, %s, %s%s', secret.column_id,
                tenantry_private.owner_expression(declaration, 't'), tenantry_private.key_expression(secret.relation, 't'),
                -- Until every value is sealed, some are plaintexts still.
                case when secret.state in ('added', 'dual') then ', true' else '' end);
begin
  return case
    when secret.data_type = 'bytea'
      then format('case when t.%1$I is not null then tenantry_private.open_bytea(%2$s, t.%1$I, %3$s) end', secret.column_name, ring, place)
    when secret.path = '{}' and secret.data_type = 'text'
      then format('case when t.%1$I is not null then tenantry_private.open_text(%2$s, t.%1$I, %3$s) end', secret.column_name, ring, place)
    when secret.path = '{}'
      then format('case when t.%1$I is not null then tenantry_private.open_text(%2$s, %3$s, %4$s)::%5$s end', secret.column_name, ring,
             -- A plaintext that is a JSON string keeps its quotes.
             case when secret.state in ('added', 'dual')
               then format('case when tenantry_private.shaped(t.%1$I #>> ''{}'') is null then t.%1$I::text else t.%1$I #>> ''{}'' end', secret.column_name)
               else format('t.%I #>> ''{}''', secret.column_name) end,
             place, secret.data_type)
  end;
end
$$;

comment on function tenantry_private.opening_expression(tenantry_private.encrypted_columns, text) is 'The expression that opens a whole column of alias t with a ring.';

-- Paths of one column are put back one around the other.
create function tenantry_private.opening_expression(target regclass, column_name name, ring text default null)
returns text
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_variable
declare
  secret      tenantry_private.encrypted_columns;
  expression  text;
  declaration constant tenantry_private.tables := tenantry_private.declared(target);
  own_ring    text;
  shared      text;
  present     text;
begin
  -- A reading is recorded once, so a given ring is asked for once, where a path has something to open.
  if ring is not null
     and (select count(*) > 1 and bool_or(e.audited) from tenantry_private.encrypted(target) e where e.column_name = column_name) then
    shared := ring;
    ring   := 'tenantry_ring.ring';
  end if;
  for secret in select e.* from tenantry_private.encrypted(target) e where e.column_name = column_name loop
    own_ring := coalesce(ring, case
      when secret.audited then format('(select tenantry_private.audited_ring(%L, %L::uuid))', declaration.owner_kind, secret.column_id)
      else format('(select tenantry_private.ring(%L))', declaration.owner_kind) end);
    if secret.path = '{}' then
      return tenantry_private.opening_expression(secret, own_ring);
    end if;
    expression := format(
      'case when coalesce(t.%1$I #> %2$L, ''null'') <> ''null'' then jsonb_set(%3$s, %2$L, coalesce(tenantry_private.open_text(%4$s, %5$s, %6$L::uuid, %7$s, %8$s%9$s)::jsonb, ''null''), false) else %3$s end',
      secret.column_name, secret.path, coalesce(expression, format('t.%I', secret.column_name)), own_ring,
      case when secret.state in ('added', 'dual')
        then format('case when tenantry_private.shaped(t.%1$I #>> %2$L) is null then (t.%1$I #> %2$L)::text else t.%1$I #>> %2$L end', secret.column_name, secret.path)
        else format('t.%I #>> %L', secret.column_name, secret.path) end,
      secret.column_id, tenantry_private.owner_expression(declaration, 't'), tenantry_private.key_expression(target, 't'),
      case when secret.state in ('added', 'dual') then ', true' else '' end);
    present := concat_ws(' or ', present, format('coalesce(t.%I #> %L, ''null'') <> ''null''', secret.column_name, secret.path));
  end loop;
  if shared is not null then
    expression := format('case when %s then (select %s from (select %s as ring offset 0) tenantry_ring) else t.%I end', present, expression, shared, column_name);
  end if;
  return expression;
end
$$;

comment on function tenantry_private.opening_expression(regclass, name, text) is 'The expression that opens a column of alias t, with all its paths; null for a column that is not encrypted.';

create function tenantry_private.facade_source(target regclass)
returns text
language sql stable
set search_path = pg_catalog, pg_temp
return (
  select format('select %s from %s t',
           string_agg(coalesce(tenantry_private.opening_expression(target, a.attname) || ' as ' || quote_ident(a.attname), 't.' || quote_ident(a.attname)), ', ' order by a.attnum),
           target)
    from pg_catalog.pg_attribute a
   where a.attrelid = target and a.attnum > 0 and not a.attisdropped
     -- a rollout's own, which goes at its end
     and a.attname <> 'tenantry_source'
     and not exists (select from tenantry_private.encrypted(target) e where e.plain_column = a.attname));

comment on function tenantry_private.facade_source(regclass) is 'The query of tenant.<table>.';

create function tenantry_private.encrypted_listing()
returns table (
  column_id uuid, relation regclass, schema_name name, table_name name, column_name name, path text[], data_type text, state text,
  index_column name, audited boolean, kind text, ring text, ring_returning text, opens text)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
begin
  return query
  select c.column_id, c.relation, n.nspname, r.relname, c.column_name, c.path, c.data_type, c.state, c.index_column, c.audited, t.owner_kind,
         case when audited.ids is not null then format('tenantry_private.audited_ring(%L, %s)', t.owner_kind, audited.ids)
              else format('tenantry_private.ring(%L)', t.owner_kind) end,
         case when audited.ids is not null then format('tenantry_private.ring_now(%L, %s)', t.owner_kind, audited.ids)
              else format('tenantry_private.ring_now(%L)', t.owner_kind) end,
         tenantry_private.opening_expression(c.relation, c.column_name, '$ring$')
    from tenantry_private.encrypted_columns c
    join tenantry_private.tables t on t.relation = c.relation
    join pg_catalog.pg_class r on r.oid = c.relation
    join pg_catalog.pg_namespace n on n.oid = r.relnamespace
    -- A column is opened with all its paths, and so by one ring.
    left join lateral (
      select string_agg(format('%L::uuid', a.column_id), ', ' order by a.path) as ids
        from tenantry_private.encrypted_columns a
       where a.relation = c.relation and a.column_name = c.column_name and a.audited) audited on true;
end
$$;

comment on function tenantry_private.encrypted_listing() is 'What tenantry.encrypted_columns shows.';

create view tenantry.encrypted_columns as
select * from tenantry_private.encrypted_listing();

comment on view tenantry.encrypted_columns is
  'Columns whose values are sealed. opens: the expression that opens the column of an alias t, with the ring as $ring$; ring: what to put there when reading, as (select …), the same for all paths of a column: it records the reading of each audited one; ring_returning: the same in a RETURNING clause.';
