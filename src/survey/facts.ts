import type { ClientBase } from 'pg'
import type { RelationRef } from '../../codegen/snapshot.js'
import { path, qualified } from './names.js'

export interface RoleFact {
  readonly name: string
  readonly login: boolean
  readonly superuser: boolean
  readonly bypassRls: boolean
}

export interface ViewFact extends RelationRef {
  readonly securityInvoker: boolean
  readonly materialized: boolean
  /** Every table it reads, through other views as well. */
  readonly reads: readonly RelationRef[]
}

export interface FunctionFact extends RelationRef {
  readonly source: string
  readonly owner: string
  readonly securityDefiner: boolean
}

/** What the survey needs beyond the snapshot of the schema: who, how large, and what functions do. */
export interface Facts {
  readonly database: string
  readonly session: RoleFact
  readonly roles: ReadonlyMap<string, RoleFact>
  readonly bytes: ReadonlyMap<string, number>
  readonly extensionTables: ReadonlySet<string>
  readonly views: readonly ViewFact[]
  readonly functions: ReadonlyMap<string, FunctionFact>
}

const systemSchemas = `'pg_catalog', 'information_schema', 'pg_toast', 'tenantry', 'tenantry_private', 'tenant', 'reach'`

export async function readFacts(client: ClientBase): Promise<Facts> {
  const { rows: roles } = await client.query<RoleFact>(
    `select rolname as name, rolcanlogin as login, rolsuper as superuser, rolbypassrls as "bypassRls"
       from pg_catalog.pg_roles`,
  )
  const { rows: session } = await client.query<{ database: string; name: string }>(
    'select current_database() as database, session_user as name',
  )
  const { rows: tables } = await client.query<RelationRef & { bytes: string; extension: boolean }>(
    `select n.nspname as schema, c.relname as name,
            case c.relkind
              when 'r' then pg_catalog.pg_total_relation_size(c.oid)
              else (select coalesce(sum(pg_catalog.pg_total_relation_size(tree.relid)), 0)
                      from pg_catalog.pg_partition_tree(c.oid) tree)
            end as bytes,
            exists (select from pg_catalog.pg_depend d
                     where d.classid = 'pg_catalog.pg_class'::regclass and d.objid = c.oid and d.deptype = 'e') as extension
       from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
      where c.relkind in ('r', 'p') and n.nspname not in (${systemSchemas})`,
  )
  const { rows: views } = await client.query<ViewFact>(
    `with recursive reads (view, relation) as (
       select distinct r.ev_class, d.refobjid
         from pg_catalog.pg_rewrite r
         join pg_catalog.pg_depend d on d.classid = 'pg_catalog.pg_rewrite'::regclass and d.objid = r.oid
        where d.refclassid = 'pg_catalog.pg_class'::regclass and d.refobjid <> r.ev_class
       union
       select reads.view, d.refobjid
         from reads
         join pg_catalog.pg_rewrite r on r.ev_class = reads.relation
         join pg_catalog.pg_depend d on d.classid = 'pg_catalog.pg_rewrite'::regclass and d.objid = r.oid
        where d.refclassid = 'pg_catalog.pg_class'::regclass and d.refobjid <> reads.relation)
     select n.nspname as schema, c.relname as name, c.relkind = 'm' as materialized,
            coalesce((select o.option_value::boolean from pg_catalog.pg_options_to_table(c.reloptions) o
                       where o.option_name = 'security_invoker'), false) as "securityInvoker",
            pg_catalog.json_agg(pg_catalog.json_build_object('schema', tn.nspname, 'name', t.relname)
                                order by tn.nspname, t.relname) as reads
       from reads
       join pg_catalog.pg_class c on c.oid = reads.view and c.relkind in ('v', 'm')
       join pg_catalog.pg_namespace n on n.oid = c.relnamespace and n.nspname not in (${systemSchemas})
       join pg_catalog.pg_class t on t.oid = reads.relation and t.relkind in ('r', 'p')
       join pg_catalog.pg_namespace tn on tn.oid = t.relnamespace
      where not exists (select from pg_catalog.pg_depend d
                         where d.classid = 'pg_catalog.pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')
      group by n.nspname, c.relname, c.relkind, c.reloptions
      order by n.nspname, c.relname`,
  )
  const { rows: functions } = await client.query<FunctionFact>(
    `select n.nspname as schema, p.proname as name, p.prosrc as source,
            pg_catalog.pg_get_userbyid(p.proowner) as owner, p.prosecdef as "securityDefiner"
       from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace
      where n.nspname not in (${systemSchemas}) and p.prokind in ('f', 'p')
        and not exists (select from pg_catalog.pg_depend d
                         where d.classid = 'pg_catalog.pg_proc'::regclass and d.objid = p.oid and d.deptype = 'e')
      order by n.nspname, p.proname`,
  )
  const known = new Map(roles.map((role) => [role.name, role]))
  const me = session[0]
  const sessionRole = me && known.get(me.name)
  if (!me || !sessionRole) throw new Error('the server did not say which role this session runs as')
  return {
    database: me.database,
    session: sessionRole,
    roles: known,
    bytes: new Map(tables.map((table) => [path(table), Number(table.bytes)])),
    extensionTables: new Set(tables.filter((table) => table.extension).map(path)),
    views,
    functions: new Map(functions.map((fn) => [path(fn), fn])),
  }
}

/** What looking at rows gave; `unknown` where it would take too long or is not allowed. */
export type Answer = 'some' | 'none' | 'unknown'

/** Whether any row has NULL in one of the columns. */
export function hasNulls(
  client: ClientBase,
  table: RelationRef,
  columns: readonly string[],
): Promise<Answer> {
  const condition = columns.map((column) => `${quoted(column)} is null`).join(' or ')
  return anyRow(client, `select from ${qualified(table)} where ${condition}`)
}

const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`

/** Whether a query gives any row, asked without changing anything and for five seconds at most. */
export async function anyRow(client: ClientBase, query: string): Promise<Answer> {
  await client.query('begin read only')
  try {
    // Row security could hide the very rows that are looked for; an error is the honest answer then.
    await client.query(`set local row_security = off; set local statement_timeout = '5s'`)
    const { rows } = await client.query<{ some: boolean }>(`select exists (${query}) as some`)
    return rows[0]?.some ? 'some' : 'none'
  } catch (error) {
    const code = (error as { code?: string }).code
    if (code === '57014' || code === '42501') return 'unknown'
    throw error
  } finally {
    await client.query('rollback')
  }
}
