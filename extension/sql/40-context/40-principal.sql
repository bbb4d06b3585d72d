-- What policies ask. Called as (select tenantry.principal(…)), hence once per statement and never per row. It says what
-- open_context() says, in one function instead of three, because it runs for every table of every statement; what it does
-- not accept is left to open_context(), which says why.
create function tenantry.principal(kind text, privilege text default 'select')
returns text
language plpgsql stable parallel safe security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
#print_strict_params off
declare
  context constant text   := current_setting('tenantry.context', true);
  field            text[] := string_to_array(substr(context, 69), E'\x1f');
  key              bytea;
begin
  if context <> '' then
    key := (select k.secret from tenantry_private.signing_keys k where k.id = field[1]);
  end if;
  if (starts_with(context, 'c1.')
      and tenantry_private.same_mac(substr(context, 4, 64),
            tenantry_private.hmac_sha256(tenantry_private.signed_bytes('c1', substr(context, 69), timestamptz_send(now())), key))
      and field[2] <> tenantry_private.instant(statement_timestamp())
      and field[3] > tenantry_private.instant(statement_timestamp())) is not true then
    field := tenantry_private.open_context();
  end if;
  return case
    when starts_with(field[6], kind || ':') and strpos(field[4], ',' || privilege || ',') > 0
    then substr(field[6], length(kind) + 2)
  end;
end
$$;

comment on function tenantry.principal(text, text) is
  'The id of the entity whose data this session works on, if it is of this kind and the context leaves this privilege; else null. kind: as registered. privilege: select (default), insert, update, delete, decrypt or delegate. Errors: TN001 (on_missing_context = error), TN002, TN003.';

create function tenantry.actor()
returns text
language plpgsql stable parallel safe security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
begin
  return (tenantry_private.open_context())[5];
end
$$;

comment on function tenantry.actor() is 'The entity that is there, as kind:id; null without a context. Errors: TN001 (on_missing_context = error), TN002, TN003.';

create function tenantry.may(privilege text)
returns boolean
language plpgsql stable parallel safe security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
begin
  perform tenantry_private.privilege_bit(privilege);
  return coalesce(strpos((tenantry_private.open_context())[4], ',' || privilege || ',') > 0, false);
end
$$;

comment on function tenantry.may(text) is
  'Whether the context leaves a privilege on the principal''s data: select, insert, update, delete, decrypt or delegate. Errors: 22023, TN001 (on_missing_context = error), TN002, TN003.';

create function tenantry.whoami()
returns table (actor text, principal text, privileges text[], source text, expires_at timestamptz, login_role name)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
declare
  context constant text[] := tenantry_private.open_context();
begin
  actor      := context[5];
  principal  := context[6];
  privileges := case when context is not null then tenantry_private.context_privileges(context) end;
  source     := coalesce(context[7], 'none');
  expires_at := timestamptz '2000-01-01 00:00:00+00' + ('x' || nullif(context[3], ''))::bit(64)::bigint * interval '1 microsecond';
  login_role := session_user;
  return next;
end
$$;

comment on function tenantry.whoami() is
  'One row: who acts, whose data this session works on, with which privileges, where that comes from (context, session, role, assumed or none), until when, and the login role. Errors: TN001 (on_missing_context = error), TN002, TN003.';
