-- Membership is what the application's own tables say: participants of a room, members of an organisation, roles of a world
-- in a JSON object. Triggers keep the registry in step, and see to it that nobody becomes a member by writing a row.

-- A text column may hold the ids of a kind whose own type is uuid, in any spelling.
create function tenantry_private.member_id(given text, id_type text)
returns text
language sql immutable
return case when id_type <> 'uuid' then nullif(given, '')
            when given ~* '^[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}$' then given::uuid::text end;

comment on function tenantry_private.member_id(text, text) is 'The id of an entity whose kind has this type of ids, from how an application writes it; null for what cannot be one.';

-- The query that reads (member, container, role) out of rows of a source; row: an expression for one of them.
create function tenantry_private.membership_query(source tenantry_private.membership_sources, relation text)
returns text
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  member_type    constant text := (select k.id_type from tenantry.kinds k where k.kind = source.member_kind);
  container_type constant text := (select k.id_type from tenantry.kinds k where k.kind = source.container_kind);
begin
  if source.role_path is not null then
    return format($sql$
      select tenantry_private.member_id(m.key, %1$L) as member, tenantry_private.member_id(r.%2$I::text, %3$L) as container, coalesce(m.value, '') as role
        from %4$s r
       cross join lateral jsonb_each_text(case when jsonb_typeof(r.%5$I #> %6$L) = 'object' then r.%5$I #> %6$L else '{}' end) m $sql$,
      member_type, source.container_column, container_type, relation, source.role_column, source.role_path);
  end if;
  return format($sql$
    select tenantry_private.member_id(r.%1$I::text, %2$L) as member, tenantry_private.member_id(r.%3$I::text, %4$L) as container, %5$s as role
      from %6$s r $sql$,
    source.member_column, member_type, source.container_column, container_type,
    -- by the type's own output function: a cast could be somebody's
    case when source.role_column is null then quote_literal('') else format('pg_catalog.format(%L, r.%I)', '%s', source.role_column) end, relation);
end
$$;

comment on function tenantry_private.membership_query(tenantry_private.membership_sources, text) is 'Reads members, containers and roles out of rows of a table of memberships.';

create function tenantry_private.role_bits(source tenantry_private.membership_sources, role text)
returns integer
language sql stable
return coalesce((source.roles ->> role)::integer, (source.roles ->> '*')::integer, 0);

comment on function tenantry_private.role_bits(tenantry_private.membership_sources, text) is 'What a role allows: nothing, where it was not declared.';

create function tenantry_private.count_membership(source tenantry_private.membership_sources, member text, container text, role text, change integer)
returns void
language plpgsql volatile
as $$
begin
  if change < 0 then
    update tenantry_private.memberships m
       set rows = m.rows - 1
     where m.member_kind = source.member_kind and m.member_id = member
       and m.container_kind = source.container_kind and m.container_id = container
       and m.relation = source.relation and m.role = count_membership.role;
    delete from tenantry_private.memberships m
     where m.member_kind = source.member_kind and m.member_id = member
       and m.container_kind = source.container_kind and m.container_id = container
       and m.relation = source.relation and m.role = count_membership.role and m.rows <= 0;
    return;
  end if;
  insert into tenantry_private.memberships as m (relation, member_kind, member_id, container_kind, container_id, role, bits, rows)
  values (source.relation, source.member_kind, member, source.container_kind, container, role, tenantry_private.role_bits(source, role), 1)
      on conflict on constraint memberships_pkey do update
     set rows  = case when m.void then 1 else m.rows + 1 end,
         bits  = excluded.bits,
         void  = false,
         stale = false;
end
$$;

comment on function tenantry_private.count_membership(tenantry_private.membership_sources, text, text, text, integer) is 'Notes that a row of a membership has come (1) or gone (-1).';

-- Who may make somebody a member: whoever holds delegate on the container, and for no more than they hold themselves. Set-up
-- is not asked: a superuser or the owner of the table, who has no context and is not an application's login.
create function tenantry_private.require_container(container_kind text, container text, bits integer)
returns void
language plpgsql stable
as $$
#variable_conflict use_variable
declare
  context constant text[] := tenantry_private.open_context();
  held    integer;
begin
  if tenantry.sets_up() then
    return;
  end if;
  held := tenantry_private.held(context, container_kind, container);
  if held & 32 = 0 then
    raise exception 'nobody becomes a member of a % by writing a row', container_kind
      using errcode = '42501', hint = format('Who adds members, or gives them a role, holds the privilege delegate on the %s: its owner, or a member whose role has it.', container_kind);
  end if;
  if bits & ~held <> 0 then
    raise exception 'a member cannot get more than who adds it holds: %', array_to_string(tenantry_private.privilege_names(bits & ~held), ', ')
      using errcode = '42501', hint = 'Give another role.';
  end if;
end
$$;

comment on function tenantry_private.require_container(text, text, integer) is 'Raises 42501 unless the context may make somebody a member of a container with these privilege bits.';

-- As for kinds: row triggers, ENABLE ALWAYS. Triggers fire in the order of their names, and this one comes before those of
-- foreign keys (RI_…): a room that does not exist is refused like one that is somebody else's.
create function tenantry_private.follow_membership()
returns trigger
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
declare
  source    tenantry_private.membership_sources;
  recording boolean;
  item      record;
  known     boolean := false;
  same      boolean;
begin
  -- What to read comes from the registry, not from the trigger's arguments, which whoever creates a trigger chooses.
  -- Asked first, recorded then: whoever changes their own role does so with what they hold still, also where one row makes
  -- members of several kinds.
  foreach recording in array array[false, true] loop
    for source in select s.* from tenantry_private.membership_sources s where s.relation in (tg_relid, pg_partition_root(tg_relid)) loop
      known := true;
      continue when not recording and tg_op in ('DELETE', 'TRUNCATE');
      if tg_op = 'TRUNCATE' then
        delete from tenantry_private.memberships m where m.relation = source.relation and m.member_kind = source.member_kind and m.container_kind = source.container_kind;
        continue;
      end if;
      perform tenantry_private.require_membership_columns(source);
      if tg_op = 'UPDATE' then
        -- most often something else of the row
        execute format('select (($1).%1$I, %2$s, %3$s) is not distinct from (($2).%1$I, %4$s, %5$s)', source.container_column,
          coalesce(tenantry_private.format_with('($1).%I', source.member_column), 'null'), coalesce(tenantry_private.format_with('($1).%I', source.role_column), 'null'),
          coalesce(tenantry_private.format_with('($2).%I', source.member_column), 'null'), coalesce(tenantry_private.format_with('($2).%I', source.role_column), 'null'))
          into same using old, new;
        continue when same;
      end if;
      for item in
        execute format('select m.member, m.container, m.role, m.change from (%s) m where m.member is not null and m.container is not null order by m.change',
          case tg_op
            when 'INSERT' then format('select n.*, 1 as change from (%s) n', tenantry_private.membership_query(source, '(select ($2).*)'))
            when 'DELETE' then format('select o.*, -1 as change from (%s) o', tenantry_private.membership_query(source, '(select ($1).*)'))
            else format('(select o.*, -1 as change from (%1$s) o except all select n.*, -1 from (%2$s) n) union all (select n.*, 1 from (%2$s) n except all select o.*, 1 from (%1$s) o)',
                   tenantry_private.membership_query(source, '(select ($1).*)'), tenantry_private.membership_query(source, '(select ($2).*)'))
          end) using old, new
      loop
        if recording then
          perform tenantry_private.count_membership(source, item.member, item.container, item.role, item.change);
        elsif item.change > 0 then
          perform tenantry_private.require_container(source.container_kind, item.container, tenantry_private.role_bits(source, item.role));
        end if;
      end loop;
    end loop;
  end loop;
  if not known then
    perform tenantry_private.refuse(format('%s is not registered as a table of memberships', tg_relid::regclass),
      format('Run: drop trigger %I on %s;', tg_name, tg_relid::regclass));
  end if;
  return null;
end
$$;

comment on function tenantry_private.follow_membership() is
  'Trigger on a table of memberships: records who became and ceased to be a member, and refuses members that nobody entitled has added.';

-- As for ids of kinds: what is turned into text here must be of PostgreSQL's own types.
create function tenantry_private.require_membership_columns(source tenantry_private.membership_sources)
returns void
language plpgsql stable
as $$
declare
  type oid := tenantry_private.column_type(source.relation, source.role_column);
begin
  perform tenantry_private.require_id_columns(source.relation, source.container_column, source.member_column);
  if type is null then
    return;
  end if;
  if source.role_path is not null and tenantry_private.base_type(type) <> 'jsonb'::regtype then
    perform tenantry_private.refuse(format('%s.%I is not of type jsonb', source.relation, source.role_column), 'A path of roles leads into a jsonb column.');
  end if;
  if source.role_path is null and tenantry_private.base_type(type) not in ('text'::regtype, 'varchar'::regtype)
     and (select t.typtype from pg_catalog.pg_type t where t.oid = tenantry_private.base_type(type)) <> 'e' then
    perform tenantry_private.refuse(format('roles of type %s are not supported (%s.%I)', format_type(type, null), source.relation, source.role_column),
      'Roles are text, varchar or an enum.');
  end if;
end
$$;

comment on function tenantry_private.require_membership_columns(tenantry_private.membership_sources) is 'Refuses columns of a table of memberships whose types are not supported. Error: TN011.';

create function tenantry_private.record_membership_source(source tenantry_private.membership_sources)
returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
begin
  perform tenantry_private.require_admin('register memberships');
  perform tenantry_private.require_declarable(source.relation);
  perform tenantry_private.require_membership_columns(source);
  insert into tenantry_private.membership_sources as s (relation, member_column, member_kind, container_column, container_kind, role_column, role_path, roles)
  values (source.relation, source.member_column, source.member_kind, source.container_column, source.container_kind, source.role_column, source.role_path, source.roles)
      on conflict on constraint membership_sources_pkey do update
     set member_column    = excluded.member_column,
         container_column = excluded.container_column,
         role_column      = excluded.role_column,
         role_path        = excluded.role_path,
         roles            = excluded.roles;
  perform tenantry_private.link_kinds(source.member_kind, source.container_kind, true);
  perform tenantry_private.note('register_membership', source.relation::text, jsonb_build_object('member_kind', source.member_kind, 'container_kind', source.container_kind,
    'roles', (select jsonb_object_agg(r.key, tenantry_private.privilege_names(r.value::integer)) from jsonb_each_text(source.roles) r)));
end
$$;

comment on function tenantry_private.record_membership_source(tenantry_private.membership_sources) is 'The definer half of tenantry.register_membership().';

create function tenantry_private.begin_reading_members(target regclass, the_member_kind text, the_container_kind text)
returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
begin
  perform tenantry_private.require_admin('register memberships');
  perform tenantry_private.require_declarable(target);
  update tenantry_private.memberships m
     set stale = true
   where m.relation = target and m.member_kind = the_member_kind and m.container_kind = the_container_kind;
end
$$;

comment on function tenantry_private.begin_reading_members(regclass, text, text) is 'Before a table of memberships is read anew: everything known from it is in doubt.';

create function tenantry_private.import_members(
  target             regclass,
  the_member_kind    text,
  the_container_kind text,
  members            text[],
  containers         text[],
  the_roles          text[],
  counts             bigint[],
  last               boolean
)
returns bigint
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
declare
  source  tenantry_private.membership_sources;
  changed bigint;
begin
  perform tenantry_private.require_admin('register memberships');
  perform tenantry_private.require_declarable(target);
  select s.* into source
    from tenantry_private.membership_sources s
   where s.relation = target and s.member_kind = the_member_kind and s.container_kind = the_container_kind;
  -- What belongs to an earlier life of member or container stays void, however often the table is read.
  with taken as (
    insert into tenantry_private.memberships as m (relation, member_kind, member_id, container_kind, container_id, role, bits, rows)
    select target, the_member_kind, g.member, the_container_kind, g.container, g.role, tenantry_private.role_bits(source, g.role), g.count
      from unnest(members, containers, the_roles, counts) as g (member, container, role, count)
        on conflict on constraint memberships_pkey do update
       set rows  = excluded.rows,
           bits  = excluded.bits,
           stale = false
    returning (xmax = 0) as is_new)
  select count(*) filter (where t.is_new) into changed from taken t;
  if last then
    delete from tenantry_private.memberships m
     where m.relation = target and m.member_kind = the_member_kind and m.container_kind = the_container_kind and m.stale;
  end if;
  return changed;
end
$$;

comment on function tenantry_private.import_members(regclass, text, text, text[], text[], text[], bigint[], boolean) is
  'Takes what was read from a table of memberships; last: what was not met is forgotten. Returns how many are new.';

create function tenantry_private.read_members(target regclass, the_member_kind text, the_container_kind text)
returns table (members bigint, skipped bigint)
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  source tenantry_private.membership_sources;
  slice  record;
begin
  select s.relation, s.member_column, s.member_kind, s.container_column, s.container_kind, s.role_column, s.role_path, s.role_bits as roles
    into source.relation, source.member_column, source.member_kind, source.container_column, source.container_kind, source.role_column, source.role_path, source.roles
    from tenantry.membership_sources s
   where s.relation = target and s.member_kind = the_member_kind and s.container_kind = the_container_kind;
  perform tenantry_private.require_membership_columns(source);
  perform tenantry_private.begin_reading_members(target, the_member_kind, the_container_kind);
  members := 0;
  skipped := 0;
  -- Ten thousand at a time, so that a million never stand in memory at once.
  for slice in execute format($sql$
      select array_agg(g.member) filter (where g.named) as members, array_agg(g.container) filter (where g.named) as containers,
             array_agg(g.role) filter (where g.named) as roles, array_agg(g.count) filter (where g.named) as counts,
             coalesce(sum(g.count) filter (where not g.named), 0) as skipped
        from (select r.member, r.container, r.role, count(*) as count, r.member is not null and r.container is not null as named,
                     (row_number() over ()) / 10000 as slice
                from (%s) r
               group by r.member, r.container, r.role) g
       group by g.slice $sql$, tenantry_private.membership_query(source, target::text))
  loop
    members := members + tenantry_private.import_members(target, the_member_kind, the_container_kind,
      coalesce(slice.members, '{}'), coalesce(slice.containers, '{}'), coalesce(slice.roles, '{}'), coalesce(slice.counts, '{}'), false);
    skipped := skipped + slice.skipped;
  end loop;
  perform tenantry_private.import_members(target, the_member_kind, the_container_kind, '{}', '{}', '{}', '{}', true);
  return next;
end
$$;

comment on function tenantry_private.read_members(regclass, text, text) is
  'Brings the registry in step with a table of memberships; returns how many are new, and how many rows name nobody. Runs as whoever may read the table.';

create view tenantry.membership_sources as
select s.relation, s.member_column, s.member_kind, s.container_column, s.container_kind, s.role_column, s.role_path,
       (select jsonb_object_agg(r.key, to_jsonb(tenantry_private.privilege_names(r.value::integer))) from jsonb_each_text(s.roles) r) as roles,
       s.roles as role_bits
  from tenantry_private.membership_sources s;

comment on view tenantry.membership_sources is 'The tables that say who is a member of what, and what each role allows.';

create function tenantry_private.membership_statements(target regclass)
returns text[]
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  if not exists (select from tenantry.membership_sources s where s.relation = target) then
    return array[
      format('drop trigger if exists "Asks_tenantry_membership" on %s', target),
      format('drop trigger if exists tenantry_membership_truncate on %s', target)];
  end if;
  return array[
    -- Of every update: what it sets is not all that it changes, where the application has triggers of its own before it.
    format('create or replace trigger "Asks_tenantry_membership" after insert or delete or update on %s for each row execute function tenantry_private.follow_membership()', target),
    format('create or replace trigger tenantry_membership_truncate after truncate on %s for each statement execute function tenantry_private.follow_membership()', target),
    format('alter table %s enable always trigger "Asks_tenantry_membership"', target),
    format('alter table %s enable always trigger tenantry_membership_truncate', target)];
end
$$;

comment on function tenantry_private.membership_statements(regclass) is 'Statements that make a table of memberships be followed, or that end it where it is none any more.';

create function tenantry_private.is_followed(target regclass)
returns boolean
language sql stable
set search_path = pg_catalog, pg_temp
return (
  select count(*) = 2
    from pg_catalog.pg_trigger t
    join pg_catalog.pg_proc p on p.oid = t.tgfoid
   where t.tgrelid = target and t.tgenabled = 'A' and t.tgqual is null
     and (t.tgname, t.tgtype) in (('Asks_tenantry_membership', 29), ('tenantry_membership_truncate', 32))
     and p.pronamespace = to_regnamespace('tenantry_private') and p.proname = 'follow_membership'
     and cardinality(t.tgattr::smallint[]) = 0);

comment on function tenantry_private.is_followed(regclass) is 'Whether the triggers on a table of memberships are there, on, and fire at every change.';

create function tenantry.register_membership(
  target           regclass,
  member_column    name    default null,
  member_kind      text    default null,
  container_column name    default null,
  container_kind   text    default null,
  role_column      name    default null,
  roles            jsonb   default '["select"]',
  role_path        text[]  default null
)
returns bigint
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_variable
declare
  source    tenantry_private.membership_sources;
  relation  record;
  missing   text;
  statement text;
  taken     record;
begin
  perform tenantry_private.require_admin('register memberships');
  select c.relkind, c.relpersistence, c.relispartition, pg_has_role(current_user, c.relowner, 'usage') as own
    into relation
    from pg_catalog.pg_class c
   where c.oid = target;
  if relation.relkind is null or relation.relkind not in ('r', 'p') or relation.relispartition or relation.relpersistence <> 'p' then
    perform tenantry_private.refuse(format('%s is not a table of its own that lasts', coalesce(target::text, 'null')), 'Name the table whose rows say who is a member.');
  end if;
  if not relation.own then
    raise exception '% does not own %', quote_ident(current_user), target
      using errcode = '42501', hint = 'Run it as its owner or as a superuser.';
  end if;
  perform tenantry_private.require_no_children(target);
  if (member_column is null) = (role_path is null) then
    perform tenantry_private.refuse('members are named by member_column, or are the keys of the object at role_path in the jsonb column role_column',
      format('Run: select tenantry.register_membership(%L, member_column => ''…'', member_kind => ''…'', container_column => ''…'', container_kind => ''…'');', target));
  end if;
  if role_path is not null and role_column is null then
    perform tenantry_private.refuse('role_path needs role_column, the jsonb column that it leads into', 'Name it: role_column => ''…''.');
  end if;
  select string_agg(format('column %s', coalesce(quote_ident(c.name), 'null')), ', ') into missing
    from (values (member_column, role_path is null), (container_column, true), (role_column, role_column is not null)) as c (name, needed)
   where c.needed and tenantry_private.column_type(target, c.name) is null;
  if missing is not null then
    perform tenantry_private.refuse(format('%s has no %s', target, missing), 'Name member_column and container_column, and role_column where members have roles.');
  end if;
  select string_agg(coalesce(quote_literal(k.name), 'null'), ', ') into missing
    from unnest(array[member_kind, container_kind]) as k (name)
   where not exists (select from tenantry.kinds r where r.kind = k.name);
  if missing is not null then
    perform tenantry_private.refuse(format('kind %s is not registered', missing), 'Register it first: select tenantry.register_kind(''<kind>'', ''<table>'');');
  end if;

  source.relation         := target;
  source.member_column    := member_column;
  source.member_kind      := member_kind;
  source.container_column := container_column;
  source.container_kind   := container_kind;
  source.role_column      := role_column;
  source.role_path        := role_path;
  if jsonb_typeof(roles) = 'array' and role_column is null then
    roles := jsonb_build_object('*', roles);
  elsif jsonb_typeof(roles) = 'array' then
    perform tenantry_private.refuse('roles must say what each role allows',
      'Write it as {"role": ["privilege", …]}; "*" stands for every other role: roles => ''{"owner": ["all"], "*": ["select"]}''.');
  end if;
  if jsonb_typeof(roles) is distinct from 'object'
     or exists (select from jsonb_each(roles) r where jsonb_typeof(r.value) <> 'array' or exists (
          select from jsonb_array_elements(case when jsonb_typeof(r.value) = 'array' then r.value else '[]' end) p where jsonb_typeof(p.value) <> 'string')) then
    perform tenantry_private.refuse('roles is not an object of arrays', 'Write it as {"role": ["privilege", …]}; "*" stands for every other role.');
  end if;
  source.roles := (
    select coalesce(jsonb_object_agg(r.key, tenantry_private.privilege_bits(array(select jsonb_array_elements_text(r.value)))), '{}') from jsonb_each(roles) r);
  if row_security_active(target) then
    perform tenantry_private.refuse(
      format('%s cannot read all rows of %s, which is under row-level security', current_user, target),
      'Register memberships before protecting their table, or run this as a superuser.');
  end if;

  -- Nobody inserts between the reading and the triggers.
  execute format('lock table %s in share row exclusive mode', target);
  perform tenantry_private.record_membership_source(source);
  foreach statement in array tenantry_private.membership_statements(target) loop
    execute statement;
  end loop;
  select * into taken from tenantry_private.read_members(target, member_kind, container_kind);
  if taken.skipped > 0 then
    raise notice '% rows of % name nobody of kind % or no %, and make nobody a member', taken.skipped, target, member_kind, container_kind;
  end if;
  return taken.members;
end
$$;

comment on function tenantry.register_membership(regclass, name, text, name, text, name, jsonb, text[]) is
  'Registers an application table whose rows make one entity a member of another, and keeps it in step by triggers; returns how many memberships are new. member_column, container_column: who is a member of what; text columns may hold uuids. role_column: the member''s role, text or enum. roles: {"role": ["privilege", …]}, where "*" stands for every other role and "all" for every privilege; without a role_column an array for everybody, default ["select"]. role_path: for roles in a jsonb column, where the object {member: role} lies; member_column is left out then. From then on only who holds delegate on a container adds members to it, with no more than they hold. A second call changes columns and roles. Lock: SHARE ROW EXCLUSIVE. Errors: 22023, 42501, TN011.';

create function tenantry_private.forget_membership_source(target regclass, the_member_kind text, the_container_kind text)
returns boolean
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
declare
  forgotten boolean;
begin
  perform tenantry_private.require_admin('register memberships');
  perform tenantry_private.require_declarable(target);
  delete from tenantry_private.membership_sources s
   where s.relation = target
     and s.member_kind = coalesce(the_member_kind, s.member_kind) and s.container_kind = coalesce(the_container_kind, s.container_kind);
  forgotten := found;
  delete from tenantry_private.memberships m
   where m.relation = target
     and m.member_kind = coalesce(the_member_kind, m.member_kind) and m.container_kind = coalesce(the_container_kind, m.container_kind);
  if forgotten then
    perform tenantry_private.note('unregister_membership', target::text, jsonb_build_object('member_kind', the_member_kind, 'container_kind', the_container_kind));
  end if;
  return forgotten;
end
$$;

comment on function tenantry_private.forget_membership_source(regclass, text, text) is 'The definer half of tenantry.unregister_membership().';

create function tenantry.unregister_membership(target regclass, member_kind text default null, container_kind text default null)
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  statement text;
begin
  if not tenantry_private.forget_membership_source(target, member_kind, container_kind) then
    perform tenantry_private.refuse(format('%s is not registered as a table of memberships', coalesce(target::text, 'null')),
      'List them: select * from tenantry.membership_sources;');
  end if;
  if exists (select from pg_catalog.pg_class c where c.oid = target) then
    foreach statement in array tenantry_private.membership_statements(target) loop
      execute statement;
    end loop;
  end if;
end
$$;

comment on function tenantry.unregister_membership(regclass, text, text) is
  'Takes register_membership() back: its members are members no longer, and its triggers are dropped. Both kinds: default all. Errors: 42501, TN011.';
