-- The event triggers. One runs as whoever runs the statement, because only the owner of a table may alter it; what it asks
-- and records are definers that work inside of an event trigger alone, on what the statement touched.

-- Schemas are kept by their names, of which the catalog shows only the one a statement has given: so they are noted in front
-- of it. One at a time, or a second one could note a name that the first is changing.
create function tenantry_private.note_schemas()
returns void
language plpgsql volatile
as $$
begin
  lock table tenantry_private.altered_schemas in share row exclusive mode;
  -- What an event trigger of others' altered within a statement that is not over.
  perform tenantry_private.follow_schemas();
  insert into tenantry_private.altered_schemas (namespace, xact, schema_name)
  select n.oid, pg_current_xact_id(), n.nspname
    from pg_catalog.pg_namespace n
   where n.nspname in (select s.schema_name from tenantry_private.schemas s
                       union
                       select k.schema_name from tenantry_private.known_relations k);
end
$$;

comment on function tenantry_private.note_schemas() is 'In front of ALTER SCHEMA: notes what schemas are called that are managed or hold known tables.';

-- A renamed schema is managed under its new name; one that is dropped and made anew still is.
create function tenantry_private.follow_schemas()
returns void
language plpgsql volatile
as $$
declare
  noted    record;
  new_name name;
begin
  for noted in
    delete from tenantry_private.altered_schemas a where a.xact = pg_current_xact_id_if_assigned() returning a.namespace, a.schema_name as old_name
  loop
    new_name := (select n.nspname from pg_catalog.pg_namespace n where n.oid = noted.namespace);
    continue when new_name is null or new_name = noted.old_name;
    if exists (select from tenantry_private.schemas s where s.schema_name = noted.old_name) then
      delete from tenantry_private.schemas s where s.schema_name = new_name;
      update tenantry_private.schemas s set schema_name = new_name where s.schema_name = noted.old_name;
    end if;
    delete from tenantry_private.known_relations k where k.schema_name = new_name;
    update tenantry_private.known_relations k set schema_name = new_name where k.schema_name = noted.old_name;
  end loop;
end
$$;

comment on function tenantry_private.follow_schemas() is 'Behind ALTER SCHEMA: follows schemas that were renamed in what is managed, and in which tables are known.';

create function tenantry_private.judge_ddl()
returns setof text
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
declare
  item       record;
  relation   record;
  found_weak text;
  managed    constant boolean := exists (select from tenantry_private.schemas);
begin
  perform tenantry_private.follow_schemas();
  if not managed and not exists (select from tenantry_private.guarded_relations) then
    return;
  end if;
  for item in
    select distinct on (d.classid, d.objid) d.classid, d.objid, d.command_tag, lower(d.object_type) as object_type
      from pg_event_trigger_ddl_commands() d
     where not d.in_extension
  loop
    if item.command_tag = 'GRANT' then
      if item.object_type in ('table', 'column') then
        perform tenantry_private.judge_grants();
      end if;
    elsif item.classid = 'pg_catalog.pg_namespace'::regclass then
      -- Made under the name of one that was dropped: what was known there is new in this one.
      if item.command_tag = 'CREATE SCHEMA' then
        delete from tenantry_private.known_relations k
         where k.schema_name = (select n.nspname from pg_catalog.pg_namespace n where n.oid = item.objid)
           and not exists (select from pg_catalog.pg_class c where c.oid = k.relation and c.relnamespace = item.objid);
      end if;
    elsif item.classid = 'pg_catalog.pg_policy'::regclass then
      perform tenantry_private.judge_policy(item.objid, item.command_tag = 'ALTER POLICY');
    elsif item.classid = 'pg_catalog.pg_trigger'::regclass then
      perform tenantry_private.judge_trigger(item.objid);
    elsif item.classid = 'pg_catalog.pg_rewrite'::regclass then
      perform tenantry_private.judge_rule(item.objid);
    end if;
    -- Looked up one by one: together they would be looked for in the whole catalog.
    continue when item.command_tag = 'GRANT' or item.classid <> 'pg_catalog.pg_class'::regclass;
    select c.relkind, c.relpersistence, n.nspname as schema_name, t.class, tenantry_private.is_guarded(c.oid) as guarded,
           not c.relispartition and exists (select from pg_catalog.pg_inherits i where i.inhrelid = c.oid) as inherits,
           exists (select from tenantry_private.kinds k where k.relation = c.oid)
           or exists (select from tenantry_private.membership_sources m where m.relation = c.oid) as followed
      into relation
      from pg_catalog.pg_class c
      join pg_catalog.pg_namespace n on n.oid = c.relnamespace
      left join tenantry_private.tables t on t.relation = c.oid
     where c.oid = item.objid;
    if relation.relkind = 'v' then
      perform tenantry_private.judge_view(item.objid);
    elsif relation.relkind in ('r', 'p', 'f', 'm') and relation.relpersistence <> 't' then
      if relation.inherits
         and exists (select from pg_catalog.pg_inherits i where i.inhrelid = item.objid and tenantry_private.is_followed_table(i.inhparent)) then
        perform tenantry_private.refuse(format('%s must not inherit from a table that says who there is, or who is a member of what: what becomes of its rows is not followed', item.objid::regclass),
          'Partition the table instead.');
      end if;
      if relation.guarded then
        return query select * from tenantry_private.bear_parts(item.objid);
        if not tenantry_private.watch(item.objid) then
          found_weak := tenantry_private.weakness(item.objid);
          if found_weak is not null then
            perform tenantry_private.refuse_weakening(item.objid, found_weak);
          end if;
        end if;
      elsif relation.followed and tenantry_private.triggers_off(item.objid) is not null and not tenantry_private.is_admin() then
        perform tenantry_private.refuse_weakening(item.objid, tenantry_private.triggers_off(item.objid));
      elsif relation.class is null and managed
            and exists (select from tenantry_private.schemas s where s.schema_name = relation.schema_name)
            and not exists (select from tenantry_private.known_relations k where k.relation = item.objid and k.schema_name = relation.schema_name) then
        return query select * from tenantry_private.bear(item.objid);
        if relation.relkind in ('r', 'p') and not exists (select from tenantry_private.tables t where t.relation = item.objid) and tenantry_private.protected_above(item.objid) is null then
          raise notice '% is closed to the application, because %', item.objid::regclass,
            case when (select count(*)
                         from tenantry_private.birth_rules r
                         join pg_catalog.pg_class c on c.oid = item.objid and c.relname like r.pattern
                        where r.schema_name = (select n.nspname from pg_catalog.pg_namespace n where n.oid = c.relnamespace)) > 1
                 then 'several rules are for its name' else 'nobody has said whose its rows are' end
            using hint = format('Say it: select * from tenantry.protect(%L, owner_column => ''…'', owner_kind => ''…''); or tenantry.share(%1$L), or tenantry.exempt(%1$L, ''…'').', item.objid::regclass);
        end if;
      elsif relation.relkind = 'm' then
        -- wherever it is
        if item.command_tag = 'CREATE MATERIALIZED VIEW' and tenantry_private.guarded_below(item.objid) is not null then
          return query select * from tenantry_private.closing_statements(item.objid);
        end if;
      elsif relation.class is null and tenantry_private.is_guarded(tenantry_private.protected_above(item.objid)) then
        if tenantry_private.is_new_part(item.objid) then
          return query select * from tenantry_private.bear(item.objid);
        elsif (exists (select from pg_catalog.pg_class c where c.oid = item.objid and not (c.relrowsecurity and c.relforcerowsecurity))
               or tenantry_private.triggers_off(item.objid) is not null)
              and not tenantry_private.watch(tenantry_private.protected_above(item.objid)) then
          perform tenantry_private.refuse_weakening(item.objid, coalesce(tenantry_private.triggers_off(item.objid), 'it is part of a protected table'));
        end if;
        return query select * from tenantry_private.bear_parts(item.objid);
      end if;
    end if;
  end loop;
end
$$;

comment on function tenantry_private.judge_ddl() is 'What a statement made and changed: refuses what weakens a protected table, and returns the statements that protect or close new ones. Works in an event trigger only. Errors: 42501, TN011.';

create function tenantry_private.settle_births()
returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
declare
  born record;
begin
  for born in
    select distinct t.relation, t.reach, t.owner_column
      from pg_event_trigger_ddl_commands() d
      join tenantry_private.tables t on t.relation = d.objid and t.class in ('owned', 'by_parent')
     where d.classid = 'pg_catalog.pg_class'::regclass and t.expressions = '{}'
  loop
    perform tenantry_private.write_expressions(born.relation);
    if born.reach then
      perform tenantry_private.make_born_view(born.relation);
    end if;
    raise notice '% is protected: it belongs to whoever its column % names', born.relation, quote_ident(born.owner_column);
  end loop;
  -- From here on it is a table like any other, also for whoever made it, and so are its parent and the one above it.
  delete from tenantry_private.watched_relations w
   where w.born and w.xact = pg_current_xact_id() and tenantry_private.weakness(w.relation) is null and tenantry_private.remade_policies(w.relation) is null;
end
$$;

comment on function tenantry_private.settle_births() is 'Behind the statements of judge_ddl(): records that born tables are protected, after looking, and gives them their views. Works in an event trigger only. Error: TN011.';

-- As for plan_table(), plans are made once: most sessions that change tables run many such statements.
create function tenantry_private.after_ddl()
returns event_trigger
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
as $$
declare
  statements text[];
  statement  text;
begin
  -- The owners of the views, whom nobody is a member of: they own nothing else, and grant nothing else.
  if current_user in ('tenantry_facade', 'tenantry_reach') then
    return;
  end if;
  statements := array(select s.statement from tenantry_private.judge_ddl() s (statement));
  foreach statement in array statements loop
    execute statement;
  end loop;
  if statements <> '{}' then
    perform tenantry_private.settle_births();
  end if;
end
$$;

comment on function tenantry_private.after_ddl() is 'Event trigger behind everything that makes or changes tables, views, policies and grants. As whoever runs the statement.';

grant create on schema tenantry_private to tenantry_reach;
set local role tenantry_reach;

create function tenantry_private.make_born_view(target regclass)
returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
begin
  perform tenantry_private.make_view(target, 'reach');
end
$$;

comment on function tenantry_private.make_born_view(regclass) is 'Makes the reach view of a table that was born protected. For settle_births().';

revoke all on function tenantry_private.make_born_view(regclass) from public;
grant execute on function tenantry_private.make_born_view(regclass) to tenantry_owner;

set local role tenantry_owner;
revoke create on schema tenantry_private from tenantry_reach;
