-- ALTER TABLE and DROP TABLE on protected tables. A view forbids to drop or retype the columns it shows, so it goes before such a statement
-- and comes back behind it; renamed columns are followed. Event triggers need a superuser: where one installs tenantry they
-- are made at once, else by tenantry.watch_ddl(), and until then sync() does what they would, and alter_table() the rest.

create function tenantry_private.follow_alter()
returns void
language plpgsql volatile
as $$
declare
  item    record;
  renamed regclass[] := '{}';
begin
  for item in
    select r.relation, r.old_name, r.new_name
      from tenantry_private.renamed_secrets() r
      join pg_catalog.pg_class c on c.oid = r.relation
     where pg_has_role(session_user, c.relowner, 'member')
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
     where pg_has_role(session_user, c.relowner, 'member')
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

comment on function tenantry_private.follow_alter() is 'Follows renamed columns of the tables of whoever is there. For the event triggers.';

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
  if current_query() ~* E'\\m(drop|type|set\\s+schema|rename)\\M' then
    perform tenantry_private.suspend_facades(current_query());
    perform tenantry_private.suspend_reach_views(current_query());
  end if;
end
$$;

comment on function tenantry_private.before_alter() is 'Event trigger in front of ALTER TABLE and DROP TABLE.';

create function tenantry_private.after_alter()
returns event_trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
begin
  perform tenantry_private.follow_alter();
  perform tenantry_private.resume_facades();
  perform tenantry_private.resume_reach_views(array(select c.objid from pg_event_trigger_ddl_commands() c where c.classid = 'pg_catalog.pg_class'::regclass));
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
  item record;
begin
  -- DROP COLUMN … CASCADE takes the triggers that watch the column along, and what is written then would be stored in clear.
  for item in
    select e.relation
      from pg_event_trigger_dropped_objects() d
      join tenantry_private.encrypted_columns e on d.address_names[1:2] = (
             select array[n.nspname::text, c.relname::text]
               from pg_catalog.pg_class c
               join pg_catalog.pg_namespace n on n.oid = c.relnamespace
              where c.oid = e.relation)
     where d.object_type = 'trigger' and d.address_names[3] in ('~tenantry_seal_insert', '~tenantry_seal_update')
  loop
    perform tenantry_private.refuse(format('%s would no longer seal what is written to its encrypted columns', item.relation),
      'To give up an encrypted column: call tenantry.unencrypt_column(…); and drop it then.');
  end loop;
end
$$;

comment on function tenantry_private.after_drop() is 'Event trigger on what is dropped: refuses to drop the triggers that seal. Error: TN011.';

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
    create event trigger tenantry_before_alter on ddl_command_start when tag in ('ALTER TABLE', 'DROP TABLE') execute function tenantry_private.before_alter();
    alter event trigger tenantry_before_alter enable always;
    comment on event trigger tenantry_before_alter is 'tenantry: lets decrypting views and those of the reach path out of the way of ALTER TABLE and DROP TABLE.';
  end if;
  if not exists (select from pg_catalog.pg_event_trigger e where e.evtname = 'tenantry_after_drop') then
    create event trigger tenantry_after_drop on sql_drop execute function tenantry_private.after_drop();
    alter event trigger tenantry_after_drop enable always;
    comment on event trigger tenantry_after_drop is 'tenantry: keeps the triggers that seal secrets.';
  end if;
  if not exists (select from pg_catalog.pg_event_trigger e where e.evtname = 'tenantry_after_alter') then
    create event trigger tenantry_after_alter on ddl_command_end when tag in ('ALTER TABLE', 'DROP TABLE') execute function tenantry_private.after_alter();
    alter event trigger tenantry_after_alter enable always;
    comment on event trigger tenantry_after_alter is 'tenantry: makes decrypting views and those of the reach path anew, and follows renamed columns.';
  end if;
end
$$;

comment on function tenantry.watch_ddl() is
  'Makes the event triggers by which ALTER TABLE and DROP TABLE work on protected tables, in spite of the views on them, for every owner of tables. For superusers; done at installation where a superuser installs. Error: 42501.';

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
