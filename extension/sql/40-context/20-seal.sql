-- Contexts, sessions and passes are texts that the database has signed:
--   <what>.<mac, 64 hex digits>.<key id>␟<field>␟<field>…
-- ␟ is the unit separator, which no entity can contain. Times are the 16 hex digits of timestamptz_send(), which compare
-- as text and do not depend on DateStyle or TimeZone. The MAC also covers what is not written: what the text is, the
-- database, the login role and a binding, so that a copied text is worth nothing anywhere else.
--
-- These functions run for every statement of every session, and what they cost is what isolation costs. So they are few,
-- in PL/pgSQL rather than SQL (whose functions are planned anew in each transaction where they cannot be inlined), ask
-- the tables at most once each, and say in one expression what could be said in three: PL/pgSQL prepares each expression
-- anew in every transaction.

-- STABLE, though immutable in fact: as an IMMUTABLE function around a stable one it would not be inlined.
create function tenantry_private.instant(at timestamptz)
returns text
language sql stable parallel safe
return encode(timestamptz_send(at), 'hex');

comment on function tenantry_private.instant(timestamptz) is 'A time as 16 hex digits that compare as text, whatever the session''s settings.';

create function tenantry_private.signed_bytes(what text, body text, binding bytea)
returns bytea
language sql stable parallel safe
return convert_to(what || E'\x1f' || current_database() || E'\x1f' || session_user || E'\x1f' || body, 'UTF8') || binding;

comment on function tenantry_private.signed_bytes(text, text, bytea) is 'What a MAC covers: kind of text, database, login role, body and binding.';

create function tenantry_private.same_mac(given text, computed bytea)
returns boolean
language sql stable parallel safe
-- Digests are compared, not the values: how many leading bytes agree tells nothing about the MAC.
return coalesce(sha256(convert_to(given, 'UTF8')) = sha256(convert_to(encode(computed, 'hex'), 'UTF8')), false);

comment on function tenantry_private.same_mac(text, bytea) is 'Compares a MAC in hex with the computed one without leaking how much of it agrees.';

create function tenantry_private.opened(
  what    text,
  sealed  text,
  binding bytea,
  signer  tenantry_private.signing_keys default null
)
returns text[]
language plpgsql stable parallel safe
as $$
#print_strict_params off
declare
  field constant text[] := string_to_array(substr(sealed, 69), E'\x1f');
  key   bytea;
begin
  -- A key is only ever assigned: other statements would show it in debug_print_plan.
  if signer.id = field[1] then
    key := signer.secret;
  else
    key := (select k.secret from tenantry_private.signing_keys k where k.id = field[1]);
  end if;
  return case
    when starts_with(sealed, what || '.')
     and tenantry_private.same_mac(substr(sealed, 4, 64),
           tenantry_private.hmac_sha256(tenantry_private.signed_bytes(what, substr(sealed, 69), binding), key))
    then field
  end;
end
$$;

comment on function tenantry_private.opened(text, text, bytea, tenantry_private.signing_keys) is
  'The fields of a text that this database signed for this login and this binding, the key''s id first; null for any other text. signer: a key that is at hand already.';

create function tenantry_private.current_signer()
returns tenantry_private.signing_keys
language plpgsql stable
as $$
#print_strict_params off
declare
  signer constant tenantry_private.signing_keys := (
    select k from tenantry_private.signing_keys k order by k.created_at desc limit 1);
begin
  if signer.id is null then
    raise exception 'this database has no key to sign contexts with'
      using errcode = 'TN011', hint = 'An admin runs: select tenantry.initialise();';
  end if;
  return signer;
end
$$;

comment on function tenantry_private.current_signer() is 'The key that signs now. Error: TN011 where there is none.';

create function tenantry_private.sealed(what text, signer tenantry_private.signing_keys, rest text, binding bytea)
returns text
language plpgsql stable
as $$
#print_strict_params off
begin
  return what || '.'
      || encode(tenantry_private.hmac_sha256(tenantry_private.signed_bytes(what, signer.id || E'\x1f' || rest, binding), signer.secret), 'hex')
      || '.' || signer.id || E'\x1f' || rest;
end
$$;

comment on function tenantry_private.sealed(text, tenantry_private.signing_keys, text, bytea) is 'Signs fields; opened() gives them back.';
