create function tenantry_private.record_schema(target name, migration_role name, managed boolean, owner_column name default null, owner_kind text default null)
returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
begin
  perform tenantry_private.require_admin('manage schemas');
  -- What a call does not name stays.
  if managed then
    select coalesce(record_schema.migration_role, s.migration_role), coalesce(record_schema.owner_column, s.owner_column), coalesce(record_schema.owner_kind, s.owner_kind)
      into record_schema.migration_role, record_schema.owner_column, record_schema.owner_kind
      from (select 1) as one
      left join tenantry_private.schemas s on s.schema_name = target;
  end if;
  if not managed or not exists (select from tenantry_private.schemas s where s.schema_name = target) then
    perform tenantry_private.know_schema(target, managed);
  end if;
  if managed then
    insert into tenantry_private.schemas as s (schema_name, migration_role, owner_column, owner_kind)
    values (target, nullif(record_schema.migration_role, ''), nullif(record_schema.owner_column, ''), nullif(record_schema.owner_kind, ''))
        on conflict (schema_name) do update
       set migration_role = excluded.migration_role, owner_column = excluded.owner_column, owner_kind = excluded.owner_kind;
  else
    delete from tenantry_private.schemas s where s.schema_name = target;
  end if;
end
$$;

comment on function tenantry_private.record_schema(name, name, boolean, name, text) is 'The definer half of manage_schema() and unmanage_schema().';

-- What is born there is for the application; its owner may not be the schema's.
create function tenantry_private.open_schema(target name)
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  grantee name;
begin
  foreach grantee in array array['tenantry_user', 'tenantry_reach'] loop
    if not has_schema_privilege(grantee, quote_ident(target), 'usage') then
      execute format('grant usage on schema %I to %I', target, grantee);
    end if;
  end loop;
end
$$;

comment on function tenantry_private.open_schema(name) is 'Lets the application and the reach views look into a schema.';

create function tenantry.manage_schema(target name, migration_role name default null, owner_column name default null, owner_kind text default null)
returns table (step integer, statement text, lock text)
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_variable
declare
  login record;
begin
  perform tenantry_private.require_admin('manage schemas');
  if to_regnamespace(quote_ident(target)) is null or target in ('pg_catalog', 'information_schema', 'pg_toast', 'tenantry', 'tenantry_private', 'tenant', 'reach') then
    perform tenantry_private.refuse(format('%s is no schema of the application', coalesce(quote_ident(target), 'null')), 'Name a schema that exists.');
  end if;
  if migration_role <> '' then
    select r.rolsuper, r.rolbypassrls, pg_has_role(r.oid, to_regrole('tenantry_user'), 'member') as application
      into login
      from pg_catalog.pg_roles r where r.rolname = migration_role;
    if not found then
      perform tenantry_private.refuse(format('there is no role %I', migration_role), format('Run: create role %I login; first.', migration_role));
    end if;
    if login.application and not login.rolsuper then
      perform tenantry_private.refuse(format('%I also works as an application (it is a member of tenantry_user)', migration_role),
        'The migration role sees every row, so it must be another login than the application''s.');
    end if;
  end if;
  if owner_column = '' then
    owner_kind := '';
  end if;
  if (owner_column is null) <> (owner_kind is null) then
    perform tenantry_private.refuse('owner_column and owner_kind belong together', 'Name the column by which new tables are protected, and the kind of the owners in it.');
  end if;
  if owner_kind <> '' then
    perform tenantry_private.require_kind(owner_kind);
  end if;
  perform tenantry_private.record_schema(target, migration_role, true, owner_column, owner_kind);
  if owner_column <> '' then
    perform tenantry_private.open_schema(target);
  end if;
  return query select * from tenantry.sync();
end
$$;

comment on function tenantry.manage_schema(name, name, name, text) is
  'Puts a schema under tenantry: new tables in it are protected or closed when they are born, and check() asks for every one. migration_role: the role that schema changes, seeds and data migrations run as; it gets a policy of its own on every protected table there and must not be the application''s. owner_column, owner_kind: new tables with such a column are protected by it, unless a rule says otherwise (register_rule); default: none. A second call changes what it names, and nothing else; an empty name takes back. Tables that are there already stay as they are. Errors: 42501, TN011.';

create function tenantry.unmanage_schema(target name)
returns table (step integer, statement text, lock text)
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_variable
begin
  if not exists (select from tenantry.schemas s where s.schema_name = target) then
    perform tenantry_private.refuse(format('%s is not managed', coalesce(quote_ident(target), 'null')), 'List what is: select * from tenantry.schemas;');
  end if;
  perform tenantry_private.record_schema(target, null, false);
  return query select * from tenantry.sync();
end
$$;

comment on function tenantry.unmanage_schema(name) is 'Takes manage_schema() back, with the migration role''s policies. Protected tables stay protected. Errors: 42501, TN011.';
