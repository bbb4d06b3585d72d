-- Who set, gave and took what, in one append-only table. Each entry carries a hash over itself and the one before it, so
-- that an entry cannot be changed or taken out by anybody who does not write all later ones anew, and the server log, which
-- has every hash as well, would disagree with those.
create table tenantry_private.audit_entries (
  id        bigint      primary key,
  at        timestamptz not null,
  action    text        not null,
  actor     text,
  principal text,
  login     name        not null,
  object    text        not null,
  detail    jsonb       not null,
  previous  bytea       not null unique,
  hash      bytea       not null
);

comment on table tenantry_private.audit_entries is 'Who delegated, revoked, bound, protected, exempted, encrypted, rotated, shredded, impersonated, broke glass.';
comment on column tenantry_private.audit_entries.id is 'Number of the entry, without gaps.';
comment on column tenantry_private.audit_entries.at is 'When.';
comment on column tenantry_private.audit_entries.action is 'What was done: the function''s name.';
comment on column tenantry_private.audit_entries.actor is 'The actor of the context, if there was one.';
comment on column tenantry_private.audit_entries.principal is 'Its principal.';
comment on column tenantry_private.audit_entries.login is 'The login role.';
comment on column tenantry_private.audit_entries.object is 'What it was done to: an entity, a table, a role.';
comment on column tenantry_private.audit_entries.detail is 'With what: never keys, shares, credentials or secrets.';
comment on column tenantry_private.audit_entries.previous is 'Hash of the entry before it. Unique, so that the chain cannot fork.';
comment on column tenantry_private.audit_entries.hash is 'SHA-256 over the hash before it and the entry.';

create function tenantry_private.audit_hash(entry tenantry_private.audit_entries)
returns bytea
language sql immutable parallel safe
-- jsonb prints itself in one way only; instants do not depend on the session's settings.
return sha256(entry.previous || convert_to(jsonb_build_array(entry.id, encode(timestamptz_send(entry.at), 'hex'), entry.action,
         entry.actor, entry.principal, entry.login, entry.object, entry.detail)::text, 'UTF8'));

comment on function tenantry_private.audit_hash(tenantry_private.audit_entries) is 'What the hash of an entry must be.';

create function tenantry_private.keep_audit()
returns trigger
language plpgsql volatile
as $$
begin
  raise exception 'the audit is append-only' using errcode = '42501', hint = 'Read it: select * from tenantry.audit;';
end
$$;

comment on function tenantry_private.keep_audit() is 'Trigger: entries of the audit are never changed.';

create trigger keep_audit before update or delete or truncate on tenantry_private.audit_entries
  for each statement execute function tenantry_private.keep_audit();
alter table tenantry_private.audit_entries enable always trigger keep_audit;

create function tenantry_private.note(action text, object text, detail jsonb default '{}')
returns void
language plpgsql volatile
as $$
#variable_conflict use_variable
declare
  context text[];
  last    record;
  entry   tenantry_private.audit_entries;
begin
  -- One after the other, so that each knows the hash before it. By a lock that nobody else may take, as an advisory one:
  -- whoever held that would hold up even their own revocation.
  lock table tenantry_private.audit_entries in share row exclusive mode;
  begin
    context := tenantry_private.open_context();
  exception
    -- An admin's script has no context that could be used; what it does is recorded all the same.
    when sqlstate 'TN001' or sqlstate 'TN002' or sqlstate 'TN003' then null;
  end;
  select a.id, a.hash into last from tenantry_private.audit_entries a order by a.id desc limit 1;
  entry.id        := coalesce(last.id, 0) + 1;
  entry.at        := clock_timestamp();
  entry.action    := action;
  entry.actor     := context[5];
  entry.principal := context[6];
  entry.login     := session_user;
  entry.object    := object;
  entry.detail    := coalesce(detail, '{}');
  entry.previous  := coalesce(last.hash, '\x'::bytea);
  entry.hash      := tenantry_private.audit_hash(entry);
  begin
    insert into tenantry_private.audit_entries select entry.*;
  exception
    -- A transaction that cannot see what others have recorded meanwhile (REPEATABLE READ).
    when unique_violation then
      raise exception 'somebody else has changed what tenantry records meanwhile'
        using errcode = '40001', hint = 'Run the transaction again.';
  end;
  raise log 'tenantry audit % % on % by % (%): %', entry.id, action, object, coalesce(context[5], 'nobody'), session_user, encode(entry.hash, 'hex');
end
$$;

comment on function tenantry_private.note(text, text, jsonb) is 'Adds an entry to the audit, and its hash to the server log. Error: 40001.';

create view tenantry.audit as
select a.id, a.at, a.action, a.actor, a.principal, a.login, a.object, a.detail, encode(a.hash, 'hex') as hash
  from tenantry_private.audit_entries a
 order by a.id;

comment on view tenantry.audit is 'Who set, gave and took what, oldest first. hash: over the entry and the hash before it. For admins.';

create function tenantry_private.audit_state()
returns table (entries bigint, head text, broken_at bigint)
language sql stable security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
begin atomic
  select count(*), (array_agg(encode(c.hash, 'hex') order by c.id desc))[1],
         min(c.id) filter (where c.hash <> tenantry_private.audit_hash(c.entry) or c.previous <> c.before or c.id <> c.position)
    from (select a.id, a.hash, a.previous, a as entry,
                 coalesce(lag(a.hash) over (order by a.id), ''::bytea) as before,
                 row_number() over (order by a.id) as position
            from tenantry_private.audit_entries a) c;
end;

comment on function tenantry_private.audit_state() is 'How many entries the audit has, the hash of the last, and the first that does not follow from the one before it.';
