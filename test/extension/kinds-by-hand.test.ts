import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type pg from 'pg'
import { testDatabase, type TestDatabase, type TestRole } from '../support/database.js'
import { entitiesOf, living } from './support/kinds.js'
import { expectRefusal } from './support/refusal.js'

let db: TestDatabase
let owner: TestRole
let admin: pg.Pool
beforeAll(async () => {
  db = await testDatabase()
  admin = db.admin
  owner = await db.role('owner', { allow: 'admin', ordinary: false })
  await admin.query(
    `create schema app authorization "${owner.name}"; grant usage on schema app to public`,
  )
})
afterAll(async () => {
  await db.drop()
})

/** Makes things as the owner of the application's schema. */
async function made(statements: string): Promise<void> {
  const client = await owner.connect()
  await client.query(`set search_path = app; ${statements}`)
  await client.end()
}

const register = (kind: string | null, table: string | null, more = '') =>
  admin.query(`select tenantry.register_kind($1, $2::regclass${more})`, [kind, table])

describe('an entity registered by hand', () => {
  beforeAll(async () => {
    await made('create table users (id int primary key); insert into users values (1)')
    await register('user', 'app.users')
  })

  it('lives until it is unregistered, and has owners like any other', async () => {
    await admin.query(`select tenantry.register_entity('device:radio')`)
    await admin.query(
      `select tenantry.register_entity('device:phone', owner => 'device:radio', acts_for_owner => true)`,
    )
    expect(await entitiesOf(admin, 'device')).toEqual([
      { id: 'phone', owner: 'device:radio', alive: true },
      { id: 'radio', owner: null, alive: true },
    ])
    const bits = `select tenantry_private.link_privileges('device:phone', 'device:radio') as bits`
    expect((await admin.query(bits)).rows).toEqual([{ bits: 31 }])
    await admin.query(`select tenantry.register_entity('device:phone', owner => 'device:radio')`)
    expect((await admin.query(bits)).rows).toEqual([{ bits: 0 }])
    await admin.query(`select tenantry.unregister_entity('device:phone')`)
    expect(await living(admin, 'device')).toEqual(['radio'])
    await expectRefusal(admin.query(`select tenantry.unregister_entity('device:phone')`), 'TN009')
    await admin.query(`select tenantry.register_entity('device:phone')`)
    expect(await living(admin, 'device')).toEqual(['phone', 'radio'])
  })

  it('cannot be of a kind that has a table, or be no entity', async () => {
    const error = await expectRefusal(
      admin.query(`select tenantry.register_entity('user:9')`),
      'TN011',
      /come from app.users/,
    )
    expect(error.hint).toContain('Insert a row')
    await expectRefusal(
      admin.query(`select tenantry.unregister_entity('user:1')`),
      'TN011',
      /comes from a table/,
    )
    for (const entity of [
      'x',
      'x:',
      ':x',
      'X:1',
      'x:\u0001',
      `x:${'1'.repeat(201)}`,
      `${'x'.repeat(64)}:1`,
    ]) {
      await expectRefusal(admin.query('select tenantry.register_entity($1)', [entity]), '23514')
    }
    await expectRefusal(admin.query('select tenantry.register_entity(null)'), '22004')
    await expectRefusal(
      admin.query(`select tenantry.register_entity('device:x', owner => 'device:nobody')`),
      'TN009',
    )
    await expectRefusal(
      admin.query(`select tenantry.register_entity('device:x', acts_for_owner => true)`),
      'TN011',
      /needs an owner/,
    )
    await admin.query('select tenantry.register_entity($1)', [
      `${'x'.repeat(63)}:${'1'.repeat(200)}`,
    ])
    // A kind known by its entities does not get a table while they live.
    await made('create table devices (id text primary key)')
    await expectRefusal(
      register('device', 'app.devices'),
      'TN011',
      /registered already, from no table/,
    )
  })

  it('serves as a service only what is registered', async () => {
    await admin.query(`select tenantry.register_service('device:radio', 'user')`)
    await admin.query(`select tenantry.register_service('device:radio', 'user')`)
    await expectRefusal(
      admin.query(`select tenantry.register_service('device:radio', 'nope')`),
      'TN011',
      /not registered/,
    )
    await expectRefusal(
      admin.query(`select tenantry.register_service('device:radio', null)`),
      'TN011',
    )
    await expectRefusal(
      admin.query(`select tenantry.register_service('device:nobody', 'user')`),
      'TN009',
    )
    await expectRefusal(admin.query(`select tenantry.register_service(null, 'user')`), '22004')
    await expectRefusal(admin.query('select tenantry.unregister_entity(null)'), '22004')
    await expectRefusal(
      admin.query(`select tenantry.unregister_kind('user')`),
      'TN011',
      /service device:radio/,
    )
    await admin.query(`select tenantry.unregister_service('device:radio', 'user')`)
    await expectRefusal(
      admin.query(`select tenantry.unregister_service('device:radio', 'user')`),
      'TN011',
      /does not serve/,
    )
  })
})
