import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { databaseOn, type TestDatabase } from '../support/database/clone.js'
import type { TestRole } from '../support/database.js'
import type { TestServer } from '../support/servers.js'
import { catalogOf } from './support/catalog.js'
import {
  giveDatabaseTo,
  installBy,
  ownServer,
  paths,
  remains,
  script,
} from './support/installation.js'
import { expectRefusal } from './support/refusal.js'

const members = `
  select m.rolname as member, to_jsonb(a) ->> 'inherit_option' as inherit, to_jsonb(a) ->> 'set_option' as set
    from pg_auth_members a
    join pg_roles m on m.oid = a.member
   where a.roleid = 'tenantry_owner'::regrole
     and coalesce((to_jsonb(a) ->> 'inherit_option')::boolean or (to_jsonb(a) ->> 'set_option')::boolean, true)`

const roleNames =
  'tenantry_owner, tenantry_engine, tenantry_facade, tenantry_reach, tenantry_user, tenantry_admin, tenantry_maintenance'

// Roles belong to the cluster, so this needs one in which tenantry was never installed.
let server: TestServer
beforeAll(async () => {
  server = await ownServer()
})
afterAll(async () => {
  await server.stop()
})

describe.each(paths)('an owner of a database who is no superuser, by %s', (path) => {
  let db: TestDatabase
  let owner: TestRole

  beforeAll(async () => {
    db = await databaseOn(server, { empty: true })
    owner = await db.role('owner', { attributes: 'createrole', ordinary: false })
    await giveDatabaseTo(db, owner)
  })
  afterAll(async () => {
    await db.drop()
  })

  it('installs, works, and installs in a second database', async () => {
    const client = await owner.connect()
    await installBy(path, client)

    expect((await db.admin.query(members)).rows).toEqual([])
    await expectRefusal(client.query('set role tenantry_owner'), '42501')
    await expectRefusal(client.query('select from tenantry_private.signing_keys'), '42501')
    expect(
      (
        await db.admin.query(
          `select has_database_privilege('tenantry_owner', current_database(), 'create') as can`,
        )
      ).rows,
    ).toEqual([{ can: false }])

    // He is an admin: keys, a kind, a protected table, a login, all without a superuser.
    await client.query('create schema app; create table app.users (id int primary key, name text)')
    await client.query(
      'create table app.notes (id int, owner_id int references app.users, body text)',
    )
    await client.query(
      `insert into app.users values (1, 'one'); insert into app.notes values (1, 1, 'mine')`,
    )
    await client.query(`select tenantry.register_kind('user', 'app.users')`)
    await client.query(`select tenantry.protect('app.notes')`)
    await client.query(`select tenantry.register_issuer('k', '\\x${'0b'.repeat(32)}')`)
    await client.query(`insert into app.users values (2, 'two')`)
    const app = await db.role('app')
    const bind = `select tenantry.bind_role('${app.name}', 'user:1')`
    if (server.major >= 16) {
      // A superuser made that role, so only a superuser may alter it: the hint is what to run.
      const refused = await expectRefusal(client.query(bind), '42501', /may not run: alter role/)
      await db.admin.query(refused.hint?.replace(/^A superuser runs: /, '') ?? '')
    }
    await client.query(bind)
    const session = await app.connect()
    expect((await session.query('select body from app.notes')).rows).toEqual([{ body: 'mine' }])
    await client.query(`select tenantry.bind_role('${app.name}', 'user:2')`)
    expect((await session.query('select body from app.notes')).rows).toEqual([])
    const open = await client.query(
      `select severity, code, object from tenantry.check() where code <> 'server_outdated'`,
    )
    expect(open.rows).toEqual([
      { severity: 'warning', code: 'table_undeclared', object: 'app.users' },
    ])

    // No event triggers here: what is new is protected or closed by sync().
    await client.query(
      `select tenantry.manage_schema('app', owner_column => 'owner_id', owner_kind => 'user')`,
    )
    await client.query(
      `create table app.later (id int primary key, owner_id int); create table app.lists (id int)`,
    )
    const born = `select c.relname as name, t.class, c.relrowsecurity as on
      from pg_class c left join tenantry.tables t on t.relation = c.oid
     where c.oid in ('app.later'::regclass, 'app.lists'::regclass) order by 1`
    expect((await client.query(born)).rows).toEqual([
      { name: 'later', class: null, on: false },
      { name: 'lists', class: null, on: false },
    ])
    await client.query('select * from tenantry.sync()')
    expect((await client.query(born)).rows).toEqual([
      { name: 'later', class: 'owned', on: true },
      { name: 'lists', class: null, on: true },
    ])
    await client.query('drop table app.later, app.lists cascade; select * from tenantry.sync()')

    const second = await databaseOn(server, { empty: true })
    await second.admin.query(`alter database "${second.name}" owner to "${owner.name}"`)
    const there = await second.admin.connect()
    await there.query(`set session authorization "${owner.name}"`)
    await installBy(path, there)
    expect((await db.admin.query(members)).rows).toEqual([])
    const [here, other] = [await catalogOf(db.admin), await catalogOf(second.admin)]
    expect(Object.keys(other).filter((object) => !(object in here))).toEqual([])
    there.release(true)
    await second.drop()
  })

  it('takes it away again', async () => {
    const client = await owner.connect()
    expect(await remains(client)).not.toEqual([])
    const notices: string[] = []
    client.on('notice', ({ message }) => notices.push(message ?? ''))
    await client.query(script('uninstall.sql'))
    expect(await remains(client)).toEqual([])
    await client.query(`insert into app.notes values (2, 2, 'later')`)
    expect((await client.query('select id, body from app.notes order by id')).rows).toEqual([
      { id: 1, body: 'mine' },
      { id: 2, body: 'later' },
    ])
    expect((await db.admin.query(members)).rows).toEqual([])
    // The roles stay, and the command that drops them is the one it printed.
    expect(notices.join('\n')).toContain(`drop role ${roleNames}`)
    const [grantee] = (
      await db.admin.query<{ name: string }>(`
      select rolname as name from pg_roles where rolname like 'app\\_%'`)
    ).rows
    await db.admin.query(`drop owned by "${grantee?.name}"`)
    await client.query(`drop role ${roleNames}`)
  })
})

describe('roles that another installer has made', () => {
  let db: TestDatabase
  let owner: TestRole

  beforeAll(async () => {
    const first = await databaseOn(server, { empty: true })
    const superuser = await first.admin.connect()
    await installBy('script', superuser)
    superuser.release()
    await first.drop()
    db = await databaseOn(server, { empty: true })
    owner = await db.role('owner', { attributes: 'createrole', ordinary: false })
    await giveDatabaseTo(db, owner)
  })
  afterAll(async () => {
    await db.drop()
  })

  it('need a superuser’s word from 16 on, and the hint is that word', async () => {
    const client = await owner.connect()
    if (server.major >= 16) {
      const refused = await expectRefusal(installBy('script', client), 'TN011', /another installer/)
      await client.query('rollback')
      expect(await remains(db.admin)).toEqual([])
      await db.admin.query(refused.hint?.replace(/^A superuser runs: /, '') ?? '')
    }
    await installBy('script', client)
    expect((await client.query('select tenantry.version() as v')).rows).toHaveLength(1)
    expect((await db.admin.query(members)).rows).toEqual([])
  })
})
