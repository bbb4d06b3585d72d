-- Keeps the registry in step with the application's table. Row triggers, because they are cloned to every partition and
-- see COPY; ENABLE ALWAYS, so that session_replication_role = replica does not make the registry stale.
create function tenantry_private.follow_kind()
returns trigger
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
declare
  kind      tenantry_private.kinds;
  read      text;
  old_id    text;
  old_owner text;
  new_id    text;
  new_owner text;
begin
  -- What to read comes from the registry, not from the trigger's arguments, which whoever creates a trigger chooses.
  select k.* into kind from tenantry_private.kinds k where k.relation in (tg_relid, pg_partition_root(tg_relid));
  if kind.kind is null then
    perform tenantry_private.refuse(format('%s is not the table of a kind', tg_relid::regclass),
      format('Run: drop trigger %I on %s;', tg_name, tg_relid::regclass));
  end if;
  if tg_op = 'TRUNCATE' then
    update tenantry_private.entities e set gone_at = now() where e.kind = kind.kind and e.gone_at is null;
    return null;
  end if;
  perform tenantry_private.require_id_columns(tg_relid, kind.id_column, kind.owner_column);
  read := format('select ($1).%I::text, %s', kind.id_column,
            case when kind.owner_column is null then 'null::text' else format('($1).%I::text', kind.owner_column) end);
  if tg_op <> 'INSERT' then
    execute read into old_id, old_owner using old;
  end if;
  if tg_op <> 'DELETE' then
    execute read into new_id, new_owner using new;
  end if;
  if tg_op = 'UPDATE' and old_id is not distinct from new_id then
    update tenantry_private.entities e
       set owner_kind = case when new_owner is not null then kind.owner_kind end,
           owner_id   = new_owner
     where e.kind = kind.kind
       and e.id = new_id
       and e.owner_id is distinct from new_owner;
    return null;
  end if;
  if tg_op <> 'INSERT' then
    update tenantry_private.entities e set gone_at = now() where e.kind = kind.kind and e.id = old_id;
  end if;
  if tg_op <> 'DELETE' and new_id is not null then
    -- A row that moves to another partition is deleted and inserted.
    perform tenantry_private.record_entities(kind.kind, array[new_id], kind.owner_kind, array[new_owner], tg_relid <> kind.relation);
  end if;
  return null;
end
$$;

comment on function tenantry_private.follow_kind() is
  'Trigger on the table of a kind: records births, deaths and changes of owner.';

create function tenantry_private.record_entities(the_kind text, ids text[], the_owner_kind text, owners text[], moved boolean default false)
returns bigint
language plpgsql volatile
as $$
declare
  recorded      bigint;
  returning_ids text[];
begin
  perform tenantry_private.check_id(id) from unnest(ids) as id;
  -- What was said about an earlier life of an id is not said about this one.
  select array_agg(e.id) into returning_ids
    from tenantry_private.entities e
   where e.kind = the_kind and e.id = any (ids) and e.gone_at is not null and not (moved and e.gone_at = now());
  if returning_ids is not null then
    update tenantry_private.memberships m
       set void = true
     where m.member_kind = the_kind and m.member_id = any (returning_ids)
        or m.container_kind = the_kind and m.container_id = any (returning_ids);
  end if;
  insert into tenantry_private.entities as e (kind, id, owner_kind, owner_id)
  select the_kind, new.id, case when new.owner is not null then the_owner_kind end, new.owner
    from unnest(ids, owners) as new (id, owner)
      on conflict (kind, id) do update
     set owner_kind = excluded.owner_kind,
         owner_id   = excluded.owner_id,
         -- A row that was moved to another partition, in one transaction: the same life. Any other return of an id is a new
         -- life and starts without what the old one was given.
         serial        = case when e.gone_at is null or moved and e.gone_at = now() then e.serial
                              else nextval(pg_get_serial_sequence('tenantry_private.entities', 'serial')) end,
         registered_at = case when e.gone_at is null or moved and e.gone_at = now() then e.registered_at else now() end,
         gone_at       = null
   where e.gone_at is not null
      or (e.owner_kind, e.owner_id) is distinct from (excluded.owner_kind, excluded.owner_id);
  get diagnostics recorded = row_count;
  return recorded;
end
$$;

comment on function tenantry_private.record_entities(text, text[], text, text[], boolean) is 'Records entities of a kind with their owners; returns how many were new or changed. moved: whether they may be rows that moved to another partition.';

create function tenantry_private.check_id(id text)
returns void
language plpgsql immutable
as $$
begin
  if id is null or length(id) not between 1 and 200 or id ~ '[\x01-\x1f\x7f]' then
    raise exception 'an id must have 1 to 200 characters and no control characters: %', coalesce(quote_literal(left(id, 200)), 'null')
      using errcode = '22023', hint = 'Only such ids can be written as kind:id.';
  end if;
end
$$;

comment on function tenantry_private.check_id(text) is 'Raises 22023 for a text that cannot be the id of an entity.';

-- What is turned into text with tenantry's powers, or a superuser's, must be of PostgreSQL's own types: the cast of a
-- type that somebody has made is a function of theirs. A column's type may change later, so this is asked each time.
create function tenantry_private.require_id_columns(relation regclass, id_column name, owner_column name)
returns void
language plpgsql stable
as $$
declare
  unsafe record;
begin
  select a.attname, format_type(a.atttypid, a.atttypmod) as type
    into unsafe
    from pg_catalog.pg_attribute a
   where a.attrelid = relation
     and a.attname in (id_column, owner_column)
     and a.attnum > 0
     and a.atttypid not in ('uuid'::regtype, 'bigint'::regtype, 'text'::regtype)
     and tenantry_private.id_cast(a.atttypid) is null;
  if found then
    perform tenantry_private.refuse(
      format('ids of type %s are not supported (%s.%I)', unsafe.type, relation, unsafe.attname),
      format('Ids are uuid, bigint, integer, smallint, text or varchar, or domains over these. Run: alter table %s alter column %I type text;', relation, unsafe.attname));
  end if;
end
$$;

comment on function tenantry_private.require_id_columns(regclass, name, name) is
  'Refuses columns of a kind''s table whose types are not PostgreSQL''s own. Error: TN011.';
