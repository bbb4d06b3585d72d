-- The trigger on an encrypted table seals what is written, in place. It is a function of the table's own, made from its
-- declaration, and runs as tenantry_owner. What is sealed already is told by its tags alone:
--   not by this database               a plaintext, whatever it looks like: sealed
--   for this very place                kept
--   for where this row was before      its key or its owner changes: sealed anew
--   for the row this statement tried to insert, when the insert became an update of another: sealed anew
--   for anything else                  refused
-- A superuser's session_replication_role = replica keeps what has the shape, unasked: what comes from a publisher, or
-- from a dump, was sealed by another server's keys perhaps.

create type tenantry_private.settled_secret as (
  value bytea,
  plain bytea
);

comment on type tenantry_private.settled_secret is 'What is stored for a secret, and the plaintext where it passed by.';
comment on column tenantry_private.settled_secret.value is 'The sealed value.';
comment on column tenantry_private.settled_secret.plain is 'The plaintext; null where a sealed value was kept.';

create function tenantry_private.remember_insert(relation_tag text, owner text, pk bytea)
returns void
language plpgsql volatile
as $$
#print_strict_params off
declare
  place   constant bytea := tenantry_private.part(convert_to(owner, 'UTF8')) || tenantry_private.part(pk);
  ignored text;
begin
  ignored := set_config('tenantry.inserting',
    encode(place, 'hex') || '.' || encode(tenantry_private.inserting_mac(relation_tag, place), 'hex'), true);
end
$$;

comment on function tenantry_private.remember_insert(text, text, bytea) is 'Remembers, signed, for which row this statement sealed last.';

create function tenantry_private.inserting_mac(relation_tag text, place bytea)
returns bytea
language plpgsql stable
as $$
#print_strict_params off
declare
  tag_key constant bytea := (select t.secret from tenantry_private.tag_keys t);
begin
  return tenantry_private.hmac_sha256(
    convert_to('tenantry/v1/inserting' || relation_tag, 'UTF8') || timestamptz_send(now()) || timestamptz_send(statement_timestamp()) || int4send(pg_backend_pid()) || place, tag_key);
end
$$;

comment on function tenantry_private.inserting_mac(text, bytea) is 'Signs a place for this statement of this session.';

create function tenantry_private.inserted_place(relation_tag text)
returns bytea
language plpgsql stable
as $$
#print_strict_params off
declare
  kept  constant text  := current_setting('tenantry.inserting', true);
  place constant bytea := case when kept ~ '^[0-9a-f]+[.][0-9a-f]{64}$' and strpos(kept, '.') % 2 = 1 then decode(split_part(kept, '.', 1), 'hex') end;
begin
  return case when tenantry_private.same_mac(split_part(kept, '.', 2), tenantry_private.inserting_mac(relation_tag, place)) then place end;
end
$$;

comment on function tenantry_private.inserted_place(text) is 'The place that remember_insert() was given in this statement; else null.';

-- The key that seals for an owner, kept sealed for the transaction: a ring with one key.
create function tenantry_private.seal_ring(owner text)
returns bytea
language plpgsql volatile
as $$
#print_strict_params off
declare
  kept     constant text := current_setting('tenantry.seal_ring', true);
  field    text[];
  bytes    bytea;
  data_key tenantry_private.data_keys;
  keys     tenantry_private.unlocked_key[];
  signer   tenantry_private.signing_keys;
  ignored  text;
begin
  if kept <> '' then
    field := tenantry_private.opened('w1', kept, timestamptz_send(now()));
    if field[2] = owner then
      bytes := decode(field[3], 'hex');
      return tenantry_private.aes_decrypt(substr(bytes, 17),
        tenantry_private.expanded((select k.secret from tenantry_private.signing_keys k where k.id = field[1]), 'tenantry/v1/ring'),
        substr(bytes, 1, 16));
    end if;
  end if;
  keys     := tenantry_private.unlock(tenantry_private.current_share());
  data_key := tenantry_private.sealing_key(tenantry_private.kind_of(owner), tenantry_private.id_of(owner), keys);
  signer   := tenantry_private.current_signer();
  bytes    := (select t.secret from tenantry_private.tag_keys t);
  bytes    := bytes || int4send(data_key.number) || tenantry_private.unwrapped(
    owner || '#' || data_key.serial || '#' || data_key.version, data_key.wrapped, tenantry_private.key_of(keys, data_key.master_key));
  ignored  := set_config('tenantry.seal_ring', tenantry_private.sealed_ring('w1', owner, bytes, '', signer), true);
  return bytes;
end
$$;

comment on function tenantry_private.seal_ring(text) is 'The opened ring to seal with for an owner: tag key, key number, key. Errors: TN005, TN009.';

create function tenantry_private.opened_anywhere(bytes bytea, column_id uuid, owner text, pk bytea)
returns bytea
language plpgsql stable
as $$
#print_strict_params off
declare
  tag_key  constant bytea := (select t.secret from tenantry_private.tag_keys t);
  data_key tenantry_private.data_keys;
begin
  data_key := (select k from tenantry_private.data_keys k where k.number = ('x' || encode(substr(bytes, 2, 4), 'hex'))::bit(32)::integer);
  if data_key.wrapped is null or data_key.retired_at is not null then
    perform tenantry_private.refuse_value();
  end if;
  return tenantry_private.open_bytes(bytes,
    tenantry_private.unwrapped(tenantry_private.data_key_label(data_key.kind, data_key.id, data_key.serial, data_key.version), data_key.wrapped,
      tenantry_private.key_of(tenantry_private.unlock(tenantry_private.current_share()), data_key.master_key)),
    tag_key, column_id, owner, pk);
end
$$;

comment on function tenantry_private.opened_anywhere(bytea, uuid, text, bytea) is 'Opens a value whose place is known, whoever owns it: to seal it anew for another. Errors: TN005, TN006.';

create function tenantry_private.settle_secret(
  relation_tag text,
  column_id    uuid,
  shape        bytea,
  plain        bytea,
  owner        text,
  pk           bytea,
  old_owner    text,
  old_pk       bytea
)
returns tenantry_private.settled_secret
language plpgsql volatile
as $$
#print_strict_params off
declare
  tag_key constant bytea := (select t.secret from tenantry_private.tag_keys t);
  place   bytea;
  bytes   bytea := plain;
  ring    bytea;
  settled tenantry_private.settled_secret;
begin
  if shape is not null and current_setting('session_replication_role') = 'replica' then
    settled.value := shape;
    return settled;
  end if;
  if tag_key is null then
    perform tenantry_private.refuse_share('of no use: this database has no master key. Run: tenantry keys create; after a restore, restore the data of tenantry_private, too');
  end if;
  if tenantry_private.is_ours(shape, tag_key) then
    if tenantry_private.is_for(shape, tag_key, column_id, owner, pk) then
      -- Under a key that a rotation replaces it is sealed anew, or it would outlast the rotation; retired ones are refused.
      if not exists (
           select
             from tenantry_private.data_keys k
            where k.number = ('x' || encode(substr(shape, 2, 4), 'hex'))::bit(32)::integer
              and k.wrapped is not null and (k.superseded_at is not null or k.retired_at is not null)) then
        settled.value := shape;
        return settled;
      end if;
      bytes := tenantry_private.opened_anywhere(shape, column_id, owner, pk);
    elsif tenantry_private.is_for(shape, tag_key, column_id, old_owner, old_pk) then
      bytes := tenantry_private.opened_anywhere(shape, column_id, old_owner, old_pk);
    else
      place := tenantry_private.inserted_place(relation_tag);
      if place is null or tenantry_private.is_for(shape, tag_key, column_id,
           convert_from(tenantry_private.part_at(place, 1), 'UTF8'), tenantry_private.part_at(place, 2)) is not true then
        perform tenantry_private.refuse_value();
      end if;
      bytes := tenantry_private.opened_anywhere(shape, column_id,
        convert_from(tenantry_private.part_at(place, 1), 'UTF8'), tenantry_private.part_at(place, 2));
    end if;
  end if;
  ring := tenantry_private.seal_ring(owner);
  settled.value := tenantry_private.seal_bytes(bytes, ('x' || encode(substr(ring, 33, 4), 'hex'))::bit(32)::integer, substr(ring, 37, 32), tag_key, column_id, owner, pk);
  settled.plain := bytes;
  return settled;
end
$$;

comment on function tenantry_private.settle_secret(text, uuid, bytea, bytea, text, bytea, text, bytea) is
  'What is stored for a value that is written: see above. Errors: TN005, TN006, TN009.';

create function tenantry_private.part_at(parts bytea, place integer)
returns bytea
language plpgsql immutable
as $$
#print_strict_params off
declare
  rest   bytea := parts;
  length integer;
begin
  for position in 1 .. place loop
    length := ('x' || encode(substr(rest, 1, 4), 'hex'))::bit(32)::integer;
    if position = place then
      return substr(rest, 5, length);
    end if;
    rest := substr(rest, 5 + length);
  end loop;
  return null;
end
$$;

comment on function tenantry_private.part_at(bytea, integer) is 'The parts that part() put in a row, one by one.';

-- Whoever may not decrypt reads a secret as NULL, and must not write that NULL back over it.
create function tenantry_private.require_decrypt(kind text, column_name text)
returns void
language plpgsql stable
as $$
begin
  if tenantry_private.open_context() is not null and tenantry_private.may_open(kind) is null then
    raise exception 'the secret % must not be emptied by somebody who may not decrypt it', column_name
      using errcode = '42501', hint = 'It reads as NULL without the privilege decrypt. Leave the column out of the statement.';
  end if;
end
$$;

comment on function tenantry_private.require_decrypt(text, text) is 'Raises 42501 where a context lacks decrypt.';

create function tenantry_private.refuse_length(column_name text, max_length integer)
returns void
language plpgsql immutable
as $$
begin
  raise exception 'value too long for type character varying(%)', max_length
    using errcode = '22001', column = column_name, hint = format('The secret %s may have %s characters.', column_name, max_length);
end
$$;

comment on function tenantry_private.refuse_length(text, integer) is 'Raises 22001, as PostgreSQL does for the plain column.';

create function tenantry_private.has_share()
returns boolean
language plpgsql stable
as $$
begin
  return coalesce(current_setting('tenantry.key_share', true), '') <> '' or tenantry_private.setting('key_provider', 'session') = 'file';
end
$$;

comment on function tenantry_private.has_share() is 'Whether a share is at hand in this transaction.';

create function tenantry_private.index_key(indexed uuid)
returns bytea
language plpgsql stable
as $$
#print_strict_params off
declare
  stored constant tenantry_private.index_keys := (select i from tenantry_private.index_keys i where i.column_id = indexed);
begin
  if stored.column_id is null then
    return null;
  end if;
  return tenantry_private.unwrapped('index:' || indexed, stored.wrapped,
    tenantry_private.key_of(tenantry_private.unlock(tenantry_private.current_share()), stored.master_key));
end
$$;

comment on function tenantry_private.index_key(uuid) is 'The key of a column''s blind index; null before the first value is sealed. Errors: TN005, TN006.';

create function tenantry_private.ensure_index_key(indexed uuid)
returns text
language plpgsql volatile
as $$
#print_strict_params off
declare
  key  tenantry_private.unlocked_key;
  made bytea;
begin
  if not exists (select from tenantry_private.index_keys i where i.column_id = indexed) then
    key  := tenantry_private.key_of(tenantry_private.unlock(tenantry_private.current_share()), null);
    made := tenantry_private.wrapped('index:' || indexed, tenantry_private.random_bytes(32), key);
    insert into tenantry_private.index_keys (column_id, master_key, wrapped)
    values (indexed, key.master_key, made)
        on conflict (column_id) do nothing;
  end if;
  return null;
end
$$;

comment on function tenantry_private.ensure_index_key(uuid) is 'Makes the key of a column''s blind index on first use. Error: TN005.';

create function tenantry_private.index_value(indexed uuid, settled tenantry_private.settled_secret, owner text, pk bytea, given bytea)
returns bytea
language plpgsql volatile
as $$
#print_strict_params off
declare
  ignored text;
begin
  -- A restore, or a publisher, brings sealed values with their indexes and no share. Anybody else could put a value's index
  -- beside another.
  if settled.plain is null and not tenantry_private.has_share()
     and (tenantry_private.is_admin() or current_setting('session_replication_role') = 'replica') then
    return given;
  end if;
  ignored := tenantry_private.ensure_index_key(indexed);
  return tenantry_private.hmac_sha256(
    coalesce(settled.plain, tenantry_private.opened_anywhere(settled.value, indexed, owner, pk)), tenantry_private.index_key(indexed));
end
$$;

comment on function tenantry_private.index_value(uuid, tenantry_private.settled_secret, text, bytea, bytea) is 'The blind index of a value that is written.';

create function tenantry.blind_index(indexed_column uuid, value text)
returns bytea
language plpgsql stable parallel restricted security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
#print_strict_params off
declare
  kind constant text := (
    select t.owner_kind
      from tenantry_private.encrypted_columns c
      join tenantry_private.tables t on t.relation = c.relation
     where c.column_id = indexed_column);
begin
  if not exists (select from tenantry_private.encrypted_columns c where c.column_id = indexed_column and c.index_column is not null) then
    perform tenantry_private.refuse('there is no encrypted column of this id that has a blind index', 'See tenantry.encrypted_columns.');
  end if;
  if value is null or tenantry_private.may_open(kind) is null then
    return null;
  end if;
  return tenantry_private.hmac_sha256(convert_to(value, 'UTF8'), tenantry_private.index_key(indexed_column));
end
$$;

comment on function tenantry.blind_index(uuid, text) is
  'What the index column of an encrypted column holds for a value: where email_index = tenantry.blind_index(''<column_id>'', $1). indexed_column: as in tenantry.encrypted_columns. Null, which finds nothing, without a context that may decrypt. Errors: TN005, TN011.';
