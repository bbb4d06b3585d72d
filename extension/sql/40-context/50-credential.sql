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

-- What is asked of the catalog before a token is looked at, in one question: a call costs one.
create type tenantry_private.gate as (
  refusal      text,
  audience     text,
  issuer       text,
  secret       bytea,
  leeway       double precision,
  max_lifetime double precision
);

comment on type tenantry_private.gate is 'What a login and a token''s header meet at the entrance.';
comment on column tenantry_private.gate.refusal is 'Why this login must not work as an entity; null if it may.';
comment on column tenantry_private.gate.audience is 'What the token must be made out to.';
comment on column tenantry_private.gate.issuer is 'The issuer whose key the header names; null if it is not spelled as the runtime spells it.';
comment on column tenantry_private.gate.secret is 'That key.';
comment on column tenantry_private.gate.leeway is 'Tolerated clock difference, in seconds.';
comment on column tenantry_private.gate.max_lifetime is 'Longest life of a token, in seconds.';

create function tenantry_private.gate(token_header text, key_id text default null)
returns tenantry_private.gate
language plpgsql stable
as $$
#print_strict_params off
declare
  gate constant tenantry_private.gate := (
    select row(
             case
               when r.rolsuper     then 'is a superuser, and row-level security does not bind superusers'
               when r.rolbypassrls then 'has BYPASSRLS, and row-level security does not bind it'
               -- What it was granted itself; check() looks further, which would take too long here.
               when exists (
                      select
                        from pg_catalog.pg_auth_members m
                        join pg_catalog.pg_roles g on g.oid = m.roleid
                       where m.member = r.oid and (g.rolsuper or g.rolbypassrls))
                 then 'may turn into a role that row-level security does not bind (SET ROLE)'
               when exists (select from tenantry_private.table_owners o where pg_has_role(r.oid, o.role_oid, 'member'))
                 then 'owns protected tables, or may become their owner, and an owner can take every protection away'
               when not exists (
                      select
                        from tenantry_private.allowed_roles a
                       where a.role_name = r.rolname and a.role_oid = r.oid and a.granted_as = 'user')
                 then 'is not allowed to work in this database'
             end,
             coalesce((select s.value from tenantry_private.settings s where s.setting = 'audience'), current_database()),
             i.id, i.secret, extract(epoch from i.leeway), extract(epoch from i.max_lifetime)
           )::tenantry_private.gate
      from pg_catalog.pg_roles r
      left join tenantry_private.issuer_keys i on i.header = token_header or i.id = key_id
     where r.rolname = session_user);
begin
  if gate.refusal is not null then
    raise exception 'login role % %', quote_ident(session_user), gate.refusal
      using errcode = 'TN010',
            hint = 'Connect as an ordinary login role that owns nothing here. To make one: create role app_runtime login; select * from tenantry.allow(''app_runtime'');';
  end if;
  return gate;
end
$$;

comment on function tenantry_private.gate(text, text) is
  'Lets an ordinary, allowed login through and finds the issuer of a token by its header, or by its key id. Error: TN010 for a superuser, BYPASSRLS, an owner of protected tables or a login that is not allowed here.';

create function tenantry_private.verified_claims(credential text)
returns jsonb
language plpgsql stable
as $$
#print_strict_params off
declare
  part       constant text[] := string_to_array(left(credential, 8193), '.');
  gate       tenantry_private.gate := tenantry_private.gate(part[1]);
  claim      jsonb;
  expires    double precision;
  at_present constant double precision := extract(epoch from clock_timestamp());
begin
  if octet_length(credential) > 8192 or cardinality(part) <> 3 then
    perform tenantry_private.refuse_credential('it is not a JSON Web Token (or longer than 8192 bytes)');
  end if;
  if gate.issuer is null then
    gate := tenantry_private.gate(null, tenantry_private.issuer_by_header(part[1]));
  end if;
  -- The signature is computed and compared as it is written, so nothing that is not signed is decoded.
  if gate.issuer is null
     or sha256(convert_to(part[3], 'UTF8')) <> sha256(convert_to(tenantry_private.base64url_encode(
          tenantry_private.hmac_sha256(convert_to(part[1] || '.' || part[2], 'UTF8'), gate.secret)), 'UTF8')) then
    perform tenantry_private.refuse_credential('its signature is not by a key registered here');
  end if;

  -- Signed by a registered issuer, yet not trusted to be well formed.
  begin
    claim := convert_from(tenantry_private.base64url_decode(part[2]), 'UTF8')::jsonb;
  exception
    when data_exception then
      perform tenantry_private.refuse_credential('its claims are not JSON');
  end;
  if jsonb_typeof(claim) <> 'object' then
    perform tenantry_private.refuse_credential('its claims are not a JSON object');
  end if;
  if jsonb_typeof(claim -> 'exp') is distinct from 'number' then
    perform tenantry_private.refuse_credential('it does not say when it expires (claim exp, seconds)');
  end if;
  expires := claim -> 'exp';
  if expires + gate.leeway <= at_present then
    raise exception 'the credential has expired' using errcode = 'TN003', hint = 'Mint a new one.';
  end if;
  if expires > at_present + gate.max_lifetime + gate.leeway then
    perform tenantry_private.refuse_credential('it expires later than its issuer''s max_lifetime allows');
  end if;
  if claim ? 'nbf' then
    if jsonb_typeof(claim -> 'nbf') <> 'number' or (claim -> 'nbf')::double precision > at_present + gate.leeway then
      perform tenantry_private.refuse_credential('it is not valid yet (claim nbf)');
    end if;
  end if;
  if claim ->> 'aud' is distinct from gate.audience or jsonb_typeof(claim -> 'aud') <> 'string' then
    if jsonb_typeof(claim -> 'aud') is distinct from 'array' or not claim -> 'aud' ? gate.audience then
      perform tenantry_private.refuse_credential('it is meant for another database (claim aud)');
    end if;
  end if;
  return claim;
end
$$;

comment on function tenantry_private.verified_claims(text) is
  'The claims of a JSON Web Token after checking login, signature, expiry, not-before and audience. Errors: TN003, TN008, TN010.';

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
        where tenantry_private.is_entity(entity) is not true) then
    perform tenantry_private.refuse_credential('its claims sub and act.sub must be entities, written kind:id');
  end if;
  return chain;
end
$$;

comment on function tenantry_private.claimed_chain(jsonb) is 'The entities of a token: subject, then each that acts for the one before. Error: TN008.';
