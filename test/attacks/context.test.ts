import type pg from 'pg'
import { afterAll, beforeAll, describe, expect } from 'vitest'
import { attack, control } from './support/attack.js'
import { type Town, alice, bob, enter, ids, state, stateOf, town } from './support/town.js'

const whole = `select current_setting('tenantry.context', true) as context`

describe('the context of a session', () => {
  let at: Town
  let client: pg.Client
  beforeAll(async () => {
    at = await town()
    client = await at.connect()
  })
  afterAll(() => at.drop())

  /** Enters as somebody and keeps the text of the context, as injected SQL could. */
  async function stolen(from: pg.Client, principal: string): Promise<string> {
    await enter(from, at.credential(principal))
    const { rows } = await from.query<{ context: string }>(whole)
    return rows[0]?.context ?? ''
  }

  const plant = `select set_config('tenantry.context', $1, true)`

  attack('a forged context', async () => {
    // The control: a setting that a policy trusts opens the naive copy to whoever sets it.
    await client.query('begin')
    await client.query(`select set_config('app.user', $1, true)`, [bob.id])
    control(await ids(client, 'select id from town.naive_notes order by 1')).toEqual(bob.notes)
    await client.query('rollback')

    await client.query('begin')
    const real = await stolen(client, alice.entity)
    expect(await ids(client)).toEqual(alice.notes)
    const body = real.slice(68).replaceAll(alice.entity, bob.entity)
    const forged = [
      real.slice(0, 68) + body,
      `c1.${'0'.repeat(64)}.${body}`,
      `c1.${'0'.repeat(64)}.`,
      `c1.${real.slice(3, 67).toUpperCase()}.${real.slice(68)}`,
      real.replace('c1.', 's1.'),
      real.replace('c1.', 'C1.'),
      bob.entity,
      `c1.${'\x1f'.repeat(80)}`,
      'x'.repeat(1_000_000),
      `${real}\x1f`,
    ]
    for (const text of forged) {
      await client.query(plant, [text])
      expect(await stateOf(client, 'select from town.notes'), text.slice(0, 80)).toBe('TN002')
    }
    await client.query(plant, [real])
    expect(await ids(client)).toEqual(alice.notes)
    await client.query('rollback')
  })

  attack('a context with more privileges or another actor written into it', async () => {
    await client.query('begin')
    const real = await stolen(client, alice.entity)
    const field = real.slice(68).split('\x1f')
    for (const [index, value] of [
      [2, 'ffffffffffffffff'],
      [3, ',select,insert,update,delete,decrypt,delegate,admin,'],
      [4, bob.entity],
      [6, 'session'],
    ] as const) {
      const changed = field.with(index, value)
      await client.query(plant, [real.slice(0, 68) + changed.join('\x1f')])
      expect(await stateOf(client, 'select from town.notes')).toBe('TN002')
    }
    await client.query('rollback')
  })

  attack('a context replayed in a later transaction', async () => {
    await client.query('begin')
    const real = await stolen(client, bob.entity)
    expect(await ids(client)).toEqual(bob.notes)
    await client.query('commit')
    await client.query('begin')
    await client.query(plant, [real])
    expect(await stateOf(client, 'select from town.notes')).toBe('TN002')
    await client.query('rollback')
    // The setting that stays: the next transaction does not inherit it as a context either.
    await client.query(`select set_config('tenantry.context', $1, false)`, [real])
    expect(await state(client.query('select from town.notes'))).toBe('TN002')
    await client.query('reset tenantry.context')
    expect(await ids(client)).toEqual([])
  })

  attack('a context replayed inside one message of two transactions', async () => {
    // now() stands still within one simple-query message, and so does what the context is bound to; but a context
    // does not hold in the message that entered it.
    const text = `begin; select tenantry.enter('${at.credential(bob.entity)}');
      select set_config('app.kept', current_setting('tenantry.context'), false); commit;
      begin; select set_config('tenantry.context', current_setting('app.kept'), true); select id from town.notes`
    expect(await state(client.query(text))).toBe('TN002')
    await client.query('rollback')
    await client.query(`begin; select set_config('app.user', '${bob.id}', false); commit`)
    control(await ids(client, 'select id from town.naive_notes order by 1')).toEqual(bob.notes)
    await client.query('reset all')
  })

  attack('a context replayed in another session', async () => {
    const other = await at.connect()
    await client.query('begin')
    await other.query('begin')
    const real = await stolen(client, bob.entity)
    expect(await ids(client)).toEqual(bob.notes)
    await other.query(plant, [real])
    expect(await stateOf(other, 'select from town.notes')).toBe('TN002')
    await other.query('rollback')
    await client.query('rollback')
  })

  attack('a context replayed by another login', async () => {
    const second = await (await at.db.role('second', { allow: 'user' })).connect()
    await client.query('begin')
    const { rows } = await client.query<{ snapshot: string }>(
      'select pg_export_snapshot() as snapshot',
    )
    const real = await stolen(client, bob.entity)
    await second.query('begin isolation level repeatable read')
    await second.query(`set transaction snapshot '${rows[0]?.snapshot ?? ''}'`)
    await second.query(plant, [real])
    expect(await stateOf(second, 'select from town.notes')).toBe('TN002')
    await second.query('rollback')
    await client.query('rollback')
  })

  attack('a context replayed in another database', async () => {
    // A clone has the same keys, so that only the database's name tells the two apart.
    const elsewhere = await town()
    try {
      await elsewhere.db.admin.query('delete from tenantry_private.signing_keys')
      const { rows } = await at.db.admin.query('select * from tenantry_private.signing_keys')
      for (const key of rows as { id: string; secret: Buffer }[]) {
        await elsewhere.db.admin.query(
          'insert into tenantry_private.signing_keys (id, secret) values ($1, $2)',
          [key.id, key.secret],
        )
      }
      const there = await elsewhere.connect()
      await there.query('begin')
      await client.query('begin')
      const real = await stolen(client, bob.entity)
      await there.query(plant, [real])
      expect(await stateOf(there, 'select from town.notes')).toBe('TN002')
      expect(await stateOf(there, 'select tenantry.enter($1)', [at.credential(bob.entity)])).toBe(
        'TN008',
      )
      await there.query(`select set_config('app.user', $1, true)`, [bob.id])
      control(await ids(there, 'select id from town.naive_notes order by 1')).toEqual(bob.notes)
      await there.query('rollback')
      await client.query('rollback')
    } finally {
      await elsewhere.drop()
    }
  })

  attack('a context used after it has expired', async () => {
    await at.db.admin.query(`select tenantry.configure('context_lifetime', '1 second')`)
    await client.query('begin')
    await enter(client, at.credential(alice.entity))
    expect(await ids(client)).toEqual(alice.notes)
    await client.query('select pg_sleep(1.1)')
    expect(await stateOf(client, 'select from town.notes')).toBe('TN003')
    expect(await stateOf(client, `insert into town.notes (slug, body) values ('x', 'x')`)).toBe(
      'TN003',
    )
    await client.query('rollback')
    await at.db.admin.query(`select tenantry.configure('context_lifetime', null)`)
  })

  attack(
    'a context that an earlier user of the connection has planted to shut others out',
    async () => {
      await client.query(`select set_config('tenantry.context', 'c1.planted', false)`)
      await client.query(`select set_config('tenantry.session', 's1.planted', false)`)
      await client.query('begin')
      await enter(client, at.credential(bob.entity))
      expect(await ids(client)).toEqual(bob.notes)
      await client.query('rollback')
      await client.query('reset all')
    },
  )
})
