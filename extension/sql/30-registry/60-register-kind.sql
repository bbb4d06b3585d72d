create function tenantry_private.require_kind(the_kind text)
returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  if not exists (select from tenantry.kinds k where k.kind = the_kind) then
    perform tenantry_private.refuse(format('kind %s is not registered', coalesce(quote_literal(the_kind), 'null')),
      format('Register it first: select tenantry.register_kind(%L, ''<table>'');', coalesce(the_kind, '<kind>')));
  end if;
end
$$;

comment on function tenantry_private.require_kind(text) is 'Refuses a kind that is not registered. Error: TN011.';

-- The registry's half: a definer function writes what the invoker's half has read.
create function tenantry_private.record_kind(
  kind           text,
  target         regclass,
  id_column      name,
  owner_column   name,
  owner_kind     text,
  acts_for_owner boolean
)
returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
#variable_conflict use_variable
begin
  perform tenantry_private.require_admin('register a kind');
  -- sync() reads the table with the powers of whoever runs it, so nobody names one that is not theirs.
  if not exists (
       select
         from pg_catalog.pg_class c
        where c.oid = target and c.relkind in ('r', 'p') and pg_has_role(session_user, c.relowner, 'member')) then
    raise exception '% does not own a table %', quote_ident(session_user), target
      using errcode = '42501', hint = 'Connect as a member of its owner, or as a superuser.';
  end if;
  perform tenantry_private.require_id_columns(target, id_column, owner_column);
  insert into tenantry_private.kinds as k (kind, relation, id_column, id_type, owner_column, owner_kind, acts_for_owner)
  values (kind, target, id_column,
          tenantry_private.id_cast(tenantry_private.column_type(target, id_column))::regtype,
          owner_column, owner_kind, acts_for_owner)
      on conflict on constraint kinds_pkey do update
     set owner_column   = excluded.owner_column,
         owner_kind     = excluded.owner_kind,
         acts_for_owner = excluded.acts_for_owner;
  perform tenantry_private.link_kinds(owner_kind, kind);
  perform tenantry_private.link_kinds(kind, owner_kind) where acts_for_owner;
end
$$;

comment on function tenantry_private.record_kind(text, regclass, name, name, text, boolean) is 'The definer half of tenantry.register_kind().';

create function tenantry_private.link_kinds(the_from text, the_to text, further boolean default false)
returns void
language sql volatile
begin atomic
  insert into tenantry_private.kind_links (from_kind, to_kind)
  select the_from, the_to where the_from is not null and the_to is not null
      on conflict do nothing;
  update tenantry_private.kinds k
     set further = k.further || the_to
   where link_kinds.further and k.kind = the_from and the_to <> all (k.further);
end;

comment on function tenantry_private.link_kinds(text, text, boolean) is
  'Notes that entities of one kind may act for those of another; further: by membership or delegation.';

create function tenantry_private.import_entities(kind text, ids text[], owners text[])
returns bigint
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
begin
  perform tenantry_private.require_admin('register entities');
  return tenantry_private.record_entities(import_entities.kind, ids,
    (select k.owner_kind from tenantry_private.kinds k where k.kind = import_entities.kind), owners);
end
$$;

comment on function tenantry_private.import_entities(text, text[], text[]) is 'The definer half of reading a kind''s table into the registry.';

create function tenantry_private.retire_missing(kind text, ids text[], low text, high text)
returns bigint
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
declare
  retired bigint;
begin
  perform tenantry_private.require_admin('register entities');
  update tenantry_private.entities e
     set gone_at = now()
   where e.kind = retire_missing.kind
     and e.gone_at is null
     and (low is null or e.id > low)
     and (high is null or e.id <= high)
     -- A hashed subplan, whatever the planner believes of the table; an array would be searched from its start for each row.
     and e.id not in (select unnest(ids));
  get diagnostics retired = row_count;
  return retired;
end
$$;

comment on function tenantry_private.retire_missing(text, text[], text, text) is 'Marks entities of a kind gone whose ids lie above low and up to high and are not among those given.';

-- Reads the table in slices of the id's text order, so that a million ids never stand in memory at once.
create function tenantry_private.read_kind(the_kind text)
returns bigint
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  kind    record;
  slice   record;
  changed bigint := 0;
  low     text;
begin
  select k.relation, k.id_column, k.owner_column into kind from tenantry.kinds k where k.kind = the_kind;
  -- A view would run its owner's functions as whoever reads it.
  if not exists (select from pg_catalog.pg_class c where c.oid = kind.relation and c.relkind in ('r', 'p')) then
    perform tenantry_private.refuse(format('%s is not a table', kind.relation), format('Run: select tenantry.unregister_kind(%L);', the_kind));
  end if;
  perform tenantry_private.require_id_columns(kind.relation, kind.id_column, kind.owner_column);
  for slice in execute format($sql$
      select array_agg(id order by id collate "C") as ids, array_agg(owner order by id collate "C") as owners, max(id collate "C") as high
        from (select t.%1$I::text as id, %2$s as owner, (row_number() over (order by t.%1$I::text collate "C") - 1) / 10000 as slice
                from %3$s t
               where t.%1$I is not null) as row
       group by slice
       order by slice $sql$,
      kind.id_column,
      case when kind.owner_column is null then 'null::text' else format('t.%I::text', kind.owner_column) end,
      kind.relation)
  loop
    changed := changed + tenantry_private.import_entities(the_kind, slice.ids, slice.owners)
                       + tenantry_private.retire_missing(the_kind, slice.ids, low, slice.high);
    low := slice.high;
  end loop;
  return changed + tenantry_private.retire_missing(the_kind, '{}', low, null);
end
$$;

comment on function tenantry_private.read_kind(text) is 'Brings the registry in step with the table of a kind; returns how many entities changed. Runs as whoever may read the table.';

-- Beside the one that names its columns, by which renamed ones are found, one that looks at what the row has become: a trigger
-- of the application may have changed more than the update names.
create function tenantry_private.kind_triggers(target regclass, id_column name, owner_column name)
returns table (name name, type integer, statements text[])
language sql stable
set search_path = pg_catalog, pg_temp
begin atomic
  select w.name, w.type, array[
           format('create or replace trigger %I after %s execute function tenantry_private.follow_kind()', w.name, w.event),
           format('alter table %s enable always trigger %I', target, w.name)]
    from (select nullif(owner_column, id_column) as name) owner
   cross join lateral (values
     ('tenantry_kind'::name, 29, format('insert or delete or update of %s on %s for each row', concat_ws(', ', quote_ident(id_column), quote_ident(owner.name)), target)),
     ('tenantry_kind_moved', 17, format('update on %s for each row when (%s)', target,
       concat_ws(' or ', format('old.%1$I is distinct from new.%1$I', id_column), case when owner.name is not null then format('old.%1$I is distinct from new.%1$I', owner.name) end))),
     ('tenantry_kind_truncate', 32, format('truncate on %s for each statement', target))) as w (name, type, event);
end;

comment on function tenantry_private.kind_triggers(regclass, name, name) is 'The triggers that follow the table of a kind, and how they are made.';

-- No trigger fires on an inheritance child for what is done through the table.
create function tenantry_private.require_no_children(target regclass)
returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  if tenantry_private.inheriting(target) is not null then
    perform tenantry_private.refuse(format('%s inherit from %s, and what becomes of rows there could not be followed', tenantry_private.inheriting(target), target),
      'Partition the table instead, or end that: alter table … no inherit …;');
  end if;
end
$$;

comment on function tenantry_private.require_no_children(regclass) is 'Refuses a table to be followed that others inherit from. Error: TN011.';

create function tenantry.register_kind(
  kind           text,
  target         regclass,
  id_column      name    default 'id',
  owner_column   name    default null,
  owner_kind     text    default null,
  acts_for_owner boolean default false
)
returns bigint
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_variable
declare
  statement text;
  relation record;
  known    record;
begin
  perform tenantry_private.require_admin('register a kind');
  if kind is null or kind !~ '^[a-z][a-z0-9_]{0,62}$' then
    perform tenantry_private.refuse(format('%s is no name for a kind', coalesce(quote_literal(kind), 'null')),
      'A kind is a lower-case letter followed by up to 62 lower-case letters, digits or underscores.');
  end if;
  if target is null then
    perform tenantry_private.refuse('register_kind() needs a table',
      'For entities without one: select tenantry.register_entity(''kind:id'');');
  end if;
  select c.relkind, c.relpersistence, c.relispartition, c.relowner,
         n.nspname as schema, pg_has_role(current_user, c.relowner, 'usage') as own
    into relation
    from pg_catalog.pg_class c
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace
   where c.oid = target;
  if relation.relkind not in ('r', 'p') or relation.relispartition then
    perform tenantry_private.refuse(format('%s is not a table of its own', target),
      'Register the table, or the partitioned parent, that holds the ids.');
  end if;
  if relation.relpersistence <> 'p' then
    perform tenantry_private.refuse(format('%s is temporary or unlogged and may lose its rows', target),
      format('Run: alter table %s set logged;', target));
  end if;
  if not relation.own then
    perform tenantry_private.refuse(format('%s does not own %s', current_user, target),
      format('Run it as %s or as a superuser.', relation.relowner::regrole));
  end if;
  perform tenantry_private.require_no_children(target);
  if tenantry_private.column_type(target, id_column) is null then
    perform tenantry_private.refuse(format('%s has no column %s', target, coalesce(quote_ident(id_column), 'null')),
      'Name the column that identifies a row: id_column => ''…''.');
  end if;
  if not exists (
       select
         from pg_catalog.pg_index i
         join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
        where i.indrelid = target and i.indisunique and i.indpred is null and i.indisvalid
          and i.indnkeyatts = 1 and a.attname = id_column)
     and relation.relkind <> 'p' then
    perform tenantry_private.refuse(format('%s.%I is not unique, so it does not identify anybody', target, id_column),
      format('Run: alter table %s add unique (%I);', target, id_column));
  end if;
  if owner_column is not null and tenantry_private.column_type(target, owner_column) is null then
    perform tenantry_private.refuse(format('%s has no column %I', target, owner_column), 'Name the column that holds the owner''s id.');
  end if;
  perform tenantry_private.require_id_columns(target, id_column, owner_column);
  if owner_column is not null and not exists (select from tenantry.kinds k where k.kind = owner_kind) then
    perform tenantry_private.refuse(
      format('the owner''s kind %s is not registered', coalesce(quote_literal(owner_kind), 'null')),
      'Register it first: select tenantry.register_kind(''<kind>'', ''<table>''); and name it here: owner_kind => ''<kind>''.');
  end if;
  if acts_for_owner and owner_column is null then
    perform tenantry_private.refuse('acts_for_owner needs an owner', 'Name owner_column and owner_kind.');
  end if;

  select k.relation, k.id_column, k.owner_column, k.owner_kind, k.acts_for_owner into known from tenantry.kinds k where k.kind = kind;
  if found and (known.relation, known.id_column) is distinct from (target, id_column) then
    perform tenantry_private.refuse(
      format('kind %s is registered already, from %s', kind, coalesce(known.relation || '.' || quote_ident(known.id_column), 'no table')),
      format('Run: select tenantry.unregister_kind(%L); first.', kind));
  end if;
  if exists (select from tenantry.kinds k where k.relation = target and k.kind <> kind) then
    perform tenantry_private.refuse(format('%s holds another kind already', target), 'A table holds one kind of entities.');
  end if;
  if row_security_active(target) then
    -- Registered just so already, and followed by its triggers: there is nothing to read.
    if known.relation = target
       and (known.owner_column, known.owner_kind, known.acts_for_owner) is not distinct from (owner_column, owner_kind, acts_for_owner)
       and (select count(*)
              from pg_catalog.pg_trigger g
             where g.tgrelid = target and g.tgname in ('tenantry_kind', 'tenantry_kind_moved', 'tenantry_kind_truncate') and g.tgenabled = 'A') = 3 then
      return 0;
    end if;
    perform tenantry_private.refuse(
      format('%s cannot read all rows of %s, which is under row-level security', current_user, target),
      'Register kinds before protecting their tables, or run this as a superuser.');
  end if;

  -- Nobody inserts between the reading and the triggers.
  execute format('lock table %s in share row exclusive mode', target);
  perform tenantry_private.record_kind(kind, target, id_column, owner_column, owner_kind, acts_for_owner);
  foreach statement in array array(
       select s from tenantry_private.kind_triggers(target, id_column, owner_column) t cross join unnest(t.statements) s) loop
    execute statement;
  end loop;
  return tenantry_private.read_kind(kind);
end
$$;

comment on function tenantry.register_kind(text, regclass, name, name, text, boolean) is
  'Registers a kind of entities from an application table and keeps it in step by triggers; returns how many entities are new. owner_column, owner_kind: who owns an entity. acts_for_owner: whether it may act for its owner. A second call changes owner and acts_for_owner, and refuses another table. Lock: SHARE ROW EXCLUSIVE. Errors: 42501, TN011.';

create function tenantry_private.forget_kind(kind text)
returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
#variable_conflict use_variable
declare
  user_of text;
begin
  perform tenantry_private.require_admin('unregister a kind');
  select string_agg(what, ', ' order by what)
    into user_of
    from (select format('table %s', t.relation) as what from tenantry_private.tables t where t.owner_kind = kind
          union all
          select format('kind %s', k.kind) from tenantry_private.kinds k where k.owner_kind = kind and k.kind <> kind
          union all
          select format('service %s:%s', s.kind, s.id) from tenantry_private.services s where s.serves_kind = kind
          union all
          select format('memberships in %s', m.relation) from tenantry_private.membership_sources m where kind in (m.member_kind, m.container_kind)
          union all
          select format('rows of %s that are shared by it', t.relation)
            from tenantry_private.tables t cross join lateral jsonb_each_text(t.shared_by) s where s.value = kind
          union all
          select format('new tables of the schema %I', s.schema_name) from tenantry_private.schemas s where s.owner_kind = kind
          union all
          select format('the rule %L of the schema %I', r.pattern, r.schema_name) from tenantry_private.birth_rules r where r.owner_kind = kind) as usage;
  if user_of is not null then
    perform tenantry_private.refuse(format('kind %s is in use by %s', kind, user_of),
      'Unprotect those tables, unregister those services, memberships and rules, manage those schemas without an owner column, and unregister those kinds, or register them again without an owner, first.');
  end if;
  delete from tenantry_private.entities e where e.kind = forget_kind.kind;
  delete from tenantry_private.kinds k where k.kind = forget_kind.kind;
end
$$;

comment on function tenantry_private.forget_kind(text) is 'The definer half of tenantry.unregister_kind().';

create function tenantry.unregister_kind(kind text)
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  known record;
begin
  perform tenantry_private.require_admin('unregister a kind');
  select k.relation into known from tenantry.kinds k where k.kind = unregister_kind.kind;
  if not found then
    perform tenantry_private.refuse(format('there is no kind %s', coalesce(quote_literal(kind), 'null')), 'List them: select * from tenantry.kinds;');
  end if;
  perform tenantry_private.forget_kind(kind);
  if exists (select from pg_catalog.pg_class c where c.oid = known.relation) then
    execute format('drop trigger if exists tenantry_kind on %s', known.relation);
    execute format('drop trigger if exists tenantry_kind_moved on %s', known.relation);
    execute format('drop trigger if exists tenantry_kind_truncate on %s', known.relation);
  end if;
end
$$;

comment on function tenantry.unregister_kind(text) is
  'Forgets a kind, its entities and bindings, and drops its triggers. Refused while a table, kind or service uses it. Errors: 42501, TN011.';

create view tenantry.kinds as
select k.kind, k.relation, k.id_column, k.id_type::text as id_type, k.owner_column, k.owner_kind, k.acts_for_owner
  from tenantry_private.kinds k;

comment on view tenantry.kinds is 'The kinds of entities and where they come from.';
