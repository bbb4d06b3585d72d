-- What protects a table stays. Who sets isolation up may take it away, and that is recorded; others are refused. Asked after
-- every statement that could, so it looks at what the statement touched and at nothing else.

create function tenantry_private.triggers_off(target oid)
returns text
language sql stable
set search_path = pg_catalog, pg_temp
return (
  select string_agg(format('trigger %I', t.tgname), ', ' order by t.tgname) || case when count(*) = 1 then ' is' else ' are' end || ' off'
    from pg_catalog.pg_trigger t
   where t.tgrelid = target and t.tgenabled in ('D', 'R') and not t.tgisinternal and tenantry_private.is_own_trigger(t.tgname));

comment on function tenantry_private.triggers_off(oid) is 'Triggers of tenantry''s on a table, or a part of one, that do not fire; null if all do.';

-- Whoever leaves stays, and whoever writes a row is believed later, where these are not told of it.
create function tenantry_private.is_followed_table(target oid)
returns boolean
language sql stable
set search_path = pg_catalog, pg_temp
return exists (select from tenantry_private.kinds k where k.relation = target)
    or exists (select from tenantry_private.membership_sources s where s.relation = target);

comment on function tenantry_private.is_followed_table(oid) is 'Whether a table says who there is, or who is a member of what.';

create function tenantry_private.weakness(target oid)
returns text
language plpgsql stable
as $$
declare
  declaration tenantry_private.tables;
  relation    record;
  lost        text;
begin
  select * into declaration from tenantry_private.tables t where t.relation = target;
  select c.relrowsecurity, c.relforcerowsecurity, c.relhassubclass, c.relowner, r.rolname
    into relation
    from pg_catalog.pg_class c join pg_catalog.pg_roles r on r.oid = c.relowner where c.oid = target;
  if relation.rolname is null or declaration.class is null or not tenantry_private.is_guarded(target)
     -- before it is isolated
     or exists (select from tenantry_private.rollouts r where r.relation = target and r.state in ('planned', 'prepared', 'backfilled')) then
    return null;
  end if;
  if not relation.relrowsecurity then
    return 'row-level security is off';
  elsif not relation.relforcerowsecurity and not exists (select from tenantry_private.rollouts r where r.relation = target) then
    return 'row-level security is not forced';
  elsif not exists (select from tenantry_private.guarded_relations g where g.relation = target and g.owner = relation.relowner) then
    return format('it belongs to %I', relation.rolname);
  end if;
  select string_agg(format('policy %I', k.name), ', ' order by k.name) into lost
    from jsonb_object_keys(declaration.expressions) as k (name)
   where not exists (select from pg_catalog.pg_policy p where p.polrelid = target and p.polname = k.name);
  if lost is not null then
    -- Not what is wanted no more: the policies of legacy roles go when a table becomes strict.
    select string_agg(format('policy %I', w.policy), ', ' order by w.policy) into lost
      from tenantry_private.wanted_policies(declaration) w
     where not exists (select from pg_catalog.pg_policy p where p.polrelid = target and p.polname = w.policy);
  end if;
  if lost is not null then
    return lost || ' is gone';
  end if;
  lost := tenantry_private.triggers_off(target);
  if lost is not null then
    return lost;
  end if;
  -- What the reference check must say costs more to know, so it is asked only where its trigger is gone.
  select string_agg(format('trigger %I', w.name), ', ' order by w.name) into lost
    from (values ('tenantry_owner_kept', declaration.reach, 'keep_owner'), ('tenantry_actor', declaration.actor_column is not null, 'record_actor'),
                 ('tenantry_owner_fill', declaration.class = 'by_parent', 'fill_owner_' || declaration.tag),
                 ('tenantry_references_insert', to_regproc('tenantry_private.check_references_' || declaration.tag) is not null, 'check_references_' || declaration.tag),
                 ('tenantry_references_update', to_regproc('tenantry_private.check_references_' || declaration.tag) is not null, 'check_references_' || declaration.tag)) as w (name, wanted, routine)
   where w.wanted and not exists (
         select
           from pg_catalog.pg_trigger t
           join pg_catalog.pg_proc p on p.oid = t.tgfoid and p.pronamespace = 'tenantry_private'::regnamespace and p.proname = w.routine
          where t.tgrelid = target and t.tgname = w.name);
  if lost is not null and (lost !~ '^trigger tenantry_references' or tenantry_private.expected_check(declaration, null) is not null) then
    return lost || ' is gone';
  end if;
  if not relation.relhassubclass then
    return null;
  end if;
  select string_agg(c.oid::regclass::text, ', ') into lost
    from tenantry_private.relation_tree(target) tree
    join pg_catalog.pg_class c on c.oid = tree.relation and not (c.relrowsecurity and c.relforcerowsecurity)
   where c.oid <> target;
  if lost is not null then
    return lost || ' is open below it';
  end if;
  select string_agg(tenantry_private.triggers_off(tree.relation), ', ') into lost
    from tenantry_private.relation_tree(target) tree where tree.relation <> target;
  return lost;
end
$$;

comment on function tenantry_private.weakness(oid) is 'What a protected table lacks of its protection; null if nothing, or where a rollout has not isolated it yet. Expressions of policies are for check() to compare.';

create function tenantry_private.refuse_weakening(target oid, what text)
returns void
language plpgsql stable
as $$
begin
  raise exception '% is protected by tenantry: %', target::regclass, what
    using errcode = '42501', hint = 'An admin of tenantry may change that: tenantry.unprotect(), or tenantry.sync() after a change.';
end
$$;

comment on function tenantry_private.refuse_weakening(oid, text) is 'Raises 42501 for a statement that would weaken a protected table.';

create function tenantry_private.watch(target oid)
returns boolean
language plpgsql volatile
as $$
begin
  if exists (select from tenantry_private.watched_relations w where w.relation = target and w.xact = pg_current_xact_id_if_assigned()) then
    return true;
  end if;
  if tenantry_private.is_admin() then
    insert into tenantry_private.watched_relations (relation, xact, born) values (target, pg_current_xact_id(), false);
    return true;
  end if;
  return false;
end
$$;

comment on function tenantry_private.watch(oid) is 'Whether what becomes of a protected table is looked at when the transaction commits: of admins, and of tables born in it.';

-- What was dropped and made anew under its old name, by somebody else than tenantry, which would have confirmed it.
create function tenantry_private.remade_policies(target oid)
returns text
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  declaration tenantry_private.tables;
  in_rollout  constant boolean := exists (select from tenantry_private.rollouts r where r.relation = target);
  planned     text[];
begin
  select t.* into declaration from tenantry_private.tables t where t.relation = target and tenantry_private.is_guarded(target);
  if declaration.relation is null or not exists (
       select
         from pg_catalog.pg_policy p
        where p.polrelid = target and p.polname like 'tenantry\_%' and age(p.xmin) <= age(pg_current_xact_id()::xid)) then
    return null;
  end if;
  if not in_rollout then
    planned := array(select s.statement from tenantry_private.plan_policies(declaration) s);
  end if;
  return (
    select string_agg(format('policy %I', p.polname), ', ' order by p.polname) || ' is not as it was made'
      from pg_catalog.pg_policy p
     where p.polrelid = target and p.polname like 'tenantry\_%'
       and age(p.xmin) <= age(pg_current_xact_id()::xid)
       and case when in_rollout
             then declaration.expressions ? p.polname::text
                  and (pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid))
                      is distinct from (declaration.expressions -> p.polname::text ->> 0, declaration.expressions -> p.polname::text ->> 1)
             -- one that is not wanted, permits instead of restricting, or is for others, too
             else format('drop policy %I on %s', p.polname, declaration.relation) = any (planned)
           end);
end
$$;

comment on function tenantry_private.remade_policies(oid) is 'Policies of tenantry''s on a protected table that this transaction has made otherwise than they are wanted; null if there are none.';

create function tenantry_private.settle_watched()
returns trigger
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
declare
  found_weak constant text := coalesce(tenantry_private.weakness(new.relation), tenantry_private.remade_policies(new.relation));
begin
  delete from tenantry_private.watched_relations w where w.relation = new.relation and w.xact = new.xact;
  if found_weak is null then
    return null;
  end if;
  if not tenantry_private.is_admin() then
    perform tenantry_private.refuse_weakening(new.relation, found_weak);
  end if;
  perform tenantry_private.note('weaken', new.relation::regclass::text, jsonb_build_object('what', found_weak));
  raise warning '% is no longer protected as declared: %', new.relation::regclass, found_weak
    using hint = 'Run: select * from tenantry.sync(); or see tenantry.check().';
  return null;
end
$$;

comment on function tenantry_private.settle_watched() is 'At commit: what an admin left weak is recorded; a table that was born and left weak is refused. Error: 42501.';

create constraint trigger settle after insert on tenantry_private.watched_relations
  deferrable initially deferred for each row execute function tenantry_private.settle_watched();
alter table tenantry_private.watched_relations enable always trigger settle;

create function tenantry_private.note_weakening(target oid, what text)
returns void
language plpgsql volatile
as $$
begin
  if not tenantry_private.is_admin() then
    perform tenantry_private.refuse_weakening(target, what);
  end if;
  perform tenantry_private.note('weaken', target::regclass::text, jsonb_build_object('what', what));
end
$$;

comment on function tenantry_private.note_weakening(oid, text) is 'Refuses what weakens a protected table, and records it of admins. Error: 42501.';

create function tenantry_private.judge_policy(policy oid, altered boolean)
returns void
language plpgsql volatile
as $$
declare
  item       record;
  above      oid;
  found_weak text;
begin
  select p.polname, p.polrelid, p.polpermissive into item from pg_catalog.pg_policy p where p.oid = policy;
  if not tenantry_private.is_guarded(item.polrelid) then
    -- Under its own name a part of a protected table is closed to everybody.
    above := tenantry_private.protected_above(item.polrelid);
    if item.polpermissive and tenantry_private.is_guarded(above) then
      perform tenantry_private.note_weakening(above, format('policy %I would open %s, a part of it, under its own name', item.polname, item.polrelid::regclass));
    end if;
    return;
  end if;
  if item.polname like 'tenantry\_%' and altered then
    -- Ours are dropped and made anew, never altered.
    perform tenantry_private.note_weakening(item.polrelid, format('policy %I is tenantry''s', item.polname));
  elsif item.polname like 'tenantry\_%' then
    -- Whatever is made of ours while it is watched is looked at in the end.
    if not tenantry_private.watch(item.polrelid) then
      perform tenantry_private.refuse_weakening(item.polrelid, format('policy %I is tenantry''s', item.polname));
    end if;
  elsif item.polpermissive and not exists (select from tenantry_private.rollouts r where r.relation = item.polrelid and r.state in ('planned', 'prepared', 'backfilled')) then
    perform tenantry_private.note_weakening(item.polrelid, format('policy %I is permissive', item.polname));
  elsif altered and not tenantry_private.watch(item.polrelid) then
    -- a floor by another name
    found_weak := tenantry_private.weakness(item.polrelid);
    if found_weak is not null then
      perform tenantry_private.refuse_weakening(item.polrelid, found_weak);
    end if;
  end if;
end
$$;

comment on function tenantry_private.judge_policy(oid, boolean) is 'Looks at a policy that was made or altered. Error: 42501.';

create function tenantry_private.refuses_change(target oid)
returns boolean
language plpgsql volatile
as $$
declare
  root constant oid := tenantry_private.guarded_root(target);
begin
  if root is not null then
    return not tenantry_private.watch(root);
  end if;
  return tenantry_private.is_followed_table(target) and not tenantry_private.is_admin();
end
$$;

comment on function tenantry_private.refuses_change(oid) is 'Whether what tenantry has put on a table, or on a part of one, is not for this session to change; where it is, the table is watched.';

-- Made, made anew or renamed. One of ours by another name could be dropped, and one by our name could do anything.
create function tenantry_private.judge_trigger(trigger oid)
returns void
language plpgsql volatile
as $$
declare
  item record;
begin
  select t.tgname, t.tgrelid into item
    from pg_catalog.pg_trigger t
    join pg_catalog.pg_proc p on p.oid = t.tgfoid
   where t.oid = trigger and (tenantry_private.is_own_trigger(t.tgname) or p.pronamespace = 'tenantry_private'::regnamespace);
  if item.tgname is null then
    return;
  end if;
  if tenantry_private.refuses_change(item.tgrelid) then
    perform tenantry_private.refuse_weakening(coalesce(tenantry_private.guarded_root(item.tgrelid), item.tgrelid), format('trigger %I is tenantry''s', item.tgname));
  end if;
end
$$;

comment on function tenantry_private.judge_trigger(oid) is 'Looks at a trigger that was made or renamed. Error: 42501.';

-- A rule is what a view is made of, and what a table''s owner does beside what others do there: as that owner, whoever it is.
create function tenantry_private.judge_rule(rule oid)
returns void
language plpgsql volatile
as $$
declare
  item record;
  read regclass;
begin
  select w.rulename, w.ev_type, w.ev_class into item from pg_catalog.pg_rewrite w where w.oid = rule;
  if item.ev_type = '1' then
    perform tenantry_private.judge_view(item.ev_class);
    return;
  elsif (select v.invoker from tenantry_private.view_security(item.ev_class) v) then
    return;
  end if;
  read := case when tenantry_private.guarded_root(item.ev_class) is not null then item.ev_class else (
    select min(tenantry_private.guarded_below(d.refobjid))
      from pg_catalog.pg_depend d
     where d.classid = 'pg_catalog.pg_rewrite'::regclass and d.objid = rule
       and d.refclassid = 'pg_catalog.pg_class'::regclass and d.refobjid <> item.ev_class) end;
  if read is not null then
    perform tenantry_private.note_weakening(read, format('rule %I on %s would read and write as its owner, whoever asks', item.rulename, item.ev_class::regclass));
  end if;
end
$$;

comment on function tenantry_private.judge_rule(oid) is 'Refuses a rule that works on protected rows as the owner of a table; of admins it is recorded. Error: 42501.';

-- A grant does not say of what. Only rows of the catalog that this transaction has written can be it: the youngest.
create function tenantry_private.judge_grants()
returns void
language plpgsql volatile
as $$
declare
  began   constant integer := age(pg_current_xact_id()::xid);
  -- Such a statement has parentheses, or is part of another one, which may put it together from anything.
  columns constant boolean := current_query() !~* '^\s*(grant|revoke)\s[^;(]*;?\s*$';
  granted record;
  bound   text[];
  item    record;
begin
  for granted in
    select c.oid as relation, c.relkind, c.relowner, c.relacl as acl
      from pg_catalog.pg_class c
     where age(c.xmin) <= began and c.relacl is not null and c.relkind in ('r', 'p', 'm', 'f')
    union all
    select c.oid, c.relkind, c.relowner, f.attacl
      from pg_catalog.pg_attribute f
      join pg_catalog.pg_class c on c.oid = f.attrelid
     where columns and f.attacl is not null and age(f.xmin) <= began
  loop
    -- SELECT and the like are what policies bind, on the table that has them: not on what is a part of it.
    bound := case when tenantry_private.is_guarded(granted.relation) then array['SELECT', 'INSERT', 'UPDATE', 'DELETE'] else '{}' end;
    continue when bound = '{}' and case granted.relkind
      when 'm' then tenantry_private.guarded_below(granted.relation) is null
      when 'f' then not exists (
             select from pg_catalog.pg_class c
               join pg_catalog.pg_namespace n on n.oid = c.relnamespace
               join tenantry_private.schemas s on s.schema_name = n.nspname
              where c.oid = granted.relation)
      else not exists (select from pg_catalog.pg_inherits i where i.inhrelid = granted.relation)
           or not tenantry_private.is_guarded(tenantry_private.protected_above(granted.relation))
      end;
    continue when bound = '{}' and exists (select from tenantry_private.tables t where t.relation = granted.relation and (t.class = 'exempt' or granted.relkind in ('r', 'p')));
    for item in
      select a.grantee, a.privilege_type
        from aclexplode(granted.acl) a
       where a.grantee <> granted.relowner and a.privilege_type <> all (bound)
    loop
      continue when not tenantry_private.is_applications(item.grantee);
      perform tenantry_private.note_weakening(granted.relation,
        format('%s must not have %s on it', case item.grantee when 0 then 'public' else item.grantee::regrole::text end, lower(item.privilege_type)));
    end loop;
  end loop;
end
$$;

comment on function tenantry_private.judge_grants() is 'Looks for privileges of the application that row-level security does not bind, on what this transaction has granted. Error: 42501.';

-- Down through views that run as their users. One that does not decides itself who looks, and was judged when it was made;
-- what a materialized one holds is nobody's any more.
create function tenantry_private.guarded_below(view oid)
returns regclass
language sql stable
set search_path = pg_catalog, pg_temp
begin atomic
  with recursive reading (oid) as (
    select view
    union
    select d.refobjid
      from reading r
      join pg_catalog.pg_class c on c.oid = r.oid
      join pg_catalog.pg_rewrite w on w.ev_class = r.oid
      join pg_catalog.pg_depend d on d.classid = 'pg_catalog.pg_rewrite'::regclass and d.objid = w.oid
                                 and d.refclassid = 'pg_catalog.pg_class'::regclass and d.refobjid <> w.ev_class
     where r.oid = view or c.relkind = 'm' or (select v.invoker from tenantry_private.view_security(r.oid) v))
  select r.oid::regclass from reading r
   where tenantry_private.guarded_root(r.oid) is not null
   limit 1;
end;

comment on function tenantry_private.guarded_below(oid) is 'A protected table, or a part of one, that a view reads; null if there is none.';

create function tenantry_private.judge_view(view oid)
returns void
language plpgsql volatile
as $$
declare
  item record;
  read regclass;
begin
  select c.relowner, v.invoker into item from pg_catalog.pg_class c cross join tenantry_private.view_security(c.oid) v where c.oid = view;
  if item.invoker or item.relowner in (to_regrole('tenantry_facade'), to_regrole('tenantry_reach'))
     or exists (select from tenantry_private.tables t where t.relation = view and t.class = 'exempt') then
    return;
  end if;
  read := tenantry_private.guarded_below(view);
  if read is null then
    return;
  end if;
  if not tenantry_private.is_admin() then
    raise exception 'view % would read % as its owner, whoever asks', view::regclass, read
      using errcode = '42501', hint = 'Let it read as whoever uses it: create view … with (security_invoker = true) as …; or an admin exempts it: select tenantry.exempt(…);';
  end if;
  perform tenantry_private.note('weaken', view::regclass::text, jsonb_build_object('what', format('reads %s as its owner', read)));
  raise warning 'view % reads % as its owner, whoever asks', view::regclass, read
    using hint = format('Run: alter view %s set (security_invoker = true); or: select tenantry.exempt(%1$L, ''…'');', view::regclass);
end
$$;

comment on function tenantry_private.judge_view(oid) is 'Refuses a view that shows protected rows as its owner sees them; of admins it is recorded. Error: 42501.';
