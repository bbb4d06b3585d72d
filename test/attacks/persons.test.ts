import type pg from 'pg'
import { afterAll, beforeAll, describe, expect } from 'vitest'
import type { TestRole } from '../support/database.js'
import { attack, control } from './support/attack.js'
import { type Town, alice, bob, ids, state, town } from './support/town.js'

describe('the login of a person', () => {
  let at: Town
  let person: TestRole
  let client: pg.Client
  beforeAll(async () => {
    at = await town()
    person = await at.db.role('person')
    await at.db.admin.query('select tenantry.bind_role($1, $2, true)', [person.name, alice.entity])
    client = await person.connect()
  })
  afterAll(() => at.drop())

  const entered = async (on: pg.Client, principal: string): Promise<string> => {
    await on.query('select tenantry.enter_session($1)', [at.credential(principal)])
    return (await ids(on, `select current_setting('tenantry.session')`))[0] ?? ''
  }

  attack('a session context used in another connection', async () => {
    const session = await entered(client, bob.entity)
    expect(await ids(client)).toEqual(bob.notes)
    const other = await person.connect()
    expect(await ids(other)).toEqual(alice.notes)
    await other.query(`select set_config('tenantry.session', $1, false)`, [session])
    expect(await state(other.query('select from town.notes'))).toBe('TN002')
    await other.query('select tenantry.leave()')
    expect(await ids(other)).toEqual(alice.notes)
    // Nor by another login, nor as a context of one transaction.
    const app = await at.connect()
    await app.query(`select set_config('tenantry.session', $1, false)`, [session])
    expect(await state(app.query('select from town.notes'))).toBe('TN002')
    await app.query(`select set_config('tenantry.context', $1, false)`, [
      session.replace('s1.', 'c1.'),
    ])
    expect(await state(app.query('select from town.notes'))).toBe('TN002')
    await client.query('select tenantry.leave()')
    expect(await ids(client)).toEqual(alice.notes)
  })

  attack('a session context forged or altered', async () => {
    const session = await entered(client, alice.entity)
    for (const text of [
      session.slice(0, 68) + session.slice(68).replaceAll(alice.entity, bob.entity),
      `s1.${'0'.repeat(64)}.${session.slice(68)}`,
      bob.entity,
      's1.',
    ]) {
      await client.query(`select set_config('tenantry.session', $1, false)`, [text])
      expect(await state(client.query('select from town.notes')), text.slice(0, 20)).toBe('TN002')
    }
    await client.query('reset all')
    // The control: what a setting alone can do.
    await client.query(`select set_config('app.user', $1, false)`, [bob.id])
    await at.db.admin.query(`grant select on town.naive_notes to "${person.name}"`)
    control(await ids(client, 'select id from town.naive_notes order by 1')).toEqual(bob.notes)
    await client.query('reset all')
  })

  attack('a session context used after it has ended', async () => {
    await client.query(`select tenantry.enter_session($1, '1 second')`, [at.credential(bob.entity)])
    expect(await ids(client)).toEqual(bob.notes)
    await client.query('select pg_sleep(1.1)')
    expect(await state(client.query('select from town.notes'))).toBe('TN003')
    await client.query('select tenantry.leave()')
    // Or after the login was unbound, or was bound to be a person's no more.
    await entered(client, bob.entity)
    await at.db.admin.query('select tenantry.bind_role($1, $2, false)', [person.name, alice.entity])
    expect(await state(client.query('select from town.notes'))).toBe('TN002')
    await client.query('select tenantry.leave()')
    expect(await state(entered(client, bob.entity))).toBe('TN010')
    await at.db.admin.query('select tenantry.unbind_role($1)', [person.name])
    expect(await ids(client)).toEqual([])
    await at.db.admin.query('select tenantry.bind_role($1, $2, true)', [person.name, alice.entity])
    expect(await ids(client)).toEqual(alice.notes)
  })

  attack('a session context on a pooled connection', async () => {
    const app = await at.connect()
    expect(await state(entered(app, bob.entity))).toBe('TN010')
    expect(await ids(app)).toEqual([])
  })

  attack('a bound login made again under the same name', async () => {
    const role = await at.db.role('again')
    await at.db.admin.query('select tenantry.bind_role($1, $2)', [role.name, bob.entity])
    const first = await role.connect()
    expect(await ids(first)).toEqual(bob.notes)
    await first.end()
    await at.db.admin
      .query(`reassign owned by "${role.name}" to postgres; drop owned by "${role.name}"; drop role "${role.name}";
      create role "${role.name}" login password '${role.password}' in role tenantry_user`)
    const second = await role.connect()
    expect(await ids(second)).toEqual([])
    expect(
      await state(second.query('select tenantry.enter($1)', [at.credential(bob.entity)])),
    ).toMatch(/^(42501|TN010)$/)
  })
})
