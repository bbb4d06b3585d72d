-- A session that bypasses or owns what protects the rows is refused, because nothing would be isolated in it.
create table tenantry_private.table_owners (
  role_oid oid primary key
);

comment on table tenantry_private.table_owners is 'Owners of protected tables, kept beside tenantry_private.tables so that enter() need not look at every table.';
comment on column tenantry_private.table_owners.role_oid is 'A role that owns a protected table.';

create function tenantry_private.session_refusal()
returns text
language plpgsql stable
as $$
declare
  login record;
begin
  select r.oid, r.rolsuper, r.rolbypassrls,
         exists (
           select
             from tenantry_private.allowed_roles a
            where a.role_name = r.rolname and a.role_oid = r.oid and a.granted_as = 'user') as allowed,
         exists (
           select
             from tenantry_private.table_owners o
            where pg_has_role(r.oid, o.role_oid, 'member')) as owns,
         -- What it was granted itself; check() looks further, which would take too long here.
         exists (
           select
             from pg_catalog.pg_auth_members m
             join pg_catalog.pg_roles g on g.oid = m.roleid
            where m.member = r.oid and (g.rolsuper or g.rolbypassrls)) as becomes_unbound
    into login
    from pg_catalog.pg_roles r
   where r.rolname = session_user;
  return case
    when login.rolsuper        then 'is a superuser, and row-level security does not bind superusers'
    when login.rolbypassrls    then 'has BYPASSRLS, and row-level security does not bind it'
    when login.becomes_unbound then 'may turn into a role that row-level security does not bind (SET ROLE)'
    when login.owns            then 'owns protected tables, or may become their owner, and an owner can take every protection away'
    when not login.allowed     then 'is not allowed to work in this database'
  end;
end
$$;

comment on function tenantry_private.session_refusal() is 'Why the login of this session must not work as an entity; null if it may.';

create function tenantry_private.require_ordinary_session()
returns void
language plpgsql stable
as $$
declare
  why constant text := tenantry_private.session_refusal();
begin
  if why is not null then
    raise exception 'login role % %', quote_ident(session_user), why
      using errcode = 'TN010',
            hint = 'Connect as an ordinary login role that owns nothing here. To make one: create role app_runtime login; select * from tenantry.allow(''app_runtime'');';
  end if;
end
$$;

comment on function tenantry_private.require_ordinary_session() is 'Raises TN010 for a superuser, BYPASSRLS, an owner of protected tables or a login that is not allowed here.';

-- Verifies a token or a pass: {privileges, actor, principal, expires}.
create function tenantry_private.admitted(credential text)
returns text[]
language plpgsql stable
as $$
#print_strict_params off
declare
  body  text;
  field text[];
  claim jsonb;
  chain text[];
begin
  if credential is null or credential = '' then
    perform tenantry_private.refuse_credential('there is none');
  end if;

  if starts_with(credential, 'p1.') then
    body  := substr(credential, 69);
    field := string_to_array(body, E'\x1f');
    if not tenantry_private.same_mac(substr(credential, 4, 64), tenantry_private.mac('pass', body, field[1], '')) then
      perform tenantry_private.refuse_credential('this pass was not issued to this login in this database, or has been voided');
    end if;
    if field[2] <= tenantry_private.instant(clock_timestamp()) then
      raise exception 'the pass has expired' using errcode = 'TN003', hint = 'Enter with a credential again.';
    end if;
    return array[field[3], field[4], field[5], field[2]];
  end if;

  perform tenantry_private.require_ordinary_session();
  claim := tenantry_private.verified_claims(credential);
  chain := tenantry_private.claimed_chain(claim);
  return array[
    tenantry_private.privilege_list(tenantry_private.chain_privileges(chain)),
    chain[cardinality(chain)],
    chain[1],
    tenantry_private.instant(to_timestamp((claim ->> 'exp')::double precision))];
end
$$;

comment on function tenantry_private.admitted(text) is
  'What a token or a pass entitles to: {privileges, actor, principal, expires}. Errors: TN003, TN004, TN008, TN009, TN010.';

create function tenantry_private.settle(admission text[])
returns void
language plpgsql volatile
as $$
#print_strict_params off
declare
  context constant text := current_setting('tenantry.context', true);
  field   constant text[] := string_to_array(substr(context, 69), E'\x1f');
begin
  -- One identity a transaction: what deferred work and open cursors of the first would do under the second is not
  -- something to find out. Only a context that is valid counts; planted text must not lock anybody out.
  if context <> '' and (field[5], field[6]) is distinct from (admission[2], admission[3])
     and tenantry_private.same_mac(substr(context, 4, 64),
           tenantry_private.mac('context', substr(context, 69), field[1], timestamptz_send(now()))) then
    raise exception 'this transaction already works as %', concat_ws(' for ', field[5], nullif(field[6], field[5]))
      using errcode = 'TN002', hint = 'End the transaction before entering as somebody else.';
  end if;
  -- Left off by an earlier user of the connection, it would turn every query into an error.
  perform set_config('row_security', 'on', true);
  perform tenantry_private.seal_context(admission[1], admission[2], admission[3], 'context',
            tenantry_private.instant(statement_timestamp()));
end
$$;

comment on function tenantry_private.settle(text[]) is 'Makes an admission the context of this transaction. Error: TN002 if it already has another.';

create function tenantry.enter(credential text)
returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
#print_strict_params off
begin
  perform tenantry_private.settle(tenantry_private.admitted(credential));
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
  admission constant text[] := tenantry_private.admitted(credential);
  key_id    constant text   := tenantry_private.signing_key_id();
  body      text;
begin
  if ttl_seconds is null or ttl_seconds not between 1 and 300 then
    raise exception 'a pass lives between 1 and 300 seconds' using errcode = '22023', hint = 'Set contextTtl accordingly.';
  end if;
  perform tenantry_private.settle(admission);
  -- Never longer than the credential itself, so that passes cannot be chained.
  body := concat_ws(E'\x1f', key_id,
            least(admission[4], tenantry_private.instant(clock_timestamp() + ttl_seconds * interval '1 second')),
            admission[1], admission[2], admission[3]);
  return 'p1.' || encode(tenantry_private.mac('pass', body, key_id, ''), 'hex') || '.' || body;
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
begin
  perform tenantry_private.require_admin('assume an entity without a credential');
  if principal is null then
    raise exception 'assume() needs an entity' using errcode = '22004', hint = 'Write it kind:id.';
  end if;
  -- No statement is named as the one of entry: an admin's script may be one single message.
  perform tenantry_private.seal_context(
    tenantry_private.privilege_list(tenantry_private.chain_privileges(
      case when actor is null then array[principal::text] else array[principal::text, actor::text] end)),
    coalesce(actor, principal), principal, 'assumed', '');
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
  key_id    constant text := tenantry_private.signing_key_id();
  body      text;
begin
  if duration is null or duration not between interval '1 second' and interval '12 hours' then
    raise exception 'a session lasts between 1 second and 12 hours' using errcode = '22023', hint = 'The default is 1 hour.';
  end if;
  if not tenantry_private.is_person() then
    raise exception 'login role % does not belong to a person', quote_ident(session_user)
      using errcode = 'TN010',
            hint = 'A pooled login must use tenantry.enter() in each transaction. For a person an admin runs: select tenantry.bind_role(<role>, <entity>, person => true);';
  end if;
  admission := tenantry_private.admitted(credential);
  body := concat_ws(E'\x1f', key_id, tenantry_private.instant(statement_timestamp()),
            tenantry_private.instant(clock_timestamp() + duration),
            admission[1], admission[2], admission[3], 'session');
  -- A session context names this server process, which parallel workers are not.
  perform set_config('max_parallel_workers_per_gather', '0', false);
  perform set_config('tenantry.session',
    's1.' || encode(tenantry_private.mac('session', body, key_id, tenantry_private.session_binding()), 'hex') || '.' || body, false);
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
