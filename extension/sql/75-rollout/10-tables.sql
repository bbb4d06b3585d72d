-- Isolation for tables that are full and in use: planned → prepared → backfilled → transitional → verified → strict, each
-- step a short transaction, or batches of them, and each with its way back.

create table tenantry_private.rollouts (
  relation      regclass    primary key,
  tag           text        not null unique,
  state         text        not null default 'planned' check (state in ('planned', 'prepared', 'backfilled', 'transitional', 'verified', 'strict')),
  owner_column  name        not null,
  owner_kind    text        not null references tenantry_private.kinds (kind),
  legacy_roles  name[]      not null default '{}',
  drop_policies name[]      not null default '{}',
  budget        bigint      not null default 0 check (budget >= 0),
  options       jsonb       not null default '{}',
  before        jsonb,
  run           integer     not null default 0,
  place         bigint      not null default 0,
  done          bigint      not null default 0,
  filled        bigint      not null default 0,
  total         bigint,
  finished      boolean     not null default false,
  batch_size    integer,
  began_at      timestamptz,
  brake         text,
  counts        jsonb,
  declared_by   name        not null default session_user,
  declared_at   timestamptz not null default now()
);

comment on table tenantry_private.rollouts is 'Tables on their way to isolation.';
comment on column tenantry_private.rollouts.relation is 'The table.';
comment on column tenantry_private.rollouts.tag is 'Names what is made for it.';
comment on column tenantry_private.rollouts.state is 'How far it is.';
comment on column tenantry_private.rollouts.owner_column is 'The column that holds, or will hold, the owner''s id.';
comment on column tenantry_private.rollouts.owner_kind is 'The kind of that owner.';
comment on column tenantry_private.rollouts.legacy_roles is 'Roles that work without a context until the table is strict.';
comment on column tenantry_private.rollouts.drop_policies is 'Permissive policies of the application that go when the table becomes transitional.';
comment on column tenantry_private.rollouts.budget is 'How many rows without an owner strict may leave behind.';
comment on column tenantry_private.rollouts.options is 'What else protect() is told.';
comment on column tenantry_private.rollouts.before is 'What the table was like: columns, row security, policies, privileges.';
comment on column tenantry_private.rollouts.run is 'The number of the last backfill.';
comment on column tenantry_private.rollouts.place is 'Where the backfill is: the first block that no range has been begun with.';
comment on column tenantry_private.rollouts.done is 'Rows that the backfill has looked at.';
comment on column tenantry_private.rollouts.filled is 'Rows that it has given an owner.';
comment on column tenantry_private.rollouts.total is 'Rows there were when it began.';
comment on column tenantry_private.rollouts.finished is 'Whether the backfill has looked at every row.';
comment on column tenantry_private.rollouts.batch_size is 'Rows in its last batch.';
comment on column tenantry_private.rollouts.began_at is 'When it began.';
comment on column tenantry_private.rollouts.brake is 'Why it waits; null while it does not.';
comment on column tenantry_private.rollouts.counts is 'What the last verification counted.';
comment on column tenantry_private.rollouts.declared_by is 'The login role that declared it.';
comment on column tenantry_private.rollouts.declared_at is 'When.';

create table tenantry_private.rollout_ranges (
  relation regclass not null references tenantry_private.rollouts (relation) on delete cascade,
  first    bigint   not null,
  behind   bigint   not null,
  counted  boolean  not null default false,
  primary key (relation, first)
);

comment on table tenantry_private.rollout_ranges is 'Ranges of blocks that backfills are at. Whoever is at one holds the lock of its job.';
comment on column tenantry_private.rollout_ranges.relation is 'The table.';
comment on column tenantry_private.rollout_ranges.first is 'The first block.';
comment on column tenantry_private.rollout_ranges.behind is 'The block behind the last.';
comment on column tenantry_private.rollout_ranges.counted is 'Whether its rows that had an owner before have been counted as looked at.';

create table tenantry_private.rollout_signals (
  relation regclass not null references tenantry_private.rollouts (relation) on delete cascade,
  name     text     not null,
  rank     integer  not null check (rank between 1 and 1000),
  query    text     not null,
  by_place boolean,
  author   name     not null default session_user,
  primary key (relation, name)
);

comment on table tenantry_private.rollout_signals is 'What tells whose a row is.';
comment on column tenantry_private.rollout_signals.relation is 'The table.';
comment on column tenantry_private.rollout_signals.name is 'What it is called in reports.';
comment on column tenantry_private.rollout_signals.rank is '1 decides before 2.';
comment on column tenantry_private.rollout_signals.query is 'Yields (tableoid, ctid, owner) or (key columns …, owner) for the rows it can decide.';
comment on column tenantry_private.rollout_signals.by_place is 'Whether it yields tableoid and ctid; null where it could not be tried yet.';
comment on column tenantry_private.rollout_signals.author is 'The login role that wrote it.';

create table tenantry_private.rollout_sources (
  relation regclass    not null,
  number   smallint    not null,
  run      integer     not null,
  signal   text        not null,
  rank     integer,
  late     boolean     not null default false,
  at       timestamptz not null default now(),
  primary key (relation, number)
);

comment on table tenantry_private.rollout_sources is 'What the numbers in the column tenantry_source mean: which signal, in which run, gave a row its owner.';
comment on column tenantry_private.rollout_sources.relation is 'The table.';
comment on column tenantry_private.rollout_sources.number is 'The number in the row.';
comment on column tenantry_private.rollout_sources.run is 'The run.';
comment on column tenantry_private.rollout_sources.signal is 'The signal; resolved: somebody decided.';
comment on column tenantry_private.rollout_sources.rank is 'Its rank then.';
comment on column tenantry_private.rollout_sources.late is 'Whether the row was written meanwhile, and filled by the trigger.';
comment on column tenantry_private.rollout_sources.at is 'When it was numbered.';

create table tenantry_private.quarantined_rows (
  relation   regclass    not null,
  key        text[]      not null,
  reason     text        not null check (reason in ('no signal', 'conflict', 'unknown entity')),
  candidates jsonb       not null default '[]',
  exempt     boolean     not null default false,
  run        integer     not null,
  found_at   timestamptz not null default now(),
  primary key (relation, key)
);

comment on table tenantry_private.quarantined_rows is 'Rows whose owner nobody can tell.';
comment on column tenantry_private.quarantined_rows.relation is 'The table.';
comment on column tenantry_private.quarantined_rows.key is 'The primary key''s values as text; ctid and xmin where there is none.';
comment on column tenantry_private.quarantined_rows.reason is 'no signal, conflict, or unknown entity.';
comment on column tenantry_private.quarantined_rows.candidates is 'Every candidate with its signal and rank.';
comment on column tenantry_private.quarantined_rows.exempt is 'Whether it was decided that it has no owner.';
comment on column tenantry_private.quarantined_rows.run is 'The run that found it.';
comment on column tenantry_private.quarantined_rows.found_at is 'When.';

create table tenantry_private.rollout_steps (
  id         bigint      generated always as identity primary key,
  relation   regclass    not null,
  at         timestamptz not null default clock_timestamp(),
  from_state text        not null,
  to_state   text        not null,
  statement  text        not null,
  lock       text,
  waited_ms  numeric,
  held_ms    numeric,
  rows       bigint,
  detail     jsonb,
  login      name        not null default session_user
);

comment on table tenantry_private.rollout_steps is 'What rollouts did.';
comment on column tenantry_private.rollout_steps.id is 'In their order.';
comment on column tenantry_private.rollout_steps.relation is 'The table.';
comment on column tenantry_private.rollout_steps.at is 'When it was done.';
comment on column tenantry_private.rollout_steps.from_state is 'The state it began in.';
comment on column tenantry_private.rollout_steps.to_state is 'The state it led to.';
comment on column tenantry_private.rollout_steps.statement is 'The statement, or what was counted.';
comment on column tenantry_private.rollout_steps.lock is 'The lock it took.';
comment on column tenantry_private.rollout_steps.waited_ms is 'Milliseconds that it waited for the lock.';
comment on column tenantry_private.rollout_steps.held_ms is 'Milliseconds from the lock to the end of what was done under it.';
comment on column tenantry_private.rollout_steps.rows is 'Rows concerned.';
comment on column tenantry_private.rollout_steps.detail is 'Counts and checksums.';
comment on column tenantry_private.rollout_steps.login is 'The login role.';

create view tenantry.rollout_status as
select r.relation, r.state, r.owner_column, r.owner_kind, r.legacy_roles, r.budget, r.run, r.done, r.filled, r.total, r.batch_size, r.began_at, r.brake,
       (select count(*) from tenantry_private.quarantined_rows q where q.relation = r.relation and not q.exempt) as quarantined,
       (select count(*) from tenantry_private.quarantined_rows q where q.relation = r.relation and q.exempt) as exempt,
       r.counts
  from tenantry_private.rollouts r;

comment on view tenantry.rollout_status is 'How far each rollout is. counts: what the last verification counted; brake: why the backfill waits. For admins.';

create view tenantry.rollout_quarantine as
select q.relation, q.key, q.reason, q.candidates, q.exempt, q.run, q.found_at from tenantry_private.quarantined_rows q;

comment on view tenantry.rollout_quarantine is 'Rows whose owner the signals do not tell, with every candidate and where it comes from. For admins.';

create view tenantry.rollout_log as
select s.id, s.relation, s.at, s.from_state, s.to_state, s.statement, s.lock, s.waited_ms, s.held_ms, s.rows, s.detail, s.login
  from tenantry_private.rollout_steps s
 order by s.id;

comment on view tenantry.rollout_log is 'Every statement of every rollout, how long it waited for its lock and held it, and what was counted. For admins.';

create view tenantry.rollout_signals as
select s.relation, s.name, s.rank, s.query, s.by_place, s.author from tenantry_private.rollout_signals s;

comment on view tenantry.rollout_signals is 'What tells whose a row is, by table. For admins.';

create view tenantry.rollout_sources as
select s.relation, s.number, s.run, s.signal, s.rank, s.late, s.at from tenantry_private.rollout_sources s;

comment on view tenantry.rollout_sources is 'What the numbers in the column tenantry_source mean. For admins.';

create function tenantry_private.rollout(target regclass)
returns tenantry_private.rollouts
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
begin
  return (select r from tenantry_private.rollouts r where r.relation = target);
end
$$;

comment on function tenantry_private.rollout(regclass) is 'The rollout of a table; null if there is none.';

create function tenantry_private.in_transition(target regclass)
returns boolean
language sql stable
set search_path = pg_catalog, pg_temp
return coalesce((tenantry_private.rollout(target)).state in ('transitional', 'verified'), false);

comment on function tenantry_private.in_transition(regclass) is 'Whether a table is isolated already but lets its legacy roles through.';

create function tenantry_private.is_without_context()
returns boolean
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
begin
  return tenantry_private.open_context() is null;
end
$$;

comment on function tenantry_private.is_without_context() is 'What the policies of legacy roles ask. Errors: TN001 (on_missing_context = error), TN002, TN003.';

-- A login that is declared legacy somewhere works there as it always did, triggers of ours included.
create function tenantry_private.is_legacy()
returns boolean
language sql stable
set search_path = pg_catalog, pg_temp
return exists (
  select from tenantry_private.rollouts r where r.state in ('transitional', 'verified') and session_user = any (r.legacy_roles));

comment on function tenantry_private.is_legacy() is 'Whether the login of this session is let through without a context by a table in transition.';
