import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type pg from 'pg'
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
const noteOfTwo = [{ body: 'note of two' }]
const as = (who: string) => token(claims(notes.db, who))
const bodies = async (by: pg.Client): Promise<unknown[]> => (await by.query<object>(mine)).rows
const bind = (role: string | null, who: string | null, person = false) =>
  admin.query('select tenantry.bind_role($1, $2, $3)', [role, who, person])

describe('a role bound to an entity', () => {
  it('works as that entity without entering, until it is bound anew or unbound', async () => {
    const role = await notes.db.role('ada')
    await bind(role.name, 'user:1')
    const client = await role.connect()
    expect(await bodies(client)).toEqual(noteOfOne)
    await client.query(`insert into app.notes (id, body) values (50, 'by ada')`)
    await expectRefusal(
      client.query('insert into app.notes (id, owner_id) values (51, 2)'),
      '42501',
    )
    expect(
      (await client.query(`update app.notes set body = 'x' where owner_id = 2`)).rowCount,
    ).toBe(0)
    expect((await client.query('delete from app.notes where id = 50')).rowCount).toBe(1)
    await bind(role.name, 'user:2')
    expect(await bodies(client)).toEqual(noteOfTwo)
    await admin.query('select tenantry.unbind_role($1)', [role.name])
    expect(await bodies(client)).toEqual([])
    await expectRefusal(
      admin.query('select tenantry.unbind_role($1)', [role.name]),
      'TN011',
      /not bound/,
    )
    // It stays allowed and may enter.
    expect(await entered(client, as('user:1'), () => bodies(client))).toEqual(noteOfOne)
  })

  it('works as whom it enters, within that transaction', async () => {
    const role = await notes.db.role('eve')
    await bind(role.name, 'user:1')
    const client = await role.connect()
    expect(await entered(client, as('user:2'), () => bodies(client))).toEqual(noteOfTwo)
    expect(await bodies(client)).toEqual(noteOfOne)
    await client.query('begin')
    await client.query('select tenantry.enter($1)', [as('user:2')])
    await client.query('select tenantry.leave()')
    expect(await bodies(client)).toEqual(noteOfOne)
    await client.query('rollback')
  })

  it('works as nobody once the entity is gone, also when its id is used again', async () => {
    await admin.query(
      `insert into app.users values (7, 'seven'); insert into app.notes (owner_id, body) values (7, 'note of seven')`,
    )
    const role = await notes.db.role('bob')
    await bind(role.name, 'user:7', true)
    const client = await role.connect()
    expect(await bodies(client)).toEqual([{ body: 'note of seven' }])
    await admin.query('delete from app.users where id = 7')
    expect(await bodies(client)).toEqual([])
    await admin.query(
      `insert into app.users values (7, 'another'); insert into app.notes (owner_id, body) values (7, 'of another')`,
    )
    expect(await bodies(client)).toEqual([])
    expect(await entered(client, as('user:7'), () => bodies(client))).toEqual([
      { body: 'of another' },
    ])
    await bind(role.name, 'user:7')
    expect(await bodies(client)).toEqual([{ body: 'of another' }])
    await admin.query('delete from app.users where id = 7')
  })

  it('is not bound when it is dropped and made again under the name', async () => {
    const role = await notes.db.role('carl')
    await bind(role.name, 'user:1', true)
    const before = await role.connect()
    expect(await bodies(before)).toEqual(noteOfOne)
    await before.end()
    await admin.query(`drop owned by "${role.name}"; drop role "${role.name}"`)
    await admin.query(
      `create role "${role.name}" login password '${role.password}'; grant tenantry_user to "${role.name}"`,
    )
    const after = await role.connect()
    expect(await bodies(after)).toEqual([])
    await expectRefusal(after.query('select tenantry.enter($1)', [as('user:1')]), '42501')
    await expectRefusal(after.query('select tenantry.enter_session($1)', [as('user:1')]), '42501')
    // Even with the privilege to call it, the old permission is not its own.
    await admin.query(
      `grant execute on function tenantry.enter(text), tenantry.enter_session(text, interval) to "${role.name}"`,
    )
    await expectRefusal(
      after.query('select tenantry.enter($1)', [as('user:1')]),
      'TN010',
      /not allowed/,
    )
    await expectRefusal(after.query('select tenantry.enter_session($1)', [as('user:1')]), 'TN010')
    await bind(role.name, 'user:1')
    expect(await bodies(after)).toEqual(noteOfOne)
    expect(await entered(after, as('user:2'), () => bodies(after))).toEqual(noteOfTwo)
  })

  it('is bound by its name and by what it is: renamed, it is nobody', async () => {
    const role = await notes.db.role('dora')
    await bind(role.name, 'user:1')
    const client = await role.connect()
    expect(await bodies(client)).toEqual(noteOfOne)
    await admin.query(`alter role "${role.name}" rename to "${role.name}_x"`)
    expect(await bodies(client)).toEqual([])
    await admin.query(`alter role "${role.name}_x" rename to "${role.name}"`)
    expect(await bodies(client)).toEqual(noteOfOne)
  })

  it('ends with disallow()', async () => {
    const role = await notes.db.role('fred')
    await bind(role.name, 'user:1')
    const client = await role.connect()
    expect(await bodies(client)).toEqual(noteOfOne)
    await admin.query('select tenantry.disallow($1)', [role.name])
    expect(await bodies(client)).toEqual([])
    await expectRefusal(client.query('select tenantry.enter($1)', [as('user:1')]), '42501')
  })

  it('cannot be a role, or an entity, that is none', async () => {
    const role = await notes.db.role('gil')
    await expectRefusal(bind(role.name, 'user:99'), 'TN009')
    await expectRefusal(bind(role.name, null), '22004')
    await expectRefusal(bind(role.name, 'nonsense'), '23514')
    await expectRefusal(bind('nobody here', 'user:1'), 'TN011', /there is no role/)
    await expectRefusal(bind(null, 'user:1'), 'TN011')
    await expectRefusal(bind('postgres', 'user:1'), 'TN011', /superuser/)
    const client = await role.connect()
    await expectRefusal(
      client.query('select tenantry.bind_role($1, $2)', [role.name, 'user:1']),
      '42501',
    )
    await expectRefusal(client.query('select tenantry.unbind_role($1)', [role.name]), '42501')
    await bind(role.name, 'user:1')
    expect(await bodies(client)).toEqual(noteOfOne)
  })
})

describe('whoami', () => {
  const ask =
    'select actor, principal, privileges, source, expires_at > now() as timed, login_role from tenantry.whoami()'
  const everything = ['select', 'insert', 'update', 'delete', 'decrypt', 'delegate']

  it('says who, for whom, by what and until when, in every way of working', async () => {
    const role = await notes.db.role('hana')
    await admin.query('select tenantry.allow($1)', [role.name])
    const client = await role.connect()
    const login_role = role.name
    const nobody = {
      actor: null,
      principal: null,
      privileges: null,
      source: 'none',
      timed: null,
      login_role,
    }
    const one = { actor: 'user:1', principal: 'user:1', privileges: everything, login_role }
    expect((await client.query(ask)).rows).toEqual([nobody])
    expect((await entered(client, as('user:1'), () => client.query(ask))).rows).toEqual([
      { ...one, source: 'context', timed: true },
    ])
    await bind(role.name, 'user:1', true)
    expect((await client.query(ask)).rows).toEqual([{ ...one, source: 'role', timed: null }])
    await client.query('select tenantry.enter_session($1)', [as('user:1')])
    expect((await client.query(ask)).rows).toEqual([{ ...one, source: 'session', timed: true }])
    await client.query(
      `set datestyle = 'SQL, DMY'; set timezone = 'Asia/Kolkata'; set bytea_output = 'escape'`,
    )
    const until = `select expires_at - now() between interval '59 minutes' and interval '1 hour' as right_time from tenantry.whoami()`
    expect((await client.query(until)).rows).toEqual([{ right_time: true }])
  })

  it('says what an admin assumes, and only an admin may', async () => {
    const dba = await notes.db.role('dba', { allow: 'admin' })
    const client = await dba.connect()
    await client.query('begin')
    await client.query(`select tenantry.assume('user:1')`)
    expect((await client.query(ask)).rows).toEqual([
      {
        actor: 'user:1',
        principal: 'user:1',
        privileges: everything,
        source: 'assumed',
        timed: true,
        login_role: dba.name,
      },
    ])
    await client.query('rollback')
    // One message may assume and use what it assumed.
    const script = await client.query(
      `begin; select tenantry.assume('user:2'); select tenantry.principal('user') as id; commit`,
    )
    expect((script as unknown as pg.QueryResult[])[2]?.rows).toEqual([{ id: '2' }])
    await expectRefusal(client.query(`select tenantry.assume('user:1', 'user:2')`), 'TN004')
    await expectRefusal(client.query(`select tenantry.assume('user:99')`), 'TN009')
    await expectRefusal(client.query(`select tenantry.assume('user:1', 'user:99')`), 'TN009')
    await expectRefusal(client.query('select tenantry.assume(null)'), '22004')
    await expectRefusal(notes.client.query(`select tenantry.assume('user:1')`), '42501')
    await admin.query(
      `grant execute on function tenantry.assume(tenantry.entity, tenantry.entity) to "${notes.app.name}"`,
    )
    await expectRefusal(
      notes.client.query(`select tenantry.assume('user:1')`),
      '42501',
      /may not assume/,
    )
    // Once disallowed, an admin is none.
    await admin.query('select tenantry.disallow($1, $2)', [dba.name, 'admin'])
    await expectRefusal(client.query(`select tenantry.assume('user:1')`), '42501')
  })
})
