-- What is declared before anything is changed.

create function tenantry_private.record_rollout(target regclass, declared jsonb)
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
  insert into tenantry_private.rollouts as r (relation, tag, owner_column, owner_kind, legacy_roles, drop_policies, budget, options)
  values (target, tenantry_private.new_tag(target), declared ->> 'owner_column', declared ->> 'owner_kind',
          array(select jsonb_array_elements_text(declared -> 'legacy_roles')), array(select jsonb_array_elements_text(declared -> 'drop_policies')),
          (declared ->> 'budget')::bigint, declared -> 'options')
      on conflict (relation) do update
     set owner_column  = excluded.owner_column,
         owner_kind    = excluded.owner_kind,
         legacy_roles  = excluded.legacy_roles,
         drop_policies = excluded.drop_policies,
         budget        = excluded.budget,
         options       = excluded.options;
  perform tenantry_private.note('rollout', target::text, jsonb_strip_nulls(declared));
end
$$;

comment on function tenantry_private.record_rollout(regclass, jsonb) is 'Writes the declaration of a rollout: the definer half of tenantry.rollout().';

create function tenantry_private.change_rollout(target regclass, change jsonb)
returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
declare
  next tenantry_private.rollouts;
begin
  perform tenantry_private.require_admin('roll out isolation');
  perform tenantry_private.require_declarable(target);
  select * into next from tenantry_private.rollouts r where r.relation = target for update;
  if next.state is distinct from change ->> 'state' and change ? 'state' then
    perform tenantry_private.note('rollout_to', target::text, jsonb_build_object('from', next.state, 'to', change -> 'state'));
  end if;
  next := jsonb_populate_record(next, change - array['relation', 'tag', 'declared_by', 'declared_at']);
  update tenantry_private.rollouts r
     set (state, before, run, place, done, filled, total, finished, batch_size, began_at, brake, counts)
       = (next.state, next.before, next.run, next.place, next.done, next.filled, next.total, next.finished, next.batch_size, next.began_at, next.brake, next.counts)
   where r.relation = target;
end
$$;

comment on function tenantry_private.change_rollout(regclass, jsonb) is 'Keeps how far a rollout is; change: column → value.';

create function tenantry_private.forget_rollout(target regclass)
returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
declare
  owner constant oid := (select c.relowner from pg_catalog.pg_class c where c.oid = target);
begin
  perform tenantry_private.require_admin('roll out isolation');
  perform tenantry_private.require_declarable(target);
  delete from tenantry_private.rollouts r where r.relation = target;
  -- What grant_filling() gave, unless another table of the same owner's still needs it.
  if not exists (select from tenantry_private.rollouts r join pg_catalog.pg_class c on c.oid = r.relation where c.relowner = owner) then
    execute format('revoke execute on function tenantry_private.known_ids(text, text[]) from %s', owner::regrole);
  end if;
  delete from tenantry_private.rollout_sources s where s.relation = target;
  delete from tenantry_private.quarantined_rows q where q.relation = target;
  perform tenantry_private.note('rollout_end', target::text);
end
$$;

comment on function tenantry_private.forget_rollout(regclass) is 'Forgets a rollout, its signals and its quarantine, and takes back what its owner could call for it; the log stays.';

create function tenantry_private.require_rollout(target regclass)
returns tenantry_private.rollouts
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  rollout tenantry_private.rollouts;
begin
  perform tenantry_private.require_own_table(target, 'roll out');
  rollout := tenantry_private.rollout(target);
  if rollout.relation is null then
    perform tenantry_private.refuse(format('no rollout is declared for %s', target),
      format('Run: select tenantry.rollout(%L, owner_column => ''…'', owner_kind => ''…'');', target));
  end if;
  return rollout;
end
$$;

comment on function tenantry_private.require_rollout(regclass) is 'The rollout of a table of one''s own. Errors: 42501, TN011.';

-- What hints end in.
create function tenantry_private.calls_to(relations regclass[], state text)
returns text
language sql stable
set search_path = pg_catalog, pg_temp
return (select string_agg(format('call tenantry.rollout_to(%L, %L);', r.relation, state), ' ' order by r.position) from unnest(relations) with ordinality as r (relation, position));

comment on function tenantry_private.calls_to(regclass[], text) is 'The calls that take tables to a state, as one line.';

create function tenantry.rollout(
  target               regclass,
  owner_column         name,
  owner_kind           text,
  legacy_roles         name[] default '{}',
  drop_policies        name[] default '{}',
  budget               bigint default 0,
  unchecked_references name[] default null,
  shared_by            jsonb  default null,
  public_when          text   default null,
  actor_column         name   default null,
  reach                boolean default null
)
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_variable
declare
  known   constant tenantry_private.rollouts := tenantry_private.rollout(target);
  unknown name;
begin
  perform tenantry_private.require_own_table(target, 'roll out');
  if known.state not in ('planned', 'prepared') and (known.owner_column, known.owner_kind) is distinct from (owner_column, owner_kind)
     or known.state <> 'planned' and known.owner_column <> owner_column then
    perform tenantry_private.refuse(format('%s is %s already, with owners of kind %s in %I', target, known.state, known.owner_kind, known.owner_column),
      format('Go back first: call tenantry.rollout_to(%L, ''planned'');', target));
  end if;
  if known.relation is null and (tenantry_private.declared(target)).class is not null then
    perform tenantry_private.refuse(format('%s is declared %s already', target, (tenantry_private.declared(target)).class),
      case (tenantry_private.declared(target)).class when 'shared' then format('Run: select * from tenantry.unshare(%L);', target)
        when 'exempt' then format('Run: select tenantry.unexempt(%L);', target) else 'It is isolated: there is nothing to roll out.' end);
  end if;
  if owner_column is null or owner_column = '' then
    perform tenantry_private.refuse('a rollout needs the owner column', 'Name the column that owners are in, or will be in: owner_column => ''owner_id''.');
  end if;
  if tenantry_private.column_type(target, owner_column) is not null then
    perform tenantry_private.require_owner_column(target, owner_column, owner_kind);
  else
    perform tenantry_private.require_kind(owner_kind);
  end if;
  select r.role_name into unknown from unnest(legacy_roles) as r (role_name) where to_regrole(quote_ident(r.role_name)) is null limit 1;
  if unknown is not null then
    perform tenantry_private.refuse(format('there is no role %I', unknown), 'Name the roles that the application works as today: legacy_roles => ''{app}''.');
  end if;
  select p.policy into unknown
    from unnest(drop_policies) as p (policy)
   where not exists (select from pg_catalog.pg_policy o where o.polrelid = target and o.polname = p.policy)
     and not coalesce(known.before -> 'policies', '[]') @> jsonb_build_array(jsonb_build_object('policy', p.policy))
   limit 1;
  if unknown is not null then
    perform tenantry_private.refuse(format('%s has no policy %I', target, unknown), format('List them: select policyname from pg_policies where tablename = %L;', (select c.relname from pg_catalog.pg_class c where c.oid = target)));
  end if;
  perform tenantry_private.record_rollout(target, jsonb_build_object(
    'owner_column', owner_column, 'owner_kind', owner_kind, 'legacy_roles', to_jsonb(coalesce(legacy_roles, '{}')), 'drop_policies', to_jsonb(coalesce(drop_policies, '{}')),
    'budget', coalesce(budget, 0), 'options', jsonb_strip_nulls(jsonb_build_object('unchecked_references', to_jsonb(unchecked_references), 'shared_by', shared_by,
      'public_when', public_when, 'actor_column', actor_column, 'reach', reach))));
end
$$;

comment on function tenantry.rollout(regclass, name, text, name[], name[], bigint, name[], jsonb, text, name, boolean) is
  'Declares that a filled table is to be isolated in steps, and changes nothing yet. owner_column: where owners are, or will be; it is added in the step prepared. owner_kind: as registered. legacy_roles: roles that work without a context until the table is strict. drop_policies: permissive policies of the application that go when the table becomes transitional. budget: rows without an owner that strict may leave behind, seen by nobody; default 0. The others: as in protect(). A second call changes the declaration. Errors: 42501, TN011.';

create function tenantry.rollout_end(target regclass)
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  rollout constant tenantry_private.rollouts := tenantry_private.require_rollout(target);
begin
  if rollout.state not in ('planned', 'strict') then
    perform tenantry_private.refuse(format('the rollout of %s is under way: %s', target, rollout.state),
      format('Go on or go back: call tenantry.rollout_to(%L, ''strict''); or call tenantry.rollout_to(%1$L, ''planned'');', target));
  end if;
  if rollout.state = 'strict' then
    if exists (select from tenantry.rollout_quarantine q where q.relation = target) then
      perform tenantry_private.refuse(format('%s has rows without an owner', target),
        format('Decide them: select tenantry.rollout_resolve(…); or let them go. To see them: select * from tenantry.rollout_quarantine where relation = %L::regclass;', target));
    end if;
    perform tenantry_private.lock_patiently(target, target);
    execute format('alter table %s drop column if exists tenantry_source', target);
  end if;
  perform tenantry_private.forget_rollout(target);
end
$$;

comment on function tenantry.rollout_end(regclass) is
  'Ends a rollout: a strict table stays protected and loses its column of sources; one that is planned is forgotten. There is no way back to the earlier states then. Errors: 42501, 55P03, TN011.';
