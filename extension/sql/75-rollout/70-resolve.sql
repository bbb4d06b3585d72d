-- Somebody decides what the signals could not.

create function tenantry_private.exempt_rows(target regclass, keys jsonb)
returns bigint
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
declare
  rows bigint;
begin
  perform tenantry_private.require_admin('roll out isolation');
  perform tenantry_private.require_declarable(target);
  update tenantry_private.quarantined_rows q
     set exempt = true
   where q.relation = target
     and q.key = any (select array(select jsonb_array_elements_text(k.value)) from jsonb_array_elements(keys) k);
  get diagnostics rows = row_count;
  return rows;
end
$$;

comment on function tenantry_private.exempt_rows(regclass, jsonb) is 'Notes that rows have no owner, on purpose.';

create function tenantry_private.resolve(target regclass, owner tenantry.entity, condition text)
returns bigint
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  rollout constant tenantry_private.rollouts := tenantry_private.require_rollout(target);
  keys    jsonb;
  rows    bigint;
begin
  perform tenantry_private.require_runner(target);
  if rollout.state not in ('prepared', 'backfilled', 'transitional', 'verified') then
    perform tenantry_private.refuse(format('%s is %s', target, rollout.state),
      format('Rows are decided between prepared and strict. Run: call tenantry.rollout_to(%L, %L);', target, case rollout.state when 'planned' then 'backfilled' else 'verified' end));
  end if;
  if owner is not null and not exists (
       select from tenantry_private.known_ids(split_part(owner, ':', 1), array[substr(owner, strpos(owner, ':') + 1)]) where split_part(owner, ':', 1) = rollout.owner_kind) then
    perform tenantry_private.refuse(format('%s cannot own rows of %s', owner, target), format('Name an entity of kind %s that is registered, or null for rows without an owner.', rollout.owner_kind));
  end if;
  execute format($query$with chosen as (
    select q.key from tenantry.rollout_quarantine q join %s t on %s = q.key
     where q.relation = %L::regclass and t.%I is null and (%s))
  select jsonb_agg(c.key), count(*) from chosen c$query$, target,
    tenantry_private.key_texts(target),
    target, rollout.owner_column, condition)
    into keys, rows;
  if rows = 0 then
    return 0;
  end if;
  if owner is null then
    rows := tenantry_private.exempt_rows(target, keys);
  else
    rows := tenantry_private.update_quietly(target, format(
      'update %s t set %I = %L::%s, tenantry_source = %s from jsonb_array_elements(%L::jsonb) k where %s = array(select jsonb_array_elements_text(k.value)) and t.%2$I is null',
      target, rollout.owner_column, substr(owner, strpos(owner, ':') + 1), format_type(tenantry_private.column_type(target, rollout.owner_column), null),
      tenantry_private.source_of(target, 'resolved'), keys, tenantry_private.key_texts(target)));
    perform tenantry_private.unquarantine(target, keys);
  end if;
  perform tenantry_private.log_step(target, rollout.state, rollout.state, '(resolved)', 'ROW EXCLUSIVE', null, null, rows, jsonb_build_object('owner', owner, 'condition', condition));
  return rows;
end
$$;

comment on function tenantry_private.resolve(regclass, tenantry.entity, text) is 'Decides quarantined rows that meet a condition over aliases q (quarantine) and t (table).';

create function tenantry.rollout_resolve(target regclass, owner tenantry.entity, variadic key text[])
returns bigint
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  names constant text[] := (select case when k.columns = '{ctid}' then '{ctid, xmin}' else k.columns end from tenantry_private.rollout_key(target) k);
  rows  bigint;
begin
  rows := tenantry_private.resolve(target, owner, format('q.key = %L::text[]', key));
  if rows = 0 and cardinality(key) <> cardinality(names) then
    perform tenantry_private.refuse(format('a row of %s is named by %s', target, array_to_string(names, ', ')), format('Give %s value(s), in this order.', cardinality(names)));
  end if;
  if rows = 0 then
    perform tenantry_private.refuse(format('no row %s of %s is in quarantine', key, target), format('List them: select * from tenantry.rollout_quarantine where relation = %L::regclass;', target));
  end if;
  return rows;
end
$$;

comment on function tenantry.rollout_resolve(regclass, tenantry.entity, text[]) is
  'Gives a quarantined row an owner; null: it has none, on purpose, and nobody will see it. key: the primary key''s values as text, in its order; as it stands in tenantry.rollout_quarantine where the table has none: then the row''s ctid and xmin, which another row, or another version of it, has not. Errors: 42501, TN011.';

create function tenantry.rollout_resolve_where(target regclass, owner tenantry.entity, condition text)
returns bigint
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
  perform tenantry_private.require_expression(condition);
  return tenantry_private.resolve(target, owner, condition);
end
$$;

comment on function tenantry.rollout_resolve_where(regclass, tenantry.entity, text) is
  'Gives all quarantined rows that meet a condition an owner; null: they have none. condition: over t, the row, and q, its entry in tenantry.rollout_quarantine: ''t.type = ''''note'''' and q.reason = ''''no signal''''''. Returns how many. Errors: 42501, TN011.';
