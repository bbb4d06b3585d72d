-- As for plan_table(), plans are made once.
create function tenantry_private.plan_share(declaration tenantry_private.tables)
returns table (statement text, lock text)
language plpgsql stable rows 5
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
as $$
declare
  writer  name;
  missing text[];
begin
  if tenantry_private.is_closed(declaration.relation) then
    statement := format('alter table %s disable row level security', declaration.relation);
    lock := 'ACCESS EXCLUSIVE';
    return next;
    lock := null;
  end if;
  return query select * from tenantry_private.plan_grants(declaration.relation, array['select'], declaration.writers);
  -- Writers that the recorded declaration names and this one does not.
  foreach writer in array coalesce((tenantry_private.declared(declaration.relation)).writers, '{}') loop
    if writer <> all (declaration.writers)
       and tenantry_private.granted(declaration.relation, to_regrole(quote_ident(writer))) <> '{}' then
      statement := format('revoke all on table %s from %I', declaration.relation, writer);
      return next;
    end if;
  end loop;
  foreach writer in array declaration.writers loop
    -- A role that was dropped has no grants to give.
    continue when to_regrole(quote_ident(writer)) is null;
    missing := array(
      select p
        from unnest(array['select', 'insert', 'update', 'delete']) as p
       where p <> all (tenantry_private.granted(declaration.relation, to_regrole(quote_ident(writer)))));
    if missing <> '{}' then
      statement := format('grant %s on table %s to %I', array_to_string(missing, ', '), declaration.relation, writer);
      return next;
    end if;
  end loop;
end
$$;

comment on function tenantry_private.plan_share(tenantry_private.tables) is 'Statements that let everybody read a table and the named roles write it.';

create function tenantry.share(target regclass, writers name[] default null, dry_run boolean default false)
returns table (step integer, statement text, lock text)
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_variable
declare
  declaration tenantry_private.tables := tenantry_private.declared(target);
  plan        record;
  unknown     name;
begin
  perform tenantry_private.require_own_table(target, 'share');
  if declaration.class in ('owned', 'by_parent', 'exempt') then
    perform tenantry_private.refuse(format('%s is declared %s', target, declaration.class),
      format('Run: select %s first.', case declaration.class when 'exempt' then format('tenantry.unexempt(%L);', target) else format('* from tenantry.unprotect(%L);', target) end));
  end if;
  if exists (select from pg_catalog.pg_class c where c.oid = target and c.relrowsecurity) and not tenantry_private.is_closed(target) then
    perform tenantry_private.refuse(format('%s is under row-level security of its own, so not everybody reads it', target),
      format('Protect it, or run: alter table %s disable row level security;', target));
  end if;
  declaration.relation := target;
  declaration.class := 'shared';
  declaration.writers := coalesce(writers, declaration.writers, '{}');
  declaration.unchecked_references := '{}';
  declaration.before := '{}';
  select w into unknown from unnest(declaration.writers) as w where to_regrole(quote_ident(w)) is null limit 1;
  if unknown is not null then
    perform tenantry_private.refuse(format('there is no role %I', unknown), 'writers names roles that exist.');
  end if;
  if 'tenantry_user' = any (declaration.writers) then
    perform tenantry_private.refuse('tenantry_user is everybody', 'A table that everybody writes is not shared: protect it, or exempt it with a reason.');
  end if;

  select array_agg(p.statement) as statements, array_agg(p.lock) as locks into plan from tenantry_private.plan_share(declaration) p;
  for step, statement, lock in select * from tenantry_private.carry_out(plan.statements, plan.locks, 0, dry_run) loop
    return next;
  end loop;
  if not dry_run then
    perform tenantry_private.record_table(declaration);
  end if;
end
$$;

comment on function tenantry.share(regclass, name[], boolean) is
  'Declares a table that everybody reads, such as countries: SELECT for tenantry_user, and DML for the roles named as writers only. Returns the statements carried out; dry_run only shows them. A second call changes the writers. Errors: 42501, TN011.';

create function tenantry.unshare(target regclass, dry_run boolean default false)
returns table (step integer, statement text, lock text)
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_variable
declare
  declaration constant tenantry_private.tables := tenantry_private.declared(target);
begin
  perform tenantry_private.require_own_table(target, 'unshare');
  if declaration.class is distinct from 'shared' then
    perform tenantry_private.refuse(format('%s is not shared', target), 'List what is: select * from tenantry.tables;');
  end if;
  for step, statement, lock in
    select *
      from tenantry_private.carry_out(
             array(select format('revoke all on table %s from %I', target, grantee) from unnest('tenantry_user'::name || declaration.writers) as grantee
                    where to_regrole(quote_ident(grantee)) is not null),
             null, 0, dry_run)
  loop
    return next;
  end loop;
  if not dry_run then
    perform tenantry_private.forget_table(target);
  end if;
end
$$;

comment on function tenantry.unshare(regclass, boolean) is 'Takes share() back, with the grants to tenantry_user and the writers. Errors: 42501, TN011.';

create function tenantry.exempt(target regclass, reason text)
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  declaration tenantry_private.tables := tenantry_private.declared(target);
begin
  perform tenantry_private.require_admin('exempt tables');
  if not exists (select from pg_catalog.pg_class c where c.oid = target and c.relkind in ('r', 'p', 'f', 'm', 'v')) then
    perform tenantry_private.refuse(format('%s is no table or view', coalesce(target::text, 'null')), 'Name the table.');
  end if;
  if declaration.class not in ('exempt') then
    perform tenantry_private.refuse(format('%s is declared %s', target, declaration.class),
      format('Run: select * from tenantry.%s(%L); first.', case declaration.class when 'shared' then 'unshare' else 'unprotect' end, target));
  end if;
  if coalesce(trim(reason), '') = '' then
    perform tenantry_private.refuse(format('exempting %s needs a reason', target), 'Say why nobody''s rows are in it: whoever reads check() will ask.');
  end if;
  declaration.relation := target;
  declaration.class := 'exempt';
  declaration.reason := exempt.reason;
  declaration.writers := '{}';
  declaration.unchecked_references := '{}';
  declaration.before := '{}';
  if tenantry_private.is_closed(target) then
    execute format('alter table %s disable row level security', target);
  end if;
  perform tenantry_private.record_table(declaration);
end
$$;

comment on function tenantry.exempt(regclass, text) is
  'Declares that a table needs no isolation, and why. Nothing about it changes, but that row-level security goes off again where it was enabled at birth to close it; tenantry_user gets no grant. A second call changes the reason. Errors: 42501, TN011.';

create function tenantry.unexempt(target regclass)
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
  perform tenantry_private.require_admin('exempt tables');
  if (tenantry_private.declared(target)).class is distinct from 'exempt' then
    perform tenantry_private.refuse(format('%s is not exempt', target), 'List what is: select * from tenantry.tables;');
  end if;
  perform tenantry_private.forget_table(target);
end
$$;

comment on function tenantry.unexempt(regclass) is 'Takes exempt() back: check() asks for the table again. Errors: 42501, TN011.';
