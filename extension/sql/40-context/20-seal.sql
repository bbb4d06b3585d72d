-- The context is a text in the setting tenantry.context:
--   c1.<mac, 64 hex digits>.<key id>␟<statement>␟<expires>␟<privileges>␟<actor>␟<principal>␟<source>
-- ␟ is the unit separator, which no entity can contain. Times are the 16 hex digits of timestamptz_send(), which compare
-- as text and do not depend on DateStyle or TimeZone. The MAC also covers what is not written: database, login role and
-- the transaction's start, so that a copied text is worth nothing anywhere else. Not the process id: it differs in
-- parallel workers. Nothing is written to a table, so it works on a standby and behind a transaction pooler.

-- STABLE, though immutable in fact: as an IMMUTABLE function around a stable one it would not be inlined.
create function tenantry_private.instant(at timestamptz)
returns text
language sql stable parallel safe
return encode(timestamptz_send(at), 'hex');

comment on function tenantry_private.instant(timestamptz) is 'A time as 16 hex digits that compare as text, whatever the session''s settings.';

create function tenantry_private.mac(purpose text, body text, key_id text, binding bytea)
returns bytea
language plpgsql stable parallel safe
as $$
#print_strict_params off
declare
  -- A key is only ever assigned: other statements would show it in debug_print_plan.
  key constant bytea := (select k.secret from tenantry_private.signing_keys k where k.id = key_id);
begin
  return tenantry_private.hmac_sha256(
    convert_to(concat_ws(E'\x1f', purpose, current_database(), session_user, body), 'UTF8') || binding, key);
end
$$;

comment on function tenantry_private.mac(text, text, text, bytea) is
  'HMAC-SHA-256 of a body under a signing key, bound to purpose, database and login role; null when there is no such key.';

create function tenantry_private.same_mac(given text, computed bytea)
returns boolean
language sql stable parallel safe
-- Digests are compared, not the values: how many leading bytes agree tells nothing about the MAC.
return coalesce(sha256(convert_to(given, 'UTF8')) = sha256(convert_to(encode(computed, 'hex'), 'UTF8')), false);

comment on function tenantry_private.same_mac(text, bytea) is 'Compares a MAC in hex with the computed one without leaking how much of it agrees.';

create function tenantry_private.signing_key_id()
returns text
language plpgsql stable
as $$
declare
  id constant text := (select k.id from tenantry_private.signing_keys k order by k.created_at desc limit 1);
begin
  if id is null then
    raise exception 'this database has no key to sign contexts with'
      using errcode = 'TN011', hint = 'An admin runs: select tenantry.initialise();';
  end if;
  return id;
end
$$;

comment on function tenantry_private.signing_key_id() is 'The key that signs now. Error: TN011 where there is none.';

create function tenantry_private.seal_context(privileges text, actor text, principal text, source text, entered text)
returns void
language plpgsql volatile
as $$
#print_strict_params off
declare
  key_id constant text := tenantry_private.signing_key_id();
  body   text;
begin
  body := concat_ws(E'\x1f', key_id, entered,
    tenantry_private.instant(clock_timestamp() + tenantry_private.setting('context_lifetime', '1 hour')::interval),
    privileges, actor, principal, source);
  perform set_config('tenantry.context',
    'c1.' || encode(tenantry_private.mac('context', body, key_id, timestamptz_send(now())), 'hex') || '.' || body, true);
end
$$;

comment on function tenantry_private.seal_context(text, text, text, text, text) is
  'Signs a context and sets it for this transaction. Error: TN011 without a signing key.';

create function tenantry_private.open_context()
returns text[]
language plpgsql stable parallel safe
as $$
#print_strict_params off
declare
  context constant text := current_setting('tenantry.context', true);
  body    text;
  field   text[];
begin
  -- After a transaction a local setting reads back '' rather than null: both mean that there is no context.
  if context is null or context = '' then
    return tenantry_private.ambient_context();
  end if;
  body  := substr(context, 69);
  field := string_to_array(body, E'\x1f');
  if not starts_with(context, 'c1.')
     or not tenantry_private.same_mac(substr(context, 4, 64), tenantry_private.mac('context', body, field[1], timestamptz_send(now()))) then
    raise exception 'the tenantry context of this session is not valid here'
      using errcode = 'TN002',
            hint = 'A context is made by tenantry.enter() and holds in that transaction, database and login only. Enter again; do not copy or set tenantry.context.';
  end if;
  if field[2] = tenantry_private.instant(statement_timestamp()) then
    raise exception 'the tenantry context was entered in this very statement'
      using errcode = 'TN002',
            hint = 'Call tenantry.enter() in a statement of its own, before the one that uses the context.';
  end if;
  if field[3] <= tenantry_private.instant(statement_timestamp()) then
    raise exception 'the tenantry context has expired'
      using errcode = 'TN003', hint = 'End the transaction and enter again.';
  end if;
  return field;
end
$$;

comment on function tenantry_private.open_context() is
  'Verifies the context of this statement: {key id, statement, expires, privileges, actor, principal, source}; null where there is none. Errors: TN001, TN002, TN003.';
