-- New tables of managed schemas are protected, or closed, when they are born; and what protects a table is guarded.

create table tenantry_private.birth_rules (
  schema_name  name   not null references tenantry_private.schemas (schema_name) on update cascade on delete cascade,
  pattern      text   not null,
  owner_column name,
  owner_kind   text   references tenantry_private.kinds (kind),
  owner_from   name[],
  primary key (schema_name, pattern),
  check ((owner_from is null) = (owner_kind is not null)),
  check (owner_from is not null or owner_column is not null)
);

comment on table tenantry_private.birth_rules is 'How new tables of managed schemas are protected, by their names.';
comment on column tenantry_private.birth_rules.schema_name is 'The schema.';
comment on column tenantry_private.birth_rules.pattern is 'What the table''s name is like (LIKE).';
comment on column tenantry_private.birth_rules.owner_column is 'The column that holds the owner''s id.';
comment on column tenantry_private.birth_rules.owner_kind is 'The kind of that owner.';
comment on column tenantry_private.birth_rules.owner_from is 'Columns of a foreign key to a protected parent, whose owner the row inherits.';

create table tenantry_private.watched_relations (
  relation oid     not null,
  xact     xid8    not null,
  born     boolean not null,
  primary key (relation, xact)
);

comment on table tenantry_private.watched_relations is 'Protected tables that the running transaction changes; looked at when it commits.';
comment on column tenantry_private.watched_relations.relation is 'The table.';
comment on column tenantry_private.watched_relations.xact is 'The transaction.';
comment on column tenantry_private.watched_relations.born is 'Whether the table was born in it.';

create table tenantry_private.altered_schemas (
  namespace   oid  not null,
  xact        xid8 not null,
  schema_name name not null,
  primary key (namespace, xact)
);

comment on table tenantry_private.altered_schemas is 'While ALTER SCHEMA runs: what schemas were called before it. The catalog has the new name only, and numbers are not kept, because pg_upgrade does not keep them.';
comment on column tenantry_private.altered_schemas.namespace is 'The schema.';
comment on column tenantry_private.altered_schemas.xact is 'The transaction.';
comment on column tenantry_private.altered_schemas.schema_name is 'Its name before.';

create view tenantry.rules as
select r.schema_name, r.pattern, r.owner_column, r.owner_kind, r.owner_from from tenantry_private.birth_rules r;

comment on view tenantry.rules is 'How new tables of managed schemas are protected, by their names.';
