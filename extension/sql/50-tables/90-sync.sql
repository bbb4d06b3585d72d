-- The registry keeps names, the catalog keeps numbers: policies, keys and triggers say which column a renamed one was.
create function tenantry_private.renames()
returns table (relation regclass, what text, old_name name, new_name name)
language sql stable security definer rows 1
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
begin atomic
  -- First what is lost, which is nothing nearly always, and once: a catalog whose statistics are not there yet is joined the
  -- other way round.
  with lost_owners as materialized (
    select l.relation, l.owner_column
      from tenantry_private.tables l
     where l.class in ('owned', 'by_parent')
       and not exists (select from pg_catalog.pg_attribute o where o.attrelid = l.relation and o.attname = l.owner_column and not o.attisdropped offset 0)),
  lost_links as materialized (
    select l.relation, l.parent, l.owner_from, lost.column_name
      from tenantry_private.tables l
     cross join lateral unnest(l.owner_from) as lost (column_name)
     where not exists (select from pg_catalog.pg_attribute o where o.attrelid = l.relation and o.attname = lost.column_name and not o.attisdropped offset 0))
  -- the owner column: the one that the policies ask
  select distinct t.relation, 'owner', t.owner_column, a.attname
    from lost_owners t
    join pg_catalog.pg_policy p on p.polrelid = t.relation and p.polname in ('tenantry_select', 'tenantry_select_floor')
    join pg_catalog.pg_depend d on d.classid = 'pg_catalog.pg_policy'::regclass and d.objid = p.oid
                               and d.refclassid = 'pg_catalog.pg_class'::regclass and d.refobjid = t.relation and d.refobjsubid > 0
    join pg_catalog.pg_attribute a on a.attrelid = t.relation and a.attnum = d.refobjsubid
  union all
  -- the columns of the key to the parent: all but one of the composite key, of which the others are as they were
  select t.relation, 'owner_from', t.column_name, min(a.attname)
    from lost_links t
    join pg_catalog.pg_constraint k on k.conrelid = t.relation and k.contype = 'f' and k.conparentid = 0 and k.confrelid = t.parent
                                   and cardinality(k.conkey) = cardinality(t.owner_from)
    join pg_catalog.pg_attribute a on a.attrelid = t.relation and a.attnum = any (k.conkey) and a.attname <> all (t.owner_from)
   group by t.relation, t.column_name
  having count(distinct a.attname) = 1
  union all
  select k.relation, 'kind_' || which.what, which.column_name, a.attname
    from tenantry_private.kinds k
    join pg_catalog.pg_trigger g on g.tgrelid = k.relation and g.tgname = 'tenantry_kind'
   cross join lateral (values (0, 'id', k.id_column), (1, 'owner', k.owner_column)) as which (position, what, column_name)
    join pg_catalog.pg_attribute a on a.attrelid = k.relation and a.attnum = (g.tgattr::smallint[])[which.position] and not a.attisdropped
   where which.column_name is not null
     and not exists (select from pg_catalog.pg_attribute o where o.attrelid = k.relation and o.attname = which.column_name and not o.attisdropped);
end;

comment on function tenantry_private.renames() is 'Columns that were declared and have another name now.';

create function tenantry_private.write_rename(target regclass, what text, old_name name, new_name name)
returns void
language plpgsql volatile
as $$
begin
  case what
    when 'owner' then
      update tenantry_private.tables t set owner_column = new_name where t.relation = target;
    when 'owner_from' then
      update tenantry_private.tables t set owner_from = array_replace(t.owner_from, old_name, new_name) where t.relation = target;
    when 'kind_id' then
      update tenantry_private.kinds k set id_column = new_name where k.relation = target;
    else
      update tenantry_private.kinds k set owner_column = new_name where k.relation = target;
  end case;
end
$$;

comment on function tenantry_private.write_rename(regclass, text, name, name) is 'Writes down that a declared column has another name now.';

-- A column that is gone needs no exception. altered: only of these tables.
create function tenantry_private.forget_exceptions(altered oid[] default null)
returns void
language plpgsql volatile
as $$
begin
  update tenantry_private.tables t
     set unchecked_references = array(select c from unnest(t.unchecked_references) as c where tenantry_private.column_type(t.relation, c) is not null)
   where (altered is null or t.relation = any (altered))
     and exists (select from unnest(t.unchecked_references) as c where tenantry_private.column_type(t.relation, c) is null);
end
$$;

comment on function tenantry_private.forget_exceptions(oid[]) is 'Forgets that columns which are gone may point at rows of others.';

create function tenantry_private.follow_catalog()
returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
declare
  dropped record;
  renamed record;
begin
  perform tenantry_private.require_admin('make everything as declared');
  delete from tenantry_private.memberships m where not exists (select from pg_catalog.pg_class c where c.oid = m.relation);
  delete from tenantry_private.membership_sources m where not exists (select from pg_catalog.pg_class c where c.oid = m.relation);
  for dropped in
    select t.relation from tenantry_private.tables t
     where not exists (select from pg_catalog.pg_class c where c.oid = t.relation)
  loop
    perform tenantry_private.forget_table(dropped.relation);
  end loop;
  -- Without its parent a table still has owners.
  update tenantry_private.tables t
     set class = 'owned', owner_from = null, parent = null
   where t.class = 'by_parent' and not exists (select from pg_catalog.pg_class c where c.oid = t.parent);
  -- A kind without its table has nobody left.
  update tenantry_private.entities e
     set gone_at = now()
    from tenantry_private.kinds k
   where e.kind = k.kind and e.gone_at is null
     and k.relation is not null and not exists (select from pg_catalog.pg_class c where c.oid = k.relation);

  for renamed in select * from tenantry_private.renames() loop
    perform tenantry_private.write_rename(renamed.relation, renamed.what, renamed.old_name, renamed.new_name);
  end loop;
  perform tenantry_private.forget_exceptions();
  perform tenantry_private.follow_secrets();
  perform tenantry_private.refresh_table_owners();
end
$$;

comment on function tenantry_private.follow_catalog() is 'Brings the declarations in step with tables that are gone and columns that were renamed.';

create function tenantry_private.unfollowed_kinds()
returns table (kind text, relation regclass, trigger_name text, statements text[])
language sql stable
set search_path = pg_catalog, pg_temp
begin atomic
  select k.kind, k.relation, wanted.name::text, wanted.statements
    from tenantry.kinds k
    join pg_catalog.pg_class c on c.oid = k.relation
   cross join lateral tenantry_private.kind_triggers(k.relation, k.id_column, k.owner_column) wanted
   where not exists (
         select
           from pg_catalog.pg_trigger t
           join pg_catalog.pg_proc p on p.oid = t.tgfoid
          where t.tgrelid = k.relation and t.tgname = wanted.name and t.tgtype = wanted.type and t.tgenabled = 'A'
            and (t.tgqual is null) = (wanted.name <> 'tenantry_kind_moved') and p.pronamespace = to_regnamespace('tenantry_private') and p.proname = 'follow_kind'
            -- and looks at the columns that say who there is
            and (wanted.name = 'tenantry_kind_truncate' or not exists (
                   select
                     from unnest(array[k.id_column, k.owner_column]) as column_name
                    -- one that is called otherwise now is a finding of its own
                    where tenantry_private.column_number(k.relation, column_name) is not null
                      and case wanted.name
                            when 'tenantry_kind' then tenantry_private.column_number(k.relation, column_name) <> all (t.tgattr::smallint[])
                            else not exists (
                              select
                                from pg_catalog.pg_depend d
                               where d.classid = 'pg_catalog.pg_trigger'::regclass and d.objid = t.oid and d.refclassid = 'pg_catalog.pg_class'::regclass
                                 and d.refobjid = k.relation and d.refobjsubid = tenantry_private.column_number(k.relation, column_name)) end)))
   order by k.kind, wanted.name;
end;

comment on function tenantry_private.unfollowed_kinds() is 'Triggers that follow the tables of kinds and are missing, off or changed, with the statements that restore them.';

create function tenantry.sync(dry_run boolean default false)
returns table (step integer, statement text, lock text)
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_variable
declare
  declared    record;
  declaration tenantry_private.tables;
  kind        record;
  plan        record;
  last        integer := 0;
begin
  perform tenantry_private.require_admin('make everything as declared');
  if not dry_run then
    perform tenantry.initialise();
    perform tenantry_private.follow_catalog();
  end if;

  for kind in select u.statements from tenantry_private.unfollowed_kinds() u loop
    for step, statement, lock in
      select * from tenantry_private.carry_out(kind.statements, array['SHARE ROW EXCLUSIVE', 'SHARE ROW EXCLUSIVE'], last, dry_run)
    loop
      last := step;
      return next;
    end loop;
  end loop;

  for kind in
    select distinct m.relation, tenantry_private.membership_statements(m.relation) as statements
      from tenantry.membership_sources m
     where exists (select from pg_catalog.pg_class c where c.oid = m.relation)
       and not tenantry_private.is_followed(m.relation)
     order by 1
  loop
    for step, statement, lock in
      select * from tenantry_private.carry_out(kind.statements, array_fill('SHARE ROW EXCLUSIVE'::text, array[cardinality(kind.statements)]), last, dry_run)
    loop
      last := step;
      return next;
    end loop;
  end loop;

  for declared in select u.relation from tenantry_private.unseen_relations() u (relation) loop
    if not (select pg_has_role(current_user, c.relowner, 'usage') from pg_catalog.pg_class c where c.oid = declared.relation) then
      raise notice '% came into its schema unseen, and is left as it is: it is not %''s', declared.relation, current_user
        using hint = 'Run tenantry.sync() as its owner or as a superuser.';
      continue;
    end if;
    select array_agg(b.statement) as statements
      into plan
      from tenantry_private.closing_statements(declared.relation) b (statement)
     where dry_run;
    if not dry_run then
      plan.statements := array(select b.statement from tenantry_private.bear_unseen(declared.relation) b (statement));
    end if;
    for step, statement, lock in
      select * from tenantry_private.carry_out(plan.statements, array_fill('ACCESS EXCLUSIVE'::text, array[coalesce(cardinality(plan.statements), 0)]), last, dry_run)
    loop
      last := step;
      return next;
    end loop;
  end loop;

  -- Parents before children: a child's owner column comes from its parent.
  for declared in
    with recursive depth (relation, level) as (
      select t.relation, 0 from tenantry.tables t where t.parent is null
      union all
      select t.relation, depth.level + 1 from depth join tenantry.tables t on t.parent = depth.relation)
    select d.relation, t.class from depth d join tenantry.tables t on t.relation = d.relation
     where t.class <> 'exempt'
     order by d.level, d.relation::text
  loop
    perform tenantry_private.require_own_table(declared.relation, 'sync');
    declaration := tenantry_private.declared(declared.relation);
    if declared.class = 'shared' then
      select array_agg(p.statement) as statements, array_agg(p.lock) as locks into plan from tenantry_private.plan_share(declaration) p;
    else
      select array_agg(p.statement) as statements, array_agg(p.lock) as locks into plan from tenantry_private.plan_table(declaration) p;
      perform tenantry_private.require_one_owner(declaration, plan.statements);
    end if;
    for step, statement, lock in select * from tenantry_private.carry_out(plan.statements, plan.locks, last, dry_run) loop
      last := step;
      return next;
    end loop;
    if declared.class <> 'shared' and not dry_run then
      perform tenantry_private.confirm_table(declared.relation);
    end if;
  end loop;
  for declared in select t.relation from tenantry.tables t where t.class in ('owned', 'by_parent') order by t.relation::text loop
    select array_agg(p.statement) as statements, array_agg(p.lock) as locks into plan from tenantry_private.plan_triggers(tenantry_private.declared(declared.relation)) p;
    for step, statement, lock in select * from tenantry_private.carry_out(plan.statements, plan.locks, last, dry_run) loop
      last := step;
      return next;
    end loop;
  end loop;

  for kind in
    select k.* from tenantry.kinds k where k.relation is not null and exists (select from pg_catalog.pg_class c where c.oid = k.relation) order by k.kind
  loop
    if row_security_active(kind.relation) then
      -- Bound by row-level security this role would read an empty table and retire everybody.
      continue;
    end if;
    step      := last + 1;
    last      := step;
    statement := format('select tenantry_private.read_kind(%L)', kind.kind);
    lock      := null;
    if not dry_run then
      perform tenantry_private.read_kind(kind.kind);
    end if;
    return next;
  end loop;
  for kind in
    select m.* from tenantry.membership_sources m where exists (select from pg_catalog.pg_class c where c.oid = m.relation) order by m.relation::text, m.member_kind, m.container_kind
  loop
    continue when row_security_active(kind.relation);
    step      := last + 1;
    last      := step;
    statement := format('select * from tenantry_private.read_members(%L, %L, %L)', kind.relation, kind.member_kind, kind.container_kind);
    lock      := null;
    if not dry_run then
      perform tenantry_private.read_members(kind.relation, kind.member_kind, kind.container_kind);
    end if;
    return next;
  end loop;
end
$$;

comment on function tenantry.sync(boolean) is
  'Makes everything as declared: after a restore, an upgrade, or by hand after schema changes. Returns the statements carried out; dry_run only shows them. Run as a superuser or the owner of the tables. Errors: 42501, TN011.';

create function tenantry.uninstall(dry_run boolean default false)
returns table (step integer, statement text, lock text)
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_variable
declare
  item record;
  last integer := 0;
begin
  perform tenantry_private.require_admin('uninstall tenantry');
  select string_agg(format('call tenantry.unencrypt_column(%L, %L, %L, key_share => …);', e.relation, e.column_name, e.path), ' ') as calls
    into item from tenantry.encrypted_columns e;
  if item.calls is not null then
    perform tenantry_private.refuse('there are sealed values, which nothing could open afterwards', format('Open them first: %s', item.calls));
  end if;
  select tenantry_private.calls_to(array_agg(r.relation order by r.relation::text), 'planned') as calls
    into item from tenantry.rollout_status r where r.state not in ('planned', 'strict');
  if item.calls is not null then
    perform tenantry_private.refuse('rollouts are under way', format('Take them back, or to their end: %s', item.calls));
  end if;
  for item in select r.relation from tenantry.rollout_status r order by r.relation::text loop
    last := last + 1;
    step := last;
    lock := 'ACCESS EXCLUSIVE';
    statement := format('select tenantry.rollout_end(%L)', item.relation);
    if not dry_run then
      execute statement;
    end if;
    return next;
  end loop;
  for item in
    with recursive depth (relation, level) as (
      select t.relation, 0 from tenantry.tables t where t.parent is null
      union all
      select t.relation, depth.level + 1 from depth join tenantry.tables t on t.parent = depth.relation)
    select d.relation, t.class from depth d join tenantry.tables t on t.relation = d.relation
     order by d.level desc, d.relation::text
  loop
    last := last + 1;
    step := last;
    lock := 'ACCESS EXCLUSIVE';
    statement := format(case item.class
      when 'shared' then 'select * from tenantry.unshare(%L)'
      when 'exempt' then 'select tenantry.unexempt(%L)'
      else 'select * from tenantry.unprotect(%L)' end, item.relation);
    if not dry_run then
      execute statement;
    end if;
    return next;
  end loop;
  for item in select distinct m.relation from tenantry.membership_sources m order by 1 loop
    last := last + 1;
    step := last;
    lock := 'SHARE ROW EXCLUSIVE';
    statement := format('select tenantry.unregister_membership(%L)', item.relation);
    if not dry_run then
      execute statement;
    end if;
    return next;
  end loop;
  for item in select s.schema_name from tenantry.schemas s order by 1 loop
    last := last + 1;
    step := last;
    lock := null;
    statement := format('select tenantry_private.record_schema(%L, null, false)', item.schema_name);
    if not dry_run then
      execute statement;
    end if;
    return next;
  end loop;
  for item in
    -- Kinds before their owners' kinds; kinds that own one another come last, in any order.
    with recursive depth (kind, level) as (
      select k.kind, 0 from tenantry.kinds k where k.owner_kind is null or k.owner_kind = k.kind
      union all
      select k.kind, depth.level + 1 from depth join tenantry.kinds k on k.owner_kind = depth.kind and k.kind <> depth.kind)
    select k.kind from tenantry.kinds k left join depth d on d.kind = k.kind order by d.level desc nulls last, k.kind
  loop
    last := last + 1;
    step := last;
    lock := 'ACCESS EXCLUSIVE';
    statement := format('select tenantry.unregister_kind(%L)', item.kind);
    if not dry_run then
      perform tenantry_private.forget_ties(item.kind);
      execute statement;
    end if;
    return next;
  end loop;
  -- What protect() and share() granted beside the tables; it would keep the group from being dropped.
  for item in
    select format('revoke usage on schema %I from tenantry_user', n.nspname) as revoke
      from pg_catalog.pg_namespace n
     where n.nspname not in ('tenantry', 'tenantry_private', 'tenant', 'reach')
       and exists (select from aclexplode(n.nspacl) a where a.grantee = to_regrole('tenantry_user'))
    union all
    select format('revoke usage on schema %I from %s', n.nspname, r.role)
      from pg_catalog.pg_namespace n
     cross join unnest(array['tenantry_reach', 'tenantry_maintenance']) as r (role)
     where n.nspname not in ('tenantry', 'tenantry_private', 'tenant', 'reach')
       and exists (select from aclexplode(n.nspacl) a where a.grantee = to_regrole(r.role))
    union all
    select format('revoke usage on sequence %s from tenantry_user', c.oid::regclass)
      from pg_catalog.pg_class c
     where c.relkind = 'S'
       and exists (select from aclexplode(c.relacl) a where a.grantee = to_regrole('tenantry_user'))
     order by 1
  loop
    last := last + 1;
    step := last;
    lock := null;
    statement := item.revoke;
    if not dry_run then
      execute statement;
    end if;
    return next;
  end loop;
  if not dry_run then
    -- What was changed is looked at now: nothing may wait for the commit when its table is dropped.
    set constraints tenantry_private.settle immediate;
  end if;
end
$$;

comment on function tenantry.uninstall(boolean) is
  'Takes everything off the application''s tables, so that tenantry can be dropped: drop extension tenantry; or, for a plain installation, uninstall.sql. The tables stay usable, with their owner columns. Errors: 42501, TN011.';

create function tenantry_private.forget_ties(kind text)
returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
begin
  perform tenantry_private.require_admin('uninstall tenantry');
  delete from tenantry_private.services s where s.serves_kind = forget_ties.kind;
  update tenantry_private.kinds k
     set owner_kind = null, owner_column = null, acts_for_owner = false
   where k.owner_kind = forget_ties.kind and k.kind <> forget_ties.kind;
end
$$;

comment on function tenantry_private.forget_ties(text) is 'Forgets the services for a kind, and that it owns others.';
