-- Delegation. A delegation covers the data of the entity that it names, and not of what that entity owns, belongs to or was
-- given; so nobody can widen what they were given by giving away something of their own. Passing on is a delegation of its
-- own, under the one that it comes from.

create function tenantry_private.passable(
  context    text[],
  for_kind   text,
  for_id     text,
  wanted     integer,
  the_tables regclass[],
  ends       timestamptz,
  further    integer
)
returns tenantry_private.delegations
language plpgsql stable
as $$
#variable_conflict use_variable
declare
  lent   constant boolean := strpos(context[4], ',=delegate,') > 0;
  holder constant text    := case when lent then context[5] else context[6] end;
  found  tenantry_private.delegations;
begin
  -- Who works for somebody by delegation passes on what was given for that principal, and nothing else.
  if lent and context[6] <> for_kind || ':' || for_id then
    return null;
  end if;
  select d.*
    into found
    from tenantry_private.walk(tenantry_private.kind_of(holder), tenantry_private.id_of(holder), 32) w
    join tenantry_private.entities t on t.kind = w.kind and t.id = w.id
    join tenantry_private.delegations d on d.to_kind = t.kind and d.to_id = t.id and d.to_serial = t.serial
    join tenantry_private.entities f on f.serial = d.for_serial and f.gone_at is null
   where d.for_kind = for_kind and d.for_id = for_id
     and tenantry_private.in_force(d)
     and d.bits & 32 <> 0
     and d.redelegate >= 1
   -- the one that covers what is asked, where what is not said is taken from it; else the widest, whose limits the error names
   order by (wanted & ~d.bits = 0
             and (d.tables is null or the_tables is null or the_tables <@ d.tables)
             and (d.expires_at is null or ends is null or ends <= d.expires_at)
             and further < d.redelegate) is not true,
            d.tables is not null, d.expires_at desc nulls first, d.redelegate desc, d.id
   limit 1;
  return found;
end
$$;

comment on function tenantry_private.passable(text[], text, text, integer, regclass[], timestamptz, integer) is
  'The delegation that a context may pass on to give what is wanted; null if it holds none that may be passed on.';

create function tenantry.delegate(
  to_entity  tenantry.entity,
  privileges text[]          default '{select}',
  for_entity tenantry.entity default null,
  expires_at timestamptz     default null,
  tables     regclass[]      default null,
  redelegate integer         default 0
)
returns uuid
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
#variable_conflict use_variable
declare
  context  constant text[] := tenantry_private.open_context();
  target   text;
  bits     integer;
  strong   integer;
  receiver tenantry_private.entities;
  subject  tenantry_private.entities;
  source   tenantry_private.delegations;
  made     uuid;
  unknown  text;
begin
  if context is null then
    raise exception 'there is no tenantry context: nobody has said who delegates'
      using errcode = 'TN001', hint = 'Enter first: tenantry.enter(), or, as an admin, tenantry.assume().';
  end if;
  if to_entity is null then
    raise exception 'delegate() needs an entity to give to' using errcode = '22004', hint = 'Write it kind:id.';
  end if;
  target := coalesce(for_entity, context[6]);
  if redelegate is null or redelegate not between 0 and 5 then
    raise exception 'redelegate must lie between 0 and 5' using errcode = '22023', hint = 'It is how many times in a row the delegation may be passed on; 0, the default, for never.';
  end if;
  bits := tenantry_private.privilege_bits(privileges);
  if bits = 0 then
    raise exception 'delegate() needs privileges' using errcode = '22023', hint = 'Privileges: select, insert, update, delete, decrypt, delegate; all for all of them.';
  end if;
  if redelegate = 0 and 'all' = any (privileges) and 'delegate' <> all (privileges) then
    bits := bits & 31;
  end if;
  if (bits & 32 <> 0) <> (redelegate > 0) then
    raise exception 'the privilege delegate and redelegate go together'
      using errcode = '22023', hint = 'To let it be passed on, name the privilege and say how many times in a row: privileges => ''{select,delegate}'', redelegate => 1.';
  end if;
  if expires_at <= clock_timestamp() then
    raise exception 'a delegation cannot expire in the past (%)', expires_at using errcode = '22023', hint = 'Name a time to come, or null for none.';
  end if;
  if cardinality(tables) = 0 then
    raise exception 'a delegation for no table gives nothing' using errcode = '22023', hint = 'Name tables, or null for all.';
  end if;
  select string_agg(t::text, ', ') into unknown
    from unnest(tables) as t
   where not exists (select from tenantry_private.tables d where d.relation = t and d.class in ('owned', 'by_parent'));
  if unknown is not null then
    raise exception 'not protected, so not to be delegated: %', unknown
      using errcode = '22023', hint = 'List protected tables: select * from tenantry.tables;';
  end if;
  if strpos(context[4], ',delegate,') = 0 then
    raise exception '% may not delegate: this context does not leave the privilege delegate', context[5]
      using errcode = 'TN004', hint = 'Whoever owns the data, or an admin member of it, delegates.';
  end if;
  if to_entity in (target, context[5], context[6]) then
    raise exception '% cannot be given %', to_entity, case when to_entity = target then 'its own data' else 'anything by itself' end using errcode = '22023', hint = 'Name another entity.';
  end if;
  if tenantry_private.kind_of(to_entity) = 'anonymous' then
    raise exception 'nobody can delegate to everybody' using errcode = '22023', hint = 'Rows for everybody: select * from tenantry.protect(…, public_when => ''…'');';
  end if;

  select e.* into subject
    from tenantry_private.entities e
   where e.kind = tenantry_private.kind_of(target) and e.id = tenantry_private.id_of(target) and e.gone_at is null;
  strong := tenantry_private.held(context, subject.kind, subject.id);
  -- What it does not hold itself it may still have been given to pass on.
  if strong & 32 = 0 or bits & ~strong <> 0 then
    source := tenantry_private.passable(context, subject.kind, subject.id, bits, tables, expires_at, redelegate);
    -- The same answer for an entity that does not exist.
    if source.id is null and strong & 32 = 0 then
      raise exception '% may not delegate for %', concat_ws(' for ', context[5], nullif(context[6], context[5])), target
        using errcode = 'TN004', hint = 'It would have to own it, to be a member with the privilege delegate, or to have been given it with redelegate.';
    elsif strong & 32 <> 0 and (bits & ~source.bits) is distinct from 0 then
      source := null;
    end if;
  end if;
  if source.id is not null then
    strong := source.bits;
    expires_at := coalesce(expires_at, source.expires_at);
    tables := coalesce(tables, source.tables);
    if redelegate >= source.redelegate then
      raise exception 'this can be passed on % more times in a row, not %', source.redelegate - 1, redelegate
        using errcode = '22023', hint = format('Say redelegate => %s or less.', source.redelegate - 1);
    end if;
    if expires_at > source.expires_at then
      raise exception 'what is passed on cannot last longer than it is held, until %', source.expires_at
        using errcode = '22023', hint = 'Name an earlier time, or null for that one.';
    end if;
    if source.tables is not null and not tables <@ source.tables then
      raise exception 'what is passed on cannot cover more tables than it is held for: %', source.tables::text
        using errcode = '22023', hint = 'Name some of these.';
    end if;
  end if;
  -- and never more than the context leaves
  strong := strong & tenantry_private.privilege_bits(tenantry_private.context_privileges(context));
  if bits & ~strong <> 0 then
    raise exception '% does not hold % for %', concat_ws(' for ', context[5], nullif(context[6], context[5])),
        array_to_string(tenantry_private.privilege_names(bits & ~strong), ', '), target
      using errcode = '22023', hint = format('It holds: %s.', array_to_string(tenantry_private.privilege_names(strong), ', '));
  end if;

  perform tenantry_private.require_entity(to_entity);
  select e.* into receiver
    from tenantry_private.entities e
   where e.kind = tenantry_private.kind_of(to_entity) and e.id = tenantry_private.id_of(to_entity) and e.gone_at is null;
  insert into tenantry_private.delegations as d
         (from_actor, from_kind, from_id, for_kind, for_id, for_serial, to_kind, to_id, to_serial, bits, tables, redelegate, parent, expires_at)
  values (context[5], coalesce(source.to_kind, tenantry_private.kind_of(context[6])), coalesce(source.to_id, tenantry_private.id_of(context[6])),
          subject.kind, subject.id, subject.serial, receiver.kind, receiver.id, receiver.serial,
          bits, tables, redelegate, source.id, expires_at)
  returning d.id into made;
  perform tenantry_private.link_kinds(receiver.kind, subject.kind, true);
  perform tenantry_private.note('delegate', to_entity, jsonb_strip_nulls(jsonb_build_object('delegation', made, 'for', target,
    'privileges', tenantry_private.privilege_names(bits), 'tables', tables::text[], 'expires_at', expires_at, 'redelegate', redelegate, 'passed_on_from', source.id)));
  return made;
end
$$;

comment on function tenantry.delegate(tenantry.entity, text[], tenantry.entity, timestamptz, regclass[], integer) is
  'Lets an entity work on the data of another, and returns the delegation''s name. to_entity: who gets it. privileges: select (default), insert, update, delete, decrypt, delegate, or all. for_entity: whose data, default the principal of this session. expires_at: when it ends, default never, or when what is passed on ends. tables: only these, on the reach path; default all. redelegate: how many times in a row it may be passed on, 0 (default) to 5, together with the privilege delegate. Nobody gives more, or for longer, than they hold. Errors: 22004, 22023, TN001, TN002, TN003, TN004 (not to be given by this session), TN009 (unknown receiver).';

create function tenantry_private.behind(delegation uuid)
returns setof uuid
language sql stable
begin atomic
  with recursive behind (id) as (
    select delegation
    union
    select d.id from behind b join tenantry_private.delegations d on d.parent = b.id)
  select b.id from behind b;
end;

comment on function tenantry_private.behind(uuid) is 'A delegation and everything passed on from it.';

create function tenantry.revoke(delegation uuid default null, to_entity tenantry.entity default null, for_entity tenantry.entity default null)
returns integer
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
declare
  context constant text[]  := tenantry_private.open_context();
  admin   constant boolean := context is null and tenantry_private.is_admin();
  item    tenantry_private.delegations;
  ended   integer := 0;
  batch   integer;
begin
  if context is null and not admin then
    raise exception 'there is no tenantry context: nobody has said who revokes'
      using errcode = 'TN001', hint = 'Enter first: tenantry.enter().';
  end if;
  if (delegation is null) = (to_entity is null) then
    raise exception 'revoke() needs a delegation, or an entity to take from'
      using errcode = '22004', hint = 'Run: select tenantry.revoke(''<delegation>''); or: select tenantry.revoke(to_entity => ''kind:id''); List them: select * from tenantry.delegations;';
  end if;
  for item in
    select d.*
      from tenantry_private.delegations d
     where d.revoked_at is null
       and (revoke.delegation is null or d.id = revoke.delegation)
       and (to_entity is null or d.to_kind || ':' || d.to_id = to_entity)
       and (to_entity is null or d.for_kind || ':' || d.for_id = coalesce(for_entity, context[6], d.for_kind || ':' || d.for_id))
     order by d.given_at, d.id
  loop
    continue when not (admin or tenantry_private.may_revoke(context, item));
    update tenantry_private.delegations d
       set revoked_at = clock_timestamp(),
           revoked_by = coalesce(context[5], session_user)
     where d.revoked_at is null
       and d.id in (select b from tenantry_private.behind(item.id) b);
    get diagnostics batch = row_count;
    if batch > 0 then
      ended := ended + batch;
      perform tenantry_private.note('revoke', item.to_kind || ':' || item.to_id, jsonb_build_object('delegation', item.id, 'for', item.for_kind || ':' || item.for_id, 'ended', batch));
    end if;
  end loop;
  if ended = 0 then
    raise exception 'there is no such delegation in force that this session gave, holds or may end'
      using errcode = 'TN004', hint = 'List them: select * from tenantry.delegations;';
  end if;
  return ended;
end
$$;

comment on function tenantry.revoke(uuid, tenantry.entity, tenantry.entity) is
  'Ends a delegation and everything passed on from it; returns how many. delegation: its name; or to_entity: who holds it, with for_entity: whose data, default the principal''s. Whoever gave it, holds it, or holds delegate on the data by ownership or membership may; an admin without a context any. Holds from the next statement on the reach path, from the next enter() for acting, from the end of a pass with one. Errors: 22004, TN001, TN002, TN003, TN004 (no such delegation).';

create function tenantry_private.may_revoke(context text[], item tenantry_private.delegations)
returns boolean
language plpgsql stable
as $$
begin
  return context[6] = item.to_kind || ':' || item.to_id and strpos(context[4], ',=') = 0
      or strpos(context[4], ',delegate,') > 0
         and (context[6] = item.from_kind || ':' || item.from_id and strpos(context[4], ',=delegate,') = 0
              or context[5] = item.from_kind || ':' || item.from_id and context[6] = item.for_kind || ':' || item.for_id
              or tenantry_private.held(context, item.for_kind, item.for_id) & 32 <> 0);
end
$$;

comment on function tenantry_private.may_revoke(text[], tenantry_private.delegations) is 'Whether a context may end a delegation: it gave it, holds it, or holds delegate on the data.';

create function tenantry_private.visible_delegations()
returns setof tenantry_private.delegations
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
declare
  context constant text[] := tenantry_private.open_context();
begin
  if context is null then
    if tenantry_private.is_admin() then
      return query select d.* from tenantry_private.delegations d;
    end if;
    return;
  end if;
  -- Both sides see what was given and held; whoever only acts for one by delegation sees what concerns that delegation.
  return query
  select d.*
    from tenantry_private.delegations d
   where strpos(context[4], ',select,') > 0
     and case when strpos(context[4], ',=select,') > 0
           then (d.to_kind || ':' || d.to_id, d.for_kind || ':' || d.for_id) = (context[5], context[6])
             or (d.from_kind || ':' || d.from_id, d.for_kind || ':' || d.for_id) = (context[5], context[6])
           else context[6] in (d.to_kind || ':' || d.to_id, d.from_kind || ':' || d.from_id, d.for_kind || ':' || d.for_id)
         end;
end
$$;

comment on function tenantry_private.visible_delegations() is 'The delegations that this session gave, holds, or that open its principal''s data; all for an admin without a context.';

create view tenantry.delegations as
select d.id, d.from_kind || ':' || d.from_id as from_entity, d.from_actor, d.to_kind || ':' || d.to_id as to_entity,
       d.for_kind || ':' || d.for_id as for_entity, tenantry_private.privilege_names(d.bits) as privileges, d.tables,
       d.redelegate, d.parent as passed_on_from, d.given_at, d.expires_at, d.revoked_at, d.revoked_by,
       case when d.revoked_at is not null then 'revoked'
            when d.expires_at <= statement_timestamp() then 'expired'
            else 'in force' end as state
  from tenantry_private.visible_delegations() d;

comment on view tenantry.delegations is 'What was delegated: to each side what it gave and what it holds, and to whom the data belongs what others may do with it; to an admin without a context all of it.';
