create function tenantry_private.forget_dropped()
returns integer
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
declare
  dropped record;
  number  integer := 0;
begin
  perform tenantry_private.require_admin('make everything as declared');
  for dropped in
    select t.relation from tenantry_private.tables t
     where not exists (select from pg_catalog.pg_class c where c.oid = t.relation)
  loop
    perform tenantry_private.forget_table(dropped.relation);
    number := number + 1;
  end loop;
  perform tenantry_private.refresh_table_owners();
  return number;
end
$$;

comment on function tenantry_private.forget_dropped() is 'Forgets declarations of tables that are gone; returns how many.';

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
    perform tenantry_private.forget_dropped();
  end if;

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
  for item in
    with recursive depth (kind, level) as (
      select k.kind, 0 from tenantry.kinds k where k.owner_kind is null or k.owner_kind = k.kind
      union all
      select k.kind, depth.level + 1 from depth join tenantry.kinds k on k.owner_kind = depth.kind and k.kind <> depth.kind)
    select d.kind from depth d order by d.level desc, d.kind
  loop
    last := last + 1;
    step := last;
    lock := 'ACCESS EXCLUSIVE';
    statement := format('select tenantry.unregister_kind(%L)', item.kind);
    if not dry_run then
      perform tenantry_private.forget_services(item.kind);
      execute statement;
    end if;
    return next;
  end loop;
  -- What protect() and share() granted beside the tables; it would keep the group from being dropped.
  for item in
    select format('revoke usage on schema %I from tenantry_user', n.nspname) as revoke
      from pg_catalog.pg_namespace n
     where n.nspname not in ('tenantry', 'tenantry_private')
       and exists (select from aclexplode(n.nspacl) a where a.grantee = to_regrole('tenantry_user'))
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
end
$$;

comment on function tenantry.uninstall(boolean) is
  'Takes everything off the application''s tables, so that tenantry can be dropped: drop extension tenantry; or, for a plain installation, uninstall.sql. The tables stay usable, with their owner columns. Errors: 42501, TN011.';

create function tenantry_private.forget_services(kind text)
returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
begin
  perform tenantry_private.require_admin('uninstall tenantry');
  delete from tenantry_private.services s where s.serves_kind = forget_services.kind;
end
$$;

comment on function tenantry_private.forget_services(text) is 'Forgets the services for a kind.';
