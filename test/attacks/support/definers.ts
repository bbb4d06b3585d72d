import type pg from 'pg'
import { bob, type RoomTown } from './rooms.js'
import { ids } from './town.js'

/** A function that runs as its owner. */
export interface Definer {
  readonly name: string
  readonly text: string
  /** A call of it with values that nobody meant anything by. */
  readonly call: string
  /** Whether PUBLIC may call it, and whether only internal roles may. */
  readonly open: boolean
  readonly internal: boolean
}

/** One guard of a function: how it is taken out, and what shows that it is there. */
export interface Guard {
  readonly what: string
  readonly from: RegExp
  readonly to: string
  readonly by: Prober
  /** Statements before the one that is asked, and that one itself. Default: a call of the function. */
  readonly first?: readonly string[]
  readonly ask?: string
  /** A function that it calls and that asks the same: both are broken. */
  readonly also?: string
  /** How it ends as long as the guard stands: SQLSTATE and message, or the rows. */
  readonly held: RegExp
}

/** Who asks: an admin of another database of the cluster who owns the tables, an admin who owns none, the application, who is on call. */
export type Prober = 'outsider' | 'admin' | 'app' | 'oncall'

const values: Record<string, string> = {
  regclass: `'town.posts'`,
  text: `'user'`,
  name: `'attacks_owner'`,
  integer: '1',
  bigint: '1',
  numeric: '1',
  boolean: 'false',
  bytea: `sha256('x')`,
  uuid: `'00000000-0000-4000-8000-0000000000f7'`,
  interval: `'1 minute'`,
  jsonb: `'{}'`,
  'tenantry.entity': `'${bob.entity}'`,
  'timestamp with time zone': `now() + interval '1 minute'`,
}
const byName: Record<string, string> = {
  privilege: `'select'`,
  the_id: `'${bob.id}'`,
  the_path: `'reach'`,
}

/** Every function that runs as its owner, from the catalog. */
export async function definers(at: RoomTown): Promise<Definer[]> {
  const { rows } = await at.db.admin.query<{
    name: string
    text: string
    bare: string
    types: string[]
    variadic: boolean
    names: string[] | null
    acl: string[]
    trigger: boolean
  }>(`select p.oid::regprocedure::text as name, pg_get_functiondef(p.oid) as text,
             format('%I.%I', n.nspname, p.proname) as bare,
             array(select format_type(t, null) from unnest(p.proargtypes::oid[]) with ordinality a (t, o) order by o)::text[] as types,
             p.proargnames::text[] as names, p.provariadic <> 0 as variadic,
             array(select coalesce(r.rolname, 'public') from aclexplode(p.proacl) x
                     left join pg_roles r on r.oid = x.grantee where x.privilege_type = 'EXECUTE')::text[] as acl,
             p.prorettype in ('trigger'::regtype, 'event_trigger'::regtype) as trigger
        from pg_proc p join pg_namespace n on n.oid = p.pronamespace
       where p.prosecdef and n.nspname in ('tenantry', 'tenantry_private')
       order by 1`)
  const given = await at.db.admin.query<{ type: string; value: string }>(`
    select 'tenantry_private.tables' as type, t::text as value from tenantry_private.tables t where t.relation = 'town.posts'::regclass
    union all select 'tenantry_private.encrypted_columns', c::text from tenantry_private.encrypted_columns c where c.column_name = 'token'
    union all select 'tenantry_private.membership_sources', s::text from tenantry_private.membership_sources s`)
  const composite = Object.fromEntries(
    given.rows.map(({ type, value }) => [type, `'${value.replaceAll("'", "''")}'`]),
  )
  const columnId = (
    await ids(
      at.db.admin,
      `select column_id from tenantry_private.encrypted_columns where column_name = 'token'`,
    )
  )[0]
  return rows.map(({ name, text, bare, types, names, variadic, acl, trigger }) => ({
    name,
    text,
    call: trigger
      ? ''
      : `select * from ${bare}(${types
          .map((type, n) => {
            const named = byName[names?.[n] ?? '']
            const uuid = type === 'uuid' && columnId ? `'${columnId}'` : undefined
            const value =
              named ??
              uuid ??
              values[type] ??
              composite[type] ??
              (type.endsWith('[]') ? `'{}'` : 'null')
            return `${variadic && n === types.length - 1 ? 'variadic ' : ''}(${value})::${type}`
          })
          .join(', ')})`,
    open: acl.includes('public'),
    internal: acl.every((role) => /^tenantry_(owner|engine|facade|reach)$/.test(role)),
  }))
}

const forged = `select set_config('tenantry.context', 'c1.' || repeat('0', 64) || '.' || array_to_string(
  array['k', '0000000000000000', 'ffffffffffffffff', ',select,insert,update,delete,decrypt,delegate,', '${bob.entity}', '${bob.entity}', 'context'], E'\\x1f'), true)`

/** The guards that functions have in common, found by how they are written. */
export function commonGuards({ name, text, call }: Definer): Guard[] {
  if (call === '') return []
  const action = /require_admin\('((?:[^']|'')*)'/.exec(text)?.[1]?.replaceAll("''", "'")
  const common: Guard[] = [
    {
      what: 'whether an admin asks',
      from: /perform tenantry_private\.require_admin\([^;]*;/g,
      to: 'null;',
      by: 'outsider',
      held: new RegExp(`^42501 .* may not ${action} in database`),
      ...(name === 'tenantry.assume(tenantry.entity,tenantry.entity,bytea)' && {
        also: 'tenantry.assume(tenantry.entity,tenantry.entity)',
      }),
    },
    {
      what: 'whose the table is',
      from: /perform tenantry_private\.require_declarable\([^;]*;/g,
      to: 'null;',
      by: 'admin',
      held: /^42501 .* does not own/,
    },
    {
      what: 'whether the context is signed',
      from: /tenantry_private\.open_context\(\)/g,
      to: `string_to_array(substr(nullif(current_setting('tenantry.context', true), ''), 69), E'\\x1f')`,
      by: 'app',
      first: [forged],
      held: /^TN002/,
    },
  ]
  return common.filter(({ from }) => text.search(from) >= 0)
}

/** Functions without a guard in their text, and why they need none. Those of internal roles alone are found by their grants. */
export const unguarded: Record<string, string> = {
  ...Object.fromEntries(
    [
      'allowed_logins()',
      'audit_state()',
      'checked_references(tenantry_private.tables,tenantry_private.tables)',
      'declared(regclass)',
      'encrypted(regclass)',
      'engine_works_on(regclass)',
      'expected_check(tenantry_private.tables,tenantry_private.tables)',
      'has_master_key()',
      'is_closed(regclass)',
      'job_place(regclass,text)',
      'key_provider()',
      'known_ids(text,text[])',
      'made_from(regclass,name)',
      'open_jobs()',
      'reach_source(regclass)',
      'renamed_secrets()',
      'renames()',
      'rollout(regclass)',
      'secret_state()',
      'table_owner_roles()',
      'trigger_noted(regclass,name,text,text)',
      'engine_queries(uuid,text)',
      'brake_limit(text)',
      'is_applications(oid)',
      'unseen_relations()',
    ].map((name) => [
      `tenantry_private.${name}`,
      'reads what is declared, and no row or key; admins may call it',
    ]),
  ),
  ...Object.fromEntries(
    [
      'resume_facades(oid[])',
      'resume_reach_views(oid[])',
      'suspend_facades(text)',
      'suspend_reach_views(text)',
    ].map((name) => [
      `tenantry_private.${name}`,
      'makes views as declared, of tables that belong to whoever is there',
    ]),
  ),
  'tenantry_private.settle_births()':
    'works inside of an event trigger alone, on what the statement made',
  'tenantry.audience()': 'the name of the database, or what stands for it in tokens',
  'tenantry_private.accepted_server()': 'the version of PostgreSQL that an admin accepted',
  'tenantry.wants_key_share()': 'whether there are secrets at all',
  'tenantry_private.encrypted_listing()':
    'which columns are encrypted, which the application has to know',
}

/** What a statement ends in: SQLSTATE and message, or its rows. */
export async function outcome(client: pg.ClientBase, sql: string): Promise<string> {
  try {
    const { rows } = await client.query<unknown[]>({ text: sql, rowMode: 'array' })
    return JSON.stringify(rows)
  } catch (error) {
    const { code, message } = error as pg.DatabaseError
    return `${code} ${message}`
  }
}
