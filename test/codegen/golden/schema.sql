-- One small application with everything the generator has to understand.

create schema billing;

create type public.mood as enum ('sad', 'ok', 'happy');
comment on type public.mood is 'How somebody feels.';
create type billing.state as enum ('open', 'paid');
create type public.address as (street text, zip integer);
create domain public.email as text check (value like '%@%');
create domain public.work_email as public.email check (value like '%@work%');
create domain public.main_mood as public.mood default 'ok';
create domain public.labels as text[];
create domain public.rating as integer check (value between 1 and 5);
create domain public.note as text not null default '';

create table public.users (
  id          uuid        primary key default gen_random_uuid(),
  email       public.email not null unique,
  name        text,
  created_at  timestamptz not null default '2026-01-01 00:00+00'
);
comment on table public.users is 'People with an account.';
comment on column public.users.name is 'As they want to be called.
May hold */ and @anything.';

create table public.orgs (
  id   bigint generated always as identity primary key,
  name text not null
);

create table public.agents (
  id       uuid primary key default gen_random_uuid(),
  owner_id uuid not null references public.users (id) on delete cascade,
  name     text not null,
  mood     public.mood not null default 'ok',
  settings jsonb not null default '{}',
  unique (owner_id, name)
);
create index on public.agents (owner_id);

create table public.memories (
  id         uuid        primary key default gen_random_uuid(),
  user_id    uuid        not null references public.users (id) on delete cascade,
  agent_id   uuid        references public.agents (id) on delete set null,
  body       text        not null,
  body_size  integer     generated always as (length(body)) stored,
  tags       text[]      not null default '{}',
  metadata   jsonb,
  importance numeric(6, 3) not null default 0,
  seen       bigint      not null default 0,
  created_at timestamptz not null default '2026-01-01 00:00+00'
);
create index on public.memories (user_id, created_at desc);

-- Belongs to whoever its memory belongs to; the owner column comes with protection.
create table public.attachments (
  memory_id uuid    not null references public.memories (id) on delete cascade,
  position  integer not null,
  content   bytea   not null,
  primary key (memory_id, position)
);

create table billing.invoices (
  org_id  bigint  not null references public.orgs (id),
  number  integer not null,
  state   billing.state not null default 'open',
  total   numeric(12, 2) not null,
  primary key (org_id, number)
);

create table public.devices (
  id       integer primary key,
  owner_id uuid not null references public.users (id)
);
create table public.readings (
  device_id integer not null references public.devices (id),
  at        timestamptz not null,
  value     real not null,
  primary key (device_id, at)
);

-- Shares its name with a table of the default schema.
create table billing.users (
  user_id uuid primary key references public.users (id),
  iban    text
);

create table public.countries (
  code text primary key,
  name text not null
);

-- Every type the driver treats differently, and some it does not know.
create table public.samples (
  id               integer primary key,
  a_bool           boolean,
  a_smallint       smallint,
  a_bigint         bigint,
  a_numeric        numeric,
  a_real           real,
  a_double         double precision,
  a_money          money,
  a_text           text,
  a_varchar        varchar(20),
  a_char           char(3),
  a_name           name,
  a_uuid           uuid,
  a_bytea          bytea,
  a_date           date,
  a_time           time,
  a_timetz         timetz,
  a_timestamp      timestamp,
  a_timestamptz    timestamptz,
  an_interval      interval,
  a_json           json,
  a_jsonb          jsonb,
  a_required_jsonb jsonb not null default '{}',
  an_xml           xml,
  a_point          point,
  a_circle         circle,
  a_box            box,
  a_polygon        polygon,
  an_inet          inet,
  a_cidr           cidr,
  a_macaddr        macaddr,
  a_bit            bit(3),
  a_tsvector       tsvector,
  an_int4range     int4range,
  a_tstzrange      tstzrange,
  a_multirange     int4multirange,
  a_mood           public.mood,
  an_address       public.address,
  an_email         public.email,
  a_rating         public.rating,
  a_note           public.note,
  a_work_email     public.work_email,
  a_main_mood      public.main_mood,
  some_labels      public.labels,
  an_oid           oid,
  bools            boolean[],
  ints             integer[],
  bigints          bigint[],
  numerics         numeric[],
  doubles          double precision[],
  texts            text[],
  uuids            uuid[],
  byteas           bytea[],
  dates            date[],
  timestamptzs     timestamptz[],
  intervals        interval[],
  jsonbs           jsonb[],
  points           point[],
  boxes            box[],
  moods            public.mood[],
  addresses        public.address[],
  emails           public.email[],
  ratings          public.rating[],
  main_moods       public.main_mood[],
  ranges           int4range[],
  inets            inet[],
  grid             integer[][]
);

create table public.events (
  id   bigint generated by default as identity,
  at   timestamptz not null,
  kind text not null,
  primary key (id, at)
) partition by range (at);
create table public.events_2026 partition of public.events
  for values from ('2026-01-01') to ('2027-01-01');

-- Written by the application, never read back.
create table public.audit_trail (
  id   bigint generated always as identity primary key,
  what text not null
);

-- No primary key, but something to upsert on.
create table public.settings (
  key   text  not null unique,
  value jsonb not null
);

-- Some columns are nobody's business.
create table public.members (
  org_id    bigint not null references public.orgs (id),
  user_id   uuid   not null references public.users (id),
  role      text   not null default 'member',
  salary    numeric,
  joined_at date   not null default '2026-01-01',
  primary key (org_id, user_id)
);

-- The application has no business here at all.
create table public.internal (id integer primary key);

create view public.people as
  select id, name from public.users;
comment on column public.people.id is '@notNull';

-- A name that every session has already.
create table public.transaction (
  id       integer primary key,
  "select" text,
  "Weird ""name""" text
);
