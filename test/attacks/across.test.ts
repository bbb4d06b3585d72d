import type pg from 'pg'
import { afterAll, beforeAll, describe, expect } from 'vitest'
import type { TestRole } from '../support/database.js'
import { attack, control } from './support/attack.js'
import {
  alice,
  anonymous,
  bob,
  carol,
  ofBob,
  posts,
  roomOfBob,
  type RoomTown,
  roomTown,
} from './support/rooms.js'
import { agentOfAlice, enter, ids, state, stateOf } from './support/town.js'

describe('reaching across tenants', () => {
  let at: RoomTown
  beforeAll(async () => {
    at = await roomTown()
  })
  afterAll(() => at.drop())

  const reason = 'ticket 4711: nothing is there'
  const admin = (sql: string, values: unknown[] = []) => at.db.admin.query(sql, values)
  const all = ['1', '2', '3', '4', '5']
  const impersonate = (on: pg.Client, entity: string, duration = '1 minute') =>
    on.query('select tenantry.impersonate($1, $2, $3)', [entity, reason, duration])
  const breakGlass = (on: pg.Client, duration = '1 minute') =>
    on.query('select tenantry.break_glass($1, $2)', [reason, duration])

  async function staff(name: string): Promise<{ role: TestRole; session: pg.Client }> {
    const role = await at.db.role(name)
    await admin('select tenantry.bind_role($1, $2, person => true)', [role.name, alice.entity])
    await admin(`select * from tenantry.allow($1, 'support')`, [role.name])
    return { role, session: await role.connect() }
  }

  async function oncall(name: string): Promise<{ role: TestRole; session: pg.Client }> {
    const role = await at.db.role(name)
    await admin(`select * from tenantry.allow($1, 'maintenance')`, [role.name])
    await admin('select * from tenantry.sync()')
    return { role, session: await role.connect() }
  }

  attack('the anonymous context writing', async () => {
    expect(await at.seen([anonymous])).toEqual(['5'])
    expect(await at.seen([anonymous], 'select id from town.posts')).toEqual([])
    await at.under([anonymous], async (c) => {
      for (const path of ['town', 'reach']) {
        for (const values of [
          [bob.id, null],
          [carol.id, null],
          [bob.id, roomOfBob],
        ]) {
          const put = `insert into ${path}.posts (owner_id, room_id, is_public) values ($1, $2, true)`
          expect(await stateOf(c, put, values), path).toMatch(/^(42501|23503)$/)
        }
        expect(await stateOf(c, `insert into ${path}.posts (is_public) values (true)`)).toMatch(
          /^(42501|23502)$/,
        )
        expect((await c.query(`update ${path}.posts set body = 'x'`)).rowCount, path).toBe(0)
        expect((await c.query(`delete from ${path}.posts`)).rowCount, path).toBe(0)
        expect(await ids(c, `select id from ${path}.posts for update`)).toEqual([])
      }
      const join = `insert into town.members (owner_id, room_id, member_id, role) values ($1, $2, 'anonymous', 'host')`
      expect(await stateOf(c, join, [bob.id, roomOfBob])).toMatch(/^(42501|23503)$/)
    })
    for (const chain of [
      [bob.entity, anonymous],
      [anonymous, bob.entity],
      [anonymous, agentOfAlice],
    ]) {
      expect(await at.seen(chain), chain.join(' ')).toBe('TN004')
    }
    // The control: whose row it is writes it.
    await at.under([carol.entity], async (c) => {
      control((await c.query(`update reach.posts set body = 'x' where id = 5`)).rowCount).toBe(1)
    })
  })

  attack('impersonating without the right to', async () => {
    const { role, session } = await staff('support')
    await impersonate(session, bob.entity)
    expect(await ids(session, ofBob)).toEqual(['1', '4'])
    await session.query('select tenantry.leave()')
    // The application's login, somebody's own login, and support that is nobody's.
    const person = await at.db.role('nobody-special')
    await admin('select tenantry.bind_role($1, $2, person => true)', [person.name, bob.entity])
    const pooled = await at.db.role('pooled-support')
    await admin(`select * from tenantry.allow($1, 'support')`, [pooled.name])
    for (const client of [await at.connect(), await person.connect(), await pooled.connect()]) {
      expect(await state(impersonate(client, bob.entity))).toBe('42501')
      expect(await ids(client, `select current_setting('tenantry.session', true)`)).not.toContain(
        's1',
      )
    }
    expect(
      await at.tried([alice.entity], `select tenantry.impersonate('${bob.entity}', '${reason}')`),
    ).toBe('42501')
    for (const [entity, duration] of [
      ['user:nobody', '1 minute'],
      [bob.entity, '61 minutes'],
      [bob.entity, '-1 minute'],
      [bob.entity, 'infinity'],
    ] as const) {
      expect(await state(impersonate(session, entity, duration)), `${entity} ${duration}`).not.toBe(
        '00000',
      )
    }
    expect(await ids(session, posts)).toEqual(['3', '5'])
    await admin(`select tenantry.disallow($1, 'support')`, [role.name])
    expect(await state(impersonate(session, bob.entity))).toBe('42501')
  })

  attack('an impersonation written with, prolonged, or carried elsewhere', async () => {
    const { role, session } = await staff('helper')
    await impersonate(session, bob.entity, '2 seconds')
    expect(await ids(session, posts)).toEqual(['1', '2', '4', '5'])
    for (const statement of [
      `update town.posts set body = 'x'`,
      `delete from town.posts`,
      `update reach.posts set body = 'x'`,
      `delete from reach.posts`,
    ]) {
      expect((await session.query(statement)).rowCount, statement).toBe(0)
    }
    for (const statement of [
      `insert into town.posts (owner_id) values ('${bob.id}')`,
      `insert into reach.posts (owner_id) values ('${bob.id}')`,
      `insert into town.members (owner_id, room_id, member_id, role) values ('${bob.id}', '${roomOfBob}', '${alice.id}', 'host')`,
      `select tenantry.delegate('${alice.entity}')`,
      `select tenantry.delegate('${carol.entity}')`,
    ]) {
      expect(await state(session.query(statement)), statement).toMatch(/^(42501|TN004|22023)$/)
    }
    const text = (await ids(session, `select current_setting('tenantry.session')`))[0] ?? ''
    const forged = [
      text.replace(',select,', ',select,update,'),
      text.replaceAll(bob.entity, carol.entity),
      text.slice(0, 68) + text.slice(68).replace('impersonated', 'session'),
    ]
    const other = await role.connect()
    for (const [client, setting] of [
      [other, text],
      ...forged.map((f) => [session, f] as const),
    ] as const) {
      await client.query(`select set_config('tenantry.session', $1, false)`, [setting])
      expect(await state(client.query(posts)), setting.slice(68)).toBe('TN002')
    }
    await session.query(`select set_config('tenantry.session', $1, false)`, [text])
    expect(await ids(session, posts)).toEqual(['1', '2', '4', '5'])
    await session.query('select pg_sleep(2)')
    expect(await state(session.query(posts))).toBe('TN003')
    await session.query('select tenantry.leave()')
    expect(await ids(session, posts)).toEqual(['3', '5'])
    expect(
      await ids(
        at.db.admin,
        `select login from tenantry.audit where action = 'impersonate' order by id desc limit 1`,
      ),
    ).toEqual([role.name])
  })

  attack('breaking the glass without the right to', async () => {
    const { session } = await staff('curious')
    for (const client of [await at.connect(), session]) {
      expect(await state(breakGlass(client))).toBe('42501')
      await client.query(`select set_config('tenantry.glass', 'g1.${'0'.repeat(64)}.x', false)`)
      expect(await ids(client, 'select tenantry.glass_is_broken()').catch(() => ['false'])).toEqual(
        ['false'],
      )
    }
    expect(await at.seen([alice.entity])).toEqual(['3', '5'])
    expect(
      await state(admin(`select * from tenantry.allow($1, 'maintenance')`, [at.app.name])),
    ).toBe('TN011')
    const login = await oncall('oncall')
    // An admin's word is not enough: somebody says why, in that session, and it goes on record.
    expect(await ids(login.session, 'select id from town.posts')).toEqual([])
    expect(await state(login.session.query(`select tenantry.break_glass('now')`))).toBe('22023')
    expect(await state(breakGlass(login.session, '2 hours'))).toBe('22023')
    await breakGlass(login.session)
    expect(await ids(login.session, 'select id from town.posts order by 1')).toEqual(all)
    expect(
      await ids(at.db.admin, `select login from tenantry.audit where action = 'break_glass'`),
    ).toEqual([login.role.name])
  })

  attack('glass used in another session, after its time, or after the right to', async () => {
    const { role, session } = await oncall('second-oncall')
    await breakGlass(session, '1 second')
    const broken = (await ids(session, `select current_setting('tenantry.glass')`))[0] ?? ''
    const read = 'select id from town.posts order by 1'
    expect(await ids(session, read)).toEqual(all)
    const others = [await role.connect(), await at.connect()]
    for (const client of others) {
      await client.query(`select set_config('tenantry.glass', $1, false)`, [broken])
      expect(await ids(client, read)).toEqual([])
    }
    await session.query('select pg_sleep(1.1)')
    expect(await ids(session, read)).toEqual([])
    await breakGlass(session)
    expect(await ids(session, read)).toEqual(all)
    await admin(`select tenantry.disallow($1, 'maintenance')`, [role.name])
    expect(await ids(session, read)).toEqual([])
    await admin('select * from tenantry.sync()')
    expect(await ids(session, read).catch((e: { code: string }) => [e.code])).not.toContain('1')
  })

  attack('granting across tenants without the right to', async () => {
    const billing = await at.db.role('billing', { ordinary: false })
    const grant = `select * from tenantry.grant_across('${billing.name}', 'town.posts', 'select', '${reason}')`
    const prober = await at.db.role('prober', { allow: 'admin', ordinary: false })
    const client = await prober.connect()
    await admin(`grant usage on schema town to "${prober.name}", "${billing.name}"`)
    const record = `select tenantry_private.record_across('${prober.name}', 'town.posts', 'all', '${reason}')`
    for (const statement of [grant, record]) {
      expect(await at.tried([alice.entity], statement), statement).toBe('42501')
      // An admin who does not own the table.
      expect(await state(client.query(statement)), statement).toBe('42501')
    }
    for (const [role, expected] of [
      [at.app.name, 'TN011'],
      ['tenantry_user', 'TN011'],
      ['tenantry_reach', 'TN011'],
      ['nobody_at_all', 'TN011'],
    ] as const) {
      expect(await state(admin(grant.replace(billing.name, role))), role).toBe(expected)
    }
    const reader = await billing.connect()
    expect(await state(reader.query(ofBob))).toBe('42501')
    await admin(grant)
    control(await ids(reader, ofBob)).toEqual(all)
    for (const statement of [
      `update town.posts set body = 'x'`,
      `delete from town.posts`,
      `select id from town.notes`,
      `select id from reach.posts`,
    ]) {
      expect(await state(reader.query(statement)), statement).toBe('42501')
    }
    // A role made again under the name inherits nothing.
    await admin(`select * from tenantry.revoke_across('${billing.name}', 'town.posts')`)
    expect(await state(reader.query(ofBob))).toBe('42501')
  })

  attack('a role that reads across tenants, lent to the application', async () => {
    const lender = await at.db.role('lender', { ordinary: false })
    await admin(`grant usage on schema town to "${lender.name}"`)
    await admin(
      `select * from tenantry.grant_across('${lender.name}', 'town.posts', 'select', '${reason}')`,
    )
    await admin(`grant "${lender.name}" to "${at.app.name}"`)
    const client = await at.connect()
    // What it could do.
    await client.query(`set role "${lender.name}"`)
    control(await ids(client, ofBob)).toEqual(all)
    await client.query('reset role')
    expect(await ids(client, ofBob)).toEqual([])
    const codes = await ids(at.db.admin, `select distinct code from tenantry.check() order by 1`)
    expect(codes).toEqual(['login_unbound'])
    // Nor does sync() take the grant, and give it again the next time.
    await admin('select * from tenantry.sync()')
    expect(await ids(at.db.admin, 'select code from tenantry.check()')).toEqual(codes)
    expect(await state(enter(client, at.credential(alice.entity)))).toBe('TN010')
    expect(await state(admin('select * from tenantry.allow($1)', [at.app.name]))).toBe('TN011')
    await admin(`revoke "${lender.name}" from "${at.app.name}"`)
    await admin(`select * from tenantry.revoke_across('${lender.name}', 'town.posts')`)
    expect(await at.seen([alice.entity], posts)).toEqual(['3', '5'])
    expect(await ids(at.db.admin, 'select code from tenantry.check()')).toEqual([])
  })
})
