import type pg from 'pg'

/** Everything that the catalog says about the application's tables, as lines to compare. */
export async function tableSnapshot(admin: pg.Pool, schema = 'public'): Promise<string[]> {
  const { rows } = await admin.query<{ line: string }>(snapshot, [schema])
  return rows.map(({ line }) => line)
}

/** What tenantry has written down. */
export async function registrySnapshot(admin: pg.Pool): Promise<string[]> {
  const { rows } = await admin.query<{ line: string }>(
    `select to_jsonb(t)::text as line from tenantry_private.tables t
     union all select to_jsonb(k)::text from tenantry_private.kinds k
     union all select to_jsonb(o)::text from tenantry_private.table_owners o
     union all
     select p.oid::regprocedure || md5(p.prosrc) from pg_proc p
      where p.pronamespace = 'tenantry_private'::regnamespace
     order by 1`,
  )
  return rows.map(({ line }) => line)
}

const snapshot = `
with relation as (
  select c.* from pg_class c
   where c.relnamespace = to_regnamespace(quote_ident($1)) and c.relkind in ('r', 'p', 'S', 'v', 'm', 'f')
)
select format('relation %s kind %s rls %s force %s acl %s owner %s persistence %s', c.relname, c.relkind,
         c.relrowsecurity, c.relforcerowsecurity, c.relacl, c.relowner::regrole, c.relpersistence) as line
  from relation c
union all
select format('column %s.%s %s notnull %s identity %s generated %s acl %s default %s', c.relname, a.attname,
         format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity, a.attgenerated, a.attacl,
         pg_get_expr(d.adbin, d.adrelid))
  from relation c
  join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
  left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
union all
select format('index %s valid %s', pg_get_indexdef(i.indexrelid), i.indisvalid)
  from relation c join pg_index i on i.indrelid = c.oid
union all
select format('constraint %s.%s %s', c.relname, k.conname, pg_get_constraintdef(k.oid))
  from relation c join pg_constraint k on k.conrelid = c.oid
union all
select format('policy %s.%s %s %s %s %s %s', c.relname, p.polname, p.polcmd, p.polpermissive,
         (select array_agg(coalesce(r.rolname, 'public')) from unnest(p.polroles) o left join pg_roles r on r.oid = o),
         pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid))
  from relation c join pg_policy p on p.polrelid = c.oid
union all
select format('trigger %s.%s enabled %s %s %s', c.relname, t.tgname, t.tgenabled, pg_get_triggerdef(t.oid), md5(p.prosrc))
  from relation c join pg_trigger t on t.tgrelid = c.oid and not t.tgisinternal
  join pg_proc p on p.oid = t.tgfoid
 order by 1`
