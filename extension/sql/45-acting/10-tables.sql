-- Who may act for whom, beyond ownership: membership of containers, read from the application's own tables, and delegation,
-- which one entity gives another. Both are looked up by (kind, id), since rows of a membership may come before the entities
-- that they name; delegations hang on serials too, so that an id that is used again inherits nothing.

create table tenantry_private.membership_sources (
  relation         regclass    not null,
  member_column    name,
  member_kind      text        not null references tenantry_private.kinds (kind),
  container_column name        not null,
  container_kind   text        not null references tenantry_private.kinds (kind),
  role_column      name,
  role_path        text[],
  roles            jsonb       not null,
  registered_at    timestamptz not null default now(),
  primary key (relation, member_kind, container_kind),
  check ((member_column is null) = (role_path is not null)),
  check (role_path is null or role_column is not null)
);

comment on table tenantry_private.membership_sources is 'Application tables whose rows say who is a member of what.';
comment on column tenantry_private.membership_sources.relation is 'The table, followed by triggers.';
comment on column tenantry_private.membership_sources.member_column is 'The column that names the member; null where members are the keys of a JSON object.';
comment on column tenantry_private.membership_sources.member_kind is 'The kind of its members.';
comment on column tenantry_private.membership_sources.container_column is 'The column that names the container.';
comment on column tenantry_private.membership_sources.container_kind is 'The kind of that container.';
comment on column tenantry_private.membership_sources.role_column is 'The column that names the member''s role, or the jsonb column that holds them all; null where every member has the same.';
comment on column tenantry_private.membership_sources.role_path is 'Where in a jsonb role_column the object {member: role} lies.';
comment on column tenantry_private.membership_sources.roles is 'Role → privilege bits; "*" stands for every other role.';
comment on column tenantry_private.membership_sources.registered_at is 'When it was registered.';

create table tenantry_private.memberships (
  relation       regclass not null,
  member_kind    text     not null,
  member_id      text     not null collate "C",
  container_kind text     not null,
  container_id   text     not null collate "C",
  role           text     not null collate "C",
  bits           integer  not null,
  rows           bigint   not null,
  void           boolean  not null default false,
  stale          boolean  not null default false,
  primary key (member_kind, member_id, container_kind, container_id, relation, role)
);

create index memberships_member on tenantry_private.memberships (member_kind, member_id) include (container_kind, container_id, bits) where not void;
create index memberships_container on tenantry_private.memberships (container_kind, container_id);
create index memberships_source on tenantry_private.memberships (relation, member_kind, container_kind);

comment on table tenantry_private.memberships is 'Who is a member of what, as the application''s tables say.';
comment on column tenantry_private.memberships.relation is 'The table that says so.';
comment on column tenantry_private.memberships.member_kind is 'Kind of the member.';
comment on column tenantry_private.memberships.member_id is 'Id of the member.';
comment on column tenantry_private.memberships.container_kind is 'Kind of the container.';
comment on column tenantry_private.memberships.container_id is 'Id of the container.';
comment on column tenantry_private.memberships.role is 'The role, as it stands in the row; empty where there is none.';
comment on column tenantry_private.memberships.bits is 'What the role allows, as privilege bits.';
comment on column tenantry_private.memberships.rows is 'How many rows say so.';
comment on column tenantry_private.memberships.void is 'Whether member or container began a new life since: its rows are of the old one.';
comment on column tenantry_private.memberships.stale is 'While a table is read anew: whether the row has not been met yet.';

create table tenantry_private.delegations (
  id         uuid        primary key default gen_random_uuid(),
  from_actor text        not null,
  from_kind  text        not null,
  from_id    text        not null collate "C",
  for_kind   text        not null,
  for_id     text        not null collate "C",
  for_serial bigint      not null,
  to_kind    text        not null,
  to_id      text        not null collate "C",
  to_serial  bigint      not null,
  bits       integer     not null check (bits between 1 and 63),
  tables     regclass[]  check (cardinality(tables) > 0),
  redelegate integer     not null default 0 check (redelegate between 0 and 5),
  parent     uuid        references tenantry_private.delegations (id),
  given_at   timestamptz not null default now(),
  expires_at timestamptz,
  revoked_at timestamptz,
  revoked_by text
);

create index delegations_to on tenantry_private.delegations (to_kind, to_id, for_kind, for_id) where revoked_at is null;
create index delegations_for on tenantry_private.delegations (for_kind, for_id);
create index delegations_from on tenantry_private.delegations (from_kind, from_id);
create index delegations_parent on tenantry_private.delegations (parent) where parent is not null;

comment on table tenantry_private.delegations is 'What one entity lets another do with an entity''s data.';
comment on column tenantry_private.delegations.id is 'Name of the delegation.';
comment on column tenantry_private.delegations.from_actor is 'The actor who gave it.';
comment on column tenantry_private.delegations.from_kind is 'Kind of the principal that it was given as.';
comment on column tenantry_private.delegations.from_id is 'Id of that principal.';
comment on column tenantry_private.delegations.for_kind is 'Kind of the entity whose data it opens.';
comment on column tenantry_private.delegations.for_id is 'Id of that entity.';
comment on column tenantry_private.delegations.for_serial is 'The life of that id.';
comment on column tenantry_private.delegations.to_kind is 'Kind of the entity that holds it.';
comment on column tenantry_private.delegations.to_id is 'Id of that entity.';
comment on column tenantry_private.delegations.to_serial is 'The life of that id.';
comment on column tenantry_private.delegations.bits is 'What it allows, as privilege bits.';
comment on column tenantry_private.delegations.tables is 'The tables that it is narrowed to; null for all.';
comment on column tenantry_private.delegations.redelegate is 'How many times in a row it may be passed on.';
comment on column tenantry_private.delegations.parent is 'The delegation that it was passed on from.';
comment on column tenantry_private.delegations.given_at is 'When it was given.';
comment on column tenantry_private.delegations.expires_at is 'When it ends; null for never.';
comment on column tenantry_private.delegations.revoked_at is 'When it was revoked.';
comment on column tenantry_private.delegations.revoked_by is 'The actor who revoked it.';

-- Whether everybody that a delegation was passed on by still lives. Revoking and expiry reach those behind it by themselves.
create function tenantry_private.givers_live(delegation uuid)
returns boolean
language plpgsql stable parallel safe
as $$
declare
  next uuid := delegation;
  up   record;
begin
  while next is not null loop
    select d.parent, d.revoked_at,
           exists (select from tenantry_private.entities e where e.serial = d.to_serial and e.gone_at is null) as lives
      into up
      from tenantry_private.delegations d
     where d.id = next;
    if up.revoked_at is not null or up.lives is not true then
      return false;
    end if;
    next := up.parent;
  end loop;
  return true;
end
$$;

comment on function tenantry_private.givers_live(uuid) is 'Whether a delegation and all that it was passed on from are in force, and their holders alive.';

-- No SET clause and nothing but its argument, so that the planner puts it into the queries that ask it.
create function tenantry_private.in_force(delegation tenantry_private.delegations)
returns boolean
language sql stable parallel safe
return delegation.revoked_at is null
   and (delegation.expires_at is null or delegation.expires_at > statement_timestamp())
   and (delegation.parent is null or tenantry_private.givers_live(delegation.parent));

comment on function tenantry_private.in_force(tenantry_private.delegations) is
  'Whether a delegation counts now: neither revoked nor expired, and those whom it was passed on by live. Whether its own entities live is for the query to ask.';
