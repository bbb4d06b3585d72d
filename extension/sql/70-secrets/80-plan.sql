-- What an encrypted table must have, compared with what is there: part of what protect(), sync() and check() plan.
create function tenantry_private.make_seal(target regclass)
returns void
language plpgsql volatile
as $$
declare
  declaration constant tenantry_private.tables := tenantry_private.declared(target);
  routine     constant text := format('tenantry_private.%I()', 'seal_' || declaration.tag);
begin
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

comment on function tenantry_private.make_seal(regclass) is 'Makes, or makes anew, the sealing trigger function: for the functions of tenantry_owner.';

create function tenantry_private.define_seal(target regclass)
returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
begin
  perform tenantry_private.require_admin('declare how tables are isolated');
  perform tenantry_private.require_declarable(target);
  perform tenantry_private.make_seal(target);
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
         and tenantry_private.trigger_noted(target, wanted.name, wanted.condition, tenantry_private.printed_condition(t.oid)));
    return next;
  end loop;
end
$$;

comment on function tenantry_private.seal_triggers(regclass) is 'The triggers that an encrypted table must have, and whether they are as they were made.';

create function tenantry_private.plan_secrets(target regclass)
returns table (statement text, lock text)
language plpgsql stable rows 5
set search_path = pg_catalog, pg_temp
as $$
declare
  declaration tenantry_private.tables;
  schema      name;
  wanted      record;
  held        text[];
  missing     text[];
  made        boolean := false;
begin
  if not exists (select from tenantry_private.encrypted(target)) then
    -- What is left of encrypted columns that were dropped.
    for wanted in select t.tgname from pg_catalog.pg_trigger t where t.tgrelid = target and t.tgname like '~tenantry\_seal\_%' and t.tgparentid = 0 order by 1 loop
      statement := format('drop trigger %I on %s', wanted.tgname, target);
      lock := 'ACCESS EXCLUSIVE';
      return next;
    end loop;
    if tenantry_private.made_from(target, 'tenant') is not null then
      statement := format('select tenantry_private.drop_facade(%L)', target);
      lock := null;
      return next;
    end if;
    return;
  end if;
  declaration := tenantry_private.declared(target);
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
    made := true;
  end loop;
  if made then
    statement := format('select tenantry_private.note_triggers(%L)', target);
    return next;
  end if;
  lock := null;
  schema := (select n.nspname from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace where c.oid = target);
  if not has_schema_privilege('tenantry_facade', schema, 'usage') then
    statement := format('grant usage on schema %I to tenantry_facade', schema);
    return next;
  end if;
  held    := tenantry_private.granted(target, to_regrole('tenantry_facade'));
  missing := array(select p from unnest(array['select', 'insert', 'update', 'delete']) as p where p <> all (held));
  if missing <> '{}' then
    statement := format('grant %s on table %s to tenantry_facade', array_to_string(missing, ', '), target);
    return next;
  end if;
  if tenantry_private.made_from(target, 'tenant') is distinct from tenantry_private.facade_source(target) then
    statement := format('select tenantry_private.define_facade(%L)', target);
    lock := format('ACCESS EXCLUSIVE on tenant.%I', (select c.relname from pg_catalog.pg_class c where c.oid = target));
    return next;
  end if;
end
$$;

comment on function tenantry_private.plan_secrets(regclass) is 'Statements that are missing before an encrypted table seals and shows its secrets.';

create function tenantry_private.printed_condition(trigger_oid oid)
returns text
language sql stable
set search_path = pg_catalog, pg_temp
return substring(pg_get_triggerdef(trigger_oid) from ' FOR EACH ROW .*');

comment on function tenantry_private.printed_condition(oid) is 'How PostgreSQL prints when a trigger fires and what it calls.';

create function tenantry_private.trigger_noted(target regclass, seal_trigger name, condition text, printed text)
returns boolean
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
begin
  return exists (
    select
      from tenantry_private.seal_notes n
     where n.relation = target and n.trigger_name = seal_trigger and n.condition = trigger_noted.condition and n.printed = trigger_noted.printed);
end
$$;

comment on function tenantry_private.trigger_noted(regclass, name, text, text) is 'Whether a sealing trigger is as it was when it was made.';

create function tenantry_private.keep_trigger_note(target regclass)
returns void
language plpgsql volatile
as $$
begin
  delete from tenantry_private.seal_notes n where n.relation = target;
  insert into tenantry_private.seal_notes (relation, trigger_name, condition, printed)
  select target, t.tgname, case t.tgname when '~tenantry_seal_insert' then 'current_user <> ''tenantry_engine''' else tenantry_private.seal_condition(target) end,
         tenantry_private.printed_condition(t.oid)
    from pg_catalog.pg_trigger t
   where t.tgrelid = target and t.tgname in ('~tenantry_seal_insert', '~tenantry_seal_update');
end
$$;

comment on function tenantry_private.keep_trigger_note(regclass) is 'Notes how the sealing triggers of a table are printed: for the functions of tenantry_owner.';

create function tenantry_private.note_triggers(target regclass)
returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
begin
  perform tenantry_private.require_admin('declare how tables are isolated');
  perform tenantry_private.require_declarable(target);
  perform tenantry_private.keep_trigger_note(target);
end
$$;

comment on function tenantry_private.note_triggers(regclass) is 'Notes how PostgreSQL prints triggers that were just made, for check() to compare.';
