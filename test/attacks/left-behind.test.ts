import type pg from 'pg'
import { afterAll, beforeAll, describe, expect } from 'vitest'
import { attack, control } from './support/attack.js'
import { endings, workAsBob } from './support/leftovers.js'
import { type Town, alice, bob, enter, ids, state, stateOf, town } from './support/town.js'

describe('a connection that somebody else has used before', () => {
  let at: Town
  let client: pg.Client
  beforeAll(async () => {
    at = await town()
    client = await at.connect()
  })
  afterAll(() => at.drop())

  for (const ending of Object.keys(endings)) {
    attack(`a context left behind by ${ending as 'commit'}`, async () => {
      await workAsBob(client, at, ending)
      expect(await ids(client)).toEqual([])
      expect(await ids(client, 'select principal from tenantry.whoami()')).toEqual(['null'])
      expect(
        await state(client.query(`insert into town.notes (slug, body) values ('x', 'x')`)),
      ).toBe('42501')
      // The control: what was set for the session, as many applications do, is still there. (A rollback takes it back.)
      const naive = await ids(client, 'select id from town.naive_notes order by 1')
      control(naive).toEqual(ending === 'commit' ? bob.notes : [])
      await client.query('begin')
      await enter(client, at.credential(alice.entity))
      expect(await ids(client)).toEqual(alice.notes)
      await client.query('rollback')
      await client.query('reset all')
    })
  }

  attack('a context entered outside a transaction', async () => {
    await enter(client, at.credential(bob.entity))
    expect(await ids(client)).toEqual([])
  })

  attack('a context kept by a savepoint', async () => {
    await client.query('begin')
    await client.query('savepoint a')
    await enter(client, at.credential(bob.entity))
    expect(await ids(client)).toEqual(bob.notes)
    await client.query('rollback to savepoint a')
    expect(await ids(client)).toEqual([])
    await client.query('rollback')
  })

  attack('SET, RESET, DISCARD and ROLE games', async () => {
    const games = [
      `set tenantry.context = '${bob.entity}'`,
      `set tenantry.session = '${bob.entity}'`,
      `set session tenantry.context to default`,
      `reset tenantry.context`,
      `reset all`,
      `discard all`,
      `discard plans`,
      `set role tenantry_user`,
      `set row_security = off`,
      `set session authorization default`,
      `set role none`,
      `set plan_cache_mode = force_generic_plan`,
      `set search_path = tenantry_private, pg_temp`,
      `set transaction_isolation = 'serializable'`,
      `set datestyle = 'sql, dmy'`,
      `set bytea_output = 'escape'`,
      `set standard_conforming_strings = off`,
      `set transform_null_equals = on`,
      `set quote_all_identifiers = on`,
      `set intervalstyle = 'sql_standard'`,
      `set timezone = 'Asia/Kathmandu'`,
      `set extra_float_digits = -15`,
      `set array_nulls = off`,
    ]
    for (const game of games) {
      await state(client.query(game))
      const code = await state(client.query('select from town.notes where owner_id = $1', [bob.id]))
      expect(['00000', 'TN002', '42501'], `${game}: ${code}`).toContain(code)
      if (code === '00000') {
        expect(
          await ids(client, `select id from town.notes where owner_id = '${bob.id}'`),
          game,
        ).toEqual([])
      }
      await client.query('reset role')
      await client.query('begin')
      await enter(client, at.credential(alice.entity))
      expect(await ids(client), game).toEqual(alice.notes)
      const now = game.includes('transaction_isolation') ? 'select 1' : game
      await stateOf(client, now)
      expect(await ids(client, 'select id from town.notes order by 1'), game).toEqual(alice.notes)
      await client.query('rollback')
      await client.query('discard all')
    }
    // The control: the same play with a setting that a policy trusts.
    await client.query(`select set_config('app.user', $1, false)`, [bob.id])
    control(await ids(client, 'select id from town.naive_notes order by 1')).toEqual(bob.notes)
    await client.query('reset all')
  })

  attack('turning into another role', async () => {
    const roles = ['tenantry_owner', 'tenantry_engine', 'tenantry_facade', 'tenantry_reach']
    for (const role of [
      ...roles,
      'tenantry_admin',
      'tenantry_maintenance',
      'attacks_owner',
      'postgres',
    ]) {
      expect(await state(client.query(`set role ${role}`)), role).toBe('42501')
      expect(await state(client.query(`set session authorization ${role}`)), role).toBe('42501')
      expect(await state(client.query(`grant ${role} to current_user`)), role).toMatch(
        /^(42501|0LP01)$/,
      )
    }
    for (const power of ['superuser', 'bypassrls', 'createrole', 'replication']) {
      expect(await state(client.query(`alter role current_user ${power}`)), power).toBe('42501')
    }
    // The group that everybody is in may not even enter.
    await client.query('set role tenantry_user')
    expect(await state(enter(client, at.credential(alice.entity)))).toBe('42501')
    expect(await ids(client)).toEqual([])
    await client.query('reset role')
  })

  attack('row_security switched off by an earlier user of the connection', async () => {
    await client.query('set row_security = off')
    expect(await state(client.query('select from town.notes'))).toBe('42501')
    await client.query('begin')
    await enter(client, at.credential(alice.entity))
    expect(await ids(client)).toEqual(alice.notes)
    await client.query('rollback')
    await client.query('reset row_security')
  })

  attack('one’s own login shut out for good', async () => {
    // Every role may change its own settings and password: PostgreSQL gives no way to forbid it.
    await client.query('begin')
    expect(
      await stateOf(client, `alter role current_user set default_transaction_read_only = on`),
    ).toBe('00000')
    expect(await stateOf(client, `alter role current_user password 'known'`)).toBe('00000')
    await client.query('rollback')
  })
})
