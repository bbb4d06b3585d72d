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
  ignored  text;
  keys     tenantry_private.unlocked_key[];
  old_key  tenantry_private.unlocked_key;
  new_key  tenantry_private.unlocked_key;
  new_id   constant uuid := gen_random_uuid();
  db_share bytea;
  prk      bytea;
  ahead    bytea;
  back     bytea;
begin
  perform tenantry_private.require_admin('rotate the master key');
  if octet_length(new_share) is distinct from 32 then
    ignored := tenantry_private.refuse_share(format('%s bytes long instead of 32', coalesce(octet_length(new_share), 0)));
  end if;
  lock table tenantry_private.master_keys in share row exclusive mode;
  keys := tenantry_private.unlock(old_share);
  if old_share = new_share then
    perform tenantry_private.refuse('the new share is the old one', 'Make another secret: openssl rand -base64 48');
  end if;
  if cardinality(keys) = 2 then
    -- Under way: only whoever knows both shares may go on with it.
    begin
      keys := tenantry_private.unlock(new_share);
      if keys[1].state = 'active' then
        return keys[2].master_key;
      end if;
    exception
      when sqlstate 'TN005' then
        keys := null;
    end;
    perform tenantry_private.refuse('a rotation of the master key to another share is under way',
      'Finish it first, with its new share: tenantry keys finish-rotation; or select tenantry.finish_master_rotation(<its new share>);');
  end if;
  old_key := keys[1];
  update tenantry_private.master_keys m set state = 'retiring' where m.id = old_key.master_key;
  -- As in create_master_key(): the database's share is never a parameter.
  insert into tenantry_private.master_keys (id, share, verifier) values (new_id, tenantry_private.random_bytes(32), tenantry_private.random_bytes(32));
  db_share := (select m.share from tenantry_private.master_keys m where m.id = new_id);
  prk      := tenantry_private.hmac_sha256(new_share, db_share);
  new_key  := row(new_id, 'active', tenantry_private.expanded(prk, 'tenantry/v1/wrap/encrypt'), tenantry_private.expanded(prk, 'tenantry/v1/wrap/authenticate'));
  ahead    := tenantry_private.wrapped('bridge:' || new_id, new_key.wrap_key || new_key.auth_key, old_key);
  back     := tenantry_private.wrapped('bridge:' || old_key.master_key, old_key.wrap_key || old_key.auth_key, new_key);
  prk      := tenantry_private.expanded(prk, 'tenantry/v1/wrap/verify');
  update tenantry_private.master_keys m set bridge = ahead where m.id = old_key.master_key;
  update tenantry_private.master_keys m set bridge = back, verifier = prk where m.id = new_id;
  perform tenantry_private.note('rotate_master_key', current_database(), jsonb_build_object('from', old_key.master_key, 'to', new_id));
  return old_key.master_key;
end
$$;

comment on function tenantry_private.begin_master_rotation(bytea, bytea) is 'Makes the new master key beside the old one, or finds a rotation to these shares under way. The old key''s name. Errors: 42501, TN005, TN011.';

create function tenantry_private.rewrap_batch(old_master uuid, new_share bytea, after integer, batch_size integer)
returns integer[]
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
set enable_seqscan = off
as $$
#print_strict_params off
declare
  keys     tenantry_private.unlocked_key[];
  old_key  tenantry_private.unlocked_key;
  new_key  tenantry_private.unlocked_key;
  old_auth bytea;
  new_auth bytea;
  new_id   bytea;
  numbers  integer[];
  labels   bytea[];
  signed   bytea[];
  tags     bytea[];
  bodies   bytea;
  changed  integer;
  index_id uuid;
  given    bytea;
begin
  perform tenantry_private.require_admin('rotate the master key');
  keys     := tenantry_private.unlock(new_share);
  old_key  := tenantry_private.key_of(keys, old_master);
  new_key  := tenantry_private.key_of(keys, null);
  old_auth := old_key.auth_key;
  new_auth := new_key.auth_key;
  new_id   := uuid_send(new_key.master_key);
  -- Keys are only assigned, never given to a statement, where debug settings would show them. What is not secret is made
  -- ready by one query, and the loops do no more than they must: they run a million times.
  select array_agg(k.number), array_agg(k.label), array_agg(k.label || uuid_send(old_master) || k.body), array_agg(k.tag), string_agg(k.body, '')
    into numbers, labels, signed, tags, bodies
    from (select l.number, l.body, l.tag, E'\\x74656e616e7472792f76312f6b6579'::bytea || int4send(octet_length(l.label)) || l.label as label
            from (select d.number, substr(d.wrapped, 1, 64) as body, substr(d.wrapped, 65) as tag,
                         convert_to(tenantry_private.data_key_label(d.kind, d.id, d.serial, d.version), 'UTF8') as label
                    from tenantry_private.data_keys d
                   where d.master_key = old_master and d.number > after
                   order by d.number
                   limit batch_size) l
          offset 0) k;
  if numbers is null then
    -- The few keys of blind indexes come last.
    for index_id, given in
      select i.column_id, i.wrapped from tenantry_private.index_keys i where i.master_key = old_master for no key update
    loop
      given := tenantry_private.wrapped('index:' || index_id, tenantry_private.unwrapped('index:' || index_id, given, old_key), new_key);
      update tenantry_private.index_keys i set wrapped = given, master_key = new_key.master_key where i.column_id = index_id;
    end loop;
    return array[0, 0];
  end if;
  for position in 1 .. cardinality(numbers) loop
    if tags[position] <> tenantry_private.hmac_sha256(signed[position], old_auth) then
      perform tenantry_private.refuse_wrapped(numbers[position]);
    end if;
  end loop;
  -- One call for all: IVs and ciphertexts in a row are one CBC message, in which each IV is the block in front of its
  -- ciphertext. It decrypts to the keys, each with its padding, behind blocks in the place of the IVs that mean nothing and
  -- are all different. Encrypted as they are, those become the new IVs.
  bodies := tenantry_private.aes_encrypt(
    tenantry_private.aes_decrypt(bodies, old_key.wrap_key, tenantry_private.random_bytes(16)), new_key.wrap_key, tenantry_private.random_bytes(16));
  for position in 1 .. cardinality(numbers) loop
    tags[position] := tenantry_private.hmac_sha256(labels[position] || new_id || substr(bodies, 64 * position - 63, 64), new_auth);
  end loop;
  -- Not locked before: what was shredded, or wrapped by another session, meanwhile is no longer under the old master key.
  update tenantry_private.data_keys k
     set wrapped = substr(bodies, (64 * u.position - 63)::integer, 64) || u.tag, master_key = new_key.master_key
    from unnest(numbers, tags) with ordinality as u (number, tag, position)
   where k.number = u.number and k.number between numbers[1] and numbers[cardinality(numbers)]
     and k.master_key = old_master;
  get diagnostics changed = row_count;
  return array[numbers[cardinality(numbers)], changed];
end
$$;

comment on function tenantry_private.rewrap_batch(uuid, bytea, integer, integer) is
  'Wraps some data keys by the new master key: {the number of the last one, how many}; {0, 0} when none is left behind that number. Errors: 42501, TN005, TN006.';

create procedure tenantry.rotate_master_key(old_share bytea, new_share bytea, batch_size integer default 20000)
language plpgsql
as $$
declare
  old_master pg_catalog.uuid;
  batch      integer[];
  after      integer := 0;
  total      bigint  := 0;
  all_keys   bigint;
  began      constant pg_catalog.timestamptz := pg_catalog.clock_timestamp();
  told       pg_catalog.timestamptz := began;
begin
  if batch_size is null or batch_size OPERATOR(pg_catalog.<) 1 or batch_size OPERATOR(pg_catalog.>) 100000 then
    perform tenantry_private.refuse('a batch has between 1 and 100000 keys', 'The default is 20000.');
  end if;
  old_master := tenantry_private.begin_master_rotation(old_share, new_share);
  commit;
  all_keys := (select s.data_keys from tenantry.key_status s where s.master_key OPERATOR(pg_catalog.=) old_master);
  loop
    batch := tenantry_private.rewrap_batch(old_master, new_share, after, batch_size);
    commit;
    -- At the end once more from the start: a transaction that began before this may have made a key meanwhile.
    exit when batch[1] OPERATOR(pg_catalog.=) 0 and after OPERATOR(pg_catalog.=) 0;
    after := batch[1];
    total := total OPERATOR(pg_catalog.+) batch[2];
    if pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-) told OPERATOR(pg_catalog.>) interval '2 seconds' then
      told := pg_catalog.clock_timestamp();
      raise notice 'rotate_master_key: % of % keys wrapped, % keys/s', total, all_keys,
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
  keys   tenantry_private.unlocked_key[];
  old_id uuid;
  new_id uuid;
  left_  bigint;
begin
  perform tenantry_private.require_admin('rotate the master key');
  keys := tenantry_private.unlock(new_share);
  if cardinality(keys) < 2 then
    perform tenantry_private.refuse('no rotation of the master key is under way', 'See tenantry.key_status; to begin one: call tenantry.rotate_master_key(<old share>, <new share>);');
  end if;
  if keys[1].state <> 'active' then
    perform tenantry_private.refuse_share('the old one: finishing needs the new one');
  end if;
  old_id := keys[2].master_key;
  new_id := keys[1].master_key;
  if tenantry_private.setting('key_provider', 'session') = 'file' then
    begin
      keys := tenantry_private.unlock(tenantry_private.key_file());
    exception
      when sqlstate 'TN005' then
        keys := null;
    end;
    if keys[1].master_key is distinct from new_id then
      perform tenantry_private.refuse('the key file of this server does not hold the new share',
        'Put it there first: tenantry keys share > <file>; or run: select tenantry.set_key_provider(''session'');');
    end if;
  end if;
  -- Waits for whoever makes a key under the old master key: see hold_master_key().
  perform from tenantry_private.master_keys m where m.id = old_id for update;
  lock table tenantry_private.index_keys in share row exclusive mode;
  select (select count(*) from tenantry_private.data_keys k where k.master_key = old_id)
       + (select count(*) from tenantry_private.index_keys i where i.master_key = old_id)
    into left_;
  if left_ > 0 then
    perform tenantry_private.refuse(format('%s keys are still wrapped by the old master key', left_), 'Run: call tenantry.rotate_master_key(<old share>, <new share>); again, it goes on where it was.');
  end if;
  delete from tenantry_private.master_keys m where m.id = old_id;
  update tenantry_private.master_keys m set bridge = null where m.id = new_id;
  perform tenantry_private.note('finish_master_rotation', current_database(), jsonb_build_object('destroyed', old_id));
end
$$;

comment on function tenantry.finish_master_rotation(bytea) is
  'Ends a rotation of the master key: the old share opens nothing any more. Run it when the whole application, and the key file if there is one, has the new one. Old backups still open with the old share: destroy it once they have expired. Errors: 42501, TN005, TN011.';

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
  keys    tenantry_private.unlocked_key[];
  active  tenantry_private.unlocked_key;
  numbers integer[];
  old_key tenantry_private.data_keys;
  secret  bytea;
  made    bytea;
  fresh   integer;
begin
  perform tenantry_private.require_admin('rotate data keys');
  if only_for is not null then
    perform tenantry_private.require_entity(only_for);
  end if;
  keys   := tenantry_private.unlock(coalesce(key_share, tenantry_private.current_share()));
  active := tenantry_private.key_of(keys, null);
  perform tenantry_private.hold_master_key(active.master_key);
  -- First those that nobody seals with at this moment. Then one by one, so that waiting for one transaction that is still
  -- open keeps nobody else from sealing.
  select array_agg(k.number)
    into numbers
    from (select d.number
            from tenantry_private.data_keys d
            join tenantry_private.entities e on e.kind = d.kind and e.id = d.id and e.serial = d.serial and e.gone_at is null
           where d.superseded_at is null and d.wrapped is not null
             and (only_for is null or d.kind = tenantry_private.kind_of(only_for) and d.id = tenantry_private.id_of(only_for))
             and not exists (select from tenantry_private.key_rotations r where r.version_above = d.number)
           order by d.number
           limit batch_size
             for update of d skip locked) k;
  if numbers is null and batch_size > 0 then
    select array_agg(k.number)
      into numbers
      from (select d.number
              from tenantry_private.data_keys d
              join tenantry_private.entities e on e.kind = d.kind and e.id = d.id and e.serial = d.serial and e.gone_at is null
             where d.superseded_at is null and d.wrapped is not null
               and (only_for is null or d.kind = tenantry_private.kind_of(only_for) and d.id = tenantry_private.id_of(only_for))
               and not exists (select from tenantry_private.key_rotations r where r.version_above = d.number)
             order by d.number
             limit 1
               for update of d) k;
  end if;
  for old_key in select * from tenantry_private.data_keys d where d.number = any (numbers) order by d.number loop
    secret := tenantry_private.random_bytes(32);
    made   := tenantry_private.wrapped(tenantry_private.data_key_label(old_key.kind, old_key.id, old_key.serial, old_key.version + 1), secret, active);
    update tenantry_private.data_keys k set superseded_at = now() where k.number = old_key.number;
    insert into tenantry_private.data_keys (kind, id, serial, version, master_key, wrapped)
    values (old_key.kind, old_key.id, old_key.serial, old_key.version + 1, active.master_key, made)
    returning number into fresh;
    insert into tenantry_private.key_rotations (version_above) values (fresh);
  end loop;
  if numbers is not null then
    -- Values of these keys may lie in front of where an interrupted rotation would go on.
    update tenantry_private.engine_jobs j set after = null where j.job like 'reseal %' and j.after is not null;
  end if;
  return coalesce(cardinality(numbers), 0);
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
  -- Not what values are left for that did not open: mended, or put back where they belong, they are to open again.
  update tenantry_private.data_keys k
     set retired_at = now()
    from tenantry_private.key_rotations r
    join tenantry_private.data_keys fresh on fresh.number = r.version_above
   where k.kind = fresh.kind and k.id = fresh.id and k.serial = fresh.serial and k.version < fresh.version
     and k.retired_at is null and k.wrapped is not null
     and not exists (select from tenantry_private.unopened_values u where u.owner = k.kind || ':' || k.id)
     and not exists (select from tenantry_private.unopened_values u where u.key_number = k.number);
  get diagnostics retired = row_count;
  -- The rotation of those goes on when it is called again.
  delete from tenantry_private.key_rotations r
   using tenantry_private.data_keys fresh
   where fresh.number = r.version_above
     and not exists (
       select
         from tenantry_private.data_keys k
        where k.kind = fresh.kind and k.id = fresh.id and k.serial = fresh.serial and k.version < fresh.version
          and k.retired_at is null and k.wrapped is not null);
  perform tenantry_private.note('rotate_data_keys', current_database(), jsonb_build_object('retired', retired));
  return retired;
end
$$;

comment on function tenantry_private.retire_data_keys() is 'Refuses the versions that a rotation has replaced, and ends it, but for keys of owners with values that did not open.';

create view tenantry.unopened_values as
select c.relation, c.column_name, c.path, u.owner, u.rows, u.examples, nullif(u.key_number, 0) as key_number, u.found_at
  from tenantry_private.unopened_values u
  join tenantry_private.encrypted_columns c on c.column_id = u.column_id;

comment on view tenantry.unopened_values is
  'Values that the last rotation of data keys could not open and left as they are: of each column and owner how many rows, and a few of them as conditions. They were changed or moved past the triggers, or their owner is gone. key_number: the data key that they name; null where this database did not seal them. Write them anew as their owner, set them to null or restore the rows, and call tenantry.rotate_data_keys() again: until then older keys of these owners are kept. For admins.';

create function tenantry_private.report_unopened()
returns bigint
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  found record;
  total bigint := 0;
begin
  for found in
    select u.relation, u.column_name, nullif(u.path, '{}') as path, sum(u.rows) as rows,
           (select string_agg(e.example, '; ')
              from (select distinct e.example
                      from tenantry.unopened_values o cross join lateral unnest(o.examples) as e (example)
                     where o.relation = u.relation and o.column_name = u.column_name and o.path = u.path
                     order by 1
                     limit 5) e) as examples
      from tenantry.unopened_values u
     group by u.relation, u.column_name, u.path
     order by u.relation::text, u.column_name, u.path
  loop
    total := total + found.rows;
    raise warning 'rotate_data_keys: % values of %.% do not open and were left as they are: %',
      found.rows, found.relation, quote_ident(found.column_name) || coalesce(' at ' || found.path::text, ''),
      found.examples || case when found.rows > 5 then '; …' else '' end
      using hint = 'Write each anew as its owner, set it to null or restore the row; then call tenantry.rotate_data_keys() again. Until then the older keys of these owners are not retired. See tenantry.unopened_values.';
  end loop;
  return total;
end
$$;

comment on function tenantry_private.report_unopened() is 'Warns of values that did not open, by column, and counts them.';

create procedure tenantry.rotate_data_keys(key_share bytea default null, entity tenantry.entity default null, batch_size integer default 5000)
language plpgsql
as $$
declare
  made      integer;
  total     bigint := 0;
  changed   bigint := 0;
  unopened  bigint;
  secret    record;
begin
  if batch_size is null or batch_size OPERATOR(pg_catalog.<) 1 or batch_size OPERATOR(pg_catalog.>) 100000 then
    perform tenantry_private.refuse('a batch has between 1 and 100000 rows', 'The default is 5000.');
  end if;
  for secret in select c.relation, c.column_name, c.state from tenantry.encrypted_columns c where c.state OPERATOR(pg_catalog.<>) 'added' loop
    perform tenantry_private.require_own_table(secret.relation, 'rotate_data_keys');
    if secret.state OPERATOR(pg_catalog.=) 'dual' then
      perform tenantry_private.refuse(pg_catalog.format('%s.%I is being encrypted', secret.relation, secret.column_name),
        pg_catalog.format('Let it come to an end first: call tenantry.encrypt_existing(%L, %L);', secret.relation, secret.column_name));
    end if;
  end loop;
  -- With nothing to do it only asks for the share and the entity, before this session is the one that rotates.
  made := tenantry_private.supersede_data_keys(entity, key_share, 0);
  -- One rotation at a time: its end retires what every one of them has replaced.
  perform tenantry_private.lock_job('tenantry_private.data_keys'::pg_catalog.regclass, 'rotate_data_keys');
  loop
    begin
      made := tenantry_private.supersede_data_keys(entity, key_share, batch_size);
    exception
      when others or query_canceled or assert_failure then
        perform tenantry_private.unlock_job('tenantry_private.data_keys'::pg_catalog.regclass, 'rotate_data_keys');
        raise;
    end;
    commit;
    exit when made OPERATOR(pg_catalog.=) 0;
    total := total OPERATOR(pg_catalog.+) made;
  end loop;
  raise notice 'rotate_data_keys: % new keys', total;
  for secret in select c.column_id, c.relation, c.column_name, c.state from tenantry.encrypted_columns c where c.state OPERATOR(pg_catalog.<>) 'added' loop
    call tenantry_private.run_job(secret.relation, secret.column_id, 'reseal', key_share, batch_size, changed);
  end loop;
  begin
    unopened := tenantry_private.report_unopened();
    raise notice 'rotate_data_keys: % values sealed anew, % old keys retired%', changed, tenantry_private.retire_data_keys(),
      case when unopened OPERATOR(pg_catalog.>) 0 then pg_catalog.format(', %s values left that do not open', unopened) else '' end;
  exception
    when others or query_canceled or assert_failure then
      perform tenantry_private.unlock_job('tenantry_private.data_keys'::pg_catalog.regclass, 'rotate_data_keys');
      raise;
  end;
  perform tenantry_private.unlock_job('tenantry_private.data_keys'::pg_catalog.regclass, 'rotate_data_keys');
  commit;
end
$$;

comment on procedure tenantry.rotate_data_keys(bytea, tenantry.entity, integer) is
  'Gives every entity, or one, a new data key and seals its values anew, in batches that commit, while the application goes on; at its end the old versions are retired: a value sealed by one, brought back from wherever, is refused (TN006). tenantry.key_status counts them. A value that does not open is left as it is, with a warning, and older keys of its owner are kept until it is mended and this is called again: tenantry.unopened_values. Waits for transactions that are still sealing with an old key. Interrupted, it goes on where it was when it is called again. Run as the owner of the tables or a superuser; one at a time. key_share: unless a key file is set. Errors: 42501, 55P03, TN005, TN006, TN009, TN011.';

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
  -- Every life of the id. Waits for transactions that are sealing with these keys, so that none of them loses what it wrote
  -- without a word.
  perform from tenantry_private.data_keys k
    where k.kind = tenantry_private.kind_of(entity) and k.id = tenantry_private.id_of(entity) and k.wrapped is not null
    order by k.number for update;
  update tenantry_private.data_keys k
     set wrapped = null, master_key = null, shredded_at = now(), superseded_at = coalesce(k.superseded_at, now())
   where k.kind = tenantry_private.kind_of(entity) and k.id = tenantry_private.id_of(entity) and k.wrapped is not null;
  get diagnostics keys = row_count;
  select m.created_at into epoch from tenantry_private.master_keys m where m.state = 'active';
  still_readable := format(
    'Backups, dumps, WAL and standbys that lag, from before %s, still hold the wrapped keys of %s, and so do the files of this database until: vacuum full tenantry_private.data_keys; Each opens with the application share of its time (the present one: since %s). To close that, rotate the master key (tenantry keys rotate, keys finish-rotation) and destroy the old secret once the backups have expired. Blind indexes still show which rows had equal values.',
    to_char(now() at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS "UTC"'), entity, coalesce(to_char(epoch at time zone 'UTC', 'YYYY-MM-DD HH24:MI "UTC"'), 'the beginning'));
  perform tenantry_private.note('shred', entity, jsonb_build_object('keys', keys, 'reason', reason));
  return next;
end
$$;

comment on function tenantry.shred(tenantry.entity, text) is
  'Destroys the data keys of an entity, at once: its secrets read as NULL from the next statement on, in every session (in a REPEATABLE READ transaction: from the next transaction on). Waits for transactions that are writing secrets of the entity. Returns how many keys, and what still holds them until when: old dumps with the old share, so that a rotation of the master key, and the old secret destroyed, end that epoch. New secrets of the entity get new keys. Errors: 42501, TN009, TN011.';

create view tenantry.key_status as
select m.id as master_key, m.state,
       (select count(*) from tenantry_private.data_keys k where k.master_key = m.id) as data_keys,
       (select count(*) from tenantry_private.data_keys k where k.master_key = m.id and k.superseded_at is not null and k.retired_at is null) as superseded,
       (select count(*) from tenantry_private.data_keys k where k.master_key = m.id and k.retired_at is not null) as retired,
       (select count(*) from tenantry_private.data_keys k where k.shredded_at is not null) as shredded,
       m.created_at
  from tenantry_private.master_keys m;

comment on view tenantry.key_status is
  'Master keys and how many data keys each wraps. superseded: a rotation of data keys is under way, and they still open what it has not come to, or did not open (tenantry.unopened_values). retired: older than the version that is accepted, refused. shredded: destroyed, of the whole database. Two rows while the master key is rotated: with 0 data keys left at the retiring one, finish_master_rotation() may be called. For admins.';
