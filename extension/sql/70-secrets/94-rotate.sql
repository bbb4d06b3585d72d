-- Rotating the master key wraps data keys anew and touches no row. While it lasts each of the two master keys also wraps the
-- other (the bridge), so that sessions with either share read and write everything; finishing takes the old one away.

create function tenantry_private.begin_master_rotation(old_share bytea, new_share bytea)
returns uuid
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
#print_strict_params off
declare
  keys     tenantry_private.unlocked_key[];
  old_key  tenantry_private.unlocked_key;
  new_key  tenantry_private.unlocked_key;
  db_share bytea := tenantry_private.random_bytes(32);
  prk      bytea;
  bytes    bytea;
  back     bytea;
begin
  perform tenantry_private.require_admin('rotate the master key');
  if octet_length(new_share) is distinct from 32 then
    perform tenantry_private.refuse_share(format('%s bytes long instead of 32', coalesce(octet_length(new_share), 0)));
  end if;
  lock table tenantry_private.master_keys in share row exclusive mode;
  keys := tenantry_private.unlock(old_share);
  if cardinality(keys) = 2 then
    -- Under way: only whoever knows both shares may go on with it.
    keys := tenantry_private.unlock(new_share);
    if keys[1].state = 'active' then
      return keys[2].master_key;
    end if;
    perform tenantry_private.refuse('another rotation of the master key is under way', 'Finish it first: tenantry keys finish-rotation; or select tenantry.finish_master_rotation(<its new share>);');
  end if;
  if old_share = new_share then
    perform tenantry_private.refuse('the new share is the old one', 'Make another secret: openssl rand -base64 48');
  end if;
  old_key := keys[1];
  prk := tenantry_private.hmac_sha256(new_share, db_share);
  new_key := row(gen_random_uuid(), 'active', tenantry_private.expanded(prk, 'tenantry/v1/wrap/encrypt'), tenantry_private.expanded(prk, 'tenantry/v1/wrap/authenticate'));
  bytes := tenantry_private.wrapped('bridge:' || new_key.master_key, new_key.wrap_key || new_key.auth_key, old_key);
  back  := tenantry_private.wrapped('bridge:' || old_key.master_key, old_key.wrap_key || old_key.auth_key, new_key);
  prk   := tenantry_private.expanded(prk, 'tenantry/v1/wrap/verify');
  update tenantry_private.master_keys m set state = 'retiring', bridge = bytes where m.id = old_key.master_key;
  insert into tenantry_private.master_keys (id, share, verifier, state, bridge)
  values (new_key.master_key, db_share, prk, 'active', back);
  return old_key.master_key;
end
$$;

comment on function tenantry_private.begin_master_rotation(bytea, bytea) is 'Makes the new master key beside the old one, or finds a rotation to these shares under way. The old key''s name. Errors: 42501, TN005, TN011.';

create function tenantry_private.rewrap_batch(old_master uuid, new_share bytea, batch_size integer)
returns integer
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
#print_strict_params off
declare
  keys    tenantry_private.unlocked_key[];
  old_key tenantry_private.unlocked_key;
  new_key tenantry_private.unlocked_key;
  numbers integer[];
  labels  text[];
  given   bytea[];
  made    bytea[] := '{}';
  -- Taken apart once: fields of a row cost more than variables, and this runs a million times.
  head    constant bytea := convert_to('tenantry/v1/key', 'UTF8');
  old_wrap bytea;
  old_auth bytea;
  new_wrap bytea;
  new_auth bytea;
  old_id  bytea;
  new_id  bytea;
  label   bytea;
  body    bytea;
  iv      bytea;
begin
  perform tenantry_private.require_admin('rotate the master key');
  keys := tenantry_private.unlock(new_share);
  old_key := tenantry_private.key_of(keys, old_master);
  new_key := tenantry_private.key_of(keys, null);
  old_wrap := old_key.wrap_key; old_auth := old_key.auth_key; old_id := uuid_send(old_key.master_key);
  new_wrap := new_key.wrap_key; new_auth := new_key.auth_key; new_id := uuid_send(new_key.master_key);
  select array_agg(k.number), array_agg(tenantry_private.data_key_label(k.kind, k.id, k.serial, k.version)), array_agg(k.wrapped)
    into numbers, labels, given
    from (select * from tenantry_private.data_keys d where d.master_key = old_master order by d.number limit batch_size for no key update) k;
  if numbers is null then
    -- The few keys of blind indexes come last.
    for numbers, labels, given in
      select null, array[i.column_id::text], array[i.wrapped] from tenantry_private.index_keys i where i.master_key = old_master for no key update
    loop
      body := tenantry_private.wrapped('index:' || labels[1], tenantry_private.unwrapped('index:' || labels[1], given[1], old_key), new_key);
      update tenantry_private.index_keys i set wrapped = body, master_key = new_key.master_key where i.column_id = labels[1]::uuid;
    end loop;
    return 0;
  end if;
  for position in 1 .. cardinality(numbers) loop
    label := tenantry_private.part(convert_to(labels[position], 'UTF8'));
    if sha256(substr(given[position], 65)) <> sha256(tenantry_private.hmac_sha256(head || label || old_id || substr(given[position], 1, 64), old_auth)) then
      body := tenantry_private.unwrapped(labels[position], given[position], old_key);
    end if;
    iv   := tenantry_private.random_bytes(16);
    body := iv || tenantry_private.aes_encrypt(tenantry_private.aes_decrypt(substr(given[position], 17, 48), old_wrap, substr(given[position], 1, 16)), new_wrap, iv);
    made[position] := body || tenantry_private.hmac_sha256(head || label || new_id || body, new_auth);
  end loop;
  update tenantry_private.data_keys k
     set wrapped = u.wrapped, master_key = new_key.master_key
    from unnest(numbers, made) as u (number, wrapped)
   where k.number = u.number and k.wrapped is not null;
  return cardinality(numbers);
end
$$;

comment on function tenantry_private.rewrap_batch(uuid, bytea, integer) is 'Wraps some data keys by the new master key; 0 when none is left. Errors: 42501, TN005, TN006.';

create procedure tenantry.rotate_master_key(old_share bytea, new_share bytea, batch_size integer default 20000)
language plpgsql
as $$
declare
  old_master uuid;
  wrapped    integer;
  total      bigint := 0;
  began      constant timestamptz := pg_catalog.clock_timestamp();
  told       timestamptz := began;
begin
  if batch_size is null or batch_size OPERATOR(pg_catalog.<) 1 then
    perform tenantry_private.refuse('a batch has at least 1 key', 'The default is 20000.');
  end if;
  old_master := tenantry_private.begin_master_rotation(old_share, new_share);
  commit;
  loop
    wrapped := tenantry_private.rewrap_batch(old_master, new_share, batch_size);
    commit;
    exit when wrapped OPERATOR(pg_catalog.=) 0;
    total := total OPERATOR(pg_catalog.+) wrapped;
    if pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-) told OPERATOR(pg_catalog.>) interval '2 seconds' then
      told := pg_catalog.clock_timestamp();
      raise notice 'rotate_master_key: % keys wrapped, % keys/s', total,
        pg_catalog.round(total::numeric OPERATOR(pg_catalog./) pg_catalog.extract('epoch', told OPERATOR(pg_catalog.-) began));
    end if;
  end loop;
  raise notice 'rotate_master_key: % keys wrapped; both shares are valid until: select tenantry.finish_master_rotation(<new share>);', total;
end
$$;

comment on procedure tenantry.rotate_master_key(bytea, bytea, integer) is
  'Replaces the application''s share of the master key: wraps every data key anew, in batches that commit, and touches no row. Afterwards both shares are valid, so that the application can be given the new one; tenantry.finish_master_rotation() ends that. Resumes where it was interrupted. Errors: 42501, TN005, TN006, TN011.';

create function tenantry.finish_master_rotation(new_share bytea)
returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
#print_strict_params off
declare
  keys tenantry_private.unlocked_key[];
  left_ bigint;
begin
  perform tenantry_private.require_admin('rotate the master key');
  -- Whoever makes a key under the old master key now holds a share of its row.
  lock table tenantry_private.master_keys, tenantry_private.data_keys in share row exclusive mode;
  keys := tenantry_private.unlock(new_share);
  if cardinality(keys) < 2 then
    perform tenantry_private.refuse('no rotation of the master key is under way', 'See tenantry.key_status.');
  end if;
  if keys[1].state <> 'active' then
    perform tenantry_private.refuse_share('the old one: finishing needs the new one');
  end if;
  select (select count(*) from tenantry_private.data_keys k where k.master_key = keys[2].master_key)
       + (select count(*) from tenantry_private.index_keys i where i.master_key = keys[2].master_key)
    into left_;
  if left_ > 0 then
    perform tenantry_private.refuse(format('%s keys are still wrapped by the old master key', left_), 'Run: call tenantry.rotate_master_key(<old share>, <new share>); again, it goes on where it was.');
  end if;
  delete from tenantry_private.master_keys m where m.id = keys[2].master_key;
  update tenantry_private.master_keys m set bridge = null where m.id = keys[1].master_key;
end
$$;

comment on function tenantry.finish_master_rotation(bytea) is
  'Ends a rotation of the master key: the old share opens nothing any more. Run it when the whole application has the new one. Old backups still open with the old share: destroy it once they have expired. Errors: 42501, TN005, TN011.';

-- Data keys. New versions first, then every value is sealed anew, then the old versions are refused.
create function tenantry_private.supersede_data_keys(only_for text, key_share bytea, batch_size integer)
returns integer
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
#print_strict_params off
declare
  keys     constant tenantry_private.unlocked_key[] := tenantry_private.unlock(coalesce(key_share, tenantry_private.current_share()));
  active   constant tenantry_private.unlocked_key := tenantry_private.key_of(keys, null);
  old_key  record;
  secret   bytea;
  made     bytea;
  done     integer := 0;
begin
  perform tenantry_private.require_admin('rotate data keys');
  if only_for is not null then
    perform tenantry_private.require_entity(only_for);
  end if;
  -- Waits for whoever seals with the old key in a transaction that is still open.
  for old_key in
    select k.*
      from tenantry_private.data_keys k
      join tenantry_private.entities e on e.kind = k.kind and e.id = k.id and e.serial = k.serial and e.gone_at is null
     where k.superseded_at is null and k.wrapped is not null
       and (only_for is null or k.kind = tenantry_private.kind_of(only_for) and k.id = tenantry_private.id_of(only_for))
       and not exists (select from tenantry_private.key_rotations r where r.version_above = k.number)
     order by k.number
     limit batch_size
       for update of k
  loop
    secret := tenantry_private.random_bytes(32);
    made   := tenantry_private.wrapped(tenantry_private.data_key_label(old_key.kind, old_key.id, old_key.serial, old_key.version + 1), secret, active);
    update tenantry_private.data_keys k set superseded_at = now() where k.number = old_key.number;
    with fresh as (
      insert into tenantry_private.data_keys (kind, id, serial, version, master_key, wrapped)
      values (old_key.kind, old_key.id, old_key.serial, old_key.version + 1, active.master_key, made)
      returning number)
    insert into tenantry_private.key_rotations (version_above) select fresh.number from fresh;
    done := done + 1;
  end loop;
  return done;
end
$$;

comment on function tenantry_private.supersede_data_keys(text, bytea, integer) is 'Makes new versions of some data keys; 0 when every entity has one of this rotation. Errors: 42501, TN005, TN009.';

create function tenantry_private.retire_data_keys()
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
  perform tenantry_private.require_admin('rotate data keys');
  update tenantry_private.data_keys k
     set retired_at = now()
    from tenantry_private.key_rotations r
    join tenantry_private.data_keys fresh on fresh.number = r.version_above
   where k.kind = fresh.kind and k.id = fresh.id and k.serial = fresh.serial and k.version < fresh.version
     and k.retired_at is null and k.wrapped is not null;
  get diagnostics retired = row_count;
  delete from tenantry_private.key_rotations;
  return retired;
end
$$;

comment on function tenantry_private.retire_data_keys() is 'Refuses the versions that a rotation has replaced, and ends it.';

create procedure tenantry.rotate_data_keys(key_share bytea default null, entity tenantry.entity default null, batch_size integer default 5000)
language plpgsql
as $$
declare
  made      integer;
  total     bigint := 0;
  changed   bigint := 0;
  secret    record;
begin
  if batch_size is null or batch_size OPERATOR(pg_catalog.<) 1 or batch_size OPERATOR(pg_catalog.>) 100000 then
    perform tenantry_private.refuse('a batch has between 1 and 100000 rows', 'The default is 5000.');
  end if;
  loop
    made := tenantry_private.supersede_data_keys(entity, key_share, batch_size);
    commit;
    exit when made OPERATOR(pg_catalog.=) 0;
    total := total OPERATOR(pg_catalog.+) made;
  end loop;
  raise notice 'rotate_data_keys: % new keys', total;
  for secret in select c.column_id, c.relation, c.column_name, c.state from tenantry.encrypted_columns c where c.state OPERATOR(pg_catalog.<>) 'added' loop
    if secret.state OPERATOR(pg_catalog.=) 'dual' then
      perform tenantry_private.refuse(pg_catalog.format('%s.%I is being encrypted', secret.relation, secret.column_name),
        pg_catalog.format('Let it come to an end first: call tenantry.encrypt_existing(%L, %L);', secret.relation, secret.column_name));
    end if;
    call tenantry_private.run_job(secret.relation, secret.column_id, 'reseal', key_share, batch_size, changed);
  end loop;
  raise notice 'rotate_data_keys: % values sealed anew, % old keys retired', changed, tenantry_private.retire_data_keys();
  commit;
end
$$;

comment on procedure tenantry.rotate_data_keys(bytea, tenantry.entity, integer) is
  'Gives every entity, or one, a new data key and seals its values anew, in batches that commit, while the application goes on; then the old versions are refused. Resumes where it was interrupted. Run as the owner of the tables or a superuser. key_share: unless a key file is set. Errors: 42501, 55P03, TN005, TN006, TN009, TN011.';

create function tenantry.shred(entity tenantry.entity, reason text)
returns table (keys integer, still_readable text)
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
#variable_conflict use_variable
declare
  epoch timestamptz;
begin
  perform tenantry_private.require_admin('shred secrets');
  if reason is null or btrim(reason) = '' then
    perform tenantry_private.refuse('shredding needs a reason', 'Say why: select * from tenantry.shred(<entity>, ''…'');');
  end if;
  if not exists (
       select
         from tenantry_private.entities e
        where e.kind = tenantry_private.kind_of(entity) and e.id = tenantry_private.id_of(entity)) then
    perform tenantry_private.require_entity(entity);
  end if;
  -- Every life of the id; waits for transactions that are sealing with these keys.
  update tenantry_private.data_keys k
     set wrapped = null, master_key = null, shredded_at = now(), superseded_at = coalesce(k.superseded_at, now())
   where k.kind = tenantry_private.kind_of(entity) and k.id = tenantry_private.id_of(entity) and k.wrapped is not null;
  get diagnostics keys = row_count;
  select m.created_at into epoch from tenantry_private.master_keys m where m.state = 'active';
  still_readable := format(
    'Backups, dumps, standbys that lag and WAL made before %s still hold the wrapped keys of %s, and open with the application share in use since %s. To close that, rotate the master key (tenantry keys rotate, keys finish-rotation) and destroy the old secret once those have expired. Blind indexes still show which rows had equal values.',
    to_char(now() at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS "UTC"'), entity, coalesce(to_char(epoch at time zone 'UTC', 'YYYY-MM-DD HH24:MI "UTC"'), 'the beginning'));
  raise log 'tenantry: % shredded % keys of %: %', session_user, keys, entity, reason;
  return next;
end
$$;

comment on function tenantry.shred(tenantry.entity, text) is
  'Destroys the data keys of an entity, at once: its secrets read as NULL from the next statement on. Returns how many keys, and what still holds them until when. New secrets of the entity get new keys. Errors: 42501, TN009, TN011.';

create view tenantry.key_status as
select m.id as master_key, m.state,
       (select count(*) from tenantry_private.data_keys k where k.master_key = m.id) as data_keys,
       (select count(*) from tenantry_private.data_keys k where k.master_key = m.id and k.superseded_at is not null and k.retired_at is null) as superseded,
       (select count(*) from tenantry_private.data_keys k where k.master_key = m.id and k.retired_at is not null) as retired,
       (select count(*) from tenantry_private.data_keys k where k.shredded_at is not null) as shredded,
       m.created_at
  from tenantry_private.master_keys m;

comment on view tenantry.key_status is
  'Master keys and how many data keys each wraps; shredded: of the whole database. Two rows while the master key is rotated: with 0 data keys left at the retiring one, finish_master_rotation() may be called. For admins.';
