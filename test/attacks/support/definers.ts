import type pg from 'pg'
import { alice, bob, carol, type RoomTown } from './rooms.js'
import { agentOfAlice, ids, service } from './town.js'

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

/** The guards that only one function has. */
export function ownGuards(
  at: RoomTown,
  opensBy: { readonly text: string; readonly bytea: string },
): Record<string, readonly Guard[]> {
  const enters = (credential: string, share = `sha256('a share of the tests')`): string =>
    `select tenantry.enter('${credential}', ${share})`
  const asAlice = enters(at.credential(alice.entity))
  // A service works for alice without decrypt.
  const undecrypting = enters(at.credential(alice.entity, service))
  const mayOpen = (ask?: string): Guard => ({
    what: 'the privilege decrypt',
    from: /tenantry_private\.may_open\(kind(, signer)?\)/g,
    to: `'${alice.entity}'::text`,
    by: 'app',
    first: [undecrypting],
    ...(ask !== undefined && { ask }),
    held: /^\[\[null\]\]/,
  })
  const shaken = (bytes: string): string =>
    `set_byte(${bytes}, length(${bytes}) - 1, (get_byte(${bytes}, length(${bytes}) - 1) + 1) % 256)`
  const token = `decode(substr(v.token, 5), 'base64')`
  const tampered = {
    text: `'tn1:' || translate(encode(${shaken(token)}, 'base64'), E'\\n', '')`,
    bytea: shaken('v.raw'),
  }
  /** Opens the one secret there is, or one that was made of it. */
  const opening = (type: 'text' | 'bytea', value: string, ring: string): string =>
    `select ${opensBy[type].replaceAll('$ring$', ring)}
       from (select v.id, v.owner_id, ${type === 'text' ? value : 'v.token'} as token, ${type === 'bytea' ? value : 'v.raw'} as raw from town.vault v) t`
  const ring = `tenantry_private.ring('user')`
  const wrongRing = `overlay(${ring} placing repeat('0', 64) from 4 for 64)`
  const opens = (type: 'text' | 'bytea'): Guard[] => [
    {
      what: 'the tag of the value',
      from: /if tenantry_private\.is_for\([\s\S]*?then/,
      to: 'if false then',
      by: 'app',
      first: [asAlice],
      ask: opening(type, tampered[type], ring),
      held: /^TN006/,
    },
    {
      what: 'the signature of the ring',
      from: /if \(starts_with\(ring, 'r1\.'\)[\s\S]*?is not true then/,
      to: 'if false then',
      by: 'app',
      first: [asAlice],
      ask: opening(type, type === 'text' ? 'v.token' : 'v.raw', wrongRing),
      held: /^TN006/,
    },
  ]
  const borrowed = (trigger: string): readonly string[] => [
    'create table town.borrowed (id uuid, owner_id uuid)',
    `create trigger t after insert on town.borrowed for each row execute function tenantry_private.${trigger}()`,
  ]
  const garbage = (from: RegExp, to: string, ask: string): Guard => ({
    what: 'the credential',
    from,
    to,
    by: 'app',
    ask,
    held: /^TN008/,
  })
  return {
    'tenantry.enter(text,bytea)': [
      garbage(
        /ignored := tenantry\.enter\(credential\);/,
        'null;',
        `select tenantry.enter('a.b.c', sha256('x'))`,
      ),
    ],
    'tenantry_private.enter_for_pass(text,integer)': [
      garbage(
        /tenantry_private\.admitted\(credential, signer\)/,
        `'{}'::text[]`,
        `select tenantry_private.enter_for_pass('a.b.c', 60)`,
      ),
    ],
    'tenantry_private.enter_for_pass(text,integer,bytea)': [
      garbage(
        /return tenantry_private\.enter_for_pass\(credential, ttl_seconds\);/,
        'return null;',
        `select tenantry_private.enter_for_pass('a.b.c', 60, sha256('x'))`,
      ),
    ],
    'tenantry.enter_session(text,interval)': [
      {
        what: 'whether the login is a person’s',
        from: /if not tenantry_private\.is_person\(\) then/,
        to: 'if false then',
        by: 'app',
        ask: `select tenantry.enter_session('${at.credential(alice.entity)}')`,
        held: /^TN010/,
      },
    ],
    'tenantry.glass_is_broken()': [
      {
        what: 'the signature of the glass',
        from: /\(tenantry_private\.opened\([\s\S]*?\)\)\[2\]/,
        to: `'ffffffffffffffff'::text`,
        by: 'oncall',
        held: /^\[\[false\]\]/,
      },
      {
        what: 'whether it may be broken still',
        from: /tenantry_private\.is_allowed\('maintenance'\)/,
        to: 'true',
        by: 'oncall',
        first: [
          `select tenantry.break_glass('a reason that is long enough')`,
          `reset session authorization; delete from tenantry_private.allowed_roles where granted_as = 'maintenance'; set session authorization LOGIN`,
        ],
        held: /^\[\[false\]\]/,
      },
    ],
    'tenantry_private.is_admin()': [
      {
        what: 'whether the login is allowed here',
        from: /tenantry_private\.is_allowed\('admin'\)/,
        to: 'true',
        by: 'outsider',
        held: /^\[\[false\]\]/,
      },
    ],
    'tenantry.sets_up()': [
      {
        what: 'whether it is the application’s login',
        from: /not tenantry_private\.is_allowed\('user'\)/,
        to: 'true',
        by: 'app',
        held: /^\[\[false\]\]/,
      },
    ],
    'tenantry_private.visible_delegations()': [
      {
        what: 'whether an admin asks without a context',
        from: /if tenantry_private\.is_admin\(\) then/,
        to: 'if true then',
        by: 'app',
        ask: 'select count(*)::int from tenantry.delegations',
        held: /^\[\[0\]\]/,
      },
    ],
    'tenantry.blind_index(uuid,text)': [mayOpen()],
    'tenantry_private.ring(text)': [mayOpen()],
    'tenantry_private.ring_now(text)': [mayOpen()],
    'tenantry_private.ring_now(text,uuid[])': [mayOpen()],
    'tenantry_private.audited_ring(text,uuid[])': [mayOpen()],
    'tenantry_private.open_text(text,text,uuid,text,bytea,boolean)': opens('text'),
    'tenantry_private.open_bytea(text,bytea,uuid,text,bytea,boolean)': opens('bytea'),
    'tenantry_private.follow_kind()': [
      {
        what: 'whether the table is a kind’s',
        from: /if kind\.kind is null then/,
        to: 'if false then',
        by: 'outsider',
        first: borrowed('follow_kind'),
        ask: `insert into town.borrowed values ('${bob.id}', '${bob.id}')`,
        held: /is not the table of a kind/,
      },
    ],
    'tenantry_private.follow_membership()': [
      {
        what: 'whether the table holds memberships',
        from: /if not known then/,
        to: 'if false then',
        by: 'outsider',
        first: borrowed('follow_membership'),
        ask: `insert into town.borrowed values ('${bob.id}', '${bob.id}')`,
        held: /is not registered as a table of memberships/,
      },
    ],
    'tenantry_private.keep_owner()': [
      {
        what: 'who may give a row away',
        from: /if tenantry_private\.held\([\s\S]*?then/,
        to: 'if false then',
        by: 'app',
        first: [`select tenantry.enter('${at.credential(carol.entity)}')`],
        ask: `update reach.posts set owner_id = '${carol.id}' where id = 1`,
        held: /^42501 the owner of a row/,
      },
    ],
    'tenantry_private.record_actor()': [
      {
        what: 'whether somebody sets up',
        from: /tenantry\.sets_up\(\)/,
        to: 'true',
        by: 'app',
        first: [`select tenantry.enter('${at.credential(alice.entity, agentOfAlice)}')`],
        ask: `insert into town.posts (owner_id, posted_by) values ('${alice.id}', '${bob.entity}') returning posted_by`,
        held: new RegExp(`^\\[\\["${agentOfAlice}"\\]\\]`),
      },
    ],
    'tenantry_private.judge_ddl()': [
      {
        what: 'whether a protected table is weakened',
        from: /perform tenantry_private\.refuse_weakening\(/g,
        to: 'perform concat(',
        by: 'outsider',
        ask: 'alter table town.posts disable row level security',
        held: /^42501/,
      },
    ],
    'tenantry_private.settle_watched()': [
      {
        what: 'whether an admin weakens a protected table',
        from: /if not tenantry_private\.is_admin\(\) then/,
        to: 'if false then',
        by: 'outsider',
        first: [
          `reset session authorization; select * from tenantry.manage_schema('town', owner_column => 'owner_id', owner_kind => 'user'); set session authorization LOGIN`,
          'create table town.born (id int primary key, owner_id uuid not null)',
          'alter table town.born disable row level security',
        ],
        ask: 'set constraints all immediate',
        held: /^42501/,
      },
    ],
    seal: [
      {
        what: 'who may empty a secret',
        from: /perform tenantry_private\.require_decrypt\(/g,
        to: 'perform concat(',
        by: 'app',
        first: [undecrypting],
        ask: 'update town.vault set token = null',
        held: /^(42501|TN)/,
      },
    ],
    'tenantry_private.after_drop()': [
      {
        what: 'whether columns would be sealed no more',
        from: /perform tenantry_private\.refuse\(/,
        to: 'perform concat(',
        by: 'outsider',
        ask: 'alter table town.vault drop column label cascade',
        held: /^TN011 .* would no longer seal/,
      },
    ],
  }
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
