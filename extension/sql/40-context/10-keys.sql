create function tenantry.initialise(rotate boolean default false)
returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
#print_strict_params off
begin
  perform tenantry_private.require_admin('make keys');
  lock table tenantry_private.signing_keys in share row exclusive mode;
  if rotate then
    delete from tenantry_private.signing_keys;
    perform tenantry_private.note('initialise', current_database(), '{"rotate": true}');
  end if;
  -- No variable holds the key: it is made where it is stored.
  insert into tenantry_private.signing_keys (secret, lifetime)
  select tenantry_private.random_bytes(32), tenantry_private.setting('context_lifetime', '1 hour')::interval
   where not exists (select from tenantry_private.signing_keys);
end
$$;

comment on function tenantry.initialise(boolean) is
  'Makes the key that signs contexts, where there is none. rotate => true replaces it and so voids every context and pass of this database at once. Error: 42501.';

create function tenantry.register_issuer(
  key_id       text,
  key          bytea,
  leeway       interval default '5 seconds',
  max_lifetime interval default '24 hours'
)
returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
#print_strict_params off
#variable_conflict use_variable
declare
  header text;
begin
  perform tenantry_private.require_admin('register an issuer');
  if key_id is null or key_id !~ '^[A-Za-z0-9._-]{1,64}$' then
    raise exception 'the key id of an issuer consists of 1 to 64 letters, digits, dots, underscores or hyphens'
      using errcode = '22023', hint = 'It is the token''s header field "kid".';
  end if;
  if key is null or octet_length(key) < 32 then
    raise exception 'the key of issuer % has fewer than 32 bytes', key_id
      using errcode = '22023', hint = 'HS256 needs a key of at least 32 random bytes (RFC 7518, section 3.2).';
  end if;
  if leeway is null or leeway not between interval '0' and interval '5 minutes' then
    raise exception 'leeway must lie between 0 and 5 minutes' using errcode = '22023', hint = 'The default is 5 seconds.';
  end if;
  if max_lifetime is null or max_lifetime <= interval '0' then
    raise exception 'max_lifetime must be positive' using errcode = '22023', hint = 'The default is 24 hours.';
  end if;

  perform tenantry.initialise();
  header := tenantry_private.base64url_encode(
    convert_to(format('{"alg":"HS256","typ":"JWT","kid":"%s"}', key_id), 'UTF8'));
  insert into tenantry_private.issuer_keys as i (id, secret, header, leeway, max_lifetime)
  values (key_id, key, header, leeway, max_lifetime)
      on conflict (id) do update
     set secret       = excluded.secret,
         leeway       = excluded.leeway,
         max_lifetime = excluded.max_lifetime;
  perform tenantry_private.note('register_issuer', key_id, jsonb_build_object('leeway', leeway::text, 'max_lifetime', max_lifetime::text));
end
$$;

comment on function tenantry.register_issuer(text, bytea, interval, interval) is
  'Registers, or replaces, a key whose holder may issue credentials (JSON Web Tokens, HS256, RFC 7519). key: at least 32 bytes. leeway: tolerated clock difference, default 5 seconds, at most 5 minutes. max_lifetime: longest life of a token, default 24 hours. Several keys may stand side by side while they rotate. Errors: 22023, 42501.';

create function tenantry.unregister_issuer(key_id text)
returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
begin
  perform tenantry_private.require_admin('unregister an issuer');
  delete from tenantry_private.issuer_keys i where i.id = key_id;
  if not found then
    raise exception 'there is no issuer %', coalesce(quote_literal(key_id), 'null')
      using errcode = '22023', hint = 'List them: select key_id from tenantry.issuers;';
  end if;
  perform tenantry_private.note('unregister_issuer', key_id);
end
$$;

comment on function tenantry.unregister_issuer(text) is
  'Forgets an issuer''s key: its credentials are refused from the next call on. Errors: 22023, 42501.';

create view tenantry.issuers as
select i.id as key_id, i.leeway, i.max_lifetime, i.registered_at
  from tenantry_private.issuer_keys i;

comment on view tenantry.issuers is 'Issuers of credentials, without their keys. For admins.';
