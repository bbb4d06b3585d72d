-- The reach path: what its views show, what guards the rows that are shared on it, and what the owner of the views does. Their
-- policies are TO that role alone, so that one table has two plans, the own path's and this one's.

-- Without blind indexes, by which whoever may not decrypt could try guesses, and without copies of values that are still
-- being encrypted.
create function tenantry_private.reach_source(target regclass)
returns text
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
begin
  return (
    select format('select %s from %s t', string_agg(format('t.%I', a.attname), ', ' order by a.attnum), format('%I.%I', n.nspname, c.relname))
      from tenantry_private.tables d
      join pg_catalog.pg_class c on c.oid = d.relation
      join pg_catalog.pg_namespace n on n.oid = c.relnamespace
      join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
     where d.relation = target and d.class in ('owned', 'by_parent') and d.reach
       -- a rollout's own, which goes at its end
       and a.attname <> 'tenantry_source'
       and not exists (
           select
             from tenantry_private.encrypted_columns e
            where e.relation = d.relation and a.attname in (e.index_column, e.plain_column))
     group by n.nspname, c.relname);
end
$$;

comment on function tenantry_private.reach_source(regclass) is 'The query of reach.<table>; null for a table that has none.';

create function tenantry_private.plan_grants_across(target regclass)
returns table (statement text, lock text)
language plpgsql stable rows 5
set search_path = pg_catalog, pg_temp
as $$
declare
  schema  constant name := (select n.nspname from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace where c.oid = target);
  oncall  constant boolean := exists (select from tenantry_private.allowed_logins() a where a.granted_as = 'maintenance');
  grantee record;
  held    text[];
  missing text[];
begin
  for grantee in
    select g.role_name, case g.command when 'all' then array['select', 'insert', 'update', 'delete']
                                       when 'select' then array['select'] else array['select', g.command] end as wanted
      from tenantry.granted_across g
     where g.relation = target
    union all
    select 'tenantry_maintenance', array['select', 'insert', 'update', 'delete']
     where oncall
     order by 1
  loop
    if not has_schema_privilege(grantee.role_name, schema, 'usage') then
      statement := format('grant usage on schema %I to %I', schema, grantee.role_name);
      return next;
    end if;
    held    := tenantry_private.granted(target, to_regrole(quote_ident(grantee.role_name)));
    missing := array(select p from unnest(grantee.wanted) as p where p <> all (held));
    if missing <> '{}' then
      statement := format('grant %s on table %s to %I', array_to_string(missing, ', '), target, grantee.role_name);
      return next;
    end if;
  end loop;
  if not oncall and tenantry_private.granted(target, to_regrole('tenantry_maintenance')) <> '{}' then
    statement := format('revoke all on table %s from tenantry_maintenance', target);
    return next;
  end if;
end
$$;

comment on function tenantry_private.plan_grants_across(regclass) is 'Statements that give standing readers and emergencies the privileges that their policies suppose.';

create function tenantry_private.plan_reach_grants(declaration tenantry_private.tables)
returns table (statement text, lock text)
language plpgsql stable rows 5
set search_path = pg_catalog, pg_temp
as $$
declare
  target  constant regclass := declaration.relation;
  held    constant text[] := tenantry_private.granted(target, to_regrole('tenantry_reach'));
  schema  name;
  missing text[];
begin
  if declaration.reach is not true then
    if held <> '{}' then
      statement := format('revoke all on table %s from tenantry_reach', target);
      return next;
    end if;
    return;
  end if;
  schema := (select n.nspname from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace where c.oid = target);
  if not has_schema_privilege('tenantry_reach', schema, 'usage') then
    statement := format('grant usage on schema %I to tenantry_reach', schema);
    return next;
  end if;
  missing := array(select p from unnest(array['select', 'insert', 'update', 'delete']) as p where p <> all (held));
  if missing <> '{}' then
    statement := format('grant %s on table %s to tenantry_reach', array_to_string(missing, ', '), target);
    return next;
  end if;
end
$$;

comment on function tenantry_private.plan_reach_grants(tenantry_private.tables) is 'Statements that give the owner of the reach views what they need.';

-- Row triggers, because only they know a row's old owner with its new one. After the row, so that where a policy forbids the
-- change its own error comes first.
create function tenantry_private.row_trigger_is(target regclass, trigger_name name, routine name, type integer)
returns boolean
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return exists (
    select
      from pg_catalog.pg_trigger t
      join pg_catalog.pg_proc p on p.oid = t.tgfoid
     where t.tgrelid = target and t.tgname = trigger_name and t.tgenabled in ('O', 'A') and t.tgtype = type
       and p.pronamespace = to_regnamespace('tenantry_private') and p.proname = routine);
end
$$;

comment on function tenantry_private.row_trigger_is(regclass, name, name, integer) is 'Whether a table has an enabled trigger of this kind and function.';

create function tenantry_private.plan_reach(declaration tenantry_private.tables)
returns table (statement text, lock text)
language plpgsql stable rows 5
set search_path = pg_catalog, pg_temp
as $$
declare
  target constant regclass := declaration.relation;
  part   regclass;
  made   text;
begin
  lock := 'SHARE ROW EXCLUSIVE';
  for part in select * from tenantry_private.row_trigger_tables(target) loop
    if declaration.reach and not tenantry_private.row_trigger_is(part, 'tenantry_owner_kept', 'keep_owner', 17) then
      statement := format('create or replace trigger tenantry_owner_kept after update of %I on %s for each row when (old.%1$I is distinct from new.%1$I) execute function tenantry_private.keep_owner()',
                     declaration.owner_column, part);
      return next;
    elsif not declaration.reach and exists (select from pg_catalog.pg_trigger t where t.tgrelid = part and t.tgname = 'tenantry_owner_kept' and t.tgparentid = 0) then
      statement := format('drop trigger tenantry_owner_kept on %s', part);
      return next;
    end if;
    if declaration.actor_column is not null and not tenantry_private.row_trigger_is(part, 'tenantry_actor', 'record_actor', 23) then
      statement := format('create or replace trigger tenantry_actor before insert or update on %s for each row execute function tenantry_private.record_actor()', part);
      return next;
    elsif declaration.actor_column is null and exists (select from pg_catalog.pg_trigger t where t.tgrelid = part and t.tgname = 'tenantry_actor' and t.tgparentid = 0) then
      statement := format('drop trigger tenantry_actor on %s', part);
      return next;
    end if;
  end loop;
  lock := null;
  if not declaration.reach then
    if tenantry_private.view_on(target, 'reach') is not null then
      statement := format('select tenantry_private.drop_reach_view(%L)', target);
      return next;
    end if;
    return;
  end if;
  made := tenantry_private.made_from(target, 'reach');
  -- a dry run knows no source yet: the declaration is not recorded
  if made is null or made is distinct from tenantry_private.reach_source(target) then
    statement := format('select tenantry_private.define_reach_view(%L)', target);
    return next;
  end if;
end
$$;

comment on function tenantry_private.plan_reach(tenantry_private.tables) is 'Statements that give a table its view on the reach path, and what guards the owner of its rows.';

-- Of a partition or an inheritance child it is the table above that was declared.
create function tenantry_private.declared_of(target oid)
returns oid
language plpgsql stable
as $$
begin
  if exists (select from tenantry_private.tables t where t.relation = target) then
    return target;
  end if;
  return tenantry_private.protected_above(target);
end
$$;

comment on function tenantry_private.declared_of(oid) is 'A table that is declared, or the protected one above it; null if there is none.';

create function tenantry_private.keep_owner()
returns trigger
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
declare
  declaration tenantry_private.tables;
  context     constant text[] := tenantry_private.open_context();
  old_owner   text;
  new_owner   text;
begin
  if tenantry.sets_up() then
    return null;
  end if;
  -- What to look at comes from the registry, not from whoever made the trigger.
  select t.* into declaration from tenantry_private.tables t where t.relation = tenantry_private.declared_of(tg_relid);
  perform tenantry_private.require_id_columns(tg_relid, declaration.owner_column, null);
  execute format('select ($1).%1$I::text, ($2).%1$I::text', declaration.owner_column) into old_owner, new_owner using old, new;
  -- Nobody's, which there is in a rollout only: whoever has a context does not see it.
  if old_owner is null then
    return null;
  end if;
  if tenantry_private.held(context, declaration.owner_kind, old_owner) & 32 = 0
     or not exists (
          select
            from tenantry_private.reached(context, 'insert', declaration.relation, declaration.owner_kind) r
           where r.kind = declaration.owner_kind and r.id = new_owner) then
    raise exception 'the owner of a row of % cannot be changed by this session', tg_relid::regclass
      using errcode = '42501', hint = 'It takes the privilege delegate on the rows of the old owner, and insert on those of the new one.';
  end if;
  return null;
end
$$;

comment on function tenantry_private.keep_owner() is 'Trigger: rows change hands only by whoever holds delegate on the old owner''s data, and to whom they may insert for.';

create function tenantry_private.record_actor()
returns trigger
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
declare
  the_column constant name := (select t.actor_column from tenantry_private.tables t where t.relation = tenantry_private.declared_of(tg_relid));
  actor      constant text := tenantry.actor();
  changed    boolean;
begin
  if the_column is null or tenantry.sets_up() then
    return new;
  end if;
  perform tenantry_private.require_actor_column(tg_relid, the_column);
  if tg_op = 'INSERT' then
    new := jsonb_populate_record(new, jsonb_build_object(the_column, actor));
    return new;
  end if;
  -- Not the row as a whole: what casts of its columns' types do would be done as tenantry.
  execute format('select ($1).%1$I is distinct from ($2).%1$I', the_column) into changed using old, new;
  if changed then
    raise exception 'who inserted a row cannot be changed (%.%)', tg_relid::regclass, quote_ident(the_column)
      using errcode = '42501', hint = format('Leave %I out of the update.', the_column);
  end if;
  return new;
end
$$;

comment on function tenantry_private.record_actor() is 'Trigger: records who inserted a row, whatever the statement says, and keeps it.';

grant create on schema tenantry_private to tenantry_reach;
set local role tenantry_reach;

create function tenantry_private.define_reach_view(target regclass)
returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
begin
  perform tenantry_private.require_admin('make reach views');
  perform tenantry_private.require_declarable(target);
  perform tenantry_private.make_view(target, 'reach');
end
$$;

comment on function tenantry_private.define_reach_view(regclass) is 'Makes, or makes anew, the view of a table on the reach path.';

create function tenantry_private.drop_reach_view(target regclass)
returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
begin
  perform tenantry_private.require_admin('make reach views');
  perform tenantry_private.require_declarable(target);
  perform tenantry_private.unmake_view(target, 'reach');
end
$$;

comment on function tenantry_private.drop_reach_view(regclass) is 'Drops the view of a table on the reach path.';

-- For the event triggers on ALTER TABLE: whoever may alter a table may have its view made anew.
create function tenantry_private.suspend_reach_views(statement text)
returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
begin
  perform tenantry_private.suspend_views(statement, 'reach');
end
$$;

comment on function tenantry_private.suspend_reach_views(text) is 'Drops the reach views of the tables that a statement names, so that their columns can be dropped or retyped; resume_reach_views() makes them anew.';

create function tenantry_private.resume_reach_views(altered oid[])
returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
begin
  perform tenantry_private.resume_views('reach', altered);
end
$$;

comment on function tenantry_private.resume_reach_views(oid[]) is 'Makes the reach views of whoever''s tables these are anew, where they are missing, or of tables that were altered and not as declared.';

revoke all on function tenantry_private.define_reach_view(regclass), tenantry_private.drop_reach_view(regclass),
  tenantry_private.suspend_reach_views(text), tenantry_private.resume_reach_views(oid[]) from public;
grant execute on function tenantry_private.suspend_reach_views(text), tenantry_private.resume_reach_views(oid[]) to tenantry_owner, tenantry_admin;
grant execute on function tenantry_private.define_reach_view(regclass), tenantry_private.drop_reach_view(regclass) to tenantry_admin;

set local role tenantry_owner;
revoke create on schema tenantry_private from tenantry_reach;
