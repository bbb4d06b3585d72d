create function tenantry_private.granted(target regclass, grantee oid)
returns text[]
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return (
    select coalesce(array_agg(lower(acl.privilege_type)), '{}')
      from pg_catalog.pg_class c
     cross join aclexplode(coalesce(c.relacl, acldefault(case when c.relkind = 'S' then 's'::"char" else 'r'::"char" end, c.relowner))) acl
     where c.oid = target and acl.grantee = granted.grantee);
end
$$;

comment on function tenantry_private.granted(regclass, oid) is 'Privileges granted on a relation to this very grantee; 0 is PUBLIC.';

create function tenantry_private.is_held_by_logins(grantee oid)
returns boolean
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return exists (
    select
      from tenantry_private.allowed_logins() a
      join pg_catalog.pg_roles r on r.rolname = a.role_name
     where a.granted_as = 'user' and not r.rolsuper and pg_has_role(r.oid, grantee, 'member'));
end
$$;

comment on function tenantry_private.is_held_by_logins(oid) is 'Whether a login of the application is a role, or a member of it.';

-- SELECT and DML for the application, as far as it may; never TRUNCATE, REFERENCES, TRIGGER or MAINTAIN, which
-- row-level security does not bind.
create function tenantry_private.plan_grants(target regclass, wanted text[], writers name[] default '{}')
returns table (statement text, lock text)
language plpgsql stable rows 5
set search_path = pg_catalog, pg_temp
as $$
declare
  users     constant oid := to_regrole('tenantry_user');
  schema    constant name := (select n.nspname from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace where c.oid = target);
  protected constant boolean := 'insert' = any (wanted);
  held      constant text[] := tenantry_private.granted(target, users);
  missing   text[];
  parts     oid[] := array[target];
  holder    record;
  logins    oid[];
  sequence  regclass;
begin
  if not has_schema_privilege('tenantry_user', schema, 'usage') then
    statement := format('grant usage on schema %I to tenantry_user', schema);
    return next;
  end if;
  if tenantry_private.granted(target, 0) <> '{}' and not tenantry_private.in_transition(target) then
    statement := format('revoke all on table %s from public', target);
    return next;
  end if;
  missing := array(select p from unnest(wanted) as p where p <> all (held));
  if missing <> '{}' then
    statement := format('grant %s on table %s to tenantry_user', array_to_string(missing, ', '), target);
    return next;
  end if;
  -- What an application login holds itself or by a group, here and on whatever hangs below. Policies hold for queries
  -- through this table only, so nobody needs a way into a partition or child; and the floors bind tenantry_user, so a
  -- login that turns into another group (SET ROLE) must find nothing there.
  if (select c.relhassubclass from pg_catalog.pg_class c where c.oid = target) then
    parts := array(
      with recursive tree (oid) as (
        select target::oid
        union
        select i.inhrelid from tree join pg_catalog.pg_inherits i on i.inhparent = tree.oid
         where not exists (select from tenantry.tables t where t.relation = i.inhrelid))
      select tree.oid from tree);
  end if;
  for holder in
    with holding as (
      select c.oid, acl.grantee, array_agg(lower(acl.privilege_type) order by acl.position) as privileges,
             case when acl.grantee <> 0 then pg_get_userbyid(acl.grantee) end as role_name
        from pg_catalog.pg_class c
       cross join aclexplode(c.relacl) with ordinality as acl (grantor, grantee, privilege_type, is_grantable, position)
       where c.oid = any (parts) and acl.grantee <> c.relowner and (c.oid <> target or acl.grantee <> 0)
       group by c.oid, acl.grantee)
    select h.oid::regclass as relation, h.grantee, h.role_name, coalesce(quote_ident(h.role_name), 'public') as name, e.extra
      from holding h
     cross join lateral (
       select array(
                select p
                  from unnest(h.privileges) as p
                 where p <> all (case when h.grantee <> 0
                                       and (not protected or h.oid = target and pg_has_role(h.grantee, users, 'usage')) then wanted
                                      else '{}' end)
                   and not (coalesce(h.role_name = any (writers), false) and h.oid = target and p in ('select', 'insert', 'update', 'delete'))) as extra) e
     where e.extra <> '{}'
     order by h.oid <> target, h.oid::regclass::text, h.grantee <> users, 3
  loop
    if holder.grantee not in (0, users) then
      if logins is null then
        logins := array(
          select r.oid
            from tenantry_private.allowed_logins() a
            join pg_catalog.pg_roles r on r.rolname = a.role_name
           where a.granted_as = 'user' and not r.rolsuper);
      end if;
      continue when not exists (select from unnest(logins) as l (role) where pg_has_role(l.role, holder.grantee, 'member'))
                 -- a way out of its own, which check() names
                 or exists (select from tenantry.schemas s where s.migration_role = holder.role_name)
                 or exists (select from tenantry.granted_across g where g.role_name = holder.role_name and g.relation = target);
    end if;
    statement := format('revoke %s on table %s from %s', array_to_string(holder.extra, ', '), holder.relation, holder.name);
    return next;
  end loop;

  -- A column's REFERENCES lets somebody's foreign key ask whether a row is there.
  for holder in
    select a.attname, coalesce(quote_ident(r.rolname), 'public') as name
      from pg_catalog.pg_attribute a
      join pg_catalog.pg_class c on c.oid = a.attrelid
     cross join aclexplode(a.attacl) acl
      left join pg_catalog.pg_roles r on r.oid = acl.grantee
     where a.attrelid = target and a.attacl is not null and acl.privilege_type = 'REFERENCES' and acl.grantee <> c.relowner
       and (acl.grantee in (0, users) or tenantry_private.is_held_by_logins(acl.grantee))
     order by a.attnum, 2
  loop
    statement := format('revoke references (%I) on table %s from %s', holder.attname, target, holder.name);
    return next;
  end loop;

  -- Serial columns and other defaults that draw from a sequence; identity columns need nothing.
  if protected then
    for sequence in
      select distinct d.refobjid::regclass
        from pg_catalog.pg_attrdef a
        -- of each of its defaults: the other way round those of all tables would be looked at
       cross join lateral (
             select e.refobjid
               from pg_catalog.pg_depend e
              where e.classid = 'pg_catalog.pg_attrdef'::regclass and e.objid = a.oid and e.refclassid = 'pg_catalog.pg_class'::regclass
             offset 0) d
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

comment on function tenantry_private.plan_grants(regclass, text[], name[]) is 'Statements that give tenantry_user exactly these privileges on a table, and usage of its sequences.';
