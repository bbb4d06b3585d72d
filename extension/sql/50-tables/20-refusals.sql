-- What every function that changes an application table asks first. Each refusal ends in the next command.
create function tenantry_private.require_own_table(target regclass, action text)
returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  relation record;
begin
  perform tenantry_private.require_admin(action || ' tables');
  if target is null then
    perform tenantry_private.refuse(format('%s needs a table', action), 'Name it: ''schema.table''.');
  end if;
  select c.relkind, c.relpersistence, c.relispartition, c.relowner, n.nspname as schema,
         r.rolname as owner, r.rolsuper, r.rolbypassrls, pg_has_role(current_user, c.relowner, 'usage') as own
    into relation
    from pg_catalog.pg_class c
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    join pg_catalog.pg_roles r on r.oid = c.relowner
   where c.oid = target;
  if not found then
    perform tenantry_private.refuse(format('there is no table %s any more', target), 'Run: select * from tenantry.sync();');
  end if;
  if relation.schema in ('pg_catalog', 'information_schema', 'pg_toast', 'tenantry', 'tenantry_private', 'tenant', 'reach') then
    perform tenantry_private.refuse(format('%s is a system table', target), 'Only tables of the application can be isolated.');
  end if;
  if relation.relkind = 'v' then
    perform tenantry_private.refuse(format('%s is a view', target),
      format('Protect the tables it reads and let it run as its user: alter view %s set (security_invoker = true);', target));
  end if;
  if relation.relkind = 'm' then
    perform tenantry_private.refuse(format('%s is a materialized view, which cannot carry row-level security', target),
      format('Take it from the application: revoke all on %s from public, tenantry_user;', target));
  end if;
  if relation.relkind = 'f' then
    perform tenantry_private.refuse(format('%s is a foreign table, which cannot carry row-level security', target),
      format('Take it from the application: revoke all on %s from public, tenantry_user;', target));
  end if;
  if relation.relkind not in ('r', 'p') then
    perform tenantry_private.refuse(format('%s is not a table', target), 'Name a table or a partitioned table.');
  end if;
  if relation.relpersistence = 't' then
    perform tenantry_private.refuse(format('%s is a temporary table', target), 'Only tables that last can be isolated.');
  end if;
  if relation.relpersistence = 'u' then
    perform tenantry_private.refuse(format('%s is unlogged: it is emptied by a crash and absent on standbys', target),
      format('Run: alter table %s set logged;', target));
  end if;
  if relation.relispartition then
    perform tenantry_private.refuse(format('%s is a partition', target),
      format('Name the partitioned table instead, which covers it: select * from tenantry.%s(%L);', action, pg_partition_root(target)));
  end if;
  if relation.rolsuper or relation.rolbypassrls then
    perform tenantry_private.refuse(
      format('%s belongs to %I, which %s', target, relation.owner,
        case when relation.rolsuper then 'is a superuser' else 'has BYPASSRLS' end || ': what runs as its owner is not bound by row-level security'),
      format('Give it to an ordinary role: alter table %s owner to <role>;', target));
  end if;
  if not relation.own then
    raise exception '% does not own %', quote_ident(current_user), target
      using errcode = '42501', hint = format('Run it as %I or as a superuser.', relation.owner);
  end if;
end
$$;

comment on function tenantry_private.require_own_table(regclass, text) is
  'Refuses what cannot be isolated, with the next command. Errors: 42501 (not an admin, not the owner), TN011.';

-- An owner column's requirements.
create function tenantry_private.require_owner_column(target regclass, owner_column name, owner_kind text)
returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  kind    record;
  cast_to constant text := tenantry_private.id_cast(tenantry_private.column_type(target, owner_column));
  type    constant text := format_type(tenantry_private.column_type(target, owner_column), null);
  sloppy  regcollation;
begin
  if type is null then
    perform tenantry_private.refuse(format('%s has no column %I', target, owner_column),
      format('Run: alter table %s add column %I %s; and fill it. It must not have a default: that would give every old row to one owner.', target, owner_column,
        coalesce((select k.id_type from tenantry.kinds k where k.kind = require_owner_column.owner_kind), '<type>')));
  end if;
  if exists (
       select
         from pg_catalog.pg_attribute a
        where a.attrelid = target and a.attname = owner_column and a.attgenerated <> '') then
    perform tenantry_private.refuse(format('%s.%I is a generated column', target, owner_column),
      format('Name a column that rows are written with, or make it one. Run: alter table %s alter column %I drop expression;', target, owner_column));
  end if;
  select k.kind, k.id_type, k.relation into kind from tenantry.kinds k where k.kind = require_owner_column.owner_kind;
  if not found then
    perform tenantry_private.refuse(
      format('kind %s, the owner of %s, is not registered', coalesce(quote_literal(owner_kind), 'null'), target),
      format('Register it first: select tenantry.register_kind(%L, ''<table>'');', coalesce(owner_kind, '<kind>')));
  end if;
  if cast_to is null then
    perform tenantry_private.refuse(format('owners of type %s are not supported (%s.%I)', type, target, owner_column),
      format('Owners are uuid, bigint, integer, smallint, text or varchar. Run: alter table %s alter column %I type text;', target, owner_column));
  end if;
  select l.oid::regcollation
    into sloppy
    from pg_catalog.pg_attribute a
    join pg_catalog.pg_collation l on l.oid = a.attcollation
   where a.attrelid = target and a.attname = owner_column and not l.collisdeterministic;
  if found then
    perform tenantry_private.refuse(format('%s.%I compares by collation %s, which takes different ids for one', target, owner_column, sloppy),
      format('Run: alter table %s alter column %I type text collate "C";', target, owner_column));
  end if;
  if cast_to <> 'text' and kind.relation is not null
     and (cast_to = 'uuid' and kind.id_type <> 'uuid'
          or cast_to <> 'uuid' and kind.id_type not in ('bigint', 'integer', 'smallint')) then
    perform tenantry_private.refuse(
      format('%s.%I is of type %s, but ids of kind %s are of type %s', target, owner_column, type, owner_kind, kind.id_type),
      'Name the column that holds the owner''s id, or another owner_kind.');
  end if;
end
$$;

comment on function tenantry_private.require_owner_column(regclass, name, text) is 'Refuses a column that cannot hold owners of a kind. Error: TN011.';
