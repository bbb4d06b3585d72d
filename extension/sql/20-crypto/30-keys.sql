-- The keys that sign contexts and passes. They are made by initialise(), never by the installation: a key made by the
-- script would collide with the dumped one on restore and silently replace it. They are not dumped either: a
-- restored database makes new ones, and contexts live for one transaction only.
create table tenantry_private.signing_keys (
  id         text        primary key default gen_random_uuid()::text,
  secret     bytea       not null check (octet_length(secret) = 32),
  created_at timestamptz not null default now(),
  lifetime   interval    not null default '1 hour'
);

comment on table tenantry_private.signing_keys is 'Keys that sign contexts and passes (HMAC-SHA-256). The newest signs; deleting one voids what it signed.';
comment on column tenantry_private.signing_keys.id is 'Name of the key, part of what it signs.';
comment on column tenantry_private.signing_keys.secret is '32 random bytes.';
comment on column tenantry_private.signing_keys.created_at is 'When it was made.';
comment on column tenantry_private.signing_keys.lifetime is 'How long a context signed by it may live: the setting context_lifetime, kept here because it is needed with the key.';

-- RLS enabled, not forced, and no policy: otherwise any member of pg_read_all_data reads the keys. The owner still
-- does, and not forcing keeps row_security = off in a session from failing every call.
alter table tenantry_private.signing_keys enable row level security;

-- Keys of those who may issue credentials: the application's runtime (derived from its secret) or an auth service.
create table tenantry_private.issuer_keys (
  id            text        primary key check (id ~ '^[A-Za-z0-9._-]{1,64}$'),
  secret        bytea       not null check (octet_length(secret) >= 32),
  header        text        not null unique,
  leeway        interval    not null check (leeway between interval '0' and interval '5 minutes'),
  max_lifetime  interval    not null check (max_lifetime > interval '0'),
  registered_at timestamptz not null default now()
);

comment on table tenantry_private.issuer_keys is 'Keys by which credentials (JSON Web Tokens, HS256) are verified.';
comment on column tenantry_private.issuer_keys.id is 'The token''s `kid`.';
comment on column tenantry_private.issuer_keys.secret is 'At least 32 bytes (RFC 7518, section 3.2).';
comment on column tenantry_private.issuer_keys.header is 'The header that the runtime writes, encoded, so that the usual token is found without parsing its header.';
comment on column tenantry_private.issuer_keys.leeway is 'How far the issuer''s clock may be off.';
comment on column tenantry_private.issuer_keys.max_lifetime is 'Tokens that expire later than this from now are refused.';
comment on column tenantry_private.issuer_keys.registered_at is 'When it was registered.';

alter table tenantry_private.issuer_keys enable row level security;
