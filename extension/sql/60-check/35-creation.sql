-- An application login that may create anything leaves things on its pooled connections, or in its schema, that shadow
-- the real ones for whoever comes next.
create function tenantry_private.creation_findings()
returns table (severity text, code text, object text, problem text, fix text)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  item record;
begin
  for item in
    select n.nspname, 'public' as grantee, false as owns
      from pg_catalog.pg_namespace n
     where has_schema_privilege('public', n.oid, 'create')
       and n.nspname not like 'pg\_temp\_%' and n.nspname not like 'pg\_toast%'
    union all
    select n.nspname, quote_ident(a.role_name), n.nspowner = r.oid
      from pg_catalog.pg_namespace n
     cross join tenantry_private.allowed_logins() a
      join pg_catalog.pg_roles r on r.rolname = a.role_name and not r.rolsuper
     where a.granted_as = 'user'
       and has_schema_privilege(r.oid, n.oid, 'create')
       and not has_schema_privilege('public', n.oid, 'create')
     order by 1, 2
  loop
    severity := 'critical'; code := 'schema_create'; object := quote_ident(item.nspname);
    problem := format('%s may create objects in it and so shadow the application''s', item.grantee);
    fix := case when item.owns then format('alter schema %I owner to current_user;', item.nspname)
                else format('revoke create on schema %I from %s;', item.nspname, item.grantee) end;
    return next;
  end loop;

  for item in
    select a.role_name, has_database_privilege('public', current_database(), 'create') as everybody
      from tenantry_private.allowed_logins() a
      join pg_catalog.pg_roles r on r.rolname = a.role_name and not r.rolsuper
     where a.granted_as = 'user' and has_database_privilege(r.oid, current_database(), 'create')
     order by 1
  loop
    severity := 'critical'; code := 'database_create'; object := quote_ident(current_database());
    problem := format('%I may create schemas in it and so shadow the application''s tables', item.role_name);
    fix := format('revoke create on database %I from %s;', current_database(), case when item.everybody then 'public' else quote_ident(item.role_name) end);
    return next;
  end loop;

  -- assume() is for people who set isolation up: in an application it would be anybody's, injected SQL included.
  for item in
    select a.role_name
      from tenantry_private.allowed_logins() a
      join tenantry_private.allowed_logins() b on b.role_name = a.role_name and b.granted_as = 'admin'
     where a.granted_as = 'user'
     order by 1
  loop
    severity := 'critical'; code := 'login_admin'; object := quote_ident(item.role_name);
    problem := 'this application login is an admin, too, and so may assume any entity';
    fix := format('select tenantry.disallow(%L, ''admin'');', item.role_name);
    return next;
  end loop;
end
$$;

comment on function tenantry_private.creation_findings() is 'Findings schema_create, database_create, login_admin.';
