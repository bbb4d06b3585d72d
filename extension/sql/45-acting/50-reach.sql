-- What an entity reaches: itself, what it owns, the owner of what acts for its owner, what it is a member of, and on from
-- there; at the end of such a way also what was delegated. One privilege at a time: a way counts if each of its links leaves
-- that privilege, so the intersections along every way, and their union, come down to which entities can be walked to.
-- Cycles and diamonds end by themselves, since each entity is met once.

-- One step of such a way. A single query without a SET clause, so that the planner puts it into those that walk; what they do
-- not ask for is not computed.
create function tenantry_private.links_of(from_kind text, from_id text)
returns table (kind text, id text, bits integer, rank integer, words text)
language sql stable parallel safe
begin atomic
  select e.kind, e.id, 63, 1, format(' owns %s:%s', e.kind, e.id)
    from tenantry_private.entities e
   where e.owner_kind = from_kind and e.owner_id = from_id and e.gone_at is null
  union all
  -- never to hand on
  select p.kind, p.id, 31, 2, format(' acts for its owner %s:%s', p.kind, p.id)
    from tenantry_private.entities a
    join tenantry_private.kinds k on k.kind = a.kind
    join tenantry_private.entities p on p.kind = a.owner_kind and p.id = a.owner_id and p.gone_at is null
   where a.kind = from_kind and a.id = from_id and (a.acts_for_owner or k.acts_for_owner)
  union all
  select c.kind, c.id, m.bits, 3, format(' is a member of %s:%s (%s%s)', c.kind, c.id, m.relation, coalesce(', role ' || nullif(m.role, ''), ''))
    from tenantry_private.memberships m
    join tenantry_private.entities c on c.kind = m.container_kind and c.id = m.container_id and c.gone_at is null
   where m.member_kind = from_kind and m.member_id = from_id and not m.void;
end;

comment on function tenantry_private.links_of(text, text) is
  'What an entity works on directly: what it owns, its owner if it acts for that, what it is a member of; with the privilege bits that the link leaves, and in words.';

-- goal: the only kind that is asked for, so that kinds which never lead to it are left out; null for all.
create function tenantry_private.walk(start_kind text, start_id text, mask integer, goal text default null)
returns table (kind text, id text)
language plpgsql stable parallel safe
rows 100
-- From index to index, whatever the tables are like when a session first asks: its plan is kept.
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
#variable_conflict use_column
declare
  useful constant text[] := case when goal is not null then array(
    with recursive towards (kind) as (
      select goal
      union
      select l.from_kind from towards n join tenantry_private.kind_links l on l.to_kind = n.kind)
    select n.kind from towards n) end;
  -- Kinds that lead on. Where rooms own nothing and are members of nothing, nobody looks behind a thousand rooms.
  onward constant text[] := array(
    select distinct l.from_kind from tenantry_private.kind_links l where useful is null or l.to_kind = any (useful));
begin
  return query
  with recursive walk (kind, id) as (
    select e.kind, e.id from tenantry_private.entities e where e.kind = start_kind and e.id = start_id and e.gone_at is null and (useful is null or e.kind = any (useful))
    union
    select step.kind, step.id
      from walk w
     cross join lateral tenantry_private.links_of(w.kind, w.id) step
     where w.kind = any (onward) and step.bits & mask <> 0 and (useful is null or step.kind = any (useful)))
  select w.kind, w.id from walk w;
end
$$;

comment on function tenantry_private.walk(text, text, integer, text) is
  'The entities that one works on with a privilege (its bit) by ownership, by acting for its owner and by membership, however far; itself among them. goal: the only kind that is asked for.';

create function tenantry_private.reached(context text[], privilege text, target regclass, goal text default null)
returns table (kind text, id text)
language plpgsql stable parallel safe
rows 100
as $$
#variable_conflict use_column
declare
  mask constant integer := tenantry_private.privilege_bit(privilege);
begin
  if context is null or strpos(context[4], ',' || privilege || ',') = 0 then
    return;
  end if;
  -- Held by delegation: the data of the principal itself, and nothing behind it.
  if strpos(context[4], ',=' || privilege || ',') > 0 then
    return query select tenantry_private.kind_of(context[6]), tenantry_private.id_of(context[6]);
    return;
  end if;
  if not exists (select from tenantry_private.delegations d where d.revoked_at is null) then
    return query select * from tenantry_private.walk(tenantry_private.kind_of(context[6]), tenantry_private.id_of(context[6]), mask, goal);
    return;
  end if;
  return query
  with walked as materialized (
    select w.kind, w.id from tenantry_private.walk(tenantry_private.kind_of(context[6]), tenantry_private.id_of(context[6]), mask, goal) w)
  select w.kind, w.id from walked w
  union
  select f.kind, f.id
    from walked w
    join tenantry_private.entities t on t.kind = w.kind and t.id = w.id
    join tenantry_private.delegations d on d.to_kind = t.kind and d.to_id = t.id and d.to_serial = t.serial
    join tenantry_private.entities f on f.serial = d.for_serial and f.gone_at is null
   where tenantry_private.in_force(d)
     and d.bits & mask <> 0
     and (d.tables is null or target = any (d.tables));
end
$$;

comment on function tenantry_private.reached(text[], text, regclass, text) is
  'Every entity whose rows in a table a context works on with a privilege. target: the table, for delegations that are narrowed to some; null for none of those. goal: the only kind that is asked for; others may be among what is returned. Error: 22023.';

create function tenantry.reach(kind text, privilege text default 'select', target regclass default null)
returns text[]
language plpgsql stable parallel safe security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
#print_strict_params off
begin
  return array(select r.id from tenantry_private.reached(tenantry_private.open_context(), privilege, target, kind) r where r.kind = reach.kind);
end
$$;

comment on function tenantry.reach(text, text, regclass) is
  'The ids of every entity of a kind that this session reaches with a privilege: its principal, what that owns, acts for, is a member of and was given, as the links between leave the privilege. kind: as registered. privilege: select (default), insert, update, delete, decrypt or delegate. target: a table, to count delegations that are narrowed to it. Empty without a context. Errors: 22023, TN001 (on_missing_context = error), TN002, TN003.';

-- For policies, which name their table by its tag: that stays when a table is renamed or restored.
create function tenantry_private.reach_of(kind text, privilege text, tag text)
returns text[]
language plpgsql stable parallel safe security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
#print_strict_params off
begin
  return array(
    select r.id
      from tenantry_private.reached(tenantry_private.open_context(), privilege,
             (select t.relation from tenantry_private.tables t where t.tag = reach_of.tag), kind) r
     where r.kind = reach_of.kind);
end
$$;

comment on function tenantry_private.reach_of(text, text, text) is 'What tenantry.reach() says, for a table that is named by its tag.';

create function tenantry.sets_up()
returns boolean
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
begin
  return tenantry_private.open_context() is null
     and (not tenantry_private.is_allowed('user')
          or (select r.rolsuper from pg_catalog.pg_roles r where r.rolname = session_user)
          or tenantry_private.is_legacy());
end
$$;

comment on function tenantry.sets_up() is 'Whether this session sets things up rather than works as somebody: it has no context, and its login is not an application''s, or one that a rollout lets through still. Errors: TN001 (on_missing_context = error), TN002, TN003.';

create function tenantry.entered()
returns boolean
language plpgsql stable parallel safe security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
begin
  return strpos((tenantry_private.open_context())[4], ',select,') > 0;
end
$$;

comment on function tenantry.entered() is 'Whether this session has a context that leaves select, an anonymous one included; null without a context. Errors: TN001 (on_missing_context = error), TN002, TN003.';

-- The privilege bits that a context holds on an entity by ownership, acting and membership: what it may hand on as its own.
create function tenantry_private.held(context text[], the_kind text, the_id text)
returns integer
language plpgsql stable
as $$
declare
  bits      integer := 0;
  privilege text;
  position  integer := 0;
begin
  foreach privilege in array tenantry_private.privilege_names(63) loop
    if strpos(context[4], ',' || privilege || ',') > 0 and strpos(context[4], ',=' || privilege || ',') = 0
       and exists (
         select
           from tenantry_private.walk(tenantry_private.kind_of(context[6]), tenantry_private.id_of(context[6]), 1 << position, the_kind) w
          where w.kind = the_kind and w.id = the_id) then
      bits := bits | (1 << position);
    end if;
    position := position + 1;
  end loop;
  return bits;
end
$$;

comment on function tenantry_private.held(text[], text, text) is 'What a context may do on the rows of one entity without any delegation, as privilege bits; 0 without a context.';
