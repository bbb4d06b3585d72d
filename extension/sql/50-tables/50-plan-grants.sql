create function tenantry_private.granted(target regclass, grantee oid)
returns text[]
language sql stable
set search_path = pg_catalog, pg_temp
return (
  select coalesce(array_agg(lower(acl.privilege_type)), '{}')
    from pg_catalog.pg_class c
   cross join aclexplode(coalesce(c.relacl, acldefault(case when c.relkind = 'S' then 's'::"char" else 'r'::"char" end, c.relowner))) acl
   where c.oid = target and acl.grantee = granted.grantee);

comment on function tenantry_private.granted(regclass, oid) is 'Privileges granted on a relation to this very grantee; 0 is PUBLIC.';

-- SELECT and DML for the application, as far as it may; never TRUNCATE, REFERENCES, TRIGGER or MAINTAIN, which
-- row-level security does not bind.
create function tenantry_private.plan_grants(target regclass, wanted text[])
returns table (statement text, lock text)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  users    constant oid := to_regrole('tenantry_user');
  schema   constant name := (select n.nspname from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace where c.oid = target);
  missing  text[];
  extra    text[];
  grantee  record;
  sequence regclass;
begin
  if not has_schema_privilege('tenantry_user', schema, 'usage') then
    statement := format('grant usage on schema %I to tenantry_user', schema);
    return next;
  end if;
  if tenantry_private.granted(target, 0) <> '{}' then
    statement := format('revoke all on table %s from public', target);
    return next;
  end if;
  missing := array(select p from unnest(wanted) as p where p <> all (tenantry_private.granted(target, users)));
  if missing <> '{}' then
    statement := format('grant %s on table %s to tenantry_user', array_to_string(missing, ', '), target);
    return next;
  end if;
  for grantee in
    select 'tenantry_user'::name as role_name, users as role_oid, wanted as keep
    union all
    select a.role_name, r.oid, wanted
      from tenantry_private.allowed_logins() a
      join pg_catalog.pg_roles r on r.rolname = a.role_name
     where a.granted_as = 'user'
  loop
    extra := array(
      select p
        from unnest(tenantry_private.granted(target, grantee.role_oid)) as p
       where p <> all (grantee.keep)
         and not exists (
             select
               from tenantry_private.declared(target) d
              where d.class = 'shared' and grantee.role_name = any (d.writers)));
    if extra <> '{}' then
      statement := format('revoke %s on table %s from %I', array_to_string(extra, ', '), target, grantee.role_name);
      return next;
    end if;
  end loop;

  -- Serial columns and other defaults that draw from a sequence; identity columns need nothing.
  if 'insert' = any (wanted) then
    for sequence in
      select distinct d.refobjid::regclass
        from pg_catalog.pg_attrdef a
        join pg_catalog.pg_depend d on d.classid = 'pg_catalog.pg_attrdef'::regclass and d.objid = a.oid
                                   and d.refclassid = 'pg_catalog.pg_class'::regclass
        join pg_catalog.pg_class s on s.oid = d.refobjid
       where a.adrelid = target
         and case when s.relkind = 'S' then not has_sequence_privilege('tenantry_user', s.oid, 'usage') end
    loop
      statement := format('grant usage on sequence %s to tenantry_user', sequence);
      return next;
    end loop;
  end if;
end
$$;

comment on function tenantry_private.plan_grants(regclass, text[]) is 'Statements that give tenantry_user exactly these privileges on a table, and usage of its sequences.';
