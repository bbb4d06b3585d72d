-- ALTER TABLE and DROP TABLE on protected tables. A view forbids to drop or retype the columns it shows, so it goes before such a statement
-- and comes back behind it; renamed columns are followed. Event triggers need a superuser: where one installs tenantry they
-- are made at once, else by tenantry.watch_ddl(), and until then sync() does what they would, and alter_table() the rest.

create function tenantry_private.follow_alter(altered oid[])
returns void
language plpgsql volatile
as $$
declare
  item    record;
  renamed regclass[] := '{}';
begin
  if not exists (select from tenantry_private.encrypted_columns e where e.relation = any (altered)) then
    return;
  end if;
  for item in
    select r.relation, r.old_name, r.new_name
      from tenantry_private.renamed_secrets() r
      join pg_catalog.pg_class c on c.oid = r.relation
     where r.relation = any (altered) and pg_has_role(session_user, c.relowner, 'member')
  loop
    renamed := renamed || item.relation;
    update tenantry_private.encrypted_columns c
       set column_name  = case when c.column_name = item.old_name then item.new_name else c.column_name end,
           index_column = case when c.index_column = item.old_name then item.new_name else c.index_column end
     where c.relation = item.relation and item.old_name in (c.column_name, c.index_column);
  end loop;
  for item in
    select distinct e.relation, 'seal_' || t.tag as routine
      from tenantry_private.encrypted_columns e
      join tenantry_private.tables t on t.relation = e.relation
      join pg_catalog.pg_class c on c.oid = e.relation
     where e.relation = any (altered) and pg_has_role(session_user, c.relowner, 'member')
       and not exists (select from tenantry_private.renames() r where r.relation = e.relation)
       -- a restore adds the primary key after everything else
       and tenantry_private.primary_key(e.relation) is not null
  loop
    if (select p.prosrc from pg_catalog.pg_proc p where p.pronamespace = 'tenantry_private'::regnamespace and p.proname = item.routine)
       is distinct from tenantry_private.seal_body(item.relation) then
      perform tenantry_private.make_seal(item.relation);
    end if;
    if item.relation = any (renamed) then
      -- Conditions follow renames by themselves; what was noted of them has the old names.
      perform tenantry_private.keep_trigger_note(item.relation);
    end if;
  end loop;
end
$$;

comment on function tenantry_private.follow_alter(oid[]) is 'Follows renamed encrypted columns of altered tables of whoever is there. For the event triggers.';

-- What was declared by names goes on under new ones, and so do the trigger functions, whose bodies have names in them.
create function tenantry_private.follow_renames(altered oid[])
returns void
language plpgsql volatile
as $$
declare
  item    record;
  renamed regclass[] := '{}';
  actual  text;
  wanted  text;
begin
  if not exists (select from tenantry_private.tables t where t.relation = any (altered))
     and not exists (select from tenantry_private.kinds k where k.relation = any (altered)) then
    return;
  end if;
  -- What was not renamed is found by an index.
  if exists (
       select
         from (select t.relation, unnest(t.owner_column || coalesce(t.owner_from, '{}')) as column_name
                 from tenantry_private.tables t where t.relation = any (altered) or t.parent = any (altered)
               union all
               select k.relation, unnest(array[k.id_column, k.owner_column]) from tenantry_private.kinds k where k.relation = any (altered)) c
        where c.column_name is not null
          and not exists (select from pg_catalog.pg_attribute a where a.attrelid = c.relation and a.attname = c.column_name and not a.attisdropped)) then
    for item in select r.* from tenantry_private.renames() r where r.relation = any (altered) loop
      perform tenantry_private.write_rename(item.relation, item.what, item.old_name, item.new_name);
      renamed := renamed || item.relation;
    end loop;
  end if;
  perform tenantry_private.forget_exceptions(altered);
  -- Functions that look at tables name them and their columns.
  if renamed = '{}' and current_query() !~* E'\\m(rename|schema)\\M' then
    return;
  end if;
  for item in
    select t.relation, t.class, t.relation = any (renamed) as is_renamed
      from tenantry_private.tables t
     where t.class in ('owned', 'by_parent') and tenantry_private.is_guarded(t.relation)
       and (t.relation = any (altered) or t.parent = any (altered)
            or exists (select from pg_catalog.pg_constraint c where c.conrelid = t.relation and c.contype = 'f' and c.confrelid = any (altered)))
  loop
    actual := tenantry_private.trigger_function(item.relation, 'tenantry_references_insert');
    wanted := tenantry_private.expected_check(tenantry_private.declared(item.relation), null);
    if actual <> wanted then
      perform tenantry_private.make_reference_check(item.relation);
    end if;
    if item.class = 'by_parent' and tenantry_private.trigger_function(item.relation, 'tenantry_owner_fill') is not null then
      perform tenantry_private.make_owner_fill(item.relation);
    end if;
    if item.is_renamed then
      perform tenantry_private.write_expressions(item.relation);
    end if;
  end loop;
end
$$;

comment on function tenantry_private.follow_renames(oid[]) is 'Follows renamed tables and columns in what is declared of them. For the event triggers.';

-- Definers, because whoever alters a table knows nothing of tenantry and may not even look into its schemas.
create function tenantry_private.before_alter()
returns event_trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
begin
  if tg_tag = 'ALTER SCHEMA' then
    perform tenantry_private.note_schemas();
  elsif exists (select from tenantry_private.views) and current_query() ~* E'\\m(drop|type|set\\s+schema|rename)\\M' then
    perform tenantry_private.suspend_facades(current_query());
    perform tenantry_private.suspend_reach_views(current_query());
  end if;
end
$$;

comment on function tenantry_private.before_alter() is 'Event trigger in front of ALTER TABLE, DROP TABLE and ALTER SCHEMA.';

create function tenantry_private.after_alter()
returns event_trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
declare
  altered constant oid[] := array(select c.objid from pg_event_trigger_ddl_commands() c where c.classid = 'pg_catalog.pg_class'::regclass);
begin
  perform tenantry_private.follow_renames(altered);
  perform tenantry_private.follow_alter(altered);
  if exists (select from tenantry_private.views v where v.path = 'tenant' and (v.suspended or v.relation = any (altered))) then
    perform tenantry_private.resume_facades(altered);
  end if;
  if exists (select from tenantry_private.views v where v.path = 'reach' and (v.suspended or v.relation = any (altered))) then
    perform tenantry_private.resume_reach_views(altered);
  end if;
end
$$;

comment on function tenantry_private.after_alter() is 'Event trigger behind ALTER TABLE and DROP TABLE.';

create function tenantry_private.after_drop()
returns event_trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
declare
  item   record;
  target oid;
begin
  for item in
    select d.objid, d.object_type, d.address_names as names, d.object_identity
      from pg_event_trigger_dropped_objects() d
     where d.object_type in ('policy', 'trigger', 'table', 'foreign table', 'view', 'materialized view')
  loop
    if item.object_type in ('policy', 'trigger') then
      continue when item.object_type = 'policy' and item.names[3] not like 'tenantry\_%' or item.object_type = 'trigger' and not tenantry_private.is_own_trigger(item.names[3]);
      -- Not where the table itself goes: then nothing of that name is there any more.
      target := (
        select c.oid from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
         where n.nspname = item.names[1] and c.relname = item.names[2]);
      continue when target is null;
      -- DROP COLUMN … CASCADE takes the triggers that watch the column along, and what is written then would be stored in clear.
      if item.names[3] in ('~tenantry_seal_insert', '~tenantry_seal_update')
         and exists (select from tenantry_private.encrypted_columns e where e.relation = target) then
        perform tenantry_private.refuse(format('%s would no longer seal what is written to its encrypted columns', target::regclass),
          'To give up an encrypted column: call tenantry.unencrypt_column(…); and drop it then.');
      end if;
      if (item.object_type = 'trigger' or tenantry_private.guarded_root(target) is not null) and tenantry_private.refuses_change(target) then
        perform tenantry_private.refuse_weakening(target, format('%s %I is tenantry''s', item.object_type, item.names[3]));
      end if;
    else
      -- What is gone needs no protection, and its children belong to themselves.
      if exists (select from tenantry_private.tables t where t.relation = item.objid) then
        update tenantry_private.tables t set class = 'owned', owner_from = null, parent = null where t.parent = item.objid and t.class = 'by_parent';
        perform tenantry_private.note('drop_table', item.object_identity);
        perform tenantry_private.erase_declaration(item.objid);
      end if;
      -- A number may be given out again.
      delete from tenantry_private.known_relations k where k.relation = item.objid;
      delete from tenantry_private.views v where v.relation = item.objid;
      delete from tenantry_private.encrypted_columns e where e.relation = item.objid;
      if found then
        perform tenantry_private.drop_idle_imports();
      end if;
      delete from tenantry_private.engine_jobs j where j.relation = item.objid;
    end if;
  end loop;
end
$$;

comment on function tenantry_private.after_drop() is 'Event trigger on what is dropped: forgets declarations of dropped tables, refuses to drop the triggers that seal, and policies and triggers of protected tables. Errors: 42501, TN011.';

create function tenantry.watch_ddl()
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
  if not (select r.rolsuper from pg_catalog.pg_roles r where r.rolname = current_user) then
    raise exception 'only a superuser may create event triggers'
      using errcode = '42501', hint = 'Without them, run ALTER TABLE on protected tables by tenantry.alter_table(), and tenantry.sync() after others'' changes.';
  end if;
  if not exists (select from pg_catalog.pg_event_trigger e where e.evtname = 'tenantry_before_alter') then
    create event trigger tenantry_before_alter on ddl_command_start when tag in ('ALTER TABLE', 'DROP TABLE', 'ALTER SCHEMA') execute function tenantry_private.before_alter();
    alter event trigger tenantry_before_alter enable always;
    comment on event trigger tenantry_before_alter is 'tenantry: lets decrypting views and those of the reach path out of the way of ALTER TABLE and DROP TABLE, and notes what schemas are called.';
  end if;
  if not exists (select from pg_catalog.pg_event_trigger e where e.evtname = 'tenantry_after_drop') then
    create event trigger tenantry_after_drop on sql_drop execute function tenantry_private.after_drop();
    alter event trigger tenantry_after_drop enable always;
    comment on event trigger tenantry_after_drop is 'tenantry: keeps policies, and the triggers that seal secrets.';
  end if;
  if not exists (select from pg_catalog.pg_event_trigger e where e.evtname = 'tenantry_after_alter') then
    create event trigger tenantry_after_alter on ddl_command_end when tag in ('ALTER TABLE', 'DROP TABLE') execute function tenantry_private.after_alter();
    alter event trigger tenantry_after_alter enable always;
    comment on event trigger tenantry_after_alter is 'tenantry: makes decrypting views and those of the reach path anew, and follows renamed columns.';
  end if;
  if not exists (select from pg_catalog.pg_event_trigger e where e.evtname = 'tenantry_after_ddl') then
    create event trigger tenantry_after_ddl on ddl_command_end
      when tag in ('CREATE TABLE', 'CREATE TABLE AS', 'SELECT INTO', 'CREATE FOREIGN TABLE', 'CREATE MATERIALIZED VIEW', 'CREATE VIEW',
                   'ALTER TABLE', 'ALTER FOREIGN TABLE', 'ALTER MATERIALIZED VIEW', 'ALTER VIEW', 'CREATE POLICY', 'ALTER POLICY', 'GRANT',
                   'CREATE TRIGGER', 'ALTER TRIGGER', 'CREATE RULE',
                   'CREATE SCHEMA', 'ALTER SCHEMA', 'IMPORT FOREIGN SCHEMA')
      execute function tenantry_private.after_ddl();
    alter event trigger tenantry_after_ddl enable always;
    comment on event trigger tenantry_after_ddl is 'tenantry: protects or closes new tables of managed schemas, and keeps what protects tables.';
  end if;
end
$$;

comment on function tenantry.watch_ddl() is
  'Makes the event triggers by which new tables of managed schemas are protected, what protects tables is kept, and ALTER TABLE and DROP TABLE work in spite of the views on them, for every owner of tables. For superusers; done at installation where a superuser installs. Error: 42501.';

create function tenantry.alter_table(target regclass, action text)
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  name    constant text := target::text;
  settled record;
begin
  perform tenantry_private.require_own_table(target, 'alter_table');
  if action is null or btrim(action) = '' then
    perform tenantry_private.refuse('there is nothing to do', format('Say what: select tenantry.alter_table(%L, ''drop column …'');', target));
  end if;
  perform tenantry_private.suspend_facades(name);
  perform tenantry_private.suspend_reach_views(name);
  execute format('alter table %s %s', target, action);
  perform tenantry_private.follow_catalog();
  for settled in select * from tenantry_private.settle_table(target, 0, false) loop
    null;
  end loop;
end
$$;

comment on function tenantry.alter_table(regclass, text) is
  'Runs ALTER TABLE <target> <action> where no event triggers do what is needed: the decrypting view of the table and its view on the reach path are made anew behind it. Run as the table''s owner and an admin. Errors: 42501, TN011, and what ALTER TABLE says.';
