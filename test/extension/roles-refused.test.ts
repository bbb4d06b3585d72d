import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type pg from 'pg'
import type { TestRole } from '../support/database.js'
import { expectRefusal } from './support/refusal.js'
import { claims, entered, notesDatabase, token, type Notes } from './support/notes.js'

let notes: Notes
let admin: pg.Pool
beforeAll(async () => {
  notes = await notesDatabase()
  admin = notes.db.admin
})
afterAll(async () => {
  await notes.db.drop()
})

const mine = 'select body from app.notes order by id'
const noteOfOne = [{ body: 'note of one' }]
const as = (who: string) => token(claims(notes.db, who))
const quoted = (role: TestRole) => `"${role.name}"`

/** Enters and reads as the role; a control for what is taken or given afterwards. */
async function works(client: pg.Client): Promise<void> {
  expect((await entered(client, as('user:1'), () => client.query(mine))).rows).toEqual(noteOfOne)
}

/** Neither a credential nor a pass of earlier lets the session in. */
async function refused(client: pg.Client, message: RegExp): Promise<void> {
  const error = await expectRefusal(
    client.query('select tenantry.enter($1)', [as('user:1')]),
    'TN010',
    message,
  )
  expect(error.hint).toContain(`select * from tenantry.allow('app_runtime')`)
  await expectRefusal(
    client.query('select tenantry_private.enter_for_pass($1, 60)', [as('user:1')]),
    'TN010',
  )
}

async function unguarded(name: string): Promise<{ role: TestRole; client: pg.Client }> {
  const role = await notes.db.role(name, { allow: 'user', ordinary: false })
  const client = await role.connect()
  await works(client)
  return { role, client }
}

describe('a session is refused', () => {
  it('of a superuser, and of a role that became one', async () => {
    const superuser = await admin.connect()
    await refused(superuser, /is a superuser/)
    superuser.release()
    const { role, client } = await unguarded('risen')
    await admin.query(`alter role ${quoted(role)} superuser`)
    await refused(client, /is a superuser/)
    await admin.query(`alter role ${quoted(role)} nosuperuser`)
    await works(client)
  })

  it('with BYPASSRLS', async () => {
    const { role, client } = await unguarded('bypass')
    await admin.query(`alter role ${quoted(role)} bypassrls`)
    await refused(client, /BYPASSRLS/)
    await admin.query(`alter role ${quoted(role)} nobypassrls`)
    await works(client)
  })

  it('of a member of the tables’ owner, also through another role', async () => {
    const { role, client } = await unguarded('member')
    const between = await notes.db.role('between')
    await admin.query(
      `grant ${quoted(notes.owner)} to ${quoted(between)}; grant ${quoted(between)} to ${quoted(role)}`,
    )
    await refused(client, /own/)
    await admin.query(`revoke ${quoted(between)} from ${quoted(role)}`)
    await works(client)
  })

  it('of the owner of a protected table, found by check() and refused from the next sync() on at the latest', async () => {
    const { role, client } = await unguarded('heir')
    await admin.query(
      `grant usage, create on schema app to ${quoted(role)}; alter table app.countries owner to ${quoted(role)}`,
    )
    await works(client) // a shared table is nobody's secret
    await admin.query(`alter table app.notes owner to ${quoted(role)}`)
    const findings = await admin.query<{ code: string }>(
      `select code from tenantry.check() where object = $1`,
      [quoted(role).replaceAll('"', '')],
    )
    expect(findings.rows.map(({ code }) => code)).toContain('login_owns')
    await admin.query('select * from tenantry.sync()')
    await refused(client, /own/)
    await admin.query(
      `alter table app.notes owner to ${quoted(notes.owner)}; alter table app.countries owner to ${quoted(notes.owner)}; revoke all on schema app from ${quoted(role)}; select tenantry.sync()`,
    )
    await works(client)
  })

  it('of a login that is not allowed here, whatever it is a member of', async () => {
    const stranger = await notes.db.role('stranger')
    await admin.query(`grant tenantry_user to ${quoted(stranger)}`)
    const client = await stranger.connect()
    expect((await client.query(mine)).rows).toEqual([])
    await expectRefusal(client.query('select tenantry.enter($1)', [as('user:1')]), '42501')
    // A member of an allowed login may call enter(), and is still not allowed itself.
    await admin.query(`grant ${quoted(notes.app)} to ${quoted(stranger)}`)
    await refused(client, /not allowed/)
    await admin.query(`select tenantry.allow('${stranger.name}')`)
    await works(client)
    const dba = await notes.db.role('dba', { allow: 'admin' })
    await expectRefusal(
      (await dba.connect()).query('select tenantry.enter($1)', [as('user:1')]),
      '42501',
    )
  })
})

describe('SET ROLE', () => {
  it('neither carries a context to rows of others nor hides the login', async () => {
    const hat = await notes.db.role('hat')
    const role = await notes.db.role('wearer', { allow: 'user' })
    await admin.query(
      `grant ${quoted(hat)} to ${quoted(role)}; grant usage on schema app to ${quoted(hat)}; grant select, update on app.notes to ${quoted(hat)}`,
    )
    const client = await role.connect()
    await entered(client, as('user:1'), async () => {
      expect((await client.query(mine)).rows).toEqual(noteOfOne)
      await client.query(`set local role ${quoted(hat)}`)
      // The policies are for tenantry_user, which this role is no member of.
      expect((await client.query(mine)).rows).toEqual([])
      expect((await client.query('select tenantry.actor() as who')).rows).toEqual([
        { who: 'user:1' },
      ])
      await client.query('reset role')
      expect((await client.query(mine)).rows).toEqual(noteOfOne)
    })
    await client.query(`set role ${quoted(hat)}`)
    await expectRefusal(client.query('select tenantry.enter($1)', [as('user:1')]), '42501')
    await admin.query(
      `grant execute on function tenantry.enter(text) to ${quoted(hat)}; grant tenantry_user to ${quoted(hat)}`,
    )
    await works(client)
    expect((await client.query('select login_role from tenantry.whoami()')).rows).toEqual([
      { login_role: role.name },
    ])
    for (const internal of [
      'tenantry_owner',
      'tenantry_engine',
      'tenantry_facade',
      'tenantry_reach',
      'tenantry_admin',
      notes.owner.name,
    ]) {
      await expectRefusal(client.query(`set role "${internal}"`), '42501')
    }
    await expectRefusal(client.query('set session authorization postgres'), '42501')
  })
})

describe('what an ordinary login may not', () => {
  it('is call any function but these', async () => {
    const { rows } = await notes.client.query<{ name: string }>(`
      select p.oid::regprocedure::text as name
        from pg_proc p
        join pg_namespace n on n.oid = p.pronamespace
       where n.nspname in ('tenantry', 'tenantry_private') and has_function_privilege(p.oid, 'execute')
         and p.prorettype <> 'trigger'::regtype
       order by 1`)
    expect(rows.map(({ name }) => name)).toEqual([
      'tenantry.actor()',
      'tenantry.audience()',
      'tenantry.blind_index(uuid,text)',
      'tenantry.delegate(tenantry.entity,text[],tenantry.entity,timestamp with time zone,regclass[],integer)',
      'tenantry.enter(text)',
      'tenantry.enter(text,bytea)',
      'tenantry.enter_session(text,interval)',
      'tenantry.entered()',
      'tenantry.glass_is_broken()',
      'tenantry.leave()',
      'tenantry.may(text)',
      'tenantry.principal(text,text)',
      'tenantry.reach(text,text,regclass)',
      'tenantry.revoke(uuid,tenantry.entity,tenantry.entity)',
      'tenantry.sets_up()',
      'tenantry.version()',
      'tenantry.wants_key_share()',
      'tenantry.who(regclass,text[])',
      'tenantry.whoami()',
      'tenantry.why(regclass,text[])',
      'tenantry_private.anchors(regclass,text[])',
      'tenantry_private.audited_ring(text,uuid[])',
      'tenantry_private.encrypted_listing()',
      'tenantry_private.enter_for_pass(text,integer)',
      'tenantry_private.enter_for_pass(text,integer,bytea)',
      'tenantry_private.explained(regclass,text,text,text)',
      'tenantry_private.is_without_context()',
      'tenantry_private.judge_ddl()',
      'tenantry_private.linked(text,text,regclass)',
      'tenantry_private.open_bytea(text,bytea,uuid,text,bytea,boolean)',
      'tenantry_private.open_text(text,text,uuid,text,bytea,boolean)',
      'tenantry_private.part(bytea)',
      'tenantry_private.privilege_list(integer)',
      'tenantry_private.privilege_names(integer)',
      'tenantry_private.reach_of(text,text,text)',
      'tenantry_private.ring(text)',
      'tenantry_private.ring_now(text)',
      'tenantry_private.ring_now(text,uuid[])',
      'tenantry_private.settle_births()',
      'tenantry_private.shaped(bytea)',
      'tenantry_private.shaped(text)',
      'tenantry_private.view_on(regclass,name)',
      'tenantry_private.visible_delegations()',
    ])
  })

  it.each([
    `select tenantry.initialise(rotate => true)`,
    `select tenantry.register_issuer('k', '\\x${'00'.repeat(32)}')`,
    `select tenantry.unregister_issuer('issuer')`,
    `select tenantry.register_entity('bot:1')`,
    `select tenantry.register_service('user:1', 'user')`,
    `select tenantry.register_kind('user', 'app.users')`,
    `select tenantry.unregister_kind('user')`,
    `select tenantry.allow(session_user)`,
    `select tenantry.disallow(session_user)`,
    `select tenantry.configure('audience', 'x')`,
    `select tenantry.assume('user:2')`,
    `select * from tenantry.issuers`,
    `select * from tenantry.check()`,
    `select * from tenantry.sync()`,
    `select * from tenantry.protect('app.countries')`,
    `select * from tenantry.unprotect('app.notes')`,
    `select * from tenantry_private.signing_keys`,
    `select * from tenantry_private.issuer_keys`,
    `select * from tenantry_private.entities`,
    `insert into tenantry_private.allowed_roles values (session_user, 0, 'admin')`,
    `select tenantry_private.import_entities('user', '{9}', '{null}')`,
    `select tenantry_private.record_allowed(session_user, 'admin', true)`,
    `select tenantry_private.record_binding(session_user, 'user:2', true)`,
    `create function tenantry.principal(text) returns text language sql return '2'`,
    `create table tenantry.kinds2 ()`,
    `create temporary table notes (id int)`,
    `alter function tenantry.principal(text, text) volatile`,
    `drop function tenantry.principal(text, text) cascade`,
    `alter table app.notes disable row level security`,
    `create policy open on app.notes using (true)`,
    `truncate app.notes`,
  ])('%s', async (statement) => {
    await works(notes.client)
    const error = await expectRefusal(notes.client.query(statement), '42501')
    expect(error.message).toMatch(/permission denied|must be owner|may not/)
  })
})
