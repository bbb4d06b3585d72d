-- From one state to the next and back: what the catalog is changed by. Each is one transaction, which knows what it will do
-- before it asks for the lock.

create function tenantry_private.table_picture(target regclass, owner_column name)
returns jsonb
language sql stable
set search_path = pg_catalog, pg_temp
return (
  select tenantry_private.table_before(target, owner_column) || jsonb_build_object(
           'indexes', (select coalesce(jsonb_agg(i.indexrelid::regclass::text order by i.indexrelid), '[]') from pg_catalog.pg_index i where i.indrelid = c.oid),
           'policies', coalesce((select jsonb_agg(jsonb_build_object('policy', p.policy, 'command', p.command, 'permissive', p.permissive, 'roles', p.to_roles,
                                                    'using', p.using_printed, 'check', p.check_printed) order by p.policy)
                                   from tenantry_private.actual_policies(c.oid) p where p.policy not like 'tenantry\_%'), '[]'),
           'privileges', (select coalesce(jsonb_agg(jsonb_build_array(coalesce(r.rolname, ''), acl.privilege_type, acl.is_grantable) order by r.rolname, acl.privilege_type), '[]')
                            from aclexplode(coalesce(c.relacl, acldefault('r', c.relowner))) acl
                            left join pg_catalog.pg_roles r on r.oid = acl.grantee))
    from pg_catalog.pg_class c
   where c.oid = target);

comment on function tenantry_private.table_picture(regclass, name) is 'What a table is like where a rollout changes it.';

create function tenantry_private.log_step(target regclass, from_state text, to_state text, statement text, lock text, waited numeric, held numeric, rows bigint default null, detail jsonb default null)
returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
begin
  perform tenantry_private.require_admin('roll out isolation');
  perform tenantry_private.require_declarable(target);
  insert into tenantry_private.rollout_steps (relation, from_state, to_state, statement, lock, waited_ms, held_ms, rows, detail)
  values (target, from_state, to_state, statement, lock, round(waited, 3), round(held, 3), rows, detail);
end
$$;

comment on function tenantry_private.log_step(regclass, text, text, text, text, numeric, numeric, bigint, jsonb) is 'Adds to the log of rollouts.';

create function tenantry_private.milliseconds_since(began timestamptz)
returns numeric
language sql volatile
set search_path = pg_catalog, pg_temp
return extract('epoch' from clock_timestamp() - began) * 1000;

comment on function tenantry_private.milliseconds_since(timestamptz) is 'Milliseconds from a moment until now.';

-- In one call, because the lock is held meanwhile: each statement, and the whole as the last.
create function tenantry_private.log_locked(target regclass, from_state text, to_state text, statements text[], held numeric[], waited numeric, got timestamptz)
returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
declare
  number constant integer := cardinality(statements);
begin
  perform tenantry_private.require_admin('roll out isolation');
  perform tenantry_private.require_declarable(target);
  insert into tenantry_private.rollout_steps (relation, from_state, to_state, statement, lock, waited_ms, held_ms)
  select target, from_state, to_state, s.statement, 'ACCESS EXCLUSIVE', case when s.position in (1, number + 1) then round(waited, 3) end,
         round(case when s.position <= number then held[s.position] else tenantry_private.milliseconds_since(got) end, 3)
    from unnest(statements || format('(%s statements under one lock)', number)) with ordinality as s (statement, position)
   order by s.position;
end
$$;

comment on function tenantry_private.log_locked(regclass, text, text, text[], numeric[], numeric, timestamptz) is 'Adds to the log what was done under one ACCESS EXCLUSIVE lock.';

-- All of a state's statements under one lock that is waited for in short turns.
-- Before the lock is taken: what the event triggers would do first under it.
create function tenantry_private.expect_change(target regclass)
returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
begin
  perform tenantry_private.require_admin('roll out isolation');
  if tenantry_private.is_guarded(target) then
    perform tenantry_private.watch(target);
  end if;
end
$$;

comment on function tenantry_private.expect_change(regclass) is 'Notes that a table is about to be changed, so that it is looked at when the transaction commits.';

create function tenantry_private.carry_under_lock(target regclass, from_state text, to_state text, statements text[])
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  asked  constant timestamptz := clock_timestamp();
  waited numeric;
  got    timestamptz;
  began  timestamptz;
  held   numeric[] := '{}';
begin
  if coalesce(cardinality(statements), 0) = 0 then
    return;
  end if;
  perform tenantry_private.expect_change(target);
  perform tenantry_private.lock_patiently(target, target);
  got    := clock_timestamp();
  waited := tenantry_private.milliseconds_since(asked);
  for position in 1 .. cardinality(statements) loop
    began := clock_timestamp();
    execute statements[position];
    held := held || tenantry_private.milliseconds_since(began);
  end loop;
  perform tenantry_private.log_locked(target, from_state, to_state, statements, held, waited, got);
end
$$;

comment on function tenantry_private.carry_under_lock(regclass, text, text, text[]) is 'Carries statements out under one ACCESS EXCLUSIVE lock, and logs how long each took. Error: 55P03.';

create function tenantry_private.rollout_declaration(target regclass)
returns tenantry_private.tables
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  rollout constant tenantry_private.rollouts := tenantry_private.rollout(target);
  declaration tenantry_private.tables;
begin
  declaration := tenantry_private.declaration_of(target, rollout.owner_column, rollout.owner_kind, null,
    case when rollout.options ? 'unchecked_references' then array(select jsonb_array_elements_text(rollout.options -> 'unchecked_references'))::name[] end,
    rollout.options -> 'shared_by', rollout.options ->> 'public_when', (rollout.options ->> 'actor_column')::name, (rollout.options ->> 'reach')::boolean);
  declaration.before := coalesce(declaration.before, rollout.before - array['indexes', 'policies', 'privileges']);
  return declaration;
end
$$;

comment on function tenantry_private.rollout_declaration(regclass) is 'What protect() would declare of a table.';

-- planned → prepared
create function tenantry_private.prepare_rollout(target regclass)
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  rollout    constant tenantry_private.rollouts := tenantry_private.require_rollout(target);
  statements text[] := '{}';
begin
  if not exists (select from tenantry.rollout_signals s where s.relation = target) and tenantry_private.column_type(target, rollout.owner_column) is null then
    perform tenantry_private.refuse(format('nothing tells whose the rows of %s are', target),
      format('Declare a signal: select tenantry.rollout_signal(%L, 1, ''…'', tenantry.rollout_from_column(%1$L, ''…''));', target));
  end if;
  if exists (select from tenantry_private.rollout_key(target) k where k.columns = '{ctid}') and not tenantry_private.has_one_heap(target) then
    perform tenantry_private.refuse(format('%s has partitions or children and no primary key', target), format('Give it one: alter table %s add primary key (…);', target));
  end if;
  perform tenantry_private.require_runner(target);
  if tenantry_private.column_type(target, rollout.owner_column) is null then
    statements := statements || format('alter table %s add column %I %s', target, rollout.owner_column, (select k.id_type from tenantry.kinds k where k.kind = rollout.owner_kind));
  end if;
  -- Its owner, as whom all this works, must see every row.
  if (select c.relforcerowsecurity from pg_catalog.pg_class c where c.oid = target) then
    statements := statements || format('alter table %s no force row level security', target);
  end if;
  if tenantry_private.column_type(target, 'tenantry_source') is null then
    statements := statements || format('alter table %s add column tenantry_source smallint', target);
  end if;
  perform tenantry_private.change_rollout(target, jsonb_build_object(
    'state', 'prepared', 'before', tenantry_private.table_picture(target, rollout.owner_column), 'run', rollout.run + 1, 'place', 0, 'done', 0, 'filled', 0, 'total', null, 'finished', false, 'began_at', null, 'counts', null));
  perform tenantry_private.number_sources(target, rollout.run + 1);
  perform tenantry_private.carry_under_lock(target, 'planned', 'prepared', statements);
  begin
    perform tenantry_private.try_signals(target);
  exception
    -- Of parents that are not prepared: the backfill tries again.
    when undefined_column then null;
  end;
  perform tenantry_private.define_filling(target);
  -- What a dump or a reader of the table should know.
  execute format('comment on column %s.tenantry_source is %L', target, 'Which signal gave the row its owner: tenantry.rollout_sources. Goes with tenantry.rollout_end().');
end
$$;

comment on function tenantry_private.prepare_rollout(regclass) is 'Adds the columns of a rollout, and the trigger for rows written meanwhile. Errors: 55P03, TN011.';

create function tenantry_private.unprepare_rollout(target regclass)
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  rollout    constant tenantry_private.rollouts := tenantry_private.require_rollout(target);
  statements text[];
begin
  statements := tenantry_private.filling_drops(target) || format('alter table %s drop column if exists tenantry_source', target);
  if (rollout.before ->> 'owner_added')::boolean then
    statements := statements || format('alter table %s drop column if exists %I', target, rollout.owner_column);
  end if;
  if (rollout.before ->> 'force_row_security')::boolean then
    statements := statements || format('alter table %s force row level security', target);
  end if;
  perform tenantry_private.carry_under_lock(target, 'prepared', 'planned', statements);
  perform tenantry_private.unquarantine(target, null);
  perform tenantry_private.change_rollout(target, jsonb_build_object('state', 'planned', 'place', 0, 'done', 0, 'filled', 0, 'counts', null));
end
$$;

comment on function tenantry_private.unprepare_rollout(regclass) is 'Takes the columns of a rollout away. Error: 55P03.';

-- The index that every policy needs. Small tables get it at once; for others it is built without stopping anybody, which no
-- function can do.
create function tenantry_private.missing_index(target regclass)
returns text
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  broken text;
  wanted text;
begin
  select p.statement into wanted
    from tenantry_private.plan_owner_column(tenantry_private.rollout_declaration(target)) p where p.statement like 'create index %' limit 1;
  -- What an interrupted attempt has left.
  select format('drop index concurrently %s; ', i.indexrelid::regclass)
    into broken
    from pg_catalog.pg_index i
    join pg_catalog.pg_class c on c.oid = i.indexrelid
   where wanted is not null and i.indrelid = target and not i.indisvalid and c.relname ~ '_tenantry_.*idx(_[0-9]+)?$'
   limit 1;
  return coalesce(broken, '') || wanted;
end
$$;

comment on function tenantry_private.missing_index(regclass) is 'The statement that builds an index that policies need; null where none is missing.';

create function tenantry_private.index_owners(target regclass)
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  missing text;
  began   timestamptz;
begin
  for attempt in 1 .. 100 loop
    missing := tenantry_private.missing_index(target);
    if missing is null then
      return;
    end if;
    if (select c.relkind = 'r' from pg_catalog.pg_class c where c.oid = target) and pg_relation_size(target) > 8 * 1024 * 1024 or missing like 'drop index%' then
      raise exception 'no index leads with the owner column of %', target
        using errcode = 'TN012', hint = format('Outside a transaction, run: %s; and then: call tenantry.rollout_to(%L, ''backfilled''); the command line does both.', replace(missing, 'create index ', 'create index concurrently '), target);
    end if;
    began := clock_timestamp();
    execute missing;
    perform tenantry_private.log_step(target, 'prepared', 'backfilled', missing, 'SHARE', null, tenantry_private.milliseconds_since(began));
  end loop;
end
$$;

comment on function tenantry_private.index_owners(regclass) is 'Builds the index of the owner column of a small table. Error: TN012 where it is to be built concurrently.';

-- backfilled → transitional
create function tenantry_private.opening_policies(target regclass)
returns setof name
language sql stable
set search_path = pg_catalog, pg_temp
begin atomic
  select p.policy
    from tenantry_private.actual_policies(target) p
   where p.permissive and p.policy not like 'tenantry\_%'
     and exists (
         select
           from unnest(p.to_roles) as r (role_name)
          where r.role_name = 'public' or r.role_name = 'tenantry_user'
             or exists (select from tenantry_private.allowed_logins() a where a.granted_as = 'user' and pg_has_role(a.role_name, r.role_name, 'member')))
   order by p.policy;
end;

comment on function tenantry_private.opening_policies(regclass) is 'Permissive policies of the application that would show rows to whoever enters a context.';

create function tenantry_private.enter_transition(target regclass)
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  rollout     constant tenantry_private.rollouts := tenantry_private.require_rollout(target);
  declaration tenantry_private.tables;
  opening     name[];
  plan        record;
begin
  opening := array(select o from tenantry_private.opening_policies(target) o where o <> all (rollout.drop_policies));
  if opening <> '{}' then
    perform tenantry_private.refuse(format('policies of the application would show rows of %s to everybody who enters: %s', target, array_to_string(opening, ', ')),
      format('Name them, so that they go, or take them away: select tenantry.rollout(%L, %L, %L, legacy_roles => %L, drop_policies => %L);', target, rollout.owner_column, rollout.owner_kind,
        rollout.legacy_roles, rollout.drop_policies || opening));
  end if;
  perform tenantry_private.change_rollout(target, '{"state": "transitional"}');
  declaration := tenantry_private.rollout_declaration(target);
  perform tenantry_private.record_table(declaration);
  select * into plan from tenantry_private.plan_everything(target);
  -- The view in a transaction of its own, which holds no lock of the table: until then nobody reads by it.
  perform tenantry_private.carry_under_lock(target, 'backfilled', 'transitional',
    array(select format('drop policy if exists %I on %s', d.policy, target) from unnest(rollout.drop_policies) as d (policy))
    || array(select s from unnest(plan.statements) with ordinality as u (s, position) where s !~ '^select tenantry_private\.define_(reach_view|facade)\(' order by position));
  perform tenantry_private.confirm_table(target);
end
$$;

comment on function tenantry_private.enter_transition(regclass) is 'Isolates a table from everybody but its legacy roles. Errors: 55P03, TN011.';

create function tenantry_private.settle_rollout(target regclass, from_state text, to_state text)
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  plan    record;
  related regclass;
begin
  for related in select target union all select * from tenantry_private.referencing_tables(target) loop
    select * into plan from tenantry_private.plan_everything(related);
    if related = target then
      perform tenantry_private.carry_under_lock(target, from_state, to_state, plan.statements);
    else
      perform * from tenantry_private.carry_out(plan.statements, plan.locks, 0, false);
    end if;
  end loop;
end
$$;

comment on function tenantry_private.settle_rollout(regclass, text, text) is 'What is missing beside the policies, here and in the checks of tables that refer to this one.';

create function tenantry_private.leave_transition(target regclass)
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  rollout constant tenantry_private.rollouts := tenantry_private.require_rollout(target);
  undone  text[];
  was     record;
begin
  perform tenantry_private.change_rollout(target, '{"state": "backfilled"}');
  undone := array(select u.statement from tenantry.unprotect(target, dry_run => true) u);
  -- What the application had, as it was.
  for was in
    select p.value ->> 'policy' as policy, p.value ->> 'command' as command, (p.value ->> 'permissive')::boolean as permissive,
           array(select r from jsonb_array_elements_text(p.value -> 'roles') r)::name[] as roles, p.value ->> 'using' as using_text, p.value ->> 'check' as check_text
      from jsonb_array_elements(rollout.before -> 'policies') p
     where not exists (select from pg_catalog.pg_policy o where o.polrelid = target and o.polname = p.value ->> 'policy')
  loop
    undone := undone || tenantry_private.policy_statement(target, was.policy, was.permissive, was.command, was.roles, was.using_text, was.check_text);
  end loop;
  for was in
    select case when p.value ->> 0 = '' then 'public' else quote_ident(p.value ->> 0) end as grantee, lower(p.value ->> 1) as privilege, (p.value ->> 2)::boolean as grantable
      from jsonb_array_elements(rollout.before -> 'privileges') p
     where p.value ->> 0 = '' or to_regrole(quote_ident(p.value ->> 0)) is not null
  loop
    undone := undone || format('grant %s on table %s to %s%s', was.privilege, target, was.grantee, case when was.grantable and was.grantee <> 'public' then ' with grant option' else '' end);
  end loop;
  if rollout.before ->> 'owner_default' is not null then
    undone := undone || format('alter table %s alter column %I set default %s', target, rollout.owner_column, rollout.before ->> 'owner_default');
  end if;
  perform tenantry_private.carry_under_lock(target, 'transitional', 'backfilled', undone);
  perform tenantry_private.forget_table(target);
end
$$;

comment on function tenantry_private.leave_transition(regclass) is 'Takes the isolation of a table back, and gives the application what it had. Error: 55P03.';

-- verified → strict: the switch, which holds its lock for milliseconds, is a transaction of its own. Then FORCE, which costs
-- more and binds but the table's owner, and a check that new rows have owners, a look at the old ones, which stops nobody, and NOT NULL, which costs nothing after that.
create function tenantry_private.owner_check(target regclass)
returns name
language sql stable
set search_path = pg_catalog, pg_temp
return ('tenantry_owned_' || (tenantry_private.rollout(target)).tag)::name;

comment on function tenantry_private.owner_check(regclass) is 'The name of the check that rows have owners.';

create function tenantry_private.is_closing(target regclass)
returns boolean
language sql stable
set search_path = pg_catalog, pg_temp
return exists (select from pg_catalog.pg_constraint c where c.conrelid = target and c.conname = tenantry_private.owner_check(target));

comment on function tenantry_private.is_closing(regclass) is 'Whether the check that stands for NOT NULL is there still.';

create function tenantry_private.must_have_owners(target regclass)
returns boolean
language sql stable
set search_path = pg_catalog, pg_temp
return exists (
  select
    from pg_catalog.pg_attribute a
   where a.attrelid = target and a.attname = (tenantry_private.rollout(target)).owner_column and a.attnotnull);

comment on function tenantry_private.must_have_owners(regclass) is 'Whether the owner column of a rollout is NOT NULL.';

create function tenantry_private.close_rollout(target regclass)
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  statements text[];
begin
  perform tenantry_private.require_rollout(target);
  perform tenantry_private.change_rollout(target, '{"state": "strict"}');
  select p.statements into statements from tenantry_private.plan_everything(target) p;
  perform tenantry_private.carry_under_lock(target, 'verified', 'strict',
    array(select s from unnest(statements) with ordinality as u (s, position) where s not like '% set not null' and s not like '% force row level security' order by position));
end
$$;

comment on function tenantry_private.close_rollout(regclass) is 'The switch to strict. Error: 55P03.';

create function tenantry_private.check_owners(target regclass)
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  rollout    constant tenantry_private.rollouts := tenantry_private.require_rollout(target);
  statements text[];
begin
  statements := array(select p.statement from tenantry_private.plan_row_security(target) p);
  if not tenantry_private.is_closing(target) and not tenantry_private.must_have_owners(target) then
    statements := statements || format('alter table %s add constraint %I check (%I is not null) not valid', target, tenantry_private.owner_check(target), rollout.owner_column);
  end if;
  perform tenantry_private.carry_under_lock(target, 'verified', 'strict', statements);
end
$$;

comment on function tenantry_private.check_owners(regclass) is 'Binds the table''s owner, too; from here on nobody writes a row without an owner. Error: 55P03.';

create function tenantry_private.validate_owners(target regclass)
returns boolean
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  began constant timestamptz := clock_timestamp();
begin
  execute format('alter table %s validate constraint %I', target, tenantry_private.owner_check(target));
  perform tenantry_private.log_step(target, 'verified', 'strict', format('alter table %s validate constraint %I', target, tenantry_private.owner_check(target)), 'SHARE UPDATE EXCLUSIVE', null,
    tenantry_private.milliseconds_since(began));
  return true;
exception
  when check_violation then
    raise warning 'rows of % have no owner; nobody sees them, and check() names the table until they have one', target
      using hint = format('Go back to decide them: call tenantry.rollout_to(%L, ''verified'');', target);
    return false;
  when others or query_canceled or assert_failure then
    perform tenantry_private.let_rollout_go(target);
    raise;
end
$$;

comment on function tenantry_private.validate_owners(regclass) is 'Looks whether every row has an owner, and stops nobody meanwhile.';

create function tenantry_private.require_owners(target regclass)
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  rollout constant tenantry_private.rollouts := tenantry_private.require_rollout(target);
begin
  if not tenantry_private.is_closing(target) then
    return;
  end if;
  perform tenantry_private.carry_under_lock(target, 'verified', 'strict', array[
    format('alter table %s alter column %I set not null', target, rollout.owner_column),
    format('alter table %s drop constraint %I', target, tenantry_private.owner_check(target))]);
  perform tenantry_private.drop_filling(target);
end
$$;

comment on function tenantry_private.require_owners(regclass) is 'NOT NULL, of what has been looked at. Error: 55P03.';

create function tenantry_private.reopen_rollout(target regclass)
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  rollout    constant tenantry_private.rollouts := tenantry_private.require_rollout(target);
  statements text[];
begin
  perform tenantry_private.change_rollout(target, '{"state": "verified"}');
  select coalesce(p.statements, '{}') into statements from tenantry_private.plan_everything(target) p;
  -- Roles that had their privileges as everybody.
  statements := statements || array(
    select format('grant %s on table %s to public', lower(p.value ->> 1), target) from jsonb_array_elements(rollout.before -> 'privileges') p where p.value ->> 0 = '');
  perform tenantry_private.carry_under_lock(target, 'strict', 'verified', statements);
  perform tenantry_private.confirm_table(target);
end
$$;

comment on function tenantry_private.reopen_rollout(regclass) is 'Back from strict: legacy roles are let through again. Error: 55P03.';

create function tenantry_private.allow_unowned(target regclass)
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  rollout    constant tenantry_private.rollouts := tenantry_private.require_rollout(target);
  statements text[];
begin
  -- The trigger that fills owners works as the table's owner.
  statements := array(select format('alter table %s no force row level security', t.relation)
                        from tenantry_private.relation_tree(target) t join pg_catalog.pg_class c on c.oid = t.relation and c.relforcerowsecurity order by t.depth, t.relation::text);
  if tenantry_private.is_closing(target) then
    statements := statements || format('alter table %s drop constraint %I', target, tenantry_private.owner_check(target));
  end if;
  if (rollout.before ->> 'owner_nullable')::boolean and tenantry_private.must_have_owners(target) then
    statements := statements || format('alter table %s alter column %I drop not null', target, rollout.owner_column);
  end if;
  perform tenantry_private.carry_under_lock(target, 'strict', 'verified', statements);
  perform tenantry_private.define_filling(target);
end
$$;

comment on function tenantry_private.allow_unowned(regclass) is 'Lets rows be written without an owner, before legacy roles may write again, and fills them. Error: 55P03.';
