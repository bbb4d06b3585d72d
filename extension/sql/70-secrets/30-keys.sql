-- Wrapping. A master key is two keys made from two shares (HKDF, RFC 5869): one wraps, one authenticates what is wrapped.

-- A rotation of the master key writes every data key, maybe a million: with room for the next version beside each row, no
-- index on what changes, and no foreign key to master_keys (hold_master_key() stands for it), that is all it costs.
alter table tenantry_private.data_keys set (fillfactor = 45);
drop index tenantry_private.data_keys_master;

-- Of each life one key seals.
create unique index data_keys_sealing on tenantry_private.data_keys (kind, id, serial) where superseded_at is null;

create type tenantry_private.unlocked_key as (
  master_key uuid,
  state      text,
  wrap_key   bytea,
  auth_key   bytea
);

comment on type tenantry_private.unlocked_key is 'A master key whose two shares are at hand.';
comment on column tenantry_private.unlocked_key.master_key is 'Its name.';
comment on column tenantry_private.unlocked_key.state is 'active or retiring.';
comment on column tenantry_private.unlocked_key.wrap_key is 'Wraps.';
comment on column tenantry_private.unlocked_key.auth_key is 'Authenticates.';

create function tenantry_private.refuse_wrapped(number integer default null)
returns void
language plpgsql immutable
as $$
begin
  raise exception 'a wrapped key of this database is damaged, or was put in another''s place'
    using errcode = 'TN006', detail = coalesce(format('It is number %s of tenantry_private.data_keys.', number), ''),
          hint = 'Restore tenantry_private.data_keys and index_keys from a backup, together with tenantry_private.master_keys.';
end
$$;

comment on function tenantry_private.refuse_wrapped(integer) is 'Raises TN006 for a wrapped key.';

create function tenantry_private.wrapped(label text, secret bytea, key tenantry_private.unlocked_key)
returns bytea
language plpgsql volatile
as $$
#print_strict_params off
declare
  iv constant bytea := tenantry_private.random_bytes(16);
  ct constant bytea := tenantry_private.aes_encrypt(secret, key.wrap_key, iv);
begin
  return iv || ct || tenantry_private.hmac_sha256(
    convert_to('tenantry/v1/key', 'UTF8') || tenantry_private.part(convert_to(label, 'UTF8')) || uuid_send(key.master_key) || iv || ct, key.auth_key);
end
$$;

comment on function tenantry_private.wrapped(text, bytea, tenantry_private.unlocked_key) is 'Wraps a key of 32 bytes under a label: 96 bytes.';

create function tenantry_private.unwrapped(label text, wrapped bytea, key tenantry_private.unlocked_key)
returns bytea
language plpgsql stable
as $$
#print_strict_params off
declare
  body constant bytea := substr(wrapped, 1, octet_length(wrapped) - 32);
begin
  -- Digests are compared, not the values, as in same_mac().
  if sha256(substr(wrapped, octet_length(wrapped) - 31))
     = sha256(tenantry_private.hmac_sha256(
         convert_to('tenantry/v1/key', 'UTF8') || tenantry_private.part(convert_to(label, 'UTF8')) || uuid_send(key.master_key) || body, key.auth_key)) then
    return tenantry_private.aes_decrypt(substr(body, 17), key.wrap_key, substr(body, 1, 16));
  end if;
  perform tenantry_private.refuse_wrapped();
end
$$;

comment on function tenantry_private.unwrapped(text, bytea, tenantry_private.unlocked_key) is 'The inverse of wrapped(). Error: TN006.';

create function tenantry_private.unlock(key_share bytea)
returns tenantry_private.unlocked_key[]
language plpgsql stable
as $$
#print_strict_params off
declare
  master tenantry_private.master_keys;
  other  record;
  prk    bytea;
  key    tenantry_private.unlocked_key;
  keys   tenantry_private.unlocked_key[] := '{}';
  bridge bytea;
begin
  for master in select * from tenantry_private.master_keys m order by m.state loop
    prk := tenantry_private.hmac_sha256(key_share, master.share);
    if sha256(tenantry_private.expanded(prk, 'tenantry/v1/wrap/verify')) = sha256(master.verifier) then
      key := row(master.id, master.state, tenantry_private.expanded(prk, 'tenantry/v1/wrap/encrypt'), tenantry_private.expanded(prk, 'tenantry/v1/wrap/authenticate'));
      keys := keys || key;
      for other in select m.id, m.state from tenantry_private.master_keys m where m.id <> master.id and master.bridge is not null loop
        bridge := tenantry_private.unwrapped('bridge:' || other.id, master.bridge, key);
        keys := keys || row(other.id, other.state, substr(bridge, 1, 32), substr(bridge, 33, 32))::tenantry_private.unlocked_key;
      end loop;
      return keys;
    end if;
  end loop;
  if not exists (select from tenantry_private.master_keys) then
    raise exception 'this database has no master key'
      using errcode = 'TN005', hint = 'An admin runs: tenantry keys create, or select tenantry.create_master_key(<share>); after a restore without data, restore the data of the schema tenantry_private, too.';
  end if;
  perform tenantry_private.refuse_share('not the one this database''s master key was made with');
end
$$;

comment on function tenantry_private.unlock(bytea) is 'The master keys that a share opens: one, or both while one is rotated. Error: TN005.';

create function tenantry_private.key_of(keys tenantry_private.unlocked_key[], master_key uuid)
returns tenantry_private.unlocked_key
language plpgsql immutable
as $$
#print_strict_params off
begin
  -- The active one where none is named.
  if keys[1].master_key = key_of.master_key or (key_of.master_key is null and keys[1].state = 'active') then
    return keys[1];
  elsif keys[2].master_key = key_of.master_key or (key_of.master_key is null and keys[2].state = 'active') then
    return keys[2];
  end if;
  raise exception 'the master key % that a key was wrapped by is gone', key_of.master_key
    using errcode = 'TN005', hint = 'Restore tenantry_private.master_keys from the backup that the data keys come from.';
end
$$;

comment on function tenantry_private.key_of(tenantry_private.unlocked_key[], uuid) is 'One of the unlocked master keys; the active one for null. Error: TN005.';

create function tenantry.create_master_key(key_share bytea)
returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
#print_strict_params off
declare
  ignored  text;
  keys     tenantry_private.unlocked_key[];
  db_share bytea;
  made     bytea;
begin
  perform tenantry_private.require_admin('make a master key');
  if octet_length(key_share) is distinct from 32 then
    ignored := tenantry_private.refuse_share(format('%s bytes long instead of 32', coalesce(octet_length(key_share), 0)));
  end if;
  perform tenantry.initialise();
  lock table tenantry_private.master_keys in share row exclusive mode;
  if exists (select from tenantry_private.master_keys) then
    -- The same share again changes nothing; another one is refused.
    keys := tenantry_private.unlock(key_share);
    return;
  end if;
  -- The database's share is made where it stays and read from there, so that it is never a parameter of a statement.
  insert into tenantry_private.master_keys (share, verifier) values (tenantry_private.random_bytes(32), tenantry_private.random_bytes(32));
  db_share := (select m.share from tenantry_private.master_keys m);
  made     := tenantry_private.expanded(tenantry_private.hmac_sha256(key_share, db_share), 'tenantry/v1/wrap/verify');
  update tenantry_private.master_keys m set verifier = made;
  insert into tenantry_private.tag_keys (secret)
  select tenantry_private.random_bytes(32) where not exists (select from tenantry_private.tag_keys);
  perform tenantry_private.note('create_master_key', current_database());
end
$$;

comment on function tenantry.create_master_key(bytea) is
  'Makes this database''s half of the master key for the application''s share (32 bytes, a bind parameter). A second call with the same share changes nothing. Errors: 42501, TN005 (wrong length, or another share than the master key''s).';

create function tenantry_private.data_key_label(kind text, id text, serial bigint, version integer)
returns text
language sql immutable parallel safe
return kind || ':' || id || '#' || serial::text || '#' || version::text;

comment on function tenantry_private.data_key_label(text, text, bigint, integer) is 'What a data key is wrapped under.';

-- In place of a foreign key of data_keys, which would ask for every row that a rotation of the master key writes.
create function tenantry_private.hold_master_key(master_key uuid)
returns void
language plpgsql volatile
as $$
begin
  perform from tenantry_private.master_keys m where m.id = hold_master_key.master_key for key share;
  if not found then
    raise exception 'the master key was replaced while this transaction was under way' using errcode = '40001', hint = 'Try again.';
  end if;
end
$$;

comment on function tenantry_private.hold_master_key(uuid) is 'Keeps a master key from going before this transaction has ended. Error: 40001 when it is gone.';

-- For writing: the entity's key that seals now, made where there is none. Its row is locked until the transaction ends, so
-- that a rotation or a shredding waits for whoever still seals with it; wrapping it anew need not wait.
create function tenantry_private.sealing_key(entity_kind text, entity_id text, keys tenantry_private.unlocked_key[])
returns tenantry_private.data_keys
language plpgsql volatile
as $$
#print_strict_params off
declare
  found_key tenantry_private.data_keys;
  living    bigint;
  secret    bytea;
  wrapping  tenantry_private.unlocked_key;
  made      bytea;
  next      integer;
begin
  living := (select e.serial from tenantry_private.entities e where e.kind = entity_kind and e.id = entity_id and e.gone_at is null);
  if living is null then
    perform tenantry_private.require_entity(entity_kind || ':' || entity_id);
  end if;
  for attempt in 1 .. 10 loop
    select k.*
      into found_key
      from tenantry_private.data_keys k
     where k.kind = entity_kind and k.id = entity_id and k.serial = living
       and k.superseded_at is null and k.wrapped is not null
       for key share;
    if found then
      return found_key;
    end if;
    next := (select coalesce(max(k.version), 0) + 1 from tenantry_private.data_keys k where k.kind = entity_kind and k.id = entity_id and k.serial = living);
    wrapping := tenantry_private.key_of(keys, null);
    perform tenantry_private.hold_master_key(wrapping.master_key);
    secret := tenantry_private.random_bytes(32);
    made := tenantry_private.wrapped(tenantry_private.data_key_label(entity_kind, entity_id, living, next), secret, wrapping);
    -- Another transaction may have made one meanwhile, or be at it: then this waits for it and takes what it made.
    insert into tenantry_private.data_keys (kind, id, serial, version, master_key, wrapped)
    values (entity_kind, entity_id, living, next, wrapping.master_key, made)
        on conflict do nothing;
  end loop;
  raise exception 'the data keys of %:% are changing too fast', entity_kind, entity_id using errcode = '40001', hint = 'Try again.';
end
$$;

comment on function tenantry_private.sealing_key(text, text, tenantry_private.unlocked_key[]) is 'The data key that seals for an entity now, made on first use. Errors: TN005, TN009, 40001.';
