import type { Stage } from './stage.js'

/** A protected table with what the tests need to know of it. */
export interface ProtectedTable {
  readonly name: string
  /** The column that holds the owner's id. */
  readonly owner: string
  readonly columns: readonly string[]
  /** The SQL expression that gives a row's key as the truth spells it. */
  readonly key: string
  /** Columns that make a copy of a row another row, or none where a copy must take its place. */
  readonly fresh: readonly string[]
  /** Foreign keys to other protected tables that may point at the writer's own rows only. */
  readonly references: readonly Reference[]
  /** Key → owner, of every row. */
  readonly owners: ReadonlyMap<string, string>
}

export interface Reference {
  readonly parent: string
  readonly parentOwner: string
  /** `t."a", t."b"` and `p."x", p."y"`. */
  readonly columns: string
  readonly parentColumns: string
}

type Described = Omit<ProtectedTable, 'name' | 'key' | 'references' | 'owners'>

/** Every table of the managed schemas, from the catalog: what the tests leave out would show here. */
export async function tablesInSchemas({ db }: Stage): Promise<string[]> {
  const { rows } = await db.admin.query<{ name: string }>(
    `select case when n.nspname = 'public' then '' else n.nspname || '.' end || c.relname as name
       from pg_class c
       join pg_namespace n on n.oid = c.relnamespace
       join tenantry.schemas s on s.schema_name = n.nspname
      where c.relkind in ('r', 'p', 'f', 'm', 'v') and not c.relispartition
      order by 1`,
  )
  return rows.map((row) => row.name)
}

/**
 * The protected tables, after making sure that the truth knows every table there is.
 * @throws Error naming tables whose rows nobody has said the owner of
 */
export async function protectedTables(stage: Stage): Promise<ProtectedTable[]> {
  const { truth } = stage
  const unknown = (await tablesInSchemas(stage)).filter((name) => !truth.tables.includes(name))
  if (unknown.length > 0) throw new Error(`no truth about: ${unknown.join(', ')}`)
  const tables = truth.tables.filter((name) => !truth.shared.includes(name))
  return Promise.all(tables.map((name) => describeTable(stage, name)))
}

async function describeTable({ db, truth }: Stage, name: string): Promise<ProtectedTable> {
  const { rows } = await db.admin.query<Described>(describe, [name])
  const [row] = rows
  if (!row) throw new Error(`${name} is not protected`)
  const { rows: references } = await db.admin.query<Reference>(checkedReferences, [name])
  const key = truth.keyExpression(name)
  return { name, ...row, key, references, owners: truth.owners(name) }
}

// A column can be given a new value when it is unique and neither the owner nor a foreign key. If
// one of the unique indexes has no such column, a copy of a row collides with it whatever it says.
const describe = `
  with table_ as (
    select t.relation, t.owner_column from tenantry.tables t
     where t.relation = $1::regclass and t.class in ('owned', 'by_parent')),
  tied as (
    select unnest(k.conkey) as attnum from table_ join pg_constraint k on k.conrelid = relation and k.contype = 'f'),
  unique_ as (
    select i.indexrelid, array_agg(a.attname::text) filter (where a.attname <> owner_column
             and a.attnum not in (select attnum from tied)) as free
      from table_
      join pg_index i on i.indrelid = relation and i.indisunique
      join pg_attribute a on a.attrelid = relation and a.attnum = any (i.indkey::smallint[])
     where i.indpred is null
     group by 1)
  select owner_column::text as owner,
         (select array_agg(a.attname::text order by a.attnum) from pg_attribute a
           where a.attrelid = relation and a.attnum > 0 and not a.attisdropped) as columns,
         case when (select bool_and(free is not null) from unique_)
              then (select array_agg(distinct f) from unique_, unnest(free) as f)
              else '{}'::text[] end as fresh
    from table_`

const checkedReferences = `
  select parent.relation::text as parent, parent.owner_column as "parentOwner",
         (select string_agg(format('t.%I', a.attname), ', ' order by n) from unnest(k.conkey) with ordinality as c (attnum, n)
            join pg_attribute a on a.attrelid = k.conrelid and a.attnum = c.attnum) as columns,
         (select string_agg(format('p.%I', a.attname), ', ' order by n) from unnest(k.confkey) with ordinality as c (attnum, n)
            join pg_attribute a on a.attrelid = k.confrelid and a.attnum = c.attnum) as "parentColumns"
    from tenantry.tables t
    join pg_constraint k on k.conrelid = t.relation and k.contype = 'f'
    join tenantry.tables parent on parent.relation = k.confrelid and parent.class in ('owned', 'by_parent')
   where t.relation = $1::regclass
     and parent.owner_kind = t.owner_kind
     and not exists (
         select from pg_attribute a
          where a.attrelid = k.conrelid and a.attnum = any (k.conkey) and a.attname = any (t.unchecked_references))`
