-- What becomes of a new table. A column is never added unless a rule says owner_from.

-- Made beside a protected table and attached then, as pg_partman does it: a table of its own until it is a partition.
create function tenantry_private.is_partition_to_be(target regclass)
returns boolean
language sql stable
set search_path = pg_catalog, pg_temp
begin atomic
  with signatures as (
    select a.attrelid, array_agg(format('%I %s', a.attname, a.atttypid) order by a.attname) as columns
      from pg_catalog.pg_attribute a
     where a.attnum > 0 and not a.attisdropped
       and (a.attrelid = target or a.attrelid in (
              select t.relation from tenantry_private.tables t join pg_catalog.pg_class c on c.oid = t.relation and c.relkind = 'p'
               where t.class in ('owned', 'by_parent')))
     group by a.attrelid)
  select exists (
    select from signatures own join signatures partitioned on partitioned.columns = own.columns and partitioned.attrelid <> own.attrelid
     where own.attrelid = target);
end;

comment on function tenantry_private.is_partition_to_be(regclass) is 'Whether a new table has exactly the columns of a protected partitioned table.';

create function tenantry_private.birth_declaration(target regclass)
returns tenantry_private.tables
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  nobody   constant tenantry_private.tables := null;
  relation record;
  matching tenantry_private.birth_rules[];
  schema   record;
  cast_to  text;
begin
  select c.relname, n.nspname into relation
    from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace where c.oid = target;
  -- It has no triggers of its own to be in the way of the ones that it takes over.
  if tenantry_private.is_partition_to_be(target) then
    return nobody;
  end if;
  matching := array(select r from tenantry_private.birth_rules r where r.schema_name = relation.nspname and relation.relname like r.pattern);
  if cardinality(matching) = 1 then
    return tenantry_private.declaration_of(target, matching[1].owner_column, matching[1].owner_kind, matching[1].owner_from, null);
  elsif cardinality(matching) > 1 then
    return nobody;
  end if;
  select s.owner_column, s.owner_kind, k.id_type into schema
    from tenantry_private.schemas s join tenantry_private.kinds k on k.kind = s.owner_kind where s.schema_name = relation.nspname;
  cast_to := tenantry_private.id_cast(tenantry_private.column_type(target, schema.owner_column));
  if cast_to is null or (cast_to = 'uuid') <> (schema.id_type::text = 'uuid') then
    return nobody;
  end if;
  return tenantry_private.declaration_of(target, schema.owner_column, schema.owner_kind, null, null);
end
$$;

comment on function tenantry_private.birth_declaration(regclass) is 'How a new table is protected: by the one rule that its name is like, else by the owner column of its schema; null where neither fits, or where it looks like a partition that is yet to be attached. Error: TN011.';

-- Whose privileges the application has: PUBLIC, tenantry_user, its logins and the groups they are in.
create function tenantry_private.is_applications(grantee oid)
returns boolean
language sql stable security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
return grantee = 0 or grantee = to_regrole('tenantry_user')
    or tenantry_private.is_held_by_logins(grantee)
       -- what stands for itself, and check() names
       and not exists (
           select from tenantry_private.schemas s join pg_catalog.pg_roles m on m.rolname = s.migration_role where m.oid = is_applications.grantee);

comment on function tenantry_private.is_applications(oid) is 'Whether what a role, or PUBLIC (0), is granted is the application''s.';

-- Row-level security without a policy lets nobody through but the owner, who goes on with the migration.
create function tenantry_private.closing_statements(target regclass, forced boolean default false)
returns setof text
language sql stable
set search_path = pg_catalog, pg_temp
begin atomic
  select s.statement
    from pg_catalog.pg_class c
   cross join lateral (
     select 1 as position, format('alter table %s enable row level security', target) as statement
      where c.relkind in ('r', 'p') and not c.relrowsecurity
     union all
     select 2, format('alter table %s force row level security', target) where forced and c.relkind in ('r', 'p') and not c.relforcerowsecurity
     union all
     select 3, format('revoke all on table %s from %s', target, coalesce(quote_ident(r.rolname), 'public'))
       from (select a.grantee from aclexplode(c.relacl) a where a.grantee <> c.relowner
            union
            -- what was granted on columns goes with it
            select a.grantee from pg_catalog.pg_attribute f cross join aclexplode(f.attacl) a where f.attrelid = target and f.attacl is not null and a.grantee <> c.relowner) g
       left join pg_catalog.pg_roles r on r.oid = g.grantee
      where tenantry_private.is_applications(g.grantee)) s
   where c.oid = target
   order by s.position, s.statement;
end;

comment on function tenantry_private.closing_statements(regclass, boolean) is 'The statements that close a table to the application; forced: to its owner, too.';

-- Partitions and inheritance children have no policies: the ones of the table above hold for whoever reads through it.
create function tenantry_private.protected_above(target oid)
returns oid
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  -- Most tables have nothing above them.
  if not exists (select from pg_catalog.pg_inherits i where i.inhrelid = target) then
    return null;
  end if;
  return (
    with recursive above (oid) as (
      select i.inhparent from pg_catalog.pg_inherits i where i.inhrelid = target
      union
      select i.inhparent from above a join pg_catalog.pg_inherits i on i.inhrelid = a.oid)
    select a.oid from above a join tenantry_private.tables t on t.relation = a.oid and t.class in ('owned', 'by_parent') order by 1 limit 1);
end
$$;

comment on function tenantry_private.protected_above(oid) is 'The protected table that a table is a partition of or inherits from; null if there is none.';

create function tenantry_private.guarded_root(target oid)
returns oid
language sql stable
set search_path = pg_catalog, pg_temp
begin atomic
  select case when tenantry_private.is_guarded(target) then target when tenantry_private.is_guarded(a.oid) then a.oid end
    from (select tenantry_private.protected_above(target) as oid) a;
end;

comment on function tenantry_private.guarded_root(oid) is 'The guarded table that a table is, or is a part of; null if there is none.';

-- Writes the declaration of a table that is protected at birth, and says what is to be done as its owner.
create function tenantry_private.bear(target regclass)
returns setof text
language plpgsql volatile
as $$
declare
  declaration tenantry_private.tables;
  above       constant oid := tenantry_private.protected_above(target);
  has_rows    boolean;
  statements  text[];
begin
  insert into tenantry_private.known_relations (relation, schema_name)
  select c.oid, n.nspname from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace where c.oid = target
      on conflict (relation) do update set schema_name = excluded.schema_name;
  if above is not null then
    -- by a statement of its own birth
    if exists (select from tenantry_private.watched_relations w where w.relation = target and w.xact = pg_current_xact_id() and w.born) then
      return;
    end if;
    if exists (select from pg_catalog.pg_policy p where p.polrelid = target and p.polpermissive) then
      perform tenantry_private.refuse(format('%s has a policy of its own, by which rows of %s would be open under its name', target, above::regclass),
        format('Run: %s', (select string_agg(format('drop policy %I on %s;', p.polname, target), ' ' order by p.polname) from pg_catalog.pg_policy p where p.polrelid = target and p.polpermissive)));
    end if;
    if exists (select from tenantry_private.encrypted_columns e where e.relation = above) and not (select c.relispartition from pg_catalog.pg_class c where c.oid = target) then
      perform tenantry_private.refuse(format('%s would hold secrets of %s in clear: no trigger seals what is written there', target, above::regclass),
        'Partition the table instead; inheritance children have no part in its triggers.');
    end if;
    update tenantry_private.known_relations k set closed = false where k.relation = target and k.closed;
    -- Triggers as for the table itself, which only partitions have by themselves.
    statements := array(
      select s from tenantry_private.closing_statements(target, true) s
      union all
      select p.statement from tenantry_private.plan_reach(tenantry_private.declared(above)) p
       where p.statement like 'create or replace trigger %' and strpos(p.statement, format(' on %s for each row ', target)) > 0);
    -- Only while there is something to do: what is watched may be changed.
    if statements <> '{}' then
      insert into tenantry_private.watched_relations (relation, xact, born) values (above, pg_current_xact_id(), true), (target, pg_current_xact_id(), true)
          on conflict do nothing;
      return query select unnest(statements);
    end if;
    return;
  end if;
  if (select c.relkind from pg_catalog.pg_class c where c.oid = target) in ('r', 'p') then
    declaration := tenantry_private.birth_declaration(target);
  end if;
  if declaration.relation is null then
    update tenantry_private.known_relations k set closed = true
     where k.relation = target and not (select c.relrowsecurity from pg_catalog.pg_class c where c.oid = target);
    return query select * from tenantry_private.closing_statements(target);
    return;
  end if;
  has_rows := declaration.class = 'by_parent' and (tenantry_private.table_size(target)).blocks > 0;
  -- As for protect(): what fills a row runs what its owner has attached to the table.
  if has_rows and exists (
       select
         from pg_catalog.pg_class c join pg_catalog.pg_roles r on r.rolname = session_user and r.rolsuper
        where c.oid = target and c.relowner <> r.oid) then
    perform tenantry_private.refuse(format('filling the owners of %s would run code of its owner''s with a superuser''s powers', target),
      'Let its owner run this statement, or take the rule back first: select tenantry.unregister_rule(…);');
  end if;
  declaration.before := tenantry_private.table_before(target, declaration.owner_column);
  perform tenantry_private.write_declaration(declaration);
  insert into tenantry_private.watched_relations (relation, xact, born)
  -- whose parent may have to let its owner look at it for a moment
  select r.relation, pg_current_xact_id(), true from unnest(array[target::oid, declaration.parent::oid]) as r (relation) where r.relation is not null
      on conflict do nothing;
  declaration := tenantry_private.declared(target);
  -- Of an empty table there is nothing to fill in, so that its parent is left alone.
  return query
  select p.statement
    from tenantry_private.plan_table(declaration) p
   where has_rows
      or not starts_with(p.statement, 'update ') and not starts_with(p.statement, 'alter table only ')
         and p.statement not in (format('alter table %s no force row level security', declaration.parent), format('alter table %s force row level security', declaration.parent));
  if tenantry_private.expected_check(declaration, null) is not null then
    perform tenantry_private.make_reference_check(target);
    execute format('grant execute on function tenantry_private.%I() to public', 'check_references_' || declaration.tag);
  end if;
  if declaration.class = 'by_parent' then
    perform tenantry_private.make_owner_fill(target);
    execute format('grant execute on function tenantry_private.%I() to public', 'fill_owner_' || declaration.tag);
  end if;
  return query
  select p.statement from tenantry_private.plan_triggers(declaration) p where not starts_with(p.statement, 'select tenantry_private.');
end
$$;

comment on function tenantry_private.bear(regclass) is 'Notes a new table, declares it where a rule or its schema says how, and returns the statements that protect or close it. Error: TN011.';

-- Attached by this transaction, whatever it was before, or not seen yet.
create function tenantry_private.is_new_part(target oid)
returns boolean
language sql stable
set search_path = pg_catalog, pg_temp
return not exists (select from tenantry_private.known_relations k where k.relation = target and not k.closed)
    or exists (select from pg_catalog.pg_inherits i where i.inhrelid = target and age(i.xmin) <= age(pg_current_xact_id()::xid));

comment on function tenantry_private.is_new_part(oid) is 'Whether a part of a table became one in this transaction, or was not known.';

-- What hangs below a table comes with what is attached.
create function tenantry_private.bear_parts(target oid)
returns setof text
language plpgsql volatile
as $$
begin
  if not (select c.relhassubclass from pg_catalog.pg_class c where c.oid = target) then
    return;
  end if;
  return query
  with recursive below (oid, new) as (
    select i.inhrelid, tenantry_private.is_new_part(i.inhrelid) from pg_catalog.pg_inherits i where i.inhparent = target
    union
    select i.inhrelid, b.new or tenantry_private.is_new_part(i.inhrelid) from below b join pg_catalog.pg_inherits i on i.inhparent = b.oid)
  select s.statement
    from (select distinct b.oid from below b where b.new and not exists (select from tenantry_private.tables t where t.relation = b.oid)) part
   cross join lateral tenantry_private.bear(part.oid) s (statement);
end
$$;

comment on function tenantry_private.bear_parts(oid) is 'Closes what became a part of a protected table, with all that hangs below it. Error: TN011.';

-- Where nothing watches births, and of what came in unseen.
create function tenantry_private.unseen_relations()
returns setof regclass
language sql stable security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
begin atomic
  select c.oid::regclass
    from tenantry_private.schemas s
    join pg_catalog.pg_namespace n on n.nspname = s.schema_name
    join pg_catalog.pg_class c on c.relnamespace = n.oid and c.relkind in ('r', 'p', 'f', 'm') and c.relpersistence <> 't'
   where not exists (select from tenantry_private.known_relations k where k.relation = c.oid and k.schema_name = n.nspname)
     and not exists (select from tenantry_private.tables t where t.relation = c.oid)
     and not exists (select from pg_catalog.pg_depend d where d.classid = 'pg_catalog.pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')
   order by c.oid;
end;

comment on function tenantry_private.unseen_relations() is 'Tables that came into managed schemas unseen.';

create function tenantry_private.bear_unseen(target regclass)
returns setof text
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
begin
  perform tenantry_private.require_admin('make everything as declared');
  perform tenantry_private.require_declarable(target);
  return query
  select b.statement from tenantry_private.bear(target) b (statement) where not exists (select from tenantry_private.tables t where t.relation = target);
end
$$;

comment on function tenantry_private.bear_unseen(regclass) is 'For sync(): notes a table that came in unseen, declares it where it can, or returns the statements that close it. Errors: 42501, TN011.';

create function tenantry_private.know_schema(the_schema name, managed boolean)
returns void
language plpgsql volatile
as $$
begin
  delete from tenantry_private.known_relations k where not exists (select from pg_catalog.pg_class c where c.oid = k.relation);
  if managed then
    -- What is there already is for people to decide: survey, protect(), rollouts.
    insert into tenantry_private.known_relations (relation, schema_name)
    select c.oid, n.nspname
      from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
     where n.nspname = the_schema and c.relkind in ('r', 'p', 'f', 'm')
        on conflict (relation) do update set schema_name = excluded.schema_name;
  else
    delete from tenantry_private.known_relations k where k.schema_name = the_schema;
  end if;
end
$$;

comment on function tenantry_private.know_schema(name, boolean) is 'When a schema is managed from now on, or no more: its tables are known, or forgotten.';
