-- Each plan compares what is there with what was declared and returns only the statements that are missing, so that
-- protecting twice changes nothing and sync() is the same code.

-- The foreign key that by_parent tables hang on: the one over exactly the columns named.
create function tenantry_private.parent_key(target regclass, owner_from name[])
returns pg_catalog.pg_constraint
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  key pg_catalog.pg_constraint;
begin
  select c.*
    into key
    from pg_catalog.pg_constraint c
   where c.conrelid = target
     and c.contype = 'f'
     and c.conparentid = 0
     and (select array_agg(a.attname order by a.attname)
            from pg_catalog.pg_attribute a
           where a.attrelid = target and a.attnum = any (c.conkey))
       = (select array_agg(column_name order by column_name) from unnest(owner_from) as column_name)
   order by c.conname
   limit 1;
  return key;
end
$$;

comment on function tenantry_private.parent_key(regclass, name[]) is 'The foreign key over exactly these columns; null if there is none.';

-- What a by_parent table hangs on when somebody has dropped that foreign key: the composite key without the owner, else
-- the parent's primary key. Its oid is null then.
create function tenantry_private.declared_key(declaration tenantry_private.tables)
returns pg_catalog.pg_constraint
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  key     pg_catalog.pg_constraint := tenantry_private.parent_key(declaration.relation, declaration.owner_from);
  columns smallint[];
begin
  if key.oid is not null and key.confrelid = declaration.parent then
    return key;
  end if;
  columns := array(
    select a.attnum
      from unnest(declaration.owner_from) with ordinality as wanted (column_name, position)
      join pg_catalog.pg_attribute a on a.attrelid = declaration.relation and a.attname = wanted.column_name and not a.attisdropped
     order by wanted.position);
  key := null;
  select c.*
    into key
    from pg_catalog.pg_constraint c
   where c.conrelid = declaration.relation and c.contype = 'f' and c.conparentid = 0 and c.confrelid = declaration.parent
     and c.conkey @> columns and cardinality(c.conkey) = cardinality(columns) + 1
   order by c.conname
   limit 1;
  if key.oid is not null then
    key.confkey := array(
      select pair.theirs from unnest(key.conkey, key.confkey) with ordinality as pair (own, theirs, position)
       where pair.own = any (columns) order by pair.position);
    key.conkey := array(
      select pair.own from unnest(key.conkey) with ordinality as pair (own, position)
       where pair.own = any (columns) order by pair.position);
  else
    key.conkey := columns;
    key.confkey := (
      select (i.indkey::smallint[])[0:i.indnkeyatts - 1] from pg_catalog.pg_index i where i.indrelid = declaration.parent and i.indisprimary);
  end if;
  key.oid := null;
  key.convalidated := true;
  return key;
end
$$;

comment on function tenantry_private.declared_key(tenantry_private.tables) is 'The foreign key that a declared by_parent table hangs on; without an oid if it is gone and was made up from what is left.';

create function tenantry_private.column_list(relation regclass, numbers smallint[], prefix text default '')
returns text
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return (
    select string_agg(prefix || quote_ident(a.attname), ', ' order by n.position)
      from unnest(numbers) with ordinality as n (attnum, position)
      join pg_catalog.pg_attribute a on a.attrelid = relation and a.attnum = n.attnum);
end
$$;

comment on function tenantry_private.column_list(regclass, smallint[], text) is 'Quoted names of columns, in the order of their numbers.';

create function tenantry_private.short_name(relation regclass, suffix text)
returns name
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  named record;
  tail  text;
  head  text;
begin
  select c.relname, c.relnamespace into named from pg_catalog.pg_class c where c.oid = relation;
  -- 63 bytes is the longest name; multi-byte names are cut by characters until they fit. Where long names of tables
  -- begin alike, or something has the name already, a number makes it free.
  for number in 0 .. 1000 loop
    tail := '_' || suffix || coalesce('_' || nullif(number, 0), '');
    head := named.relname;
    while octet_length(head || tail) > 63 and head <> '' loop
      head := left(head, length(head) - 1);
    end loop;
    continue when octet_length(head || tail) > 63
               or exists (select from pg_catalog.pg_class o where o.relnamespace = named.relnamespace and o.relname = head || tail)
               or exists (select from pg_catalog.pg_constraint o where o.conrelid = relation and o.conname = head || tail);
    return head || tail;
  end loop;
  return null;
end
$$;

comment on function tenantry_private.short_name(regclass, text) is 'A name for something that belongs to a table, at most 63 bytes long and free.';

create function tenantry_private.relation_tree(target regclass)
returns table (relation regclass, depth integer)
language plpgsql stable rows 1
set search_path = pg_catalog, pg_temp
as $$
declare
  has_parts boolean;
begin
  -- Most tables have nothing below them.
  select c.relhassubclass into has_parts from pg_catalog.pg_class c where c.oid = target and c.relkind in ('r', 'p');
  if has_parts is false then
    relation := target;
    depth    := 0;
    return next;
    return;
  end if;
  return query
  with recursive tree (oid, depth) as (
    select target::oid, 0
    union all
    select i.inhrelid, tree.depth + 1 from tree join pg_catalog.pg_inherits i on i.inhparent = tree.oid)
  select tree.oid::regclass, min(tree.depth)
    from tree
    join pg_catalog.pg_class c on c.oid = tree.oid and c.relkind in ('r', 'p')
   group by tree.oid;
end
$$;

comment on function tenantry_private.relation_tree(regclass) is 'A table and its partitions and inheritance children, at every depth.';

-- Partitions get clones of a table's row triggers; inheritance children get none, though their rows are written through it.
create function tenantry_private.row_trigger_tables(target regclass)
returns setof regclass
language plpgsql stable rows 1
set search_path = pg_catalog, pg_temp
as $$
begin
  return query
  select tree.relation
    from tenantry_private.relation_tree(target) tree
    join pg_catalog.pg_class c on c.oid = tree.relation
   where tree.depth = 0 or not c.relispartition and not exists (select from tenantry.tables t where t.relation = tree.relation)
   order by tree.depth, tree.relation::text;
end
$$;

comment on function tenantry_private.row_trigger_tables(regclass) is 'A table and its inheritance children, at every depth, which need row triggers of their own.';

create function tenantry_private.inheriting(target regclass)
returns text
language sql stable
set search_path = pg_catalog, pg_temp
return (
  select string_agg(tree.relation::text, ', ' order by tree.relation::text)
    from tenantry_private.relation_tree(target) tree
    join pg_catalog.pg_class c on c.oid = tree.relation and not c.relispartition
   where tree.depth > 0);

comment on function tenantry_private.inheriting(regclass) is 'The inheritance children of a table; null if there are none.';

create function tenantry_private.is_own_trigger(trigger_name name)
returns boolean
language sql immutable
set search_path = pg_catalog, pg_temp
return trigger_name like 'tenantry\_%' or trigger_name like '~tenantry\_%' or trigger_name = 'Asks_tenantry_membership';

comment on function tenantry_private.is_own_trigger(name) is 'Whether a trigger is one of tenantry''s, by its name.';

create function tenantry_private.update_triggers(target regclass)
returns table (relation regclass, trigger_name name, enabled "char")
language sql stable rows 3
set search_path = pg_catalog, pg_temp
begin atomic
  select tree.relation, t.tgname, t.tgenabled
    from tenantry_private.relation_tree(target) tree
    join pg_catalog.pg_trigger t on t.tgrelid = tree.relation
   where not t.tgisinternal and t.tgenabled <> 'D' and t.tgtype & 16 <> 0
   order by tree.depth, tree.relation::text, t.tgname;
end;

comment on function tenantry_private.update_triggers(regclass) is 'Triggers that an update of a table may fire, there and below.';

-- The tie between a by_parent table and its parent: (foreign key columns, owner) → (key, owner).
create function tenantry_private.plan_parent(declaration tenantry_private.tables)
returns table (statement text, lock text)
language plpgsql stable rows 5
set search_path = pg_catalog, pg_temp
as $$
declare
  target       constant regclass := declaration.relation;
  parent       constant tenantry_private.tables := tenantry_private.declared(declaration.parent);
  key          constant pg_catalog.pg_constraint := tenantry_private.declared_key(declaration);
  column_there constant boolean := tenantry_private.column_type(target, declaration.owner_column) is not null;
  parent_owner smallint;
  child_owner  smallint;
  as_owner     name;
  hidden       regclass[];
  relation     regclass;
  fired        record;
begin
  select a.attnum into parent_owner
    from pg_catalog.pg_attribute a where a.attrelid = parent.relation and a.attname = parent.owner_column;
  select a.attnum into child_owner
    from pg_catalog.pg_attribute a where a.attrelid = target and a.attname = declaration.owner_column and not a.attisdropped;

  if exists (
       select
         from pg_catalog.pg_constraint c
        where c.conrelid = target and c.contype = 'f' and c.conparentid = 0 and c.confrelid = parent.relation
          and c.conkey @> (key.conkey || child_owner) and c.conkey <@ (key.conkey || child_owner)
          and c.confkey @> (key.confkey || parent_owner)
          and coalesce((to_jsonb(c) ->> 'conenforced')::boolean, true)) then
    return;
  end if;

  if not exists (
       select
         from pg_catalog.pg_index i
        where i.indrelid = parent.relation and i.indisunique and i.indisvalid and i.indimmediate
          and i.indpred is null and i.indexprs is null
          and i.indnkeyatts = cardinality(key.confkey) + 1
          and (i.indkey::smallint[])[0:i.indnkeyatts - 1] @> (key.confkey || parent_owner)) then
    statement := format('create unique index %I on %s (%s, %I)', tenantry_private.short_name(parent.relation, 'tenantry_owner_key'),
                   parent.relation, tenantry_private.column_list(parent.relation, key.confkey), parent.owner_column);
    lock := format('SHARE on %s', parent.relation);
    return next;
  end if;
  if not column_there then
    -- Without a default: a STABLE default would give every old row to whoever runs this.
    statement := format('alter table %s add column %I %s', target, declaration.owner_column,
                   format_type(tenantry_private.column_type(parent.relation, parent.owner_column), null));
    lock := 'ACCESS EXCLUSIVE';
    return next;
  end if;

  -- What writes a row runs the table's CHECK constraints and the like, which are whoever owns the table's: a superuser
  -- must not run them with a superuser's powers.
  if (select r.rolsuper from pg_catalog.pg_roles r where r.rolname = current_user) then
    select r.rolname into as_owner
      from pg_catalog.pg_class c
      join pg_catalog.pg_roles r on r.oid = c.relowner
     where c.oid = target and c.relowner = (select p.relowner from pg_catalog.pg_class p where p.oid = parent.relation);
  end if;
  if as_owner is not null then
    statement := format('set local role %I', as_owner);
    lock := null;
    return next;
  end if;

  -- A table's owner, bound by FORCE, would read nothing. The transaction holds the tables, so nobody notices.
  hidden := array(
    select c.oid::regclass
      from pg_catalog.pg_class c
     where c.oid in (parent.relation, target)
       and (row_security_active(c.oid) or as_owner is not null and c.relrowsecurity and c.relforcerowsecurity)
     order by c.oid = target);
  foreach relation in array hidden loop
    statement := format('alter table %s no force row level security', relation);
    lock := format('ACCESS EXCLUSIVE on %s', relation);
    return next;
  end loop;
  -- The application's triggers (updated_at, audit) must not take this for a change of the row, neither here nor in
  -- partitions and inheritance children, which may have triggers, and states of them, of their own.
  for fired in select * from tenantry_private.update_triggers(target) loop
    statement := format('alter table only %s disable trigger %I', fired.relation, fired.trigger_name);
    lock := case when fired.relation = target then 'SHARE ROW EXCLUSIVE' else format('SHARE ROW EXCLUSIVE on %s', fired.relation) end;
    return next;
  end loop;
  statement := format(
    'update %s c set %I = p.%I from %s p where (%s) = (%s) and c.%I is distinct from p.%I',
    target, declaration.owner_column, parent.owner_column, parent.relation,
    tenantry_private.column_list(target, key.conkey, 'c.'), tenantry_private.column_list(parent.relation, key.confkey, 'p.'),
    declaration.owner_column, parent.owner_column);
  lock := 'ROW EXCLUSIVE';
  return next;
  for fired in select * from tenantry_private.update_triggers(target) loop
    statement := format('alter table only %s enable %strigger %I', fired.relation,
                   case fired.enabled when 'A' then 'always ' when 'R' then 'replica ' else '' end, fired.trigger_name);
    lock := case when fired.relation = target then 'SHARE ROW EXCLUSIVE' else format('SHARE ROW EXCLUSIVE on %s', fired.relation) end;
    return next;
  end loop;
  if key.oid is null then
    statement := format('alter table %s add foreign key (%s) references %s (%s)', target, tenantry_private.column_list(target, key.conkey),
                   parent.relation, tenantry_private.column_list(parent.relation, key.confkey));
    lock := format('SHARE ROW EXCLUSIVE, also on %s', parent.relation);
    return next;
  end if;
  statement := format(
    'alter table %s add constraint %I foreign key (%s, %I) references %s (%s, %I) on update cascade%s%s',
    target, tenantry_private.short_name(target, 'tenantry_owner_fkey'),
    tenantry_private.column_list(target, key.conkey), declaration.owner_column,
    parent.relation, tenantry_private.column_list(parent.relation, key.confkey), parent.owner_column,
    case key.confdeltype
      when 'c' then ' on delete cascade'
      when 'r' then ' on delete restrict'
      when 'n' then format(' on delete set null (%s)', tenantry_private.column_list(target, coalesce(key.confdelsetcols, key.conkey)))
      when 'd' then format(' on delete set default (%s)', tenantry_private.column_list(target, coalesce(key.confdelsetcols, key.conkey)))
      else ''
    end,
    case when key.condeferrable then ' deferrable' || case when key.condeferred then ' initially deferred' else '' end else '' end);
  lock := format('SHARE ROW EXCLUSIVE, also on %s', parent.relation);
  return next;
  -- Only now: PostgreSQL validates a new foreign key with the rows that the owner sees.
  foreach relation in array hidden loop
    statement := format('alter table %s force row level security', relation);
    lock := format('ACCESS EXCLUSIVE on %s', relation);
    return next;
  end loop;
  if as_owner is not null then
    statement := format('set local role %I', current_user);
    lock := null;
    return next;
  end if;
end
$$;

comment on function tenantry_private.plan_parent(tenantry_private.tables) is 'Statements that derive the owner column from the parent and tie it to it by a composite foreign key.';

-- Asked before owners are filled, not while it is planned: check() plans too.
create function tenantry_private.require_one_owner(declaration tenantry_private.tables, statements text[])
returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  code text;
begin
  if exists (select from unnest(statements) as s where starts_with(s, 'update '))
     and not exists (select from unnest(statements) as s where starts_with(s, 'set local role '))
     and (select r.rolsuper from pg_catalog.pg_roles r where r.rolname = current_user) then
    perform tenantry_private.refuse(
      format('%s and its parent %s have different owners, and a superuser must not run what they have attached to their tables',
        declaration.relation, declaration.parent),
      format('Give both one owner (alter table %s owner to …;), or run this as an admin who is a member of both.', declaration.relation));
  end if;
  if exists (select from unnest(statements) as s where starts_with(s, 'update '))
     and (select r.rolsuper from pg_catalog.pg_roles r where r.rolname = session_user) then
    code := tenantry_private.code_of_others(declaration.relation);
    if code is not null then
      perform tenantry_private.refuse(
        format('filling the owners of %s would run code of its owner''s with a superuser''s powers: %s', declaration.relation, code),
        format('Log in as %s, allowed as admin (select * from tenantry.allow(%1$L, ''admin'');), and run it there.',
          (select r.rolname from pg_catalog.pg_class c join pg_catalog.pg_roles r on r.oid = c.relowner where c.oid = declaration.relation)));
    end if;
  end if;
end
$$;

comment on function tenantry_private.require_one_owner(tenantry_private.tables, text[]) is
  'Refuses to fill owners as a superuser where no one owner of both tables could do it, or where that would run code of others. Error: TN011.';

-- The owner column itself: NOT NULL, leading an index, defaulting to the principal.
create function tenantry_private.is_led(target regclass, column_number smallint)
returns boolean
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return exists (
    select
      from pg_catalog.pg_index i
      join pg_catalog.pg_class c on c.oid = i.indexrelid
      join pg_catalog.pg_am m on m.oid = c.relam
     where i.indrelid = target and i.indkey[0] = column_number and i.indisvalid and i.indpred is null and m.amname = 'btree');
end
$$;

comment on function tenantry_private.is_led(regclass, smallint) is 'Whether a whole B-tree index leads with a column.';

create function tenantry_private.plan_owner_column(declaration tenantry_private.tables)
returns table (statement text, lock text)
language plpgsql stable rows 5
set search_path = pg_catalog, pg_temp
as $$
declare
  target constant regclass := declaration.relation;
  owner  pg_catalog.pg_attribute;
  type   oid;
  actual text;
  shared record;
  public_index name;
begin
  select a.* into owner
    from pg_catalog.pg_attribute a
   where a.attrelid = target and a.attname = declaration.owner_column and not a.attisdropped;
  type := coalesce(owner.atttypid,
            tenantry_private.column_type(declaration.parent, (tenantry_private.declared(declaration.parent)).owner_column));

  -- A rollout may leave rows without an owner, which nobody sees; a check stands for NOT NULL then.
  if not coalesce(owner.attnotnull, false) and not tenantry_private.in_transition(target) and not tenantry_private.is_closing(target) then
    statement := format('alter table %s alter column %I set not null', target, declaration.owner_column);
    lock := 'ACCESS EXCLUSIVE';
    return next;
  end if;

  if owner.attnum is null or not tenantry_private.is_led(target, owner.attnum) then
    statement := format('create index %I on %s (%I)', tenantry_private.short_name(target, 'tenantry_owner_idx'), target, declaration.owner_column);
    lock := 'SHARE';
    return next;
  end if;

  for shared in
    select s.key as column_name
      from jsonb_each_text(case when declaration.reach then declaration.shared_by else '{}' end) s
     where not tenantry_private.is_led(target, tenantry_private.column_number(target, s.key))
     order by s.key
  loop
    statement := format('create index %I on %s (%I)', tenantry_private.short_name(target, format('tenantry_%s_idx', left(shared.column_name, 20))), target, shared.column_name);
    lock := 'SHARE';
    return next;
  end loop;
  -- Also what sees to it that the expression is immutable.
  if declaration.reach and declaration.public_when is not null and not exists (
       select from pg_catalog.pg_index i join pg_catalog.pg_class c on c.oid = i.indexrelid
        where i.indrelid = target and i.indpred is not null and obj_description(c.oid, 'pg_class') = 'tenantry: ' || declaration.public_when) then
    perform tenantry_private.require_expression(declaration.public_when);
    public_index := tenantry_private.short_name(target, 'tenantry_public_idx');
    statement := format('create index %I on %s (%I) where (%s)', public_index, target, declaration.owner_column, declaration.public_when);
    lock := 'SHARE';
    return next;
    statement := format('comment on index %I.%I is %L', (select n.nspname from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace where c.oid = target),
                   public_index, 'tenantry: ' || declaration.public_when);
    lock := null;
    return next;
  end if;

  -- In the table of its own kind the owner column is the id, which has a default of its own.
  if exists (
       select
         from tenantry.kinds k
        where k.relation = target and k.id_column = declaration.owner_column) or owner.attidentity <> '' then
    return;
  end if;
  select pg_get_expr(d.adbin, d.adrelid) into actual
    from pg_catalog.pg_attrdef d where d.adrelid = target and d.adnum = owner.attnum;
  -- Compared by its call only: the cast around it is printed differently from type to type.
  if actual is null or strpos(actual, format('tenantry.principal(%L::text, ''insert''::text)', declaration.owner_kind)) = 0 then
    statement := format('alter table %s alter column %I set default tenantry.principal(%L, ''insert'')::%s',
                   target, declaration.owner_column, declaration.owner_kind, tenantry_private.id_cast(type));
    lock := 'ACCESS EXCLUSIVE';
    return next;
  end if;
end
$$;

comment on function tenantry_private.plan_owner_column(tenantry_private.tables) is 'Statements that make the owner column NOT NULL, indexed and defaulting to the principal.';
