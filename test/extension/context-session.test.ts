import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type pg from 'pg'
import type { TestRole } from '../support/database.js'
import { expectRefusal } from './support/refusal.js'
import { claims, entered, notesDatabase, token, type Notes } from './support/notes.js'

let notes: Notes
let person: TestRole
let client: pg.Client
beforeAll(async () => {
  notes = await notesDatabase()
  person = await notes.db.role('ada')
  await notes.db.admin.query('select tenantry.bind_role($1, $2, person => true)', [
    person.name,
    'user:2',
  ])
})
beforeEach(async () => {
  client = await person.connect()
})
afterAll(async () => {
  await notes.db.drop()
})

const mine = 'select body from app.notes order by id'
const noteOfOne = [{ body: 'note of one' }]
const noteOfTwo = [{ body: 'note of two' }]
const as = (who: string) => token(claims(notes.db, who))
const enterSession = (who: string, duration = '1 hour', by = client) =>
  by.query('select tenantry.enter_session($1, $2)', [as(who), duration])
const bodies = async (by = client): Promise<unknown[]> => (await by.query<object>(mine)).rows
const source = async () =>
  (await client.query<{ source: string }>('select source from tenantry.whoami()')).rows[0]?.source

describe('a person’s session', () => {
  it('holds beyond the transaction, until left', async () => {
    expect(await bodies()).toEqual(noteOfTwo)
    expect(await source()).toBe('role')
    await enterSession('user:1')
    expect(await bodies()).toEqual(noteOfOne)
    expect(await source()).toBe('session')
    await client.query('begin')
    expect(await bodies()).toEqual(noteOfOne)
    await client.query('commit')
    await client.query('select tenantry.leave()')
    expect(await bodies()).toEqual(noteOfTwo)
  })

  it('gives way to a context of the transaction', async () => {
    await enterSession('user:1')
    expect(await entered(client, as('user:2'), () => bodies())).toEqual(noteOfTwo)
    expect(await bodies()).toEqual(noteOfOne)
  })

  it('ends by time', async () => {
    await enterSession('user:1', '1 second')
    expect(await bodies()).toEqual(noteOfOne)
    const { rows } = await client.query<{ left: boolean }>(
      `select expires_at between now() and now() + interval '1 second' as left from tenantry.whoami()`,
    )
    expect(rows).toEqual([{ left: true }])
    await sleep(1_100)
    const error = await expectRefusal(bodies(), 'TN003', /session .* has expired/)
    expect(error.hint).toContain('tenantry.leave()')
    await client.query('select tenantry.leave()')
    expect(await bodies()).toEqual(noteOfTwo)
    for (const duration of ['0', '-1 hour', '13 hours', '0.9 seconds', null]) {
      await expectRefusal(
        client.query('select tenantry.enter_session($1, $2)', [as('user:1'), duration]),
        '22023',
      )
    }
  })

  it('ends with the binding, and with the keys', async () => {
    await enterSession('user:1')
    expect(await bodies()).toEqual(noteOfOne)
    await notes.db.admin.query('select tenantry.unbind_role($1)', [person.name])
    await expectRefusal(bodies(), 'TN002')
    await client.query('select tenantry.leave()')
    expect(await bodies()).toEqual([])
    await expectRefusal(enterSession('user:1'), 'TN010', /does not belong to a person/)
    await notes.db.admin.query('select tenantry.bind_role($1, $2, person => true)', [
      person.name,
      'user:2',
    ])
    await enterSession('user:1')
    expect(await bodies()).toEqual(noteOfOne)
    await notes.db.admin.query('select tenantry.initialise(rotate => true)')
    await expectRefusal(bodies(), 'TN002')
  })

  it('is for persons only, and for their credentials only', async () => {
    await expectRefusal(
      enterSession('user:1', '1 hour', notes.client),
      'TN010',
      /does not belong to a person/,
    )
    expect(await entered(notes.client, as('user:1'), () => bodies(notes.client))).toEqual(noteOfOne)
    const bound = await notes.db.role('pooled')
    await notes.db.admin.query('select tenantry.bind_role($1, $2)', [bound.name, 'user:2'])
    const pooled = await bound.connect()
    expect(await bodies(pooled)).toEqual(noteOfTwo)
    await expectRefusal(enterSession('user:1', '1 hour', pooled), 'TN010')
    await expectRefusal(enterSession('user:99'), 'TN009')
    await expectRefusal(client.query(`select tenantry.enter_session('x')`), 'TN008')
    const stranger = await notes.db.role('stranger')
    await expectRefusal(enterSession('user:1', '1 hour', await stranger.connect()), '42501')
    expect(await bodies()).toEqual(noteOfTwo)
  })

  it('cannot be copied to another connection, or be made up', async () => {
    await enterSession('user:1')
    const { rows } = await client.query<{ text: string }>(
      `select current_setting('tenantry.session') as text`,
    )
    const text = rows[0]?.text ?? ''
    const other = await person.connect()
    const plant = (what: string) =>
      other.query(`select set_config('tenantry.session', $1, false)`, [what])
    expect(await bodies(other)).toEqual(noteOfTwo)
    for (const what of [text, 'x', text.replaceAll('user:1', 'user:2'), `s1.${'0'.repeat(64)}.`]) {
      await plant(what)
      await expectRefusal(bodies(other), 'TN002', /tenantry session/)
      // Whoever has a credential is not locked out.
      expect(await entered(other, as('user:1'), () => bodies(other))).toEqual(noteOfOne)
    }
    await plant('')
    expect(await bodies(other)).toEqual(noteOfTwo)
    expect(await bodies()).toEqual(noteOfOne)
  })

  it('turns parallel query off, since a worker is another process', async () => {
    const workers = `select current_setting('max_parallel_workers_per_gather') as n`
    expect((await client.query(workers)).rows).not.toEqual([{ n: '0' }])
    await enterSession('user:1')
    expect((await client.query(workers)).rows).toEqual([{ n: '0' }])
    const force = notes.db.major >= 16 ? 'debug_parallel_query' : 'force_parallel_mode'
    await client.query(`set ${force} = on; set max_parallel_workers_per_gather = 2`)
    const error = await expectRefusal(
      client.query('select tenantry.actor() from pg_class'),
      'TN002',
    )
    expect(error.hint).toContain('max_parallel_workers_per_gather')
    await client.query(`set max_parallel_workers_per_gather = 0; set ${force} = off`)
    expect(await bodies()).toEqual(noteOfOne)
  })
})
