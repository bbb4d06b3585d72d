create function tenantry_private.record_schema(target name, migration_role name, managed boolean)
returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
begin
  perform tenantry_private.require_admin('manage schemas');
  delete from tenantry_private.schemas s where s.schema_name = target;
  if managed then
    insert into tenantry_private.schemas (schema_name, migration_role) values (target, record_schema.migration_role);
  end if;
end
$$;

comment on function tenantry_private.record_schema(name, name, boolean) is 'The definer half of manage_schema() and unmanage_schema().';

create function tenantry.manage_schema(target name, migration_role name default null)
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
  if migration_role is not null then
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
  perform tenantry_private.record_schema(target, migration_role, true);
  return query select * from tenantry.sync();
end
$$;

comment on function tenantry.manage_schema(name, name) is
  'Puts a schema under tenantry: check() asks for every table in it. migration_role: the role that schema changes, seeds and data migrations run as; it gets a policy of its own on every protected table there and must not be the application''s. A second call changes the role. Errors: 42501, TN011.';

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
