-- A ring holds the data keys of one entity for one statement, sealed under the database's signing key and bound to the
-- transaction. Functions in a view run with the caller's EXECUTE, so whatever they return must be worth nothing by itself.
--
--   r1.<mac>.<key id>␟<hex of iv and ciphertext>␟<audited columns that it does not open>
-- and inside: the tag key (32 bytes), then for each key its number (4 bytes) and itself (32 bytes, zeros once shredded),
-- the newest first.

create function tenantry_private.sealed_ring(content bytea, signer tenantry_private.signing_keys)
returns text
language plpgsql volatile
as $$
#print_strict_params off
declare
  iv  constant bytea := tenantry_private.random_bytes(16);
  key constant bytea := signer.secret;
begin
  return encode(iv || tenantry_private.aes_encrypt(content, tenantry_private.expanded(key, 'tenantry/v1/ring'), iv), 'hex');
end
$$;

comment on function tenantry_private.sealed_ring(bytea, tenantry_private.signing_keys) is 'Encrypts what is on a ring.';

create function tenantry_private.sealed_ring(what text, owner text, content bytea, closed text, signer tenantry_private.signing_keys)
returns text
language plpgsql volatile
as $$
#print_strict_params off
begin
  return tenantry_private.sealed(what, signer,
    owner || E'\x1f' || tenantry_private.sealed_ring(content, signer) || E'\x1f' || closed, timestamptz_send(now()));
end
$$;

comment on function tenantry_private.sealed_ring(text, text, bytea, text, tenantry_private.signing_keys) is 'Seals a ring to seal with (w1) for this transaction, with its owner in front. ring_of() seals those to open with (r1), so that who may write but not decrypt cannot use the one for the other.';

-- A session plans these queries once, perhaps while there are few keys, and would go on reading the whole table when there
-- are many.
create function tenantry_private.ring_content(owner text, keys tenantry_private.unlocked_key[])
returns bytea
language plpgsql stable
set enable_seqscan = off
as $$
#print_strict_params off
declare
  key     record;
  content bytea := (select t.secret from tenantry_private.tag_keys t);
begin
  for key in
    select k.number, k.serial, k.version, k.master_key, k.wrapped
      from tenantry_private.entities e
      join tenantry_private.data_keys k on k.kind = e.kind and k.id = e.id and k.serial = e.serial and k.retired_at is null
     where e.kind = tenantry_private.kind_of(owner) and e.id = tenantry_private.id_of(owner) and e.gone_at is null
     order by k.version desc
  loop
    content := content || int4send(key.number) || case
      when key.wrapped is null then decode(repeat('00', 32), 'hex')
      else tenantry_private.unwrapped(owner || '#' || key.serial || '#' || key.version, key.wrapped, tenantry_private.key_of(keys, key.master_key))
    end;
  end loop;
  return content;
end
$$;

comment on function tenantry_private.ring_content(text, tenantry_private.unlocked_key[]) is 'The tag key and the data keys of an entity. Errors: TN005, TN006.';

create function tenantry_private.current_share(signer tenantry_private.signing_keys)
returns bytea
language plpgsql stable
as $$
#print_strict_params off
declare
  kept  constant text  := current_setting('tenantry.key_share', true);
  key   constant bytea := signer.secret;
  bytes bytea;
begin
  -- As opened() does, in one expression.
  if starts_with(kept, 'h1.') and split_part(substr(kept, 69), E'\x1f', 1) = signer.id
     and tenantry_private.same_mac(substr(kept, 4, 64),
           tenantry_private.hmac_sha256(tenantry_private.signed_bytes('h1', substr(kept, 69), timestamptz_send(now())), key)) then
    bytes := decode(split_part(kept, E'\x1f', 2), 'hex');
    return tenantry_private.aes_decrypt(substr(bytes, 17), tenantry_private.expanded(key, 'tenantry/v1/share'), substr(bytes, 1, 16));
  end if;
  return tenantry_private.current_share();
end
$$;

comment on function tenantry_private.current_share(tenantry_private.signing_keys) is 'The same with a signing key that is at hand already. Error: TN005.';

create function tenantry_private.ring_of(owner text, read_columns uuid[], signer tenantry_private.signing_keys)
returns text
language plpgsql stable
as $$
#print_strict_params off
declare
  share    constant bytea := tenantry_private.current_share(signer);
  key      constant bytea := signer.secret;
  iv       constant bytea := tenantry_private.random_bytes(16);
  of_kind  constant text  := tenantry_private.kind_of(owner);
  of_id    constant text  := tenantry_private.id_of(owner);
  living   bigint;
  data_key record;
  content  bytea;
  master   uuid;
  db_share bytea;
  prk      bytea;
  wrap_key bytea;
  auth_key bytea;
  closed   text;
  body     text;
begin
  closed  := coalesce((select string_agg(c.column_id::text, ',') from tenantry_private.encrypted_columns c where c.audited and coalesce(c.column_id = any (read_columns), false) is false), '');
  content := (select t.secret from tenantry_private.tag_keys t);
  -- Usually the share opens every key, and this does what ring_content() makes by way of unlock(). Small queries, because
  -- starting one that joins costs more than all of them.
  living := (select e.serial from tenantry_private.entities e where e.kind = of_kind and e.id = of_id and e.gone_at is null);
  for data_key in
    select k.number, k.version, k.master_key, k.wrapped
      from tenantry_private.data_keys k
     where k.kind = of_kind and k.id = of_id and k.serial = living and k.retired_at is null
     order by k.version desc
  loop
    if data_key.master_key is distinct from master then
      master   := data_key.master_key;
      db_share := (select m.share from tenantry_private.master_keys m where m.id = master);
      prk      := tenantry_private.hmac_sha256(share, db_share);
      wrap_key := tenantry_private.expanded(prk, 'tenantry/v1/wrap/encrypt');
      auth_key := tenantry_private.expanded(prk, 'tenantry/v1/wrap/authenticate');
    end if;
    if (sha256(substr(data_key.wrapped, 65))
        = sha256(tenantry_private.hmac_sha256(E'\\x74656e616e7472792f76312f6b6579'::bytea
            || tenantry_private.part(convert_to(owner || '#' || living || '#' || data_key.version, 'UTF8')) || uuid_send(master)
            || substr(data_key.wrapped, 1, 64), auth_key))) is not true then
      content := null;
      exit;
    end if;
    content := content || int4send(data_key.number) || tenantry_private.aes_decrypt(substr(data_key.wrapped, 17, 48), wrap_key, substr(data_key.wrapped, 1, 16));
  end loop;
  if content is null or octet_length(content) = 32 then
    content := tenantry_private.ring_content(owner, tenantry_private.unlock(share));
  end if;
  -- As sealed() does. Without a signing key there is no context either, but whom a role is bound to may still be known.
  if signer.id is null then
    body := tenantry_private.current_signer();
  end if;
  body := signer.id || E'\x1f' || encode(iv || tenantry_private.aes_encrypt(content, tenantry_private.expanded(key, 'tenantry/v1/ring'), iv), 'hex') || E'\x1f' || closed;
  return 'r1.' || encode(tenantry_private.hmac_sha256(tenantry_private.signed_bytes('r1', body, timestamptz_send(now())), key), 'hex') || '.' || body;
end
$$;

comment on function tenantry_private.ring_of(text, uuid[], tenantry_private.signing_keys) is 'The ring of an entity. Of the audited columns it opens only those that are named, whose reading was recorded. Errors: TN005, TN006.';

create function tenantry_private.may_open(kind text)
returns text
language plpgsql stable
as $$
declare
  field constant text[] := tenantry_private.open_context();
begin
  return case when starts_with(field[6], kind || ':') and strpos(field[4], ',decrypt,') > 0 then field[6] end;
end
$$;

comment on function tenantry_private.may_open(text) is 'The principal of this kind, if the context leaves decrypt; else null. Errors: TN001, TN002, TN003.';

create function tenantry_private.may_open(kind text, signer tenantry_private.signing_keys)
returns text
language plpgsql stable
as $$
#print_strict_params off
declare
  field constant text[] := tenantry_private.opened('c1', current_setting('tenantry.context', true), timestamptz_send(now()), signer);
begin
  -- The conditions of open_context(); whatever else there is, it judges itself.
  if field[3] > tenantry_private.instant(statement_timestamp()) and field[2] <> tenantry_private.instant(statement_timestamp()) then
    return case when starts_with(field[6], kind || ':') and strpos(field[4], ',decrypt,') > 0 then field[6] end;
  end if;
  return tenantry_private.may_open(kind);
end
$$;

comment on function tenantry_private.may_open(text, tenantry_private.signing_keys) is 'The same with the signing key that is at hand already.';

-- Called as (select tenantry_private.ring(…)): once per statement, and not at all where no row has a secret to show.
create function tenantry_private.ring(kind text)
returns text
language plpgsql stable parallel restricted security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
#print_strict_params off
declare
  signer constant tenantry_private.signing_keys := (select k from tenantry_private.signing_keys k order by k.created_at desc limit 1);
  owner  constant text := tenantry_private.may_open(kind, signer);
begin
  return case when owner is not null then tenantry_private.ring_of(owner, '{}', signer) end;
end
$$;

comment on function tenantry_private.ring(text) is
  'The data keys of the principal for this statement, sealed; null without the privilege decrypt, so that secrets read as null. Errors: TN001, TN002, TN003, TN005.';

-- RETURNING sees a row whose key may have been made by this very statement, which a STABLE function does not see yet.
create function tenantry_private.ring_now(kind text)
returns text
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
#print_strict_params off
declare
  signer constant tenantry_private.signing_keys := (select k from tenantry_private.signing_keys k order by k.created_at desc limit 1);
  owner  constant text := tenantry_private.may_open(kind, signer);
begin
  return case when owner is not null then tenantry_private.ring_of(owner, '{}', signer) end;
end
$$;

comment on function tenantry_private.ring_now(text) is 'The same for a RETURNING clause: asked for each row returned. Errors: TN001, TN002, TN003, TN005.';

create function tenantry_private.note_reading(owner text, read_columns uuid[])
returns text
language plpgsql volatile
as $$
declare
  read_column uuid;
begin
  foreach read_column in array coalesce(read_columns, '{}') loop
    if pg_is_in_recovery() or current_setting('transaction_read_only') = 'on' then
      raise log 'tenantry: % read the column % of % decrypted', tenantry.actor(), read_column, owner;
    else
      insert into tenantry_private.secret_readings (actor, principal, column_id) values (tenantry.actor(), owner, read_column);
    end if;
  end loop;
  return null;
end
$$;

comment on function tenantry_private.note_reading(text, uuid[]) is 'Records that a statement read audited columns: a row for each, or a line in the log where nothing can be written.';

create function tenantry_private.audited_ring(kind text, variadic read_columns uuid[])
returns text
language plpgsql stable parallel unsafe security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
#print_strict_params off
declare
  signer  constant tenantry_private.signing_keys := (select k from tenantry_private.signing_keys k order by k.created_at desc limit 1);
  owner   constant text := tenantry_private.may_open(kind, signer);
  ignored text;
begin
  if owner is null then
    return null;
  end if;
  ignored := tenantry_private.note_reading(owner, read_columns);
  return tenantry_private.ring_of(owner, read_columns, signer);
end
$$;

create function tenantry_private.ring_now(kind text, variadic read_columns uuid[])
returns text
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
#print_strict_params off
declare
  signer  constant tenantry_private.signing_keys := (select k from tenantry_private.signing_keys k order by k.created_at desc limit 1);
  owner   constant text := tenantry_private.may_open(kind, signer);
  ignored text;
begin
  if owner is null then
    return null;
  end if;
  ignored := tenantry_private.note_reading(owner, read_columns);
  return tenantry_private.ring_of(owner, read_columns, signer);
end
$$;

comment on function tenantry_private.ring_now(text, uuid[]) is 'Like audited_ring() for a RETURNING clause: a record for each row returned. Errors: as ring().';

comment on function tenantry_private.audited_ring(text, uuid[]) is 'Like ring(), and records the reading of each of the columns, which it opens: a row of tenantry.secret_readings, or a line in the log of a standby. Errors: as ring().';

create view tenantry.secret_readings as
select r.at, r.actor, r.principal, r.login_role, c.relation, c.column_name, c.path
  from tenantry_private.secret_readings r
  left join tenantry_private.encrypted_columns c on c.column_id = r.column_id;

comment on view tenantry.secret_readings is 'Statements that read audited columns decrypted: one row a statement and column. For admins.';
