-- Sealed values, version 1. extension/doc/sealed-values.md describes them byte by byte.
--
-- PL/pgSQL reads its literals under the session's standard_conforming_strings, so those with a backslash are E'…'.

create function tenantry_private.refuse_value()
returns void
language plpgsql immutable
as $$
begin
  raise exception 'the sealed value cannot be opened'
    using errcode = 'TN006',
          hint = 'It was changed, belongs to another place, owner, key or database, or its key was retired. Write the secret anew, or restore the row from a backup.';
end
$$;

comment on function tenantry_private.refuse_value() is 'Raises TN006: one error, whatever is wrong with a sealed value.';

-- Whether bytes, or a text, have the shape of a sealed value: nothing is decided by it, only what is worth looking at.
create function tenantry_private.shaped(bytes bytea)
returns bytea
language sql immutable parallel safe
return case when octet_length(bytes) >= 69 and octet_length(bytes) % 16 = 5 and get_byte(bytes, 0) = 1 then bytes end;

comment on function tenantry_private.shaped(bytea) is 'The bytes, if they have the shape of a sealed value; else null.';

-- Strict: unused bits of the last character must be zero, or several texts would stand for one value. A text is decoded once, so its length and first byte are told from its characters: 01 is A and one of Q to f, and
-- octet_length(rtrim(value, '=')) - octet_length(value) / 4 is the number of bytes and 3.
create function tenantry_private.shaped(value text)
returns bytea
language sql immutable parallel safe
return case
  when octet_length(value) >= 96 and octet_length(value) % 4 = 0
   and (octet_length(rtrim(value, '=')) - octet_length(value) / 4) % 16 = 8
   and value collate "C" ~ '^tn1:A[Q-Za-f][A-Za-z0-9+/]+([AEIMQUYcgkosw048]=|[AQgw]==)?$'
  then decode(right(value, -4), 'base64')
end;

comment on function tenantry_private.shaped(text) is 'The bytes that a text stands for, if it has the shape of a sealed value; else null.';

create function tenantry_private.as_text(bytes bytea)
returns text
language sql immutable parallel safe
return 'tn1:' || replace(encode(bytes, 'base64'), E'\n', '');

comment on function tenantry_private.as_text(bytea) is 'A sealed value as text: tn1: and base64 (RFC 4648).';

-- STABLE, because convert_to() is: as IMMUTABLE functions they would not be inlined.
create function tenantry_private.bound_bytes(column_id uuid, header bytea, owner text, pk bytea)
returns bytea
language sql stable parallel safe
return '\x74656e616e7472792f76312f76616c7565'::bytea || header || uuid_send(column_id)
    || int4send(octet_length(convert_to(owner, 'UTF8'))) || convert_to(owner, 'UTF8') || pk;

comment on function tenantry_private.bound_bytes(uuid, bytea, text, bytea) is
  'What a tag covers in front of IV and ciphertext: "tenantry/v1/value", header, column, owner, primary key.';

create function tenantry_private.is_ours(bytes bytea, tag_key bytea)
returns boolean
language sql immutable parallel safe
return sha256(substr(bytes, 14, 8))
     = sha256(substr(tenantry_private.hmac_sha256('\x74656e616e7472792f76312f6f726967696e'::bytea || substr(bytes, 1, 13), tag_key), 1, 8));

comment on function tenantry_private.is_ours(bytea, bytea) is 'Whether this database sealed a value, for whatever place.';

create function tenantry_private.is_for(bytes bytea, tag_key bytea, column_id uuid, owner text, pk bytea)
returns boolean
language sql stable parallel safe
return sha256(substr(bytes, octet_length(bytes) - 31))
     = sha256(tenantry_private.hmac_sha256(
         tenantry_private.bound_bytes(column_id, substr(bytes, 1, 5), owner, pk) || substr(bytes, 6, octet_length(bytes) - 37), tag_key));

comment on function tenantry_private.is_for(bytea, bytea, uuid, text, bytea) is 'Whether the tag of a sealed value is right for a place.';

create function tenantry_private.seal_bytes(plain bytea, number integer, data_key bytea, tag_key bytea, column_id uuid, owner text, pk bytea)
returns bytea
language plpgsql volatile
as $$
#print_strict_params off
declare
  head constant bytea := E'\\x01'::bytea || int4send(number);
  salt constant bytea := tenantry_private.random_bytes(8);
  iv   constant bytea := salt || substr(tenantry_private.hmac_sha256(E'\\x74656e616e7472792f76312f6f726967696e'::bytea || head || salt, tag_key), 1, 8);
  body constant bytea := iv || tenantry_private.aes_encrypt(plain, data_key, iv);
begin
  return head || body || tenantry_private.hmac_sha256(tenantry_private.bound_bytes(column_id, head, owner, pk) || body, tag_key);
end
$$;

comment on function tenantry_private.seal_bytes(bytea, integer, bytea, bytea, uuid, text, bytea) is 'Seals a value with given keys for a place (AES-256-CBC, then HMAC-SHA-256).';

create function tenantry_private.open_bytes(bytes bytea, data_key bytea, tag_key bytea, column_id uuid, owner text, pk bytea)
returns bytea
language plpgsql stable parallel safe
as $$
#print_strict_params off
begin
  if tenantry_private.is_for(bytes, tag_key, column_id, owner, pk) then
    return tenantry_private.aes_decrypt(substr(bytes, 22, octet_length(bytes) - 53), data_key, substr(bytes, 6, 16));
  end if;
  perform tenantry_private.refuse_value();
end
$$;

comment on function tenantry_private.open_bytes(bytea, bytea, bytea, uuid, text, bytea) is 'Opens a sealed value with given keys. Error: TN006.';

create function tenantry_private.key_on_ring(content bytea, number bytea)
returns bytea
language plpgsql immutable parallel safe
as $$
#print_strict_params off
begin
  for position in 0 .. (octet_length(content) - 32) / 36 - 1 loop
    if substr(content, 33 + 36 * position, 4) = number then
      return substr(content, 37 + 36 * position, 32);
    end if;
  end loop;
  return null;
end
$$;

comment on function tenantry_private.key_on_ring(bytea, bytea) is 'The key of a number on an opened ring; null if it is not there.';

-- IMMUTABLE is not what it is, but what makes PL/pgSQL ask for it once a session and keep the answer in its plan: a look
-- into the tables costs as much as opening a value. So what holds by it holds, and what does not is looked up and judged
-- anew: keys that were changed since cost time, never a wrong answer.
create function tenantry_private.current_signer(for_rings boolean)
returns bytea
language plpgsql immutable parallel safe
as $$
#print_strict_params off
declare
  secret  constant bytea := (select k.secret from tenantry_private.signing_keys k order by k.created_at desc limit 1);
  tag_key constant bytea := (select t.secret from tenantry_private.tag_keys t);
begin
  return secret || tenantry_private.expanded(secret, 'tenantry/v1/ring') || tag_key;
end
$$;

comment on function tenantry_private.current_signer(boolean) is 'What opening a value with a ring takes, as of some moment of the session: the key that signs, the one that encrypts rings, the tag key.';

-- What views and accessors call for every row. The usual case, keys of this session and the newest data key, is gone through
-- in as few expressions as it takes: each costs as much as a hash. A text, or bytes, differ in two places, so both come
-- from one text.
do $open$
declare
  variant record;
begin
  for variant in
    select *
      from (values
        ('open_text', 'text', 'text',
         'convert_from(%s, ''UTF8'')'),
        ('open_bytea', 'bytea', 'bytea', '%s')
      ) as v (name, given, result, wrap)
  loop
    execute format($sql$
      create function tenantry_private.%1$I(ring text, value %2$s, column_id uuid, owner text, pk bytea, or_plain boolean default false)
      returns %3$s
      language plpgsql stable parallel safe security definer
      set search_path = pg_catalog, pg_temp
      set debug_print_parse = off
      set debug_print_rewritten = off
      set debug_print_plan = off
      as %4$L $sql$, variant.name, variant.given, variant.result, format($body$
#print_strict_params off
declare
  given   constant bytea := convert_to(ring, 'UTF8');
  bytes   constant bytea := tenantry_private.shaped(value);
  keys    constant bytea := tenantry_private.current_signer(true);
  field   text[];
  signer  bytea;
  content bytea;
  key     bytea;
begin
  -- Both MACs at once, that of the ring and that of the value; the third field of a ring is empty where no column is audited.
  if substr(given, octet_length(given)) = E'\\x1f'::bytea
     and sha256(substr(given, 1, 68) || substr(bytes, octet_length(bytes) - 31))
       = sha256(E'\\x72312e'::bytea
           || convert_to(encode(tenantry_private.hmac_sha256(
                convert_to('r1' || E'\x1f' || current_database() || E'\x1f' || session_user || E'\x1f', 'UTF8')
                || substr(given, 69) || timestamptz_send(now()), substr(keys, 1, 32)), 'hex') || '.', 'UTF8')
           || tenantry_private.hmac_sha256(
                tenantry_private.bound_bytes(column_id, substr(bytes, 1, 5), owner, pk) || substr(bytes, 6, octet_length(bytes) - 37), substr(keys, 65)))
  then
    content := decode(split_part(ring, E'\x1f', 2), 'hex');
    content := tenantry_private.aes_decrypt(substr(content, 17), substr(keys, 33, 32), substr(content, 1, 16));
  else
    if ring is null or value is null then
      return null;
    end if;
    field  := string_to_array(substr(ring, 69), E'\x1f');
    signer := (select k.secret from tenantry_private.signing_keys k where k.id = field[1]);
    if (starts_with(ring, 'r1.')
        and tenantry_private.same_mac(substr(ring, 4, 64),
              tenantry_private.hmac_sha256(tenantry_private.signed_bytes('r1', substr(ring, 69), timestamptz_send(now())), signer))) is not true then
      perform tenantry_private.refuse_value();
    end if;
    content := decode(field[2], 'hex');
    content := tenantry_private.aes_decrypt(substr(content, 17), tenantry_private.expanded(signer, 'tenantry/v1/ring'), substr(content, 1, 16));
    if tenantry_private.is_for(bytes, substr(content, 1, 32), column_id, owner, pk) is not true or strpos(field[3], column_id::text) > 0 then
      if or_plain and tenantry_private.is_ours(bytes, substr(content, 1, 32)) is not true then
        return value;
      end if;
      perform tenantry_private.refuse_value();
    end if;
  end if;
  key := case when substr(content, 33, 4) = substr(bytes, 2, 4) then substr(content, 37, 32)
              else tenantry_private.key_on_ring(content, substr(bytes, 2, 4)) end;
  if key = E'\\x0000000000000000000000000000000000000000000000000000000000000000' then
    return null;
  elsif key is not null then
    return %s;
  end if;
  perform tenantry_private.refuse_value();
end
$body$, format(variant.wrap, 'tenantry_private.aes_decrypt(substr(bytes, 22, octet_length(bytes) - 53), key, substr(bytes, 6, 16))')));
  end loop;
end
$open$;

comment on function tenantry_private.open_text(text, text, uuid, text, bytea, boolean) is
  'Opens a sealed text with a ring. Null without a ring (no privilege decrypt) and once the key is shredded. or_plain: a value that is not sealed for this place is given back as it is, while a column is being encrypted. Error: TN006.';
comment on function tenantry_private.open_bytea(text, bytea, uuid, text, bytea, boolean) is 'Like open_text(), for bytes.';
