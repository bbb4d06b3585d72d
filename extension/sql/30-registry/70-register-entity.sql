create function tenantry.register_entity(
  entity         tenantry.entity,
  owner          tenantry.entity default null,
  acts_for_owner boolean         default false
)
returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
declare
  the_kind constant text := tenantry_private.kind_of(entity);
  source   regclass;
begin
  perform tenantry_private.require_admin('register an entity');
  if entity is null then
    raise exception 'register_entity() needs an entity' using errcode = '22004', hint = 'Write it kind:id.';
  end if;
  select k.relation into source from tenantry_private.kinds k where k.kind = the_kind;
  if source is not null then
    perform tenantry_private.refuse(format('entities of kind %s come from %s', the_kind, source), format('Insert a row into %s.', source));
  end if;
  if owner is not null then
    perform tenantry_private.require_entity(owner);
  elsif register_entity.acts_for_owner then
    perform tenantry_private.refuse('acts_for_owner needs an owner', 'Name the owner: owner => ''kind:id''.');
  end if;
  insert into tenantry_private.kinds (kind, id_type) values (the_kind, 'text') on conflict do nothing;
  perform tenantry_private.record_entities(the_kind, array[tenantry_private.id_of(entity)],
    tenantry_private.kind_of(owner), array[tenantry_private.id_of(owner)]);
  update tenantry_private.entities e
     set acts_for_owner = register_entity.acts_for_owner
   where e.kind = the_kind and e.id = tenantry_private.id_of(entity);
  perform tenantry_private.link_kinds(tenantry_private.kind_of(owner), the_kind);
  perform tenantry_private.link_kinds(the_kind, tenantry_private.kind_of(owner));
end
$$;

comment on function tenantry.register_entity(tenantry.entity, tenantry.entity, boolean) is
  'Registers one entity by hand, for kinds without a table. owner: who owns it. acts_for_owner: whether it may act for its owner. A second call changes both. Errors: 22004, 42501, TN009 (unknown owner), TN011.';

create function tenantry.unregister_entity(entity tenantry.entity)
returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
begin
  perform tenantry_private.require_admin('unregister an entity');
  if entity is null then
    raise exception 'unregister_entity() needs an entity' using errcode = '22004', hint = 'Write it kind:id.';
  end if;
  perform tenantry_private.require_entity(entity);
  if exists (select from tenantry_private.kinds k where k.kind = tenantry_private.kind_of(entity) and k.relation is not null) then
    perform tenantry_private.refuse(format('%s comes from a table', entity), 'Delete its row there.');
  end if;
  update tenantry_private.entities e
     set gone_at = now()
   where e.kind = tenantry_private.kind_of(entity) and e.id = tenantry_private.id_of(entity);
end
$$;

comment on function tenantry.unregister_entity(tenantry.entity) is
  'Ends an entity that was registered by hand: it can be entered no more, and what it was given is void. Errors: 22004, 42501, TN009, TN011.';

create function tenantry.register_service(entity tenantry.entity, serves_kind text)
returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
begin
  perform tenantry_private.require_admin('register a service');
  if entity is null then
    raise exception 'register_service() needs an entity' using errcode = '22004', hint = 'Write it kind:id.';
  end if;
  perform tenantry_private.require_entity(entity);
  if not exists (select from tenantry_private.kinds k where k.kind = register_service.serves_kind) then
    perform tenantry_private.refuse(format('kind %s is not registered', coalesce(quote_literal(serves_kind), 'null')),
      'Register it first: select tenantry.register_kind(''<kind>'', ''<table>'');');
  end if;
  insert into tenantry_private.services as s (kind, id, serial, serves_kind)
  select e.kind, e.id, e.serial, register_service.serves_kind
    from tenantry_private.entities e
   where e.kind = tenantry_private.kind_of(entity) and e.id = tenantry_private.id_of(entity)
      on conflict on constraint services_pkey do update set serial = excluded.serial;
  perform tenantry_private.note('register_service', entity, jsonb_build_object('serves', serves_kind));
end
$$;

comment on function tenantry.register_service(tenantry.entity, text) is
  'Lets an entity, such as a platform''s shared agent, act for every entity of a kind: one per call, with select, insert, update and delete. Errors: 22004, 42501, TN009, TN011.';

create function tenantry.unregister_service(entity tenantry.entity, serves_kind text)
returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
begin
  perform tenantry_private.require_admin('unregister a service');
  delete from tenantry_private.services s
   where s.kind = tenantry_private.kind_of(entity) and s.id = tenantry_private.id_of(entity)
     and s.serves_kind = unregister_service.serves_kind;
  if not found then
    perform tenantry_private.refuse(format('%s does not serve kind %s', entity, serves_kind), 'Nothing to undo.');
  end if;
  perform tenantry_private.note('unregister_service', entity, jsonb_build_object('serves', serves_kind));
end
$$;

comment on function tenantry.unregister_service(tenantry.entity, text) is 'Takes register_service() back. Errors: 42501, TN011.';
