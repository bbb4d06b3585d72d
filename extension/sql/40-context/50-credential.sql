-- Credentials are JSON Web Tokens (RFC 7519) signed with HS256 (RFC 7518). The algorithm belongs to the key and is
-- never taken from the token. Actors are named by `act` (RFC 8693, section 4.1): the outermost is who is there, the
-- ones inside it are the links between it and the subject.

create function tenantry_private.refuse_credential(why text)
returns void
language plpgsql immutable
as $$
begin
  raise exception 'the credential is refused: %', why
    using errcode = 'TN008', hint = 'Mint a new credential with a registered key for this database; see tenantry.audience() and tenantry.register_issuer().';
end
$$;

comment on function tenantry_private.refuse_credential(text) is 'Raises TN008. The reason never quotes the credential.';

-- Any other spelling of the header than the runtime''s own: parsed, not compared.
create function tenantry_private.issuer_by_header(header text)
returns text
language plpgsql stable
as $$
declare
  field jsonb;
begin
  begin
    field := convert_from(tenantry_private.base64url_decode(header), 'UTF8')::jsonb;
  exception
    when data_exception then
      perform tenantry_private.refuse_credential('its header is not JSON');
  end;
  if jsonb_typeof(field) is distinct from 'object' then
    perform tenantry_private.refuse_credential('its header is not a JSON object');
  end if;
  if field ->> 'alg' is distinct from 'HS256' then
    perform tenantry_private.refuse_credential('its algorithm is not HS256');
  end if;
  if field ? 'crit' then
    perform tenantry_private.refuse_credential('it has critical header fields, of which none is supported');
  end if;
  return (select i.id from tenantry_private.issuer_keys i where i.id = field ->> 'kid');
end
$$;

comment on function tenantry_private.issuer_by_header(text) is 'The key id that a token''s header names, if that key is registered. Error: TN008.';

create function tenantry_private.verified_claims(credential text)
returns jsonb
language plpgsql stable
as $$
#print_strict_params off
declare
  part       constant text[] := string_to_array(credential, '.');
  key_id     text;
  key        bytea;
  issuer     record;
  claim      jsonb;
  at_present constant numeric := extract(epoch from clock_timestamp());
begin
  -- A short, closed alphabet first: whatever else arrives is refused before anything is decoded.
  if octet_length(credential) > 8192 or cardinality(part) is distinct from 3
     or credential !~ '^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]{43}$' then
    perform tenantry_private.refuse_credential('it is not a JSON Web Token signed with HS256 (or longer than 8192 bytes)');
  end if;

  key_id := (select i.id from tenantry_private.issuer_keys i where i.header = part[1]);
  if key_id is null then
    key_id := tenantry_private.issuer_by_header(part[1]);
  end if;
  key := (select i.secret from tenantry_private.issuer_keys i where i.id = key_id);
  if not coalesce(tenantry_private.same_mac(
       encode(tenantry_private.base64url_decode(part[3]), 'hex'),
       tenantry_private.hmac_sha256(convert_to(part[1] || '.' || part[2], 'UTF8'), key)), false) then
    perform tenantry_private.refuse_credential('its signature is not by a key registered here');
  end if;

  -- Signed by a registered issuer, yet not trusted to be well formed.
  begin
    claim := convert_from(tenantry_private.base64url_decode(part[2]), 'UTF8')::jsonb;
  exception
    when data_exception then
      perform tenantry_private.refuse_credential('its claims are not JSON');
  end;
  select i.leeway, i.max_lifetime into issuer from tenantry_private.issuer_keys i where i.id = key_id;

  if jsonb_typeof(claim) is distinct from 'object' then
    perform tenantry_private.refuse_credential('its claims are not a JSON object');
  end if;
  if jsonb_typeof(claim -> 'exp') is distinct from 'number' then
    perform tenantry_private.refuse_credential('it does not say when it expires (claim exp, seconds)');
  end if;
  if (claim ->> 'exp')::numeric + extract(epoch from issuer.leeway) <= at_present then
    raise exception 'the credential has expired' using errcode = 'TN003', hint = 'Mint a new one.';
  end if;
  if (claim ->> 'exp')::numeric > at_present + extract(epoch from issuer.max_lifetime) + extract(epoch from issuer.leeway) then
    perform tenantry_private.refuse_credential('it expires later than its issuer''s max_lifetime allows');
  end if;
  if claim ? 'nbf' and (jsonb_typeof(claim -> 'nbf') <> 'number'
                        or (claim ->> 'nbf')::numeric > at_present + extract(epoch from issuer.leeway)) then
    perform tenantry_private.refuse_credential('it is not valid yet (claim nbf)');
  end if;
  if not coalesce(case jsonb_typeof(claim -> 'aud')
                    when 'string' then claim ->> 'aud' = tenantry_private.setting('audience', current_database())
                    when 'array'  then claim -> 'aud' ? tenantry_private.setting('audience', current_database())
                  end, false) then
    perform tenantry_private.refuse_credential('it is meant for another database (claim aud)');
  end if;
  return claim;
end
$$;

comment on function tenantry_private.verified_claims(text) is
  'The claims of a JSON Web Token after checking signature, expiry, not-before and audience. Errors: TN003, TN008.';

-- Subject first, then who acts for it, down to who is there.
create function tenantry_private.claimed_chain(claim jsonb)
returns text[]
language plpgsql immutable
as $$
declare
  chain  text[] := '{}';
  node   jsonb  := claim -> 'act';
begin
  while node is not null loop
    if jsonb_typeof(node) <> 'object' or cardinality(chain) >= 5 then
      perform tenantry_private.refuse_credential('its claim act is not an actor (RFC 8693), or nested more than 5 deep');
    end if;
    chain := array_prepend(node ->> 'sub', chain);
    node  := node -> 'act';
  end loop;
  chain := array_prepend(claim ->> 'sub', chain);
  if exists (
       select
         from unnest(chain) as link (entity)
        where entity is null or entity !~ '^[a-z][a-z0-9_]{0,62}:[^\x01-\x1f\x7f]{1,200}$') then
    perform tenantry_private.refuse_credential('its claims sub and act.sub must be entities, written kind:id');
  end if;
  return chain;
end
$$;

comment on function tenantry_private.claimed_chain(jsonb) is 'The entities of a token: subject, then each that acts for the one before. Error: TN008.';
