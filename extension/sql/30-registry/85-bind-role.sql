create function tenantry_private.record_binding(login_role name, entity text, person boolean)
returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
begin
  perform tenantry_private.require_admin('bind roles');
  perform tenantry_private.require_entity(entity);
  insert into tenantry_private.bound_roles as b (role_name, role_oid, kind, id, serial, person)
  select r.rolname, r.oid, e.kind, e.id, e.serial, record_binding.person
    from pg_catalog.pg_roles r
   cross join tenantry_private.entities e
   where r.rolname = login_role
     and e.kind = tenantry_private.kind_of(entity) and e.id = tenantry_private.id_of(entity)
      on conflict on constraint bound_roles_pkey do update
     set role_oid = excluded.role_oid,
         kind     = excluded.kind,
         id       = excluded.id,
         serial   = excluded.serial,
         person   = excluded.person,
         bound_at = now();
  perform tenantry_private.note('bind_role', login_role, jsonb_build_object('entity', entity, 'person', person));
end
$$;

comment on function tenantry_private.record_binding(name, text, boolean) is 'The definer half of tenantry.bind_role().';

create function tenantry.bind_role(login_role name, entity tenantry.entity, person boolean default false)
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
  if entity is null then
    raise exception 'bind_role() needs an entity' using errcode = '22004', hint = 'Write it kind:id.';
  end if;
  perform tenantry.allow(login_role);
  perform tenantry_private.record_binding(login_role, entity, person);
end
$$;

comment on function tenantry.bind_role(name, tenantry.entity, boolean) is
  'Ties a login role to an entity: its sessions work as that entity without entering. Never for a pooled login. person => true also allows enter_session(). A second call binds anew. Errors: 22004, 42501, TN009, TN011.';

create function tenantry.unbind_role(login_role name)
returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
begin
  perform tenantry_private.require_admin('unbind roles');
  delete from tenantry_private.bound_roles b where b.role_name = login_role;
  if not found then
    perform tenantry_private.refuse(format('%s is not bound', coalesce(quote_ident(login_role), 'null')), 'Nothing to undo.');
  end if;
  perform tenantry_private.note('unbind_role', login_role);
end
$$;

comment on function tenantry.unbind_role(name) is 'Takes bind_role() back, from the role''s next statement on. Errors: 42501, TN011.';
