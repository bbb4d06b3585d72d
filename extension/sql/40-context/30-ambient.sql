-- Without a context of the transaction: a person's session context, else the entity the login role is bound to.
create function tenantry_private.session_binding()
returns bytea
language sql stable parallel safe
return int4send(pg_backend_pid()) || timestamptz_send(pg_postmaster_start_time());

comment on function tenantry_private.session_binding() is 'What a session context is bound to: this server process of this server start.';

create function tenantry_private.is_person()
returns boolean
language sql stable parallel safe
return exists (
  select
    from tenantry_private.bound_roles b
    join pg_catalog.pg_roles r on r.oid = b.role_oid and r.rolname = b.role_name
   where b.role_name = session_user and b.person);

comment on function tenantry_private.is_person() is 'Whether the login of this session is bound as a person''s.';

create function tenantry_private.ambient_context()
returns text[]
language plpgsql stable parallel safe
as $$
#print_strict_params off
declare
  session constant text := current_setting('tenantry.session', true);
  field   text[];
  missing text;
begin
  if session <> '' then
    field := tenantry_private.opened('s1', session, tenantry_private.session_binding());
    -- Asked again each time, so that unbinding the role ends its sessions.
    if field is null or not tenantry_private.is_person() or (field[7] = 'impersonated' and not tenantry_private.is_allowed('support')) then
      raise exception 'the tenantry session of this connection is not valid here'
        using errcode = 'TN002',
              hint = 'It holds in the server session that called tenantry.enter_session(), and not in parallel workers (max_parallel_workers_per_gather must stay 0). Run: select tenantry.leave(); and enter again.';
    end if;
    if field[3] <= tenantry_private.instant(statement_timestamp()) then
      raise exception 'the tenantry session of this connection has expired'
        using errcode = 'TN003', hint = 'Run: select tenantry.leave(); or enter again with a new credential.';
    end if;
    return field;
  end if;

  field := (
    select array['', '', '', tenantry_private.own_privileges(b.kind || ':' || b.id), b.kind || ':' || b.id, b.kind || ':' || b.id, 'role']
      from tenantry_private.bound_roles b
      join pg_catalog.pg_roles r on r.oid = b.role_oid and r.rolname = b.role_name
      join tenantry_private.entities e on e.serial = b.serial and e.gone_at is null
     where b.role_name = session_user);
  if field is not null then
    return field;
  end if;
  missing := tenantry_private.setting('on_missing_context', 'empty');
  if missing = 'log' then
    -- For finding the code that has not been converted; literals of the statement are what it is written with.
    raise log 'tenantry: no context: login %, application %, statement %', session_user, current_setting('application_name'), left(current_query(), 500);
  end if;
  if missing = 'error' then
    raise exception 'there is no tenantry context: nobody has said whose data this session works on'
      using errcode = 'TN001', hint = 'Send the query through the tenantry pool, or call tenantry.enter() first.';
  end if;
  return field;
end
$$;

comment on function tenantry_private.ambient_context() is
  'The context of a session that has entered none in this transaction; null where there is none. Errors: TN001 (on_missing_context = error), TN002, TN003.';
