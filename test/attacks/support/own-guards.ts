import type { Guard } from './definers.js'
import { alice, bob, carol, type RoomTown } from './rooms.js'
import { agentOfAlice, service } from './town.js'

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
          // As while something is born below it.
          `reset session authorization; insert into tenantry_private.watched_relations (relation, xact, born) values ('town.posts'::regclass, pg_current_xact_id(), true); set session authorization LOGIN`,
          'alter table town.posts disable row level security',
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
