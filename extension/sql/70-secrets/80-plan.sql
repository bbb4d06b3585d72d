-- What an encrypted table must have, compared with what is there: part of what protect(), sync() and check() plan.
create function tenantry_private.define_seal(target regclass)
returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
declare
  declaration constant tenantry_private.tables := tenantry_private.declared(target);
  routine     constant text := format('tenantry_private.%I()', 'seal_' || declaration.tag);
begin
  perform tenantry_private.require_admin('declare how tables are isolated');
  perform tenantry_private.require_declarable(target);
  execute format($sql$
    create or replace function %s
    returns trigger
    language plpgsql volatile security definer
    set search_path = pg_catalog, pg_temp
    set debug_print_parse = off
    set debug_print_rewritten = off
    set debug_print_plan = off
    as %L $sql$, routine, tenantry_private.seal_body(target));
  execute format('revoke all on function %s from public', routine);
  execute format('grant execute on function %s to tenantry_admin', routine);
  execute format('comment on function %s is %L', routine, format('Seals the secrets of %s.', target));
end
$$;

comment on function tenantry_private.define_seal(regclass) is 'Makes, or makes anew, the trigger function that seals a table''s secrets.';

-- The name sorts behind every other: what fires later could put a plaintext in a sealed value's place.
create function tenantry_private.seal_triggers(target regclass)
returns table (trigger_name name, definition text, is_there boolean)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  declaration constant tenantry_private.tables := tenantry_private.declared(target);
  routine     constant text := 'seal_' || declaration.tag;
  wanted      record;
begin
  for wanted in
    select *
      from (values ('~tenantry_seal_insert', 'insert', 7, 'current_user <> ''tenantry_engine'''),
                   ('~tenantry_seal_update', 'update', 19, tenantry_private.seal_condition(target))) as w (name, event, type, condition)
  loop
    trigger_name := wanted.name;
    definition   := format('create or replace trigger %I before %s on %s for each row when (%s) execute function tenantry_private.%I()',
                      wanted.name, wanted.event, target, wanted.condition, routine);
    is_there     := exists (
      select
        from pg_catalog.pg_trigger t
        join pg_catalog.pg_proc p on p.oid = t.tgfoid
       where t.tgrelid = target and t.tgname = wanted.name and t.tgtype = wanted.type and t.tgenabled = 'A'
         and p.pronamespace = to_regnamespace('tenantry_private') and p.proname = routine
         and obj_description(t.oid, 'pg_trigger') = 'Seals secrets. Made as ' || md5(definition || pg_get_triggerdef(t.oid)));
    return next;
  end loop;
end
$$;

comment on function tenantry_private.seal_triggers(regclass) is 'The triggers that an encrypted table must have, and whether they are as they were made.';

create function tenantry_private.plan_secrets(target regclass)
returns table (statement text, lock text)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  declaration constant tenantry_private.tables := tenantry_private.declared(target);
  schema      constant name := (select n.nspname from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace where c.oid = target);
  wanted      record;
  missing     text[];
begin
  if not exists (select from tenantry_private.encrypted(target)) then
    -- What is left of encrypted columns that were dropped.
    for wanted in select t.tgname from pg_catalog.pg_trigger t where t.tgrelid = target and t.tgname like '~tenantry\_seal\_%' and t.tgparentid = 0 order by 1 loop
      statement := format('drop trigger %I on %s', wanted.tgname, target);
      lock := 'ACCESS EXCLUSIVE';
      return next;
    end loop;
    if tenantry_private.facade_made_from(target) is not null then
      statement := format('select tenantry_private.drop_facade(%L)', target);
      lock := null;
      return next;
    end if;
    return;
  end if;
  if (select p.prosrc from pg_catalog.pg_proc p
       where p.pronamespace = to_regnamespace('tenantry_private') and p.proname = 'seal_' || declaration.tag and p.pronargs = 0)
     is distinct from tenantry_private.seal_body(target) then
    statement := format('select tenantry_private.define_seal(%L)', target);
    return next;
  end if;
  for wanted in select * from tenantry_private.seal_triggers(target) t where not t.is_there loop
    lock := 'SHARE ROW EXCLUSIVE';
    statement := wanted.definition;
    return next;
    statement := format('alter table %s enable always trigger %I', target, wanted.trigger_name);
    return next;
    statement := format('select tenantry_private.note_trigger(%L, %L)', target, wanted.trigger_name);
    return next;
  end loop;
  lock := null;
  if not has_schema_privilege('tenantry_facade', schema, 'usage') then
    statement := format('grant usage on schema %I to tenantry_facade', schema);
    return next;
  end if;
  missing := array(
    select p from unnest(array['select', 'insert', 'update', 'delete']) as p
     where p <> all (tenantry_private.granted(target, to_regrole('tenantry_facade'))));
  if missing <> '{}' then
    statement := format('grant %s on table %s to tenantry_facade', array_to_string(missing, ', '), target);
    return next;
  end if;
  if tenantry_private.facade_made_from(target) is distinct from tenantry_private.facade_source(target) then
    statement := format('select tenantry_private.define_facade(%L)', target);
    lock := format('ACCESS EXCLUSIVE on tenant.%I', (select c.relname from pg_catalog.pg_class c where c.oid = target));
    return next;
  end if;
end
$$;

comment on function tenantry_private.plan_secrets(regclass) is 'Statements that are missing before an encrypted table seals and shows its secrets.';

create function tenantry_private.note_trigger(target regclass, trigger_name name)
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  made record;
begin
  select t.oid, pg_get_triggerdef(t.oid) as printed, w.definition
    into made
    from pg_catalog.pg_trigger t
    join tenantry_private.seal_triggers(target) w on w.trigger_name = t.tgname
   where t.tgrelid = target and t.tgname = note_trigger.trigger_name;
  execute format('comment on trigger %I on %s is %L', trigger_name, target, 'Seals secrets. Made as ' || md5(made.definition || made.printed));
end
$$;

comment on function tenantry_private.note_trigger(regclass, name) is 'Notes how PostgreSQL prints a trigger that was just made, for check() to compare.';
