-- The context is a signed text (c1) in the setting tenantry.context, local to its transaction:
--   entered, expires, privileges, actor, principal, source
-- and bound to the transaction's start. Not to the process id, which differs in parallel workers. Nothing is written to a
-- table, so it works on a standby and behind a transaction pooler.

create function tenantry_private.set_context(
  signer     tenantry_private.signing_keys,
  entered    text,
  privileges text,
  actor      text,
  principal  text,
  source     text,
  until      text default ''
)
returns void
language plpgsql volatile
as $$
#print_strict_params off
declare
  context text;
begin
  -- Assigned, not PERFORMed: a simple expression costs a fraction of a query.
  context := set_config('tenantry.context',
    tenantry_private.sealed('c1', signer,
      entered || E'\x1f' || least(tenantry_private.instant(clock_timestamp() + signer.lifetime), nullif(until, '')) || E'\x1f' ||
      privileges || E'\x1f' || actor || E'\x1f' || principal || E'\x1f' || source,
      timestamptz_send(now())),
    true);
end
$$;

comment on function tenantry_private.set_context(tenantry_private.signing_keys, text, text, text, text, text, text) is
  'Signs a context and sets it for this transaction; until: when what it rests on expires, if it does.';

create function tenantry_private.refuse_context(field text[])
returns void
language plpgsql stable parallel safe
as $$
begin
  if field is null then
    raise exception 'the tenantry context of this session is not valid here'
      using errcode = 'TN002',
            hint = 'A context is made by tenantry.enter() and holds in that transaction, database and login only. Enter again; do not copy or set tenantry.context.';
  elsif field[2] = tenantry_private.instant(statement_timestamp()) then
    raise exception 'the tenantry context was entered in this very statement'
      using errcode = 'TN002',
            hint = 'Call tenantry.enter() in a statement of its own, before the one that uses the context.';
  end if;
  raise exception 'the tenantry context has expired'
    using errcode = 'TN003', hint = 'End the transaction and enter again.';
end
$$;

comment on function tenantry_private.refuse_context(text[]) is 'Raises TN002 or TN003 for a context that open_context() does not accept.';

create function tenantry_private.open_context()
returns text[]
language plpgsql stable parallel safe
as $$
#print_strict_params off
declare
  field text[];
begin
  -- After a transaction a local setting reads back '' rather than null: both mean that there is no context.
  if current_setting('tenantry.context', true) <> '' then
    field := tenantry_private.opened('c1', current_setting('tenantry.context', true), timestamptz_send(now()));
    if field[3] > tenantry_private.instant(statement_timestamp()) and field[2] <> tenantry_private.instant(statement_timestamp()) then
      return field;
    end if;
    perform tenantry_private.refuse_context(field);
  end if;
  return tenantry_private.ambient_context();
end
$$;

comment on function tenantry_private.open_context() is
  'Verifies the context of this statement: {key id, entered, expires, privileges, actor, principal, source}; null where there is none. Errors: TN001, TN002, TN003.';
