-- Credentials are JSON Web Tokens (RFC 7519) signed with HS256 (RFC 7518). The algorithm belongs to the key and is
-- never taken from the token. Actors are named by `act` (RFC 8693, section 4.1): the outermost is who is there, the
-- ones inside it are the links between it and the subject.

create function tenantry_private.refuse_credential(why text)
returns void
language plpgsql immutable
as $$
begin
  raise exception 'the credential is refused: %', why
    using errcode = 'TN008', hint = 'Mint a new credential for this database (tenantry.audience()) with a registered key: "tenantry keys register" or tenantry.register_issuer() registers one, and tenantry.issuers lists them.';
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

-- A session that bypasses or owns what protects the rows is refused, because nothing would be isolated in it.
create function tenantry_private.login_refusal()
returns text
language plpgsql stable
as $$
begin
  return (
    select case
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
             when exists (select from tenantry_private.granted_across g where pg_has_role(r.oid, to_regrole(quote_ident(g.role_name)), 'member'))
               then 'may turn into a role that was granted a table across all owners'
             when not tenantry_private.is_allowed('user')
               then 'is not allowed to work in this database'
           end
      from pg_catalog.pg_roles r
     where r.rolname = session_user);
end
$$;

comment on function tenantry_private.login_refusal() is 'Why the login of this session must not work as an entity; null if it may.';

-- Asking that of the catalog costs more than all the rest of entering, so the answer is kept in the session for ten
-- seconds, signed and bound to the server process. A login that loses its right to enter loses EXECUTE on enter() at once.
create function tenantry_private.require_ordinary_login(signer tenantry_private.signing_keys)
returns void
language plpgsql stable
as $$
#print_strict_params off
declare
  why     text;
  ignored text;
begin
  if (tenantry_private.opened('l1', current_setting('tenantry.login', true), tenantry_private.session_binding(), signer))[2]
     > tenantry_private.instant(statement_timestamp()) then
    return;
  end if;
  why := tenantry_private.login_refusal();
  if why is not null then
    raise exception 'login role % %', quote_ident(session_user), why
      using errcode = 'TN010',
            hint = 'Connect as an ordinary login role that owns nothing here. To make one: create role app_runtime login; select * from tenantry.allow(''app_runtime'');';
  end if;
  ignored := set_config('tenantry.login',
    tenantry_private.sealed('l1', signer, tenantry_private.instant(clock_timestamp() + interval '10 seconds'), tenantry_private.session_binding()), false);
end
$$;

comment on function tenantry_private.require_ordinary_login(tenantry_private.signing_keys) is
  'Raises TN010 for a superuser, BYPASSRLS, an owner of protected tables or a login that is not allowed here. Looks at the catalog every ten seconds in a session.';

-- Who may have issued a token, and for whom: everything that is asked of tables before it is looked at.
create type tenantry_private.issuer as (
  id           text,
  secret       bytea,
  leeway       double precision,
  max_lifetime double precision,
  audience     text
);

comment on type tenantry_private.issuer is 'An issuer''s key, and what its tokens must be made out to.';
comment on column tenantry_private.issuer.id is 'The token''s `kid`.';
comment on column tenantry_private.issuer.secret is 'The key.';
comment on column tenantry_private.issuer.leeway is 'Tolerated clock difference, in seconds.';
comment on column tenantry_private.issuer.max_lifetime is 'Longest life of a token, in seconds.';
comment on column tenantry_private.issuer.audience is 'What the token''s claim `aud` must name.';

create function tenantry_private.issuer_of(token_header text, key_id text default null)
returns tenantry_private.issuer
language plpgsql stable
as $$
#print_strict_params off
begin
  return (
    select row(i.id, i.secret, extract(epoch from i.leeway), extract(epoch from i.max_lifetime),
             coalesce((select s.value from tenantry_private.settings s where s.setting = 'audience'), current_database())
           )::tenantry_private.issuer
      from tenantry_private.issuer_keys i
     where i.header = token_header or i.id = key_id);
end
$$;

comment on function tenantry_private.issuer_of(text, text) is 'The issuer of a token by its header, or by its key id; null if there is none.';

create function tenantry_private.refuse_claims(claim jsonb, issuer tenantry_private.issuer)
returns void
language plpgsql stable
as $$
#print_strict_params off
declare
  at_present constant double precision := extract(epoch from clock_timestamp());
begin
  if jsonb_typeof(claim) <> 'object' then
    perform tenantry_private.refuse_credential('its claims are not a JSON object');
  elsif jsonb_typeof(claim -> 'exp') is distinct from 'number' then
    perform tenantry_private.refuse_credential('it does not say when it expires (claim exp, seconds)');
  elsif (claim -> 'exp')::double precision + issuer.leeway <= at_present then
    raise exception 'the credential has expired' using errcode = 'TN003', hint = 'Mint a new one.';
  elsif (claim -> 'exp')::double precision > at_present + issuer.max_lifetime + issuer.leeway then
    perform tenantry_private.refuse_credential('it expires later than its issuer''s max_lifetime allows');
  end if;
  if claim ? 'nbf' then
    if jsonb_typeof(claim -> 'nbf') <> 'number' or (claim -> 'nbf')::double precision > at_present + issuer.leeway then
      perform tenantry_private.refuse_credential('it is not valid yet (claim nbf)');
    end if;
  end if;
  if claim -> 'aud' is distinct from to_jsonb(issuer.audience)
     and not coalesce(jsonb_typeof(claim -> 'aud') = 'array' and claim -> 'aud' ? issuer.audience, false) then
    perform tenantry_private.refuse_credential('it is meant for another database (claim aud)');
  end if;
end
$$;

comment on function tenantry_private.refuse_claims(jsonb, tenantry_private.issuer) is
  'Checks the claims of a token whose signature is right, one by one. Errors: TN003, TN008.';

create function tenantry_private.verified_claims(credential text)
returns jsonb
language plpgsql stable
as $$
#print_strict_params off
declare
  part    constant text[] := string_to_array(left(credential, 8193), '.');
  issuer  tenantry_private.issuer := tenantry_private.issuer_of(part[1]);
  claim   jsonb;
  ignored text;
begin
  if octet_length(credential) > 8192 or cardinality(part) <> 3 then
    perform tenantry_private.refuse_credential('it is not a JSON Web Token (or longer than 8192 bytes)');
  end if;
  if issuer.id is null then
    issuer := tenantry_private.issuer_of(null, tenantry_private.issuer_by_header(part[1]));
  end if;
  -- The signature is computed and compared as it is written, so nothing that is not signed is decoded.
  if issuer.id is null
     or sha256(convert_to(part[3], 'UTF8')) <> sha256(convert_to(tenantry_private.base64url_encode(
          tenantry_private.hmac_sha256(convert_to(part[1] || '.' || part[2], 'UTF8'), issuer.secret)), 'UTF8')) then
    perform tenantry_private.refuse_credential('its signature is not by a key registered here');
  end if;

  -- Signed by a registered issuer, yet not trusted to be well formed.
  begin
    claim := convert_from(tenantry_private.base64url_decode(part[2]), 'UTF8')::jsonb;
  exception
    when data_exception then
      perform tenantry_private.refuse_credential('its claims are not JSON');
  end;
  ignored := tenantry_private.refuse_claims(claim, issuer);
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
        where tenantry_private.is_entity(entity) is not true) then
    perform tenantry_private.refuse_credential('its claims sub and act.sub must be entities, written kind:id');
  end if;
  return chain;
end
$$;

comment on function tenantry_private.claimed_chain(jsonb) is 'The entities of a token: subject, then each that acts for the one before. Error: TN008.';
