import type pg from 'pg'
import { afterAll, beforeAll, describe, expect } from 'vitest'
import { attack, control } from './support/attack.js'
import { type Town, alice, bob, enter, ids, stateOf, town } from './support/town.js'

describe('what is carried from one identity to another', () => {
  let at: Town
  let client: pg.Client
  beforeAll(async () => {
    at = await town()
    client = await at.connect()
  })
  afterAll(() => at.drop())

  async function as<T>(principal: string, work: () => Promise<T>): Promise<T> {
    await client.query('begin')
    try {
      await client.query(`select set_config('app.user', $1, true)`, [principal.slice(5)])
      await enter(client, at.credential(principal))
      return await work()
    } finally {
      await client.query('commit')
    }
  }

  attack('a prepared plan used under another identity', async () => {
    await client.query('set plan_cache_mode = force_generic_plan')
    await client.query('prepare mine as select id from town.notes order by 1')
    // The control: a plan that was made with the identity in it.
    for (let round = 0; round < 7; round++) {
      control(await as(alice.entity, () => ids(client, 'execute mine'))).toEqual(alice.notes)
      expect(await as(bob.entity, () => ids(client, 'execute mine'))).toEqual(bob.notes)
      expect(await ids(client, 'execute mine')).toEqual([])
    }
    await as(bob.entity, () =>
      client.query(
        `prepare fixed as select id from town.open_notes where owner_id = '${bob.id}' order by 1`,
      ),
    )
    expect(await as(alice.entity, () => ids(client, 'execute fixed'))).toEqual(bob.notes)
    await client.query('deallocate all')
    await client.query('reset plan_cache_mode')
  })

  attack('a prepared plan used under another role', async () => {
    await client.query('prepare mine as select id from town.notes order by 1')
    await as(bob.entity, () => ids(client, 'execute mine'))
    await client.query('set role tenantry_user')
    expect(await ids(client, 'execute mine')).toEqual([])
    await client.query('reset role')
    await client.query('deallocate all')
  })

  attack('a portal or cursor used after its transaction', async () => {
    await as(bob.entity, () => client.query('declare c cursor for select id from town.notes'))
    await client.query('begin')
    expect(await stateOf(client, 'fetch all from c')).toBe('34000')
    await client.query('rollback')
  })

  attack('a cursor WITH HOLD read by the next user of the connection', async () => {
    // Rows that a session itself keeps beyond its transaction are that session’s, as in any database. The pool
    // must not hand them on.
    await as(bob.entity, () =>
      client.query('declare kept cursor with hold for select id from town.notes order by 1'),
    )
    expect(await as(alice.entity, () => ids(client, 'fetch all from kept'))).toEqual(bob.notes)
    await client.query('close all')
    // Its rows stay those of whoever opened it; it reads nothing new as somebody else.
    await client.query(`declare late cursor with hold for select id from town.notes`)
    expect(await as(alice.entity, () => ids(client, 'fetch all from late'))).toEqual([])
    await client.query('close all')
  })

  attack('an open cursor that changes hands inside one transaction', async () => {
    await client.query('begin')
    await enter(client, at.credential(bob.entity))
    await client.query('declare c cursor for select id from town.notes order by 1')
    expect(await ids(client, 'fetch 1 from c')).toEqual(['3'])
    expect(await stateOf(client, 'select tenantry.enter($1)', [at.credential(alice.entity)])).toBe(
      'TN002',
    )
    await client.query('select tenantry.leave()')
    // What is open goes on as who opened it: this is still the transaction of bob’s credential.
    expect(await ids(client, 'fetch 1 from c')).toEqual(['4'])
    expect(await ids(client)).toEqual([])
    await client.query('rollback')
  })

  attack('two contexts in one transaction', async () => {
    await client.query('begin')
    await enter(client, at.credential(alice.entity))
    expect(await stateOf(client, 'select tenantry.enter($1)', [at.credential(bob.entity)])).toBe(
      'TN002',
    )
    expect(
      await stateOf(client, 'select tenantry_private.enter_for_pass($1, 60)', [
        at.credential(bob.entity),
      ]),
    ).toBe('TN002')
    // Once more as the same is fine.
    expect(await stateOf(client, 'select tenantry.enter($1)', [at.credential(alice.entity)])).toBe(
      '00000',
    )
    expect(await ids(client)).toEqual(alice.notes)
    await client.query('rollback')
  })

  attack('a second credential after the first context was thrown away', async () => {
    // Whoever holds credentials of both could use them one after the other anyway.
    await client.query('begin')
    await enter(client, at.credential(alice.entity))
    await client.query('select tenantry.leave()')
    await enter(client, at.credential(bob.entity))
    expect(await ids(client)).toEqual(bob.notes)
    await client.query('rollback')
  })

  attack('a deferred trigger that runs as the last identity of a transaction', async () => {
    // Nothing of tenantry's is deferrable, so that nothing can wait for another identity.
    const { rows } = await at.db.admin.query(
      `select from pg_trigger where tgname like 'tenantry%' and tgdeferrable`,
    )
    expect(rows).toEqual([])
    await client.query('begin')
    await enter(client, at.credential(alice.entity))
    await client.query('set constraints all deferred')
    expect(await stateOf(client, 'insert into town.comments (note_id) values (3)')).toBe('23503')
    expect(await stateOf(client, 'insert into town.lines (id, note_id) values (9, 3)')).toBe(
      '23503',
    )
    expect(await stateOf(client, 'insert into town.comments (note_id) values (1)')).toBe('00000')
    await client.query('rollback')
  })

  attack('a pass used by another login, in another database, or altered', async () => {
    const { rows } = await client.query<{ pass: string }>(
      'select tenantry_private.enter_for_pass($1, 60) as pass',
      [at.credential(bob.entity)],
    )
    const pass = rows[0]?.pass ?? ''
    const second = await (await at.db.role('second', { allow: 'user' })).connect()
    await client.query('begin')
    await second.query('begin')
    expect(await stateOf(client, 'select tenantry.enter($1)', [pass])).toBe('00000')
    expect(await stateOf(second, 'select tenantry.enter($1)', [pass])).toBe('TN008')
    const altered = [
      pass.slice(0, 68) + pass.slice(68).replaceAll(bob.entity, alice.entity),
      pass.replace('p1.', 'c1.'),
      `${pass}\x1f`,
      'p1.',
    ]
    for (const text of altered) {
      expect(await stateOf(client, 'select tenantry.enter($1)', [text]), text.slice(0, 20)).toBe(
        'TN008',
      )
    }
    // A context is no pass, and a pass no context.
    await client.query('select tenantry.enter($1)', [pass])
    const context = (await ids(client, `select current_setting('tenantry.context')`))[0] ?? ''
    expect(
      await stateOf(client, 'select tenantry.enter($1)', [context.replace('c1.', 'p1.')]),
    ).toBe('TN008')
    await client.query(`select set_config('tenantry.context', $1, true)`, [
      pass.replace('p1.', 'c1.'),
    ])
    expect(await stateOf(client, 'select from town.notes')).toBe('TN002')
    await second.query('rollback')
    await client.query('rollback')
  })
})
