-- Across tenants, in the open: standing readers, support and emergencies. Each has roles of its own and policies TO them, so
-- that neither the application's plans nor its rights change.

create table tenantry_private.granted_across (
  role_name  name        not null,
  role_oid   oid         not null,
  relation   regclass    not null,
  command    text        not null check (command in ('select', 'insert', 'update', 'delete', 'all')),
  reason     text        not null,
  granted_by name        not null default session_user,
  granted_at timestamptz not null default now(),
  primary key (role_name, relation)
);

comment on table tenantry_private.granted_across is 'Roles that read or write a table across all owners: a billing job, a dashboard.';
comment on column tenantry_private.granted_across.role_name is 'The role.';
comment on column tenantry_private.granted_across.role_oid is 'Its OID: a role made again under the name inherits nothing.';
comment on column tenantry_private.granted_across.relation is 'The table.';
comment on column tenantry_private.granted_across.command is 'select, insert, update, delete or all.';
comment on column tenantry_private.granted_across.reason is 'Why.';
comment on column tenantry_private.granted_across.granted_by is 'The login role that granted it.';
comment on column tenantry_private.granted_across.granted_at is 'When.';

create view tenantry.granted_across as
select g.role_name, g.relation, g.command, g.reason, g.granted_by, g.granted_at
  from tenantry_private.granted_across g
  join pg_catalog.pg_roles r on r.oid = g.role_oid and r.rolname = g.role_name;

comment on view tenantry.granted_across is 'Roles that read or write a table across all owners, and why. For admins.';

create function tenantry_private.record_across(the_role name, target regclass, the_command text, the_reason text)
returns boolean
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
declare
  forgotten boolean;
begin
  perform tenantry_private.require_admin('grant across tenants');
  perform tenantry_private.require_declarable(target);
  if the_command is null then
    delete from tenantry_private.granted_across g where g.role_name = the_role and g.relation = target;
    forgotten := found;
    if forgotten then
      perform tenantry_private.note('revoke_across', target::text, jsonb_build_object('role', the_role));
    end if;
    return forgotten;
  end if;
  insert into tenantry_private.granted_across as g (role_name, role_oid, relation, command, reason)
  select r.rolname, r.oid, target, the_command, the_reason from pg_catalog.pg_roles r where r.rolname = the_role
      on conflict on constraint granted_across_pkey do update
     set role_oid = excluded.role_oid, command = excluded.command, reason = excluded.reason, granted_by = session_user, granted_at = now();
  perform tenantry_private.note('grant_across', target::text, jsonb_build_object('role', the_role, 'command', the_command, 'reason', the_reason));
  return true;
end
$$;

comment on function tenantry_private.record_across(name, regclass, text, text) is 'The definer half of tenantry.grant_across(); without a command of revoke_across().';

create function tenantry_private.require_reason(reason text)
returns void
language plpgsql immutable
as $$
begin
  if reason is null or length(btrim(reason)) < 8 then
    raise exception 'a reason is needed, for whoever reads the audit' using errcode = '22023', hint = 'Say why, in at least 8 characters.';
  end if;
end
$$;

comment on function tenantry_private.require_reason(text) is 'Raises 22023 for a reason that says nothing.';

create function tenantry.grant_across(role_name name, target regclass, command text, reason text)
returns table (step integer, statement text, lock text)
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_variable
declare
  role record;
begin
  perform tenantry_private.require_own_table(target, 'grant_across');
  perform tenantry_private.require_reason(reason);
  if command is null or command not in ('select', 'insert', 'update', 'delete', 'all') then
    perform tenantry_private.refuse(format('there is no command %s', coalesce(quote_literal(command), 'null')), 'Commands: select, insert, update, delete, all.');
  end if;
  if not exists (select from tenantry.tables t where t.relation = target and t.class in ('owned', 'by_parent')) then
    perform tenantry_private.refuse(format('%s is not protected', target), 'An ordinary GRANT does for it.');
  end if;
  select r.rolname, r.rolsuper or r.rolbypassrls as unbound, pg_has_role(r.oid, to_regrole('tenantry_user'), 'member') as application,
         r.rolname ~ '^tenantry_' as internal
    into role
    from pg_catalog.pg_roles r
   where r.rolname = role_name;
  if role.rolname is null then
    perform tenantry_private.refuse(format('there is no role %s', coalesce(quote_ident(role_name), 'null')), 'Make one for the purpose: create role billing login;');
  end if;
  if role.unbound then
    perform tenantry_private.refuse(format('%I is not bound by row-level security and needs no grant', role_name), 'Name an ordinary role.');
  end if;
  if role.application or role.internal then
    perform tenantry_private.refuse(format('%I belongs to the application, whose rights stay as they are', role_name),
      'Make a role of its own for the purpose: create role billing login;');
  end if;
  perform tenantry_private.record_across(role_name, target, command, reason);
  return query select * from tenantry_private.settle_table(target, 0, false);
end
$$;

comment on function tenantry.grant_across(name, regclass, text, text) is
  'Lets a role of its own, such as a billing job, read or write a protected table across all owners. command: select, insert, update, delete or all; a second call for the table changes it. reason: for the audit and check(''info''), 8 characters at least. Secrets stay sealed. Returns the statements carried out. Errors: 22023, 42501, TN011.';

create function tenantry.revoke_across(role_name name, target regclass)
returns table (step integer, statement text, lock text)
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_variable
begin
  perform tenantry_private.require_own_table(target, 'revoke_across');
  if not tenantry_private.record_across(role_name, target, null, null) then
    perform tenantry_private.refuse(format('%s has no such grant on %s', coalesce(quote_ident(role_name), 'null'), target), 'List them: select * from tenantry.granted_across;');
  end if;
  step := 1;
  statement := format('revoke all on table %s from %I', target, role_name);
  execute statement;
  return next;
  return query select * from tenantry_private.settle_table(target, 1, false);
end
$$;

comment on function tenantry.revoke_across(name, regclass) is 'Takes grant_across() back. Returns the statements carried out. Errors: 42501, TN011.';

create function tenantry.impersonate(entity tenantry.entity, reason text, duration interval default '15 minutes')
returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
#print_strict_params off
declare
  signer constant tenantry_private.signing_keys := tenantry_private.current_signer();
  myself text;
begin
  if entity is null then
    raise exception 'impersonate() needs an entity' using errcode = '22004', hint = 'Write it kind:id.';
  end if;
  perform tenantry_private.require_reason(reason);
  if duration is null or duration not between interval '1 second' and interval '1 hour' then
    raise exception 'impersonating lasts between 1 second and 1 hour' using errcode = '22023', hint = 'The default is 15 minutes.';
  end if;
  if not tenantry_private.is_allowed('support') or not tenantry_private.is_person() then
    raise exception '% may not impersonate', quote_ident(session_user)
      using errcode = '42501', hint = format('An admin binds the login to a person and allows it: select tenantry.bind_role(%1$L, ''<kind:id>'', person => true); select * from tenantry.allow(%1$L, ''support'');', session_user);
  end if;
  perform tenantry_private.require_entity(entity);
  select b.kind || ':' || b.id into myself
    from tenantry_private.bound_roles b
    join tenantry_private.entities e on e.serial = b.serial and e.gone_at is null
   where b.role_name = session_user;
  if myself is null then
    raise exception 'the entity that % is bound to is gone', quote_ident(session_user) using errcode = 'TN009', hint = 'An admin binds it anew: tenantry.bind_role().';
  end if;
  perform tenantry_private.note('impersonate', entity, jsonb_build_object('as', myself, 'reason', reason, 'duration', duration::text));
  -- As enter_session(); nothing but reading, and so no secrets either.
  perform set_config('max_parallel_workers_per_gather', '0', false);
  perform set_config('tenantry.session',
    tenantry_private.sealed('s1', signer,
      tenantry_private.instant(statement_timestamp()) || E'\x1f' ||
      tenantry_private.instant(clock_timestamp() + duration) || E'\x1f' ||
      ',select,' || E'\x1f' || myself || E'\x1f' || entity || E'\x1f' || 'impersonated',
      tenantry_private.session_binding()),
    false);
end
$$;

comment on function tenantry.impersonate(tenantry.entity, text, interval) is
  'For support staff in psql: sees in this server session what an entity sees, on both paths, and writes nothing; secrets stay sealed. Only logins bound to a person and allowed as support. reason: at least 8 characters, for the audit. duration: 1 second to 1 hour, default 15 minutes; tenantry.leave() ends it. Errors: 22004, 22023, 42501, TN009, TN011.';

create function tenantry.break_glass(reason text, duration interval default '15 minutes')
returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
#print_strict_params off
declare
  signer constant tenantry_private.signing_keys := tenantry_private.current_signer();
begin
  perform tenantry_private.require_reason(reason);
  if duration is null or duration not between interval '1 second' and interval '1 hour' then
    raise exception 'the glass is broken for between 1 second and 1 hour' using errcode = '22023', hint = 'The default is 15 minutes.';
  end if;
  if not tenantry_private.is_allowed('maintenance') then
    raise exception '% may not break the glass', quote_ident(session_user)
      using errcode = '42501', hint = format('An admin runs: select * from tenantry.allow(%L, ''maintenance''); select * from tenantry.sync();', session_user);
  end if;
  perform tenantry_private.note('break_glass', current_database(), jsonb_build_object('reason', reason, 'duration', duration::text));
  perform set_config('max_parallel_workers_per_gather', '0', false);
  perform set_config('tenantry.glass',
    tenantry_private.sealed('g1', signer, tenantry_private.instant(clock_timestamp() + duration), tenantry_private.session_binding()), false);
end
$$;

comment on function tenantry.break_glass(text, interval) is
  'For people in an emergency: opens every protected table to this server session, for reading and writing, for a while. Secrets stay sealed. Only logins allowed as maintenance, which are not the application''s. reason: at least 8 characters, for the audit. duration: 1 second to 1 hour, default 15 minutes. Errors: 22023, 42501, TN011.';

create function tenantry.glass_is_broken()
returns boolean
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
#print_strict_params off
begin
  -- Whoever is allowed no longer has broken nothing.
  return coalesce(
    (tenantry_private.opened('g1', current_setting('tenantry.glass', true), tenantry_private.session_binding()))[2]
      > tenantry_private.instant(statement_timestamp()), false)
    and tenantry_private.is_allowed('maintenance');
end
$$;

comment on function tenantry.glass_is_broken() is 'Whether break_glass() holds in this session now. Policies for maintenance ask it.';
