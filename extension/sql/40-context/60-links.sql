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
      using errcode = 'TN009',
            hint = case
                     when entity = 'anonymous:anonymous' then 'There is one where rows are public: select * from tenantry.protect(''<table>'', public_when => ''…'');'
                     else 'Entities come from the tables given to tenantry.register_kind(), or from tenantry.register_entity().'
                   end;
  end if;
end
$$;

comment on function tenantry_private.require_entity(text) is 'Raises TN009 unless the entity is known and alive.';

-- Every way in which one entity may act for another, as privilege bits. Bits that are held by delegation alone come a second
-- time, shifted by 6. In two questions, of which most callers need the first only: it runs for every call that acts for
-- somebody, and PostgreSQL plans it anew in each transaction.
create function tenantry_private.link_privileges(actor text, principal text)
returns integer
language plpgsql stable
as $$
declare
  link record;
  more record;
begin
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
         end as bits,
         p.kind = any (k.further) as further, a.serial as actor_serial, p.serial as principal_serial
    into link
    from tenantry_private.entities a
    join tenantry_private.kinds k on k.kind = a.kind
   cross join tenantry_private.entities p
   where a.kind = tenantry_private.kind_of(actor)     and a.id = tenantry_private.id_of(actor)     and a.gone_at is null
     and p.kind = tenantry_private.kind_of(principal) and p.id = tenantry_private.id_of(principal) and p.gone_at is null;
  if link.bits = 63 or link.further is not true then
    return link.bits;
  end if;
  -- a member, as its role says; and whoever was given it
  select coalesce((
           select bit_or(m.bits)
             from tenantry_private.memberships m
            where m.member_kind = tenantry_private.kind_of(actor) and m.member_id = tenantry_private.id_of(actor)
              and m.container_kind = tenantry_private.kind_of(principal) and m.container_id = tenantry_private.id_of(principal)
              and not m.void), 0) as member,
         coalesce((
           select bit_or(d.bits)
             from tenantry_private.delegations d
            where d.to_kind = tenantry_private.kind_of(actor) and d.to_id = tenantry_private.id_of(actor)
              and d.for_kind = tenantry_private.kind_of(principal) and d.for_id = tenantry_private.id_of(principal)
              and d.to_serial = link.actor_serial and d.for_serial = link.principal_serial
              and d.tables is null and tenantry_private.in_force(d)), 0) as delegated
    into more;
  return link.bits | more.member | more.delegated | ((more.delegated & ~(link.bits | more.member)) << 6);
end
$$;

comment on function tenantry_private.link_privileges(text, text) is
  'What one entity may do for another, directly, as privilege bits: 63 for its owner, 31 for what acts for its owner, 15 for a registered service, a member''s role, what was delegated; 0 for a stranger, null if either is unknown. What is held by delegation alone is there a second time, times 64.';

create function tenantry_private.link_ends(actor text, principal text)
returns timestamptz
language plpgsql stable
as $$
begin
  return (
    select min(d.expires_at)
      from tenantry_private.delegations d
     where d.to_kind = tenantry_private.kind_of(actor) and d.to_id = tenantry_private.id_of(actor)
       and d.for_kind = tenantry_private.kind_of(principal) and d.for_id = tenantry_private.id_of(principal)
       and d.revoked_at is null and d.tables is null
       and d.expires_at > statement_timestamp());
end
$$;

comment on function tenantry_private.link_ends(text, text) is 'When the first delegation between two entities expires; null if none does.';

create function tenantry_private.chain_privileges(chain text[])
returns integer
language plpgsql stable
as $$
declare
  bits      integer := 63;
  delegated integer := 0;
  nearest   boolean := true;
  direct    integer;
  ignored   text;
begin
  if cardinality(chain) = 1 or chain[1] = all (chain) then
    ignored := tenantry_private.require_entity(chain[1]);
    -- as own_privileges()
    return case when starts_with(chain[1], 'anonymous:') then 1 else bits end;
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
    if nearest then
      delegated := direct >> 6;
      nearest   := false;
    else
      -- What somebody holds for others by delegation is not what those may use who act for them by delegation: they would
      -- have been given it.
      direct := direct & ~(direct >> 6);
    end if;
    bits := bits & direct;
    if bits = 0 then
      raise exception '% may not act for %', chain[link], chain[link - 1]
        using errcode = 'TN004', hint = 'It would have to own it, to be owned by it and act for its owner, to be a member of it, to be registered as a service, or to have been given that by tenantry.delegate(), for all tables. Who acts for somebody in between names them all (nested act).';
    end if;
  end loop;
  return bits | ((delegated & bits) << 6);
end
$$;

comment on function tenantry_private.chain_privileges(text[]) is
  'The intersection of the privileges of all links of a chain, from the subject to who is there; what the subject''s own link holds by delegation alone is there a second time, times 64. Errors: TN004, TN009.';

create function tenantry_private.chain_ends(chain text[])
returns timestamptz
language plpgsql stable
as $$
begin
  return (
    select min(tenantry_private.link_ends(chain[link], chain[link - 1]))
      from generate_series(2, cardinality(chain)) as link
     where chain[link] <> chain[link - 1]);
end
$$;

comment on function tenantry_private.chain_ends(text[]) is 'When the first delegation that a chain may rest on expires; null if none does.';
