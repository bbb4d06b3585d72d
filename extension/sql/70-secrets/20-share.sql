-- The application's share of the master key travels as a bind parameter, once per transaction, and is kept in a setting of
-- that transaction, sealed under the database's signing key: SQL in the session can neither read it back nor use it later.

-- STABLE, because convert_to() is: as an IMMUTABLE function it would not be inlined.
create function tenantry_private.expanded(prk bytea, label text)
returns bytea
language sql stable parallel safe
return tenantry_private.hmac_sha256(convert_to(label, 'UTF8') || '\x01', prk);

comment on function tenantry_private.expanded(bytea, text) is 'One block of HKDF-Expand with SHA-256 (RFC 5869): 32 bytes.';

create function tenantry_private.part(bytes bytea)
returns bytea
language sql immutable parallel safe
return int4send(octet_length(bytes)) || bytes;

comment on function tenantry_private.part(bytea) is 'Bytes behind their length, so that parts put in a row cannot be taken for others.';

create function tenantry_private.refuse_share(why text)
returns void
language plpgsql immutable
as $$
begin
  raise exception 'the key share is %', why
    using errcode = 'TN005',
          hint = 'Secrets need the application''s share of the master key: the tenantry pool brings it (keyShare), in SQL it is the second argument of tenantry.enter(), and key_share => ''\x…'' of a procedure, as "tenantry keys share" prints it; for psql users an admin names a file: tenantry.set_key_provider(''file'', …).';
end
$$;

comment on function tenantry_private.refuse_share(text) is 'Raises TN005. The reason never quotes the share.';

create function tenantry_private.keep_share(key_share bytea, signer tenantry_private.signing_keys)
returns void
language plpgsql volatile
as $$
#print_strict_params off
declare
  iv      constant bytea := tenantry_private.random_bytes(16);
  ignored text;
begin
  if octet_length(key_share) is distinct from 32 then
    -- Assigned, not performed: what is performed is a statement, and auto_explain shows the parameters of those.
    ignored := tenantry_private.refuse_share(format('%s bytes long instead of 32', coalesce(octet_length(key_share), 0)));
  end if;
  ignored := set_config('tenantry.key_share',
    tenantry_private.sealed('h1', signer,
      encode(iv || tenantry_private.aes_encrypt(key_share, tenantry_private.expanded(signer.secret, 'tenantry/v1/share'), iv), 'hex'),
      timestamptz_send(now())),
    true);
end
$$;

comment on function tenantry_private.keep_share(bytea, tenantry_private.signing_keys) is
  'Keeps the application''s share for this transaction. Error: TN005 unless it has 32 bytes.';

create function tenantry_private.key_file()
returns bytea
language sql stable
set search_path = pg_catalog, pg_temp
return null::bytea;

comment on function tenantry_private.key_file() is 'The share in the file that set_key_provider() named; a superuser''s function then, with that path in it. Null without a file.';

create function tenantry_private.current_share()
returns bytea
language plpgsql stable parallel safe
as $$
#print_strict_params off
declare
  kept  constant text := current_setting('tenantry.key_share', true);
  field text[];
  bytes bytea;
begin
  if kept <> '' then
    field := tenantry_private.opened('h1', kept, timestamptz_send(now()));
    if field is null then
      perform tenantry_private.refuse_share('not valid in this transaction');
    end if;
    bytes := decode(field[2], 'hex');
    return tenantry_private.aes_decrypt(substr(bytes, 17),
      tenantry_private.expanded((select k.secret from tenantry_private.signing_keys k where k.id = field[1]), 'tenantry/v1/share'),
      substr(bytes, 1, 16));
  end if;
  if exists (select from tenantry_private.settings s where s.setting = 'key_provider' and s.value = 'file') then
    bytes := tenantry_private.key_file();
    if octet_length(bytes) is distinct from 32 then
      perform tenantry_private.refuse_share('not in the key file: it must hold 64 hexadecimal digits');
    end if;
    return bytes;
  end if;
  perform tenantry_private.refuse_share('missing');
end
$$;

comment on function tenantry_private.current_share() is 'The application''s share of the master key, as brought by this transaction or found in the key file. Error: TN005.';

create function tenantry.enter(credential text, key_share bytea)
returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
#print_strict_params off
declare
  ignored text;
begin
  ignored := tenantry.enter(credential);
  ignored := tenantry_private.keep_share(key_share, tenantry_private.current_signer());
end
$$;

comment on function tenantry.enter(text, bytea) is
  'Like enter(credential), and brings the application''s share of the master key, so that secrets can be read and written in this transaction. key_share: 32 bytes; give it as a bind parameter. Errors: as tenantry.enter(text), TN005.';

create function tenantry_private.enter_for_pass(credential text, ttl_seconds integer, key_share bytea)
returns text
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
#print_strict_params off
declare
  ignored text;
begin
  ignored := tenantry_private.keep_share(key_share, tenantry_private.current_signer());
  return tenantry_private.enter_for_pass(credential, ttl_seconds);
end
$$;

comment on function tenantry_private.enter_for_pass(text, integer, bytea) is 'Like enter_for_pass(credential, ttl_seconds), and brings the key share. Errors: as that, TN005.';

create function tenantry.assume(principal tenantry.entity, actor tenantry.entity, key_share bytea)
returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
#print_strict_params off
declare
  ignored text;
begin
  perform tenantry_private.require_admin('assume an entity without a credential');
  ignored := tenantry.assume(principal, actor);
  ignored := tenantry_private.keep_share(key_share, tenantry_private.current_signer());
end
$$;

comment on function tenantry.assume(tenantry.entity, tenantry.entity, bytea) is
  'Like assume(principal, actor), and brings the application''s share of the master key. For admins and tests. Errors: as that, TN005.';

create function tenantry.bring_key_share(key_share bytea)
returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
#print_strict_params off
declare
  ignored text;
begin
  perform tenantry_private.require_admin('bring a key share');
  ignored := tenantry_private.keep_share(key_share, tenantry_private.current_signer());
end
$$;

comment on function tenantry.bring_key_share(bytea) is
  'For admins: brings the application''s share of the master key for this transaction, without a context: for imports and restores that write secrets. Errors: 42501, TN005.';

create function tenantry.wants_key_share()
returns boolean
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
begin
  return exists (select from tenantry_private.master_keys)
     and tenantry_private.setting('key_provider', 'session') = 'session';
end
$$;

comment on function tenantry.wants_key_share() is 'Whether sessions bring the application''s share of the master key here: there is one, and its provider is session.';

create function tenantry_private.record_key_provider(provider text)
returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
begin
  perform tenantry_private.require_admin('name a key provider');
  delete from tenantry_private.settings s where s.setting = 'key_provider';
  if provider <> 'session' then
    insert into tenantry_private.settings (setting, value) values ('key_provider', provider);
  end if;
  perform tenantry_private.note('set_key_provider', current_database(), jsonb_build_object('provider', provider));
end
$$;

comment on function tenantry_private.record_key_provider(text) is 'The definer half of set_key_provider().';

create function tenantry.set_key_provider(provider text, path text default null)
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
#print_strict_params off
declare
  content text;
begin
  perform tenantry_private.require_admin('name a key provider');
  if provider is null or provider not in ('session', 'file') or (provider = 'file') <> (path is not null) then
    perform tenantry_private.refuse('the key provider is session, or file with a path',
      'Run: select tenantry.set_key_provider(''session''); or select tenantry.set_key_provider(''file'', ''/etc/tenantry/key-share'');');
  end if;
  if provider = 'session' then
    perform tenantry_private.record_key_provider(provider);
    if (select r.rolsuper from pg_catalog.pg_roles r where r.rolname = current_user) then
      -- The path goes, and with it the superuser's function.
      create or replace function tenantry_private.key_file()
      returns bytea
      language sql stable
      set search_path = pg_catalog, pg_temp
      return null::bytea;
      alter function tenantry_private.key_file() owner to tenantry_owner;
    end if;
    return;
  end if;
  if not (select r.rolsuper from pg_catalog.pg_roles r where r.rolname = current_user) then
    raise exception 'only a superuser may name a file of the server' using errcode = '42501', hint = 'Run it as a superuser.';
  end if;
  if path !~ '^/' or path ~ '/([.][.]?)?(/|$)' then
    perform tenantry_private.refuse(format('%L is not the absolute path of a file', path), 'Name it from / on, without //, . and .. .');
  end if;
  if starts_with(path, current_setting('data_directory') || '/')
     or exists (select from pg_catalog.pg_tablespace t where pg_tablespace_location(t.oid) <> '' and starts_with(path, pg_tablespace_location(t.oid) || '/')) then
    perform tenantry_private.refuse(format('%L lies in the data directory, and so in every base backup', path), 'Keep the share outside of it, such as in /etc/tenantry.');
  end if;
  -- The function that reads it later answers TN005 alone; here the server may say what is wrong with the file.
  content := rtrim(convert_from(pg_read_binary_file(path), 'SQL_ASCII'), E'\r\n');
  if content !~ '^[0-9a-fA-F]{64}$' then
    content := null;
    perform tenantry_private.refuse(format('%L does not hold a key share', path), 'It must hold 64 hexadecimal digits and nothing else: tenantry keys share > <file>.');
  end if;
  if exists (select from tenantry_private.master_keys) then
    -- Raises TN005 for another share.
    content := cardinality(tenantry_private.unlock(decode(content, 'hex')));
  end if;
  content := null;
  -- A superuser's function, because only such a one may read files; the path is fixed in it, and tenantry_owner alone calls it.
  execute format($sql$
    create or replace function tenantry_private.key_file()
    returns bytea
    language plpgsql stable parallel safe security definer
    set search_path = pg_catalog, pg_temp
    set debug_print_parse = off
    set debug_print_rewritten = off
    set debug_print_plan = off
    as %L $sql$, format($body$
#print_strict_params off
begin
  return decode(rtrim(convert_from(pg_read_binary_file(%L), 'SQL_ASCII'), E'\r\n'), 'hex');
exception
  when others then
    raise exception 'the key file of this server cannot be read' using errcode = 'TN005', hint = 'A superuser sees to the file, or runs: select tenantry.set_key_provider(''session'');';
end
$body$, path));
  execute format('alter function tenantry_private.key_file() owner to %I', current_user);
  execute 'revoke all on function tenantry_private.key_file() from public';
  execute 'grant execute on function tenantry_private.key_file() to tenantry_owner';
  perform tenantry_private.record_key_provider(provider);
end
$$;

comment on function tenantry.set_key_provider(text, text) is
  'Where the application''s share of the master key comes from: session (default; each transaction brings it) or file (path: a file of the server outside its data directory with 64 hexadecimal digits, for people in psql; a superuser names it; a share that a transaction brings still comes first). Errors: 42501, 58P01 (no such file), TN005 (another share than the master key''s), TN011.';

create function tenantry_private.key_provider()
returns text
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
begin
  return tenantry_private.setting('key_provider', 'session');
end
$$;

comment on function tenantry_private.key_provider() is 'session or file.';
