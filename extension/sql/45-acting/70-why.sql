-- Why a row is seen, and by whom, in words. The row is looked for as whoever asks, on both paths; the registry is asked only
-- about entities that this row names, so a row that is not seen is answered like one that does not exist: with nothing.

-- The anchors of a row: its owner, the containers that share it, and whether it is public.
create function tenantry_private.anchors(target regclass, key text[])
returns table (through text, kind text, id text)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  declaration record;
  columns     text[];
  condition   text;
  relation    text;
  found_row   jsonb;
begin
  select t.* into declaration from tenantry.tables t where t.relation = target and t.class in ('owned', 'by_parent');
  if declaration.relation is null then
    raise exception '% is not protected', coalesce(target::text, 'null')
      using errcode = '22023', hint = 'List protected tables: select * from tenantry.tables;';
  end if;
  select array_agg(a.attname order by k.position), string_agg(format('t.%I::text = ($1)[%s]', a.attname, k.position), ' and ' order by k.position)
    into columns, condition
    from pg_catalog.pg_index i
   cross join lateral unnest(i.indkey::smallint[]) with ordinality as k (attnum, position)
    join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum
   where i.indrelid = target and i.indisprimary;
  if columns is null then
    raise exception '% has no primary key to name a row by', target using errcode = '22023', hint = format('Run: alter table %s add primary key (…);', target);
  end if;
  if cardinality(key) is distinct from cardinality(columns) then
    raise exception 'a row of % is named by %', target, array_to_string(columns, ', ')
      using errcode = '22023', hint = format('Give %s value(s), in this order.', cardinality(columns));
  end if;
  foreach relation in array array[target::text, tenantry_private.view_on(target, 'reach')::text] loop
    continue when relation is null or found_row is not null;
    execute format('select jsonb_build_object(%s, ''public'', %s) from %s t where %s',
      (select string_agg(format('%L, t.%I::text', c, c), ', ')
         from (select declaration.owner_column::text as c union select s from jsonb_object_keys(declaration.shared_by) s) as named),
      coalesce('(' || declaration.public_when || ')', 'false'), relation, condition)
      into found_row using key;
  end loop;
  if found_row is null then
    return;
  end if;
  return query
  select 'owner'::text, declaration.owner_kind::text, found_row ->> declaration.owner_column::text
  union all
  select s.key, s.value, found_row ->> s.key from jsonb_each_text(declaration.shared_by) s where found_row ->> s.key is not null
  union all
  select 'public', null, null where (found_row ->> 'public')::boolean;
end
$$;

comment on function tenantry_private.anchors(regclass, text[]) is 'Whom a row that this session sees names as owner and containers; nothing for one that it does not see. Error: 22023.';

create function tenantry_private.way_to(context text[], the_kind text, the_id text, target regclass)
returns text
language plpgsql stable
as $$
declare
  goal     constant text := the_kind || ':' || the_id;
  frontier text[] := array[context[6]];
  ways     text[] := array[context[6]];
  visited  text[] := array[context[6]];
begin
  if context[6] = goal then
    return context[6] || ' is its own';
  end if;
  for level in 1 .. 25 loop
    select array_agg(n.entity), array_agg(n.way)
      into frontier, ways
      from (select distinct on (step.entity) step.entity, f.way || step.words as way
              from unnest(frontier, ways) as f (entity, way)
             cross join lateral (
               select l.kind || ':' || l.id as entity, l.words, l.rank
                 from tenantry_private.links_of(tenantry_private.kind_of(f.entity), tenantry_private.id_of(f.entity)) l
                where l.bits & 1 <> 0
               union all
               select goal, format(' was given %s by delegation %s', goal, d.id), 4
                 from tenantry_private.entities t
                 join tenantry_private.delegations d on d.to_kind = t.kind and d.to_id = t.id and d.to_serial = t.serial
                 join tenantry_private.entities g on g.serial = d.for_serial and g.gone_at is null
                where t.kind = tenantry_private.kind_of(f.entity) and t.id = tenantry_private.id_of(f.entity)
                  and g.kind = the_kind and g.id = the_id
                  and tenantry_private.in_force(d) and d.bits & 1 <> 0
                  and (d.tables is null or target = any (d.tables))) step
             where step.entity <> all (visited)
             order by step.entity, step.rank) n;
    exit when frontier is null;
    if goal = any (frontier) then
      return ways[array_position(frontier, goal)];
    end if;
    visited := visited || frontier;
    exit when cardinality(visited) > 10000;
  end loop;
  return 'by a way of more than 25 links, or through more than 10,000 entities';
end
$$;

comment on function tenantry_private.way_to(text[], text, text, regclass) is 'The shortest way from a principal to an entity that it reaches, in words.';

create function tenantry_private.explained(target regclass, through text, the_kind text, the_id text)
returns table (privileges text[], explanation text)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
declare
  context constant text[] := tenantry_private.open_context();
  acting  constant text   := case when context[5] <> context[6] then format('%s works for %s, and ', context[5], context[6]) else '' end;
begin
  if context is null then
    return;
  end if;
  if through = 'public' then
    privileges := '{select}';
    explanation := 'it is public';
    return next;
    return;
  end if;
  privileges := array(
    select p
      from unnest(tenantry_private.privilege_names(63)) with ordinality as w (p, n)
     where exists (select from tenantry_private.reached(context, p, target, the_kind) r where r.kind = the_kind and r.id = the_id)
     order by n);
  if 'select' <> all (privileges) then
    return;
  end if;
  explanation := acting || tenantry_private.way_to(context, the_kind, the_id, target);
  return next;
end
$$;

comment on function tenantry_private.explained(regclass, text, text, text) is 'How this session reaches an entity, and with which privileges; nothing where it does not.';

create function tenantry.why(target regclass, variadic key text[])
returns table (through text, entity text, privileges text[], explanation text)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  return query
  select a.through, a.kind || ':' || a.id, x.privileges, x.explanation
    from tenantry_private.anchors(target, key) a
   cross join lateral tenantry_private.explained(target, a.through, a.kind, a.id) x;
end
$$;

comment on function tenantry.why(regclass, text[]) is
  'Why this session sees a row: through its owner, a container or because it is public, with which privileges, and by which ownership, membership or delegation, in words. key: the primary key''s values as text, in its order. Nothing for a row that it does not see, or that does not exist. Errors: 22023, TN001 (on_missing_context = error), TN002, TN003.';

create function tenantry_private.linked(the_kind text, the_id text, target regclass)
returns table (entity text, privileges text[], explanation text)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
begin
  -- Only about what the session reaches itself. An admin who works as nobody could become whoever reaches it.
  if (tenantry_private.open_context() is not null or not tenantry_private.is_admin()) and not exists (
       select from tenantry_private.reached(tenantry_private.open_context(), 'select', target, the_kind) r where r.kind = the_kind and r.id = the_id) then
    return;
  end if;
  return query
  select p.kind || ':' || p.id, tenantry_private.privilege_names(63), 'it is its own'
    from tenantry_private.entities p where p.kind = the_kind and p.id = the_id and p.gone_at is null
  union all
  select p.owner_kind || ':' || p.owner_id, tenantry_private.privilege_names(63), format('it owns %s:%s', the_kind, the_id)
    from tenantry_private.entities p
    join tenantry_private.entities o on o.kind = p.owner_kind and o.id = p.owner_id and o.gone_at is null
   where p.kind = the_kind and p.id = the_id
  union all
  select a.kind || ':' || a.id, tenantry_private.privilege_names(31), format('it acts for its owner %s:%s', the_kind, the_id)
    from tenantry_private.entities a
    join tenantry_private.kinds k on k.kind = a.kind
   where a.owner_kind = the_kind and a.owner_id = the_id and a.gone_at is null and (a.acts_for_owner or k.acts_for_owner)
  union all
  select m.member_kind || ':' || m.member_id, tenantry_private.privilege_names(m.bits),
         format('it is a member of %s:%s (%s%s)', the_kind, the_id, m.relation, coalesce(', role ' || nullif(m.role, ''), ''))
    from tenantry_private.memberships m
    join tenantry_private.entities e on e.kind = m.member_kind and e.id = m.member_id and e.gone_at is null
   where m.container_kind = the_kind and m.container_id = the_id and m.bits <> 0 and not m.void
  union all
  select d.to_kind || ':' || d.to_id, tenantry_private.privilege_names(d.bits),
         format('%s gave it by delegation %s%s', d.from_actor, d.id, coalesce(' until ' || d.expires_at, ''))
    from tenantry_private.delegations d
    join tenantry_private.entities t on t.serial = d.to_serial and t.gone_at is null
    join tenantry_private.entities f on f.serial = d.for_serial and f.gone_at is null
   where f.kind = the_kind and f.id = the_id and tenantry_private.in_force(d)
     and (d.tables is null or target = any (d.tables));
end
$$;

comment on function tenantry_private.linked(text, text, regclass) is 'Who is linked to an entity that this session reaches, and how; nothing for any other. For admins without a context: to any.';

create function tenantry.who(target regclass, variadic key text[])
returns table (through text, entity text, privileges text[], explanation text)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  return query
  select a.through, l.entity, l.privileges, l.explanation
    from tenantry_private.anchors(target, key) a
   cross join lateral tenantry_private.linked(a.kind, a.id, target) l
  union all
  select a.through, null, '{select}'::text[], 'it is public: whoever has a context reads it'
    from tenantry_private.anchors(target, key) a
   where a.through = 'public';
end
$$;

comment on function tenantry.who(regclass, text[]) is
  'Who reaches a row that this session sees: its owner and containers, with whoever owns them, acts for them, is a member of them or was given them; those behind these reach it, too. key: the primary key''s values as text, in its order. Nothing for a row that this session does not see, or that does not exist. A superuser, and an admin whose login reads the table, need no context. Errors: 22023, TN001 (on_missing_context = error), TN002, TN003.';
