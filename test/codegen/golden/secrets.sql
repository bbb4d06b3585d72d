-- Encrypted columns of every type and in every state, as the owner of the tables declares them.

create table users (id uuid primary key, name text not null);
select tenantry.register_kind('user', 'users');
select tenantry.protect('users', owner_column => 'id');

create table vault (
  id       integer primary key,
  owner_id uuid    not null references users,
  label    text,
  token    text    not null,
  pin      varchar(8),
  email    text,
  note     json,
  settings jsonb   not null default '{}',
  whole    jsonb,
  raw      bytea
);
comment on column vault.token is 'Opens the door.';
select tenantry.protect('vault');
select tenantry.encrypt_column('vault', 'token');
select tenantry.encrypt_column('vault', 'pin');
select tenantry.encrypt_column('vault', 'email', blind_index => true);
select tenantry.encrypt_column('vault', 'note', audited => true);
select tenantry.encrypt_column('vault', 'settings', path => '{secrets}');
select tenantry.encrypt_column('vault', 'settings', path => '{deep,key}');
select tenantry.encrypt_column('vault', 'whole');
select tenantry.encrypt_column('vault', 'raw');
create unique index vault_email on vault (owner_id, email_index);

-- On its way: the columns lie as far apart as its steps do.
create table letters (
  id       integer primary key,
  owner_id uuid not null references users,
  body     text,
  pin      text,
  mail     text,
  doc      jsonb
);
select tenantry.protect('letters');
select tenantry.encrypt_column('letters', 'doc', path => '{z}');
