create function tenantry.unprotect(target regclass, dry_run boolean default false)
returns table (step integer, statement text, lock text)
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_variable
declare
  declaration constant tenantry_private.tables := tenantry_private.declared(target);
  undeclared  tenantry_private.tables;
  statements  text[] := '{}';
  last        integer := 0;
  item        record;
  related     regclass;
  child       text;
begin
  perform tenantry_private.require_own_table(target, 'unprotect');
  if declaration.class is null or declaration.class not in ('owned', 'by_parent') then
    perform tenantry_private.refuse(format('%s is not protected', target), 'List what is: select * from tenantry.tables;');
  end if;
  if (tenantry_private.rollout(target)).state in ('transitional', 'verified', 'strict') then
    perform tenantry_private.refuse(format('%s is protected by a rollout, which is %s', target, (tenantry_private.rollout(target)).state),
      format('Go back: call tenantry.rollout_to(%L, ''planned'');%s', target,
        case (tenantry_private.rollout(target)).state when 'strict' then format(' or end it, and then unprotect: select tenantry.rollout_end(%L);', target) else '' end));
  end if;
  select string_agg(t.relation::text, ', ') into child from tenantry.tables t where t.parent = target;
  if child is not null then
    perform tenantry_private.refuse(format('%s takes its owner from %s', child, target),
      format('Unprotect it first: select * from tenantry.unprotect(%L);', child));
  end if;

  select string_agg(format('call tenantry.unencrypt_column(%L, %L, %L, key_share => …);', target, e.column_name, e.path), ' ')
    into child from tenantry_private.encrypted(target) e;
  if child is not null then
    perform tenantry_private.refuse(format('%s has encrypted columns', target), format('Open them first: %s', child));
  end if;

  for item in select a.policy from tenantry_private.actual_policies(target) a where a.policy like 'tenantry\_%' order by 1 loop
    statements := statements || format('drop policy %I on %s', item.policy, target);
  end loop;
  -- Row security goes back to what it was, here and in everything below.
  for item in select tree.relation as name from tenantry_private.relation_tree(target) tree order by tree.depth, tree.relation::text loop
    if not coalesce((declaration.before ->> 'force_row_security')::boolean, false) then
      statements := statements || format('alter table %s no force row level security', item.name);
    end if;
    if not coalesce((declaration.before ->> 'row_security')::boolean, false) then
      statements := statements || format('alter table %s disable row level security', item.name);
    end if;
  end loop;
  for item in
    select t.tgname, part.relation
      from tenantry_private.row_trigger_tables(target) part (relation)
      join pg_catalog.pg_trigger t on t.tgrelid = part.relation and t.tgparentid = 0
                                   and t.tgname in ('tenantry_references_insert', 'tenantry_references_update', 'tenantry_owner_fill', 'tenantry_owner_kept', 'tenantry_actor')
     order by part.relation <> target, part.relation::text, 1
  loop
    statements := statements || format('drop trigger %I on %s', item.tgname, item.relation);
  end loop;
  if exists (
       select
         from pg_catalog.pg_attrdef d
         join pg_catalog.pg_attribute a on a.attrelid = d.adrelid and a.attnum = d.adnum
        where d.adrelid = target and a.attname = declaration.owner_column
          and strpos(pg_get_expr(d.adbin, d.adrelid), 'tenantry.principal(') > 0) then
    statements := statements || format('alter table %s alter column %I drop default', target, declaration.owner_column);
  end if;
  if coalesce((declaration.before ->> 'owner_nullable')::boolean, false)
     and tenantry_private.column_type(target, declaration.owner_column) is not null then
    statements := statements || format('alter table %s alter column %I drop not null', target, declaration.owner_column);
  end if;
  if tenantry_private.granted(target, to_regrole('tenantry_user')) <> '{}' then
    statements := statements || format('revoke all on table %s from tenantry_user', target);
  end if;

  if tenantry_private.view_on(target, 'reach') is not null then
    statements := format('select tenantry_private.drop_reach_view(%L)', target) || statements;
  end if;
  if tenantry_private.granted(target, to_regrole('tenantry_reach')) <> '{}' then
    statements := statements || format('revoke all on table %s from tenantry_reach', target);
  end if;
  for item in
    select g.role_name from tenantry.granted_across g where g.relation = target
    union all
    select 'tenantry_maintenance' where tenantry_private.granted(target, to_regrole('tenantry_maintenance')) <> '{}'
     order by 1
  loop
    statements := statements || format('revoke all on table %s from %I', target, item.role_name);
  end loop;
  for step, statement, lock in
    select * from tenantry_private.carry_out(statements, array_fill('ACCESS EXCLUSIVE'::text, array[cardinality(statements)]), 0, dry_run)
  loop
    last := step;
    return next;
  end loop;
  if not dry_run then
    perform tenantry_private.forget_table(target);
  end if;
  undeclared.relation := target;
  for related in select r from tenantry_private.referencing_tables(target) r loop
    for step, statement, lock in
      select c.*
        from (select array_agg(p.statement) as statements, array_agg(p.lock) as locks
                from tenantry_private.plan_triggers(tenantry_private.declared(related), undeclared) p) plan
       cross join lateral tenantry_private.carry_out(plan.statements, plan.locks, last, dry_run) c
    loop
      last := step;
      return next;
    end loop;
  end loop;
  if dry_run then
    return;
  end if;
  if declaration.before ->> 'owner_default' is not null then
    raise notice 'the default of %.% before it was protected was %, set it again if you need it',
      target, quote_ident(declaration.owner_column), declaration.before ->> 'owner_default';
  end if;
end
$$;

comment on function tenantry.unprotect(regclass, boolean) is
  'Takes protect() back: policies, forced row security, triggers, the owner''s default and the grants to tenantry_user. Stays: the owner column with its values, its index and composite key. Returns the statements carried out. Errors: 42501, TN011.';
