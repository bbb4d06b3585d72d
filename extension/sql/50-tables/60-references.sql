-- Foreign keys ignore row-level security: without a check a session could point at, and so probe, rows of others. A
-- composite key closes that for by_parent tables; for every other key between protected tables a statement trigger
-- asks, as the writer, whether the row pointed at is visible. Never deferrable: a deferred one would run as the last
-- identity of the transaction.

-- about: a declaration that is not recorded yet, or one without a class for a table that is about to be forgotten.
create function tenantry_private.checked_references(child tenantry_private.tables, about tenantry_private.tables)
returns setof pg_catalog.pg_constraint
language plpgsql stable security definer rows 3
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
declare
  key          pg_catalog.pg_constraint;
  parent       tenantry_private.tables;
  owner        smallint;
  parent_owner smallint;
  key_columns  name[];
begin
  if child.class is null or child.class not in ('owned', 'by_parent') then
    return;
  end if;
  select a.attnum into owner
    from pg_catalog.pg_attribute a where a.attrelid = child.relation and a.attname = child.owner_column and not a.attisdropped;
  -- One look-up after the other: with a thousand tables a join of all this takes milliseconds for each.
  for key in
    select c.*
      from pg_catalog.pg_constraint c
     where c.conrelid = child.relation and c.contype = 'f' and c.conparentid = 0
     order by c.conname
  loop
    if key.confrelid = about.relation then
      parent := about;
    else
      select * into parent from tenantry_private.tables t where t.relation = key.confrelid;
    end if;
    if parent.class is null or parent.class not in ('owned', 'by_parent') then
      continue;
    end if;
    -- the owner itself
    if key.conkey = array[owner] then
      continue;
    end if;
    select array_agg(a.attname order by a.attname) into key_columns
      from pg_catalog.pg_attribute a where a.attrelid = key.conrelid and a.attnum = any (key.conkey);
    if key_columns <@ child.unchecked_references then
      continue;
    end if;
    -- the container, for which its members are asked
    if cardinality(key_columns) = 1 and child.shared_by ? key_columns[1]::text
       and (select k.relation from tenantry_private.kinds k where k.kind = child.shared_by ->> key_columns[1]) = key.confrelid then
      continue;
    end if;
    -- the key to the parent, which the owner is tied to
    if child.class = 'by_parent' and key.confrelid = child.parent
       and key_columns = (select array_agg(c order by c) from unnest(child.owner_from) as c) then
      continue;
    end if;
    -- tied by another key in which the owner meets the owner of the same kind
    if child.owner_kind = parent.owner_kind then
      select a.attnum into parent_owner
        from pg_catalog.pg_attribute a where a.attrelid = key.confrelid and a.attname = parent.owner_column and not a.attisdropped;
      if exists (
           select
             from pg_catalog.pg_constraint tie
            cross join lateral unnest(tie.conkey, tie.confkey) as pair (own, theirs)
            where tie.conrelid = key.conrelid and tie.confrelid = key.confrelid and tie.contype = 'f'
              and tie.conkey @> key.conkey and pair.own = owner and pair.theirs = parent_owner
              -- from 18 on a key may be declared NOT ENFORCED
              and coalesce((to_jsonb(tie) ->> 'conenforced')::boolean, true)) then
        continue;
      end if;
    end if;
    return next key;
  end loop;
end
$$;

comment on function tenantry_private.checked_references(tenantry_private.tables, tenantry_private.tables) is
  'The foreign keys of a protected table whose targets must be visible to whoever writes them.';

create function tenantry_private.reference_check_body(child tenantry_private.tables, about tenantry_private.tables)
returns text
language plpgsql stable
as $$
declare
  key    record;
  checks text := '';
begin
  for key in
    select c.conname, c.confrelid::regclass as parent, r.relname as parent_name,
           tenantry_private.column_list(c.conrelid, c.conkey) as columns,
           tenantry_private.column_list(c.conrelid, c.conkey, 'n.') as new_columns,
           tenantry_private.column_list(c.confrelid, c.confkey, 'p.') as parent_columns
      from tenantry_private.checked_references(child, about) c
      join pg_catalog.pg_class r on r.oid = c.confrelid
  loop
    checks := checks || format($body$
  -- %6$s
  if tg_op = 'INSERT' then
    unseen := exists (
      select from (select distinct %1$s from new_rows) n
       where (%2$s) is not null
         and not exists (select from %3$s p where (%4$s) = (%2$s)));
  else
    -- What the statement's old rows pointed at already is not asked again.
    unseen := exists (
      select from (select %1$s from new_rows except select %1$s from old_rows) n
       where (%2$s) is not null
         and not exists (select from %3$s p where (%4$s) = (%2$s)));
  end if;
  if unseen then
    raise exception using errcode = '23503',
      message = format('insert or update on table "%%s" violates foreign key constraint "%%s"', tg_table_name, %5$L),
      detail = format('Key is not present in table "%%s".', %7$L),
      schema = tg_table_schema, table = tg_table_name, constraint = %5$L;
  end if;
$body$, key.columns, key.new_columns, key.parent, key.parent_columns, key.conname,
        regexp_replace(key.conname, '[\n\r]', ' ', 'g'), key.parent_name);
  end loop;
  -- Whoever writes into a container must reach it, on every path; what a row was in before is not asked again.
  for key in
    select s.key as column_name, s.value as kind,
           tenantry_private.id_cast(tenantry_private.column_type(child.relation, s.key)) as cast_to,
           fk.conname, r.relname as parent_name
      from jsonb_each_text(child.shared_by) s
      left join lateral (
             select c.conname, c.confrelid
               from pg_catalog.pg_constraint c
               join pg_catalog.pg_attribute a on a.attrelid = c.conrelid and a.attnum = c.conkey[1] and a.attname = s.key
              where c.conrelid = child.relation and c.contype = 'f' and c.conparentid = 0 and cardinality(c.conkey) = 1
                and c.confrelid = (select k.relation from tenantry_private.kinds k where k.kind = s.value)
              order by c.conname
              limit 1) fk on true
      left join pg_catalog.pg_class r on r.oid = fk.confrelid
     order by s.key
  loop
    checks := checks || format($body$
  if tg_op = 'INSERT' then
    unseen := exists (
      select from (select distinct %1$I as id from new_rows) n
       where n.id is not null and n.id <> all ((select tenantry.reach(%2$L, 'insert', tg_relid))::%3$s[]));
  else
    unseen := exists (
      select from (select %1$I as id from new_rows except select %1$I from old_rows) n
       where n.id is not null and n.id <> all ((select tenantry.reach(%2$L, 'insert', tg_relid))::%3$s[]));
  end if;
  if unseen and not tenantry.sets_up() then%5$s
    raise exception using errcode = '42501',
      message = format('new row violates row-level security policy for table "%%s"', tg_table_name),
      hint = %4$L;
  end if;
$body$, key.column_name, key.kind, key.cast_to,
        format('%s names a %s that this session does not reach with the privilege insert, or that does not exist.', quote_ident(key.column_name), key.kind),
        -- Where a foreign key refuses one that does not exist, one that this session does not see is refused alike.
        case when key.conname is not null then format($body$
    if exists (select from new_rows n where n.%1$I is not null and n.%1$I <> all ((select tenantry.reach(%2$L, 'select', tg_relid))::%3$s[])) then
      raise exception using errcode = '23503',
        message = format('insert or update on table "%%s" violates foreign key constraint "%%s"', tg_table_name, %4$L),
        detail = format('Key is not present in table "%%s".', %5$L),
        schema = tg_table_schema, table = tg_table_name, constraint = %4$L;
    end if;$body$, key.column_name, key.kind, key.cast_to, key.conname, key.parent_name) end);
  end loop;
  return nullif(checks, '');
end
$$;

comment on function tenantry_private.reference_check_body(tenantry_private.tables, tenantry_private.tables) is
  'The body of a table''s reference check; null where nothing has to be checked. The error is the one PostgreSQL raises for a missing row under row-level security.';

-- Made by the owner of the package, because only it may create functions here; runs as whoever writes the table.
create function tenantry_private.make_reference_check(target regclass)
returns void
language plpgsql volatile
as $$
declare
  declaration constant tenantry_private.tables := tenantry_private.declared(target);
  routine     constant text := format('tenantry_private.%I()', 'check_references_' || declaration.tag);
begin
  execute format($sql$
    create or replace function %s
    returns trigger
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
    as %L $sql$, routine, tenantry_private.expected_check(declaration, null));
  execute format('revoke all on function %s from public', routine);
  execute format('grant execute on function %s to tenantry_admin', routine);
  execute format('comment on function %s is %L', routine, format('References of %s, checked as whoever writes them.', target));
end
$$;

comment on function tenantry_private.make_reference_check(regclass) is 'Makes, or makes anew, the trigger function that checks a table''s references.';

create function tenantry_private.define_reference_check(target regclass)
returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
begin
  perform tenantry_private.require_admin('declare how tables are isolated');
  perform tenantry_private.make_reference_check(target);
end
$$;

comment on function tenantry_private.define_reference_check(regclass) is 'The definer half of what makes a table''s triggers: make_reference_check().';

create function tenantry_private.make_owner_fill(target regclass)
returns void
language plpgsql volatile
as $$
declare
  declaration constant tenantry_private.tables := tenantry_private.declared(target);
  parent      constant tenantry_private.tables := tenantry_private.declared(declaration.parent);
  key         constant pg_catalog.pg_constraint := tenantry_private.declared_key(declaration);
  routine     constant text := format('tenantry_private.%I()', 'fill_owner_' || declaration.tag);
begin
  execute format($sql$
    create or replace function %s
    returns trigger
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
    as %L $sql$, routine, format(E'begin\n  new.%I := (select p.%I from %s p where (%s) = (%s));\n  return new;\nend',
      declaration.owner_column, parent.owner_column, parent.relation,
      tenantry_private.column_list(declaration.parent, key.confkey, 'p.'), tenantry_private.column_list(target, key.conkey, 'new.')));
  execute format('revoke all on function %s from public', routine);
  execute format('grant execute on function %s to tenantry_admin', routine);
  execute format('comment on function %s is %L', routine, format('Owner of a new row of %s, taken from its parent where nobody has said it.', target));
end
$$;

comment on function tenantry_private.make_owner_fill(regclass) is 'Makes, or makes anew, the trigger function that takes a new row''s owner from its parent.';

create function tenantry_private.define_owner_fill(target regclass)
returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
begin
  perform tenantry_private.require_admin('declare how tables are isolated');
  perform tenantry_private.make_owner_fill(target);
end
$$;

comment on function tenantry_private.define_owner_fill(regclass) is 'The definer half of what makes a table''s triggers: make_owner_fill().';

create function tenantry_private.trigger_function(target regclass, trigger_name name)
returns text
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return (
    select p.prosrc
      from pg_catalog.pg_trigger t
      join pg_catalog.pg_proc p on p.oid = t.tgfoid
     where t.tgrelid = target and t.tgname = trigger_name and t.tgenabled in ('O', 'A')
       -- after each statement of its kind, whatever the rows; the owner's fill before each row inserted
       and case trigger_name when 'tenantry_references_insert' then t.tgtype = 4 and t.tgqual is null
                             when 'tenantry_references_update' then t.tgtype = 16 and t.tgqual is null and cardinality(t.tgattr::smallint[]) = 0
                             else t.tgtype = 7 end
       and p.pronamespace = to_regnamespace('tenantry_private'));
end
$$;

comment on function tenantry_private.trigger_function(regclass, name) is 'Body of the function of an enabled trigger; null if there is no such trigger.';

-- about: as for checked_references(). As for plan_table(), plans are made once.
create function tenantry_private.plan_triggers(declaration tenantry_private.tables, about tenantry_private.tables default null)
returns table (statement text, lock text)
language plpgsql stable rows 5
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
as $$
declare
  target      constant regclass := declaration.relation;
  body        constant text := tenantry_private.expected_check(declaration, about);
  actual      constant text := tenantry_private.trigger_function(target, 'tenantry_references_insert');
  routine     text := format('tenantry_private.%I()', 'check_references_' || declaration.tag);
begin
  lock := 'SHARE ROW EXCLUSIVE';
  if body is distinct from actual then
    if body is null then
      statement := format('drop trigger if exists tenantry_references_insert on %s', target);
      return next;
      statement := format('drop trigger if exists tenantry_references_update on %s', target);
      return next;
    else
      statement := format('select tenantry_private.define_reference_check(%L)', target);
      return next;
      statement := format('create or replace trigger tenantry_references_insert after insert on %s referencing new table as new_rows for each statement execute function %s', target, routine);
      return next;
      statement := format('create or replace trigger tenantry_references_update after update on %s referencing old table as old_rows new table as new_rows for each statement execute function %s', target, routine);
      return next;
    end if;
  elsif body is not null and tenantry_private.trigger_function(target, 'tenantry_references_update') is distinct from body then
    statement := format('create or replace trigger tenantry_references_update after update on %s referencing old table as old_rows new table as new_rows for each statement execute function %s', target, routine);
    return next;
  end if;

  if declaration.class = 'by_parent' and tenantry_private.trigger_function(target, 'tenantry_owner_fill') is null then
    routine := format('tenantry_private.%I()', 'fill_owner_' || declaration.tag);
    statement := format('select tenantry_private.define_owner_fill(%L)', target);
    return next;
    statement := format('create or replace trigger tenantry_owner_fill before insert on %s for each row when (new.%I is null) execute function %s',
                   target, declaration.owner_column, routine);
    return next;
  elsif declaration.class = 'owned'
        and exists (select from pg_catalog.pg_trigger t where t.tgrelid = target and t.tgname = 'tenantry_owner_fill' and t.tgparentid = 0) then
    statement := format('drop trigger tenantry_owner_fill on %s', target);
    return next;
  end if;
  -- Switched off below the table, where they are clones of its own.
  return query
  select format('alter table %s enable %strigger %I', tree.relation, case above.tgenabled when 'A' then 'always ' end, t.tgname), lock
    from tenantry_private.relation_tree(target) tree
    join pg_catalog.pg_trigger t on t.tgrelid = tree.relation and t.tgenabled in ('D', 'R') and not t.tgisinternal and tenantry_private.is_own_trigger(t.tgname)
    left join pg_catalog.pg_trigger above on above.oid = t.tgparentid
   where tree.relation <> target
   order by tree.depth, tree.relation::text, t.tgname;
  return query select * from tenantry_private.plan_reach(declaration);
  return query select * from tenantry_private.plan_secrets(target);
end
$$;

comment on function tenantry_private.plan_triggers(tenantry_private.tables, tenantry_private.tables) is 'Statements for the triggers of a declared table: checked references, owner from the parent, sealed secrets.';

create function tenantry_private.expected_check(child tenantry_private.tables, about tenantry_private.tables)
returns text
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
declare
  body constant text := tenantry_private.reference_check_body(child, about);
begin
  return E'declare\n  unseen boolean;\nbegin'
      -- Batches change no reference, and may not read what is referred to.
      || E'\n  if current_user = ''tenantry_engine'' then\n    return null;\n  end if;' || body || E'  return null;\nend';
end
$$;

comment on function tenantry_private.expected_check(tenantry_private.tables, tenantry_private.tables) is 'What the reference check of a table must say; null where none is needed.';
