import type pg from 'pg'

/** One object of the package, as the catalog describes it. */
export type Objects = Record<string, unknown>

/**
 * Everything the catalog says about tenantry's two schemas, object by object, except OIDs and
 * whether an extension owns it. Two installations are the same when these are equal.
 */
export async function catalogOf(client: Pick<pg.ClientBase, 'query'>): Promise<Objects> {
  const { rows } = await client.query<{ object: string; described: unknown }>(describeObjects)
  return Object.fromEntries(rows.map(({ object, described }) => [object, described]))
}

const describeObjects = `
with home as (
  select oid, nspname, nspowner, nspacl from pg_namespace where nspname in ('tenantry', 'tenantry_private')
)
select 'schema ' || nspname as object,
       jsonb_build_object('owner', nspowner::regrole, 'acl', nspacl::text[],
         'comment', obj_description(oid, 'pg_namespace')) as described
  from home
union all
select 'function ' || p.oid::regprocedure,
       jsonb_build_object('definition', pg_get_functiondef(p.oid), 'owner', proowner::regrole, 'acl', proacl::text[],
         'config', proconfig, 'definer', prosecdef, 'comment', obj_description(p.oid, 'pg_proc'))
  from pg_proc p join home on home.oid = pronamespace
union all
select case relkind when 'v' then 'view ' when 'S' then 'sequence ' when 'i' then 'index ' else 'table ' end || c.oid::regclass,
       jsonb_build_object('kind', relkind, 'owner', relowner::regrole, 'acl', relacl::text[],
         'row security', relrowsecurity, 'forced', relforcerowsecurity, 'options', reloptions,
         'definition', case relkind when 'v' then pg_get_viewdef(c.oid) when 'i' then pg_get_indexdef(c.oid) end,
         'comment', obj_description(c.oid, 'pg_class'))
  from pg_class c join home on home.oid = relnamespace
 where relkind <> 'c'
union all
select 'column ' || attrelid::regclass || '.' || attname,
       jsonb_build_object('position', attnum, 'type', format_type(atttypid, atttypmod), 'not null', attnotnull,
         'default', pg_get_expr(adbin, adrelid), 'identity', attidentity, 'generated', attgenerated,
         'collation', attcollation::regcollation, 'acl', attacl::text[], 'comment', col_description(attrelid, attnum))
  from pg_attribute a
  join pg_class c on c.oid = attrelid and relkind in ('r', 'v')
  join home on home.oid = relnamespace
  left join pg_attrdef d on adrelid = attrelid and adnum = attnum
 where attnum > 0
union all
select 'constraint ' || conname || ' on ' || coalesce(nullif(conrelid, 0)::regclass::text, contypid::regtype::text),
       jsonb_build_object('definition', pg_get_constraintdef(c.oid), 'validated', convalidated)
  from pg_constraint c join home on home.oid = connamespace
union all
select 'policy ' || polname || ' on ' || polrelid::regclass, to_jsonb(polname)
  from pg_policy join pg_class c on c.oid = polrelid join home on home.oid = relnamespace
union all
select 'trigger ' || tgname || ' on ' || tgrelid::regclass, to_jsonb(pg_get_triggerdef(t.oid))
  from pg_trigger t join pg_class c on c.oid = tgrelid join home on home.oid = relnamespace
 where not tgisinternal
union all
select 'type ' || t.oid::regtype,
       jsonb_build_object('kind', typtype, 'base', typbasetype::regtype, 'owner', typowner::regrole, 'acl', typacl::text[],
         'comment', obj_description(t.oid, 'pg_type'))
  from pg_type t join home on home.oid = typnamespace
 where typtype in ('d', 'e')
union all
select 'default privileges of ' || defaclrole::regrole || ' for ' || defaclobjtype::text, to_jsonb(defaclacl::text[])
  from pg_default_acl
 order by 1`
