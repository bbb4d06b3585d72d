create function tenantry_private.require_entity(entity text)
returns void
language plpgsql stable
as $$
begin
  if not exists (
       select
         from tenantry_private.entities e
        where e.kind = tenantry_private.kind_of(entity)
          and e.id = tenantry_private.id_of(entity)
          and e.gone_at is null) then
    if tenantry_private.is_entity(entity) is not true then
      perform tenantry_private.refuse_credential('its claims sub and act.sub must be entities, written kind:id');
    end if;
    raise exception 'there is no entity %', entity
      using errcode = 'TN009', hint = 'Entities come from the tables given to tenantry.register_kind(), or from tenantry.register_entity().';
  end if;
end
$$;

comment on function tenantry_private.require_entity(text) is 'Raises TN009 unless the entity is known and alive.';

-- Every way in which one entity may act for another, as privilege bits.
create function tenantry_private.link_privileges(actor text, principal text)
returns integer
language plpgsql stable
as $$
begin
  return (
    select case
             -- its owner works as what it owns
             when p.owner_kind = a.kind and p.owner_id = a.id then 63
             else
               -- an agent for its owner: everything but handing on
               case when a.owner_kind = p.kind and a.owner_id = p.id and (a.acts_for_owner or k.acts_for_owner) then 31 else 0 end
               -- a platform's service for whoever calls it: never secrets, never handing on
               | case when exists (
                          select
                            from tenantry_private.services s
                           where s.kind = a.kind and s.id = a.id and s.serial = a.serial and s.serves_kind = p.kind) then 15 else 0 end
           end
      from tenantry_private.entities a
      join tenantry_private.kinds k on k.kind = a.kind
     cross join tenantry_private.entities p
     where a.kind = tenantry_private.kind_of(actor)     and a.id = tenantry_private.id_of(actor)     and a.gone_at is null
       and p.kind = tenantry_private.kind_of(principal) and p.id = tenantry_private.id_of(principal) and p.gone_at is null);
end
$$;

comment on function tenantry_private.link_privileges(text, text) is
  'What one entity may do for another, directly, as privilege bits: 63 for its owner, 31 for what acts for its owner, 15 for a registered service, 0 for a stranger, null if either is unknown.';

create function tenantry_private.chain_privileges(chain text[])
returns integer
language plpgsql stable
as $$
declare
  bits    integer := 63;
  direct  integer;
  ignored text;
begin
  if cardinality(chain) = 1 or chain[1] = all (chain) then
    ignored := tenantry_private.require_entity(chain[1]);
    return bits;
  end if;
  for link in 2 .. cardinality(chain) loop
    if chain[link] = chain[link - 1] then
      continue;
    end if;
    direct := tenantry_private.link_privileges(chain[link], chain[link - 1]);
    if direct is null then
      perform tenantry_private.require_entity(chain[link]);
      perform tenantry_private.require_entity(chain[link - 1]);
    end if;
    bits := bits & direct;
    if bits = 0 then
      raise exception '% may not act for %', chain[link], chain[link - 1]
        using errcode = 'TN004', hint = 'It would have to own it, to be owned by it and act for its owner, or to be registered as a service.';
    end if;
  end loop;
  return bits;
end
$$;

comment on function tenantry_private.chain_privileges(text[]) is
  'The intersection of the privileges of all links of a chain, from the subject to who is there. Errors: TN004, TN009.';
