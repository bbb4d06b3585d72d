create table tenantry_private.table_owners (
  role_oid oid primary key
);

comment on table tenantry_private.table_owners is 'Owners of protected tables, kept beside tenantry_private.tables so that enter() need not look at every table.';
comment on column tenantry_private.table_owners.role_oid is 'A role that owns a protected table.';

-- Verifies a token or a pass: {privileges, actor, principal, expires, until}. until: when a delegation that it rests on
-- expires, so that nothing is held longer than it was given; empty where there is none.
create function tenantry_private.admitted(credential text, signer tenantry_private.signing_keys)
returns text[]
language plpgsql stable
as $$
#print_strict_params off
declare
  field   text[];
  claim   jsonb;
  chain   text[];
  bits    integer;
  ignored text;
begin
  if credential is null or credential = '' then
    perform tenantry_private.refuse_credential('there is none');
  end if;

  if starts_with(credential, 'p1.') then
    field := tenantry_private.opened('p1', credential, '', signer);
    if field is null then
      perform tenantry_private.refuse_credential('this pass was not issued to this login in this database, or has been voided');
    end if;
    if field[2] <= tenantry_private.instant(clock_timestamp()) then
      raise exception 'the pass has expired' using errcode = 'TN003', hint = 'Enter with a credential again.';
    end if;
    return array[field[3], field[4], field[5], field[2], coalesce(field[6], '')];
  end if;

  ignored := tenantry_private.require_ordinary_login(signer);
  claim := tenantry_private.verified_claims(credential);
  chain := case when strpos(claim ->> 'sub', ':') > 0 and not claim ? 'act' then array[claim ->> 'sub'] else tenantry_private.claimed_chain(claim) end;
  bits  := tenantry_private.chain_privileges(chain);
  return array[
    tenantry_private.privilege_list(bits),
    chain[cardinality(chain)],
    chain[1],
    tenantry_private.instant(to_timestamp((claim -> 'exp')::double precision)),
    case when bits > 63 then coalesce(tenantry_private.instant(tenantry_private.chain_ends(chain)), '') else '' end];
end
$$;

comment on function tenantry_private.admitted(text, tenantry_private.signing_keys) is
  'What a token or a pass entitles to: {privileges, actor, principal, expires, until}. Errors: TN003, TN004, TN008, TN009, TN010.';

create function tenantry_private.settle(admission text[], signer tenantry_private.signing_keys)
returns void
language plpgsql volatile
as $$
#print_strict_params off
declare
  context constant text := current_setting('tenantry.context', true);
  field   text[];
  ignored text;
begin
  -- One identity a transaction: what deferred work and open cursors of the first would do under the second is not
  -- something to find out. Between the same two, another chain may leave other privileges, and is another identity then.
  -- Only a context that is valid counts; planted text must not lock anybody out.
  if context <> '' then
    field := tenantry_private.opened('c1', context, timestamptz_send(now()), signer);
    if field is not null and (field[4], field[5], field[6]) <> (admission[1], admission[2], admission[3]) then
      raise exception 'this transaction already works as %', concat_ws(' for ', field[5], nullif(field[6], field[5]))
          || case when (field[5], field[6]) = (admission[2], admission[3]) then ', with other privileges' else '' end
        using errcode = 'TN002', hint = 'End the transaction before entering as somebody else.';
    end if;
  end if;
  -- Left off by an earlier user of the connection, it would turn every query into an error.
  ignored := set_config('row_security', 'on', true);
  ignored := tenantry_private.set_context(signer, tenantry_private.instant(statement_timestamp()), admission[1], admission[2], admission[3], 'context', admission[5]);
end
$$;

comment on function tenantry_private.settle(text[], tenantry_private.signing_keys) is 'Makes an admission the context of this transaction. Error: TN002 if it already has another.';

-- What the usual ways in need of the tables, in one question.
create type tenantry_private.keyring as (
  id            text,
  secret        bytea,
  created_at    timestamptz,
  lifetime      interval,
  issuer_secret bytea,
  max_lifetime  double precision,
  audience      text
);

comment on type tenantry_private.keyring is 'The key that signs now, and the issuer''s that a token''s header names as the runtime writes it.';
comment on column tenantry_private.keyring.id is 'Name of the key that signs now.';
comment on column tenantry_private.keyring.secret is 'Its bytes.';
comment on column tenantry_private.keyring.created_at is 'When it was made.';
comment on column tenantry_private.keyring.lifetime is 'How long a context may live.';
comment on column tenantry_private.keyring.issuer_secret is 'The issuer''s key.';
comment on column tenantry_private.keyring.max_lifetime is 'Longest life of the issuer''s tokens, in seconds.';
comment on column tenantry_private.keyring.audience is 'What its tokens must be made out to.';

-- Called for every transaction, so the usual ways in, a pass, or a token for oneself or for another, are gone in as few
-- expressions as it takes: PL/pgSQL prepares each anew in every transaction, and a call of a function costs as much as
-- three. They only ever let in. Whatever is not usual, or not right, falls through to the functions above, which look at
-- it step by step and say what is wrong.
create function tenantry.enter(credential text)
returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
#print_strict_params off
declare
  part    text[];
  keys    tenantry_private.keyring;
  login   text;
  field   text[];
  claim   jsonb;
  bits    integer;
  body    text;
  signer  tenantry_private.signing_keys;
  ignored text;
begin
  if octet_length(credential) > 8192 or current_setting('tenantry.context', true) <> '' then
    null;
  elsif starts_with(credential, 'p1.') then
    field  := string_to_array(substr(credential, 69), E'\x1f');
    signer := (select k from tenantry_private.signing_keys k where k.id = field[1]);
    if field[2] > tenantry_private.instant(clock_timestamp()) and field[6] is null
       and tenantry_private.same_mac(substr(credential, 4, 64),
             tenantry_private.hmac_sha256(tenantry_private.signed_bytes('p1', substr(credential, 69), ''), signer.secret)) then
      body := field[3] || E'\x1f' || field[4] || E'\x1f' || field[5];
    end if;
  else
    part := string_to_array(credential, '.');
    keys := (
      select row(k.id, k.secret, k.created_at, k.lifetime, i.secret, extract(epoch from i.max_lifetime),
               coalesce((select s.value from tenantry_private.settings s where s.setting = 'audience'), current_database())
             )::tenantry_private.keyring
        from (select k.* from tenantry_private.signing_keys k order by k.created_at desc limit 1) k
        join tenantry_private.issuer_keys i on i.header = part[1]);
    signer := row(keys.id, keys.secret, keys.created_at, keys.lifetime);
    login := current_setting('tenantry.login', true);
    -- The login was looked at less than ten seconds ago, and the signature is right.
    if cardinality(part) = 3
       and starts_with(login, 'l1.')
       and split_part(substr(login, 69), E'\x1f', 1) = signer.id
       and split_part(substr(login, 69), E'\x1f', 2) > tenantry_private.instant(statement_timestamp())
       and tenantry_private.same_mac(substr(login, 4, 64),
             tenantry_private.hmac_sha256(tenantry_private.signed_bytes('l1', substr(login, 69), tenantry_private.session_binding()), signer.secret))
       and sha256(convert_to(part[3], 'UTF8')) = sha256(convert_to(tenantry_private.base64url_encode(
             tenantry_private.hmac_sha256(convert_to(part[1] || '.' || part[2], 'UTF8'), keys.issuer_secret)), 'UTF8')) then
      begin
        claim := convert_from(tenantry_private.base64url_decode(part[2]), 'UTF8')::jsonb;
      exception
        when data_exception then null;
      end;
      if jsonb_typeof(claim -> 'exp') = 'number'
         and (claim -> 'exp')::double precision between extract(epoch from clock_timestamp())
               and extract(epoch from clock_timestamp()) + keys.max_lifetime
         and claim -> 'aud' = to_jsonb(keys.audience)
         and not claim ? 'nbf'
         and strpos(claim ->> 'sub', ':') > 1 then
        if not claim ? 'act' then
          if exists (
               select
                 from tenantry_private.entities e
                where e.kind = split_part(claim ->> 'sub', ':', 1)
                  and e.id = substr(claim ->> 'sub', strpos(claim ->> 'sub', ':') + 1)
                  and e.gone_at is null) then
            body := tenantry_private.own_privileges(claim ->> 'sub') || E'\x1f' || (claim ->> 'sub') || E'\x1f' || (claim ->> 'sub');
          end if;
        elsif strpos(claim #>> '{act,sub}', ':') > 1 and claim #> '{act,act}' is null and claim #>> '{act,sub}' <> claim ->> 'sub' then
          bits := tenantry_private.link_privileges(claim #>> '{act,sub}', claim ->> 'sub');
          if bits between 1 and 63 then
            body := tenantry_private.privilege_list(bits) || E'\x1f' || (claim #>> '{act,sub}') || E'\x1f' || (claim ->> 'sub');
          end if;
        end if;
      end if;
    end if;
  end if;

  if body is null then
    signer  := tenantry_private.current_signer();
    ignored := tenantry_private.settle(tenantry_private.admitted(credential, signer), signer);
    return;
  end if;
  body    := signer.id || E'\x1f' || tenantry_private.instant(statement_timestamp()) || E'\x1f'
          || tenantry_private.instant(clock_timestamp() + signer.lifetime) || E'\x1f' || body || E'\x1f' || 'context';
  -- row_security as in settle().
  ignored := set_config('row_security', 'on', true) || set_config('tenantry.context',
    'c1.' || encode(tenantry_private.hmac_sha256(tenantry_private.signed_bytes('c1', body, timestamptz_send(now())), signer.secret), 'hex')
          || '.' || body, true);
end
$$;

comment on function tenantry.enter(text) is
  'Says who acts and whose data is worked on, for this transaction, from the next statement on. credential: a JSON Web Token by a registered issuer, or a pass; give it as a bind parameter. Writes no table. Errors: TN002 (another identity in this transaction), TN003, TN004, TN008, TN009, TN010, TN011 (no signing key).';

create function tenantry_private.enter_for_pass(credential text, ttl_seconds integer)
returns text
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
#print_strict_params off
declare
  signer    constant tenantry_private.signing_keys := tenantry_private.current_signer();
  admission constant text[] := tenantry_private.admitted(credential, signer);
begin
  if ttl_seconds is null or ttl_seconds not between 1 and 300 then
    raise exception 'a pass lives between 1 and 300 seconds' using errcode = '22023', hint = 'Set contextTtl accordingly.';
  end if;
  perform tenantry_private.settle(admission, signer);
  -- Never longer than the credential itself, so that passes cannot be chained.
  return tenantry_private.sealed('p1', signer,
    least(admission[4], nullif(admission[5], ''), tenantry_private.instant(clock_timestamp() + ttl_seconds * interval '1 second')) || E'\x1f' ||
    admission[1] || E'\x1f' || admission[2] || E'\x1f' || admission[3] || coalesce(E'\x1f' || nullif(admission[5], ''), ''),
    '');
end
$$;

comment on function tenantry_private.enter_for_pass(text, integer) is
  'Enters, and returns a pass that enter() accepts from the same login role in this database for ttl_seconds (1 to 300, never beyond the credential). What is revoked meanwhile holds until then. Errors: as tenantry.enter(), 22023.';

create function tenantry.assume(principal tenantry.entity, actor tenantry.entity default null)
returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
declare
  chain text[] := array[principal::text];
  bits  integer;
begin
  perform tenantry_private.require_admin('assume an entity without a credential');
  if principal is null then
    raise exception 'assume() needs an entity' using errcode = '22004', hint = 'Write it kind:id.';
  end if;
  if actor is not null and actor <> principal then
    chain := chain || actor::text;
  end if;
  bits := tenantry_private.chain_privileges(chain);
  -- No statement is named as the one of entry: an admin's script may be one single message.
  perform tenantry_private.set_context(tenantry_private.current_signer(), '',
    tenantry_private.privilege_list(bits), coalesce(actor, principal), principal, 'assumed',
    case when bits > 63 then coalesce(tenantry_private.instant(tenantry_private.chain_ends(chain)), '') else '' end);
end
$$;

comment on function tenantry.assume(tenantry.entity, tenantry.entity) is
  'For admins and tests: works as an entity without a credential, for this transaction. actor: who acts for it, default the entity itself. Errors: 22004, 42501, TN004, TN009, TN011.';

create function tenantry.enter_session(credential text, duration interval default '1 hour')
returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
#print_strict_params off
declare
  admission text[];
  signer    constant tenantry_private.signing_keys := tenantry_private.current_signer();
begin
  if duration is null or duration not between interval '1 second' and interval '12 hours' then
    raise exception 'a session lasts between 1 second and 12 hours' using errcode = '22023', hint = 'The default is 1 hour.';
  end if;
  if not tenantry_private.is_person() then
    raise exception 'login role % does not belong to a person', quote_ident(session_user)
      using errcode = 'TN010',
            hint = 'A pooled login must use tenantry.enter() in each transaction. For a person an admin runs: select tenantry.bind_role(<role>, <entity>, person => true);';
  end if;
  admission := tenantry_private.admitted(credential, signer);
  -- A session context names this server process, which parallel workers are not.
  perform set_config('max_parallel_workers_per_gather', '0', false);
  perform set_config('tenantry.session',
    tenantry_private.sealed('s1', signer,
      tenantry_private.instant(statement_timestamp()) || E'\x1f' ||
      least(tenantry_private.instant(clock_timestamp() + duration), nullif(admission[5], '')) || E'\x1f' ||
      admission[1] || E'\x1f' || admission[2] || E'\x1f' || admission[3] || E'\x1f' || 'session',
      tenantry_private.session_binding()),
    false);
end
$$;

comment on function tenantry.enter_session(text, interval) is
  'For people in psql: like enter(), but for this server session. Only login roles bound with person => true. duration: 1 second to 12 hours, default 1 hour. Turns parallel query off in the session. Errors: 22023, TN003, TN004, TN008, TN009, TN010.';

create function tenantry.leave()
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
  perform set_config('tenantry.context', '', true);
  perform set_config('tenantry.session', '', false);
end
$$;

comment on function tenantry.leave() is
  'Forgets the context of this transaction and of this session. A convenience, not a boundary: whoever kept the text may set it again within the same transaction.';
