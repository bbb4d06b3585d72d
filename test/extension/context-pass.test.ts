import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { setTimeout as sleep } from 'node:timers/promises'
import type pg from 'pg'
import { testDatabase, type TestDatabase } from '../support/database.js'
import { expectRefusal } from './support/refusal.js'
import { claims, entered, inSeconds, notesDatabase, token, type Notes } from './support/notes.js'

let notes: Notes
let client: pg.Client
beforeAll(async () => {
  notes = await notesDatabase()
  client = notes.client
})
afterAll(async () => {
  await notes.db.drop()
})

const mine = 'select body from app.notes order by id'
const noteOfOne = [{ body: 'note of one' }]
const as = (who: string, more: object = {}) => token(claims(notes.db, who, more))

async function passFor(
  credential: string | null,
  seconds: number | null,
  by: pg.Client = client,
): Promise<string> {
  const { rows } = await by.query<{ pass: string }>(
    'select tenantry_private.enter_for_pass($1, $2) as pass',
    [credential, seconds],
  )
  return rows[0]?.pass ?? ''
}

const seenWith = (credential: string, by: pg.Client = client) =>
  entered(by, credential, async () => (await by.query<object>(mine)).rows)

describe('a pass', () => {
  it('enters as it is given out, and again and again within its time', async () => {
    await client.query('begin')
    const pass = await passFor(as('user:1'), 60)
    expect((await client.query(mine)).rows).toEqual(noteOfOne)
    await client.query('commit')
    expect(pass).toMatch(/^p1\.[0-9a-f]{64}\./)
    for (let round = 0; round < 3; round += 1) expect(await seenWith(pass)).toEqual(noteOfOne)
    const other = await notes.app.connect()
    expect(await seenWith(pass, other)).toEqual(noteOfOne)
    expect(
      (
        await entered(client, pass, () =>
          client.query('select actor, privileges from tenantry.whoami()'),
        )
      ).rows,
    ).toEqual([
      {
        actor: 'user:1',
        privileges: ['select', 'insert', 'update', 'delete', 'decrypt', 'delegate'],
      },
    ])
  })

  it('carries the actor and what the chain left', async () => {
    await notes.db.admin.query(
      `select tenantry.register_entity('bot:1'); select tenantry.register_service('bot:1', 'user')`,
    )
    const pass = await passFor(as('user:1', { act: { sub: 'bot:1' } }), 60)
    const who = 'select actor, principal, privileges from tenantry.whoami()'
    const expected = [
      { actor: 'bot:1', principal: 'user:1', privileges: ['select', 'insert', 'update', 'delete'] },
    ]
    expect((await entered(client, pass, () => client.query(who))).rows).toEqual(expected)
    // What is taken back meanwhile holds until the pass ends, or all passes are voided.
    await notes.db.admin.query(`select tenantry.unregister_service('bot:1', 'user')`)
    await expectRefusal(passFor(as('user:1', { act: { sub: 'bot:1' } }), 60), 'TN004')
    expect((await entered(client, pass, () => client.query(who))).rows).toEqual(expected)
  })

  it('is void as soon as all keys are replaced', async () => {
    const pass = await passFor(as('user:1'), 60)
    await notes.db.admin.query('select tenantry.initialise()')
    expect(await seenWith(pass)).toEqual(noteOfOne)
    await notes.db.admin.query('select tenantry.initialise(rotate => true)')
    await expectRefusal(seenWith(pass), 'TN008', /voided/)
    expect(await seenWith(await passFor(as('user:1'), 60))).toEqual(noteOfOne)
  })

  it('lives 1 to 300 seconds', async () => {
    for (const seconds of [0, -1, 301, 2_000_000_000, null]) {
      await client.query('begin')
      await expectRefusal(passFor(as('user:1'), seconds), '22023', /between 1 and 300/)
      await client.query('rollback')
    }
    const pass = await passFor(as('user:1'), 1)
    expect(await seenWith(pass)).toEqual(noteOfOne)
    expect(await seenWith(await passFor(as('user:1'), 300))).toEqual(noteOfOne)
    await sleep(1_100)
    await expectRefusal(seenWith(pass), 'TN003', /pass has expired/)
  })

  it('cannot be chained beyond itself or its credential', async () => {
    const first = await passFor(as('user:1'), 2)
    const brief = await passFor(as('user:1', { exp: inSeconds(2) }), 300)
    const chained = await passFor(first, 300)
    const twice = await passFor(chained, 300)
    for (const pass of [first, brief, chained, twice])
      expect(await seenWith(pass)).toEqual(noteOfOne)
    await sleep(2_100)
    for (const pass of [first, brief, chained, twice]) await expectRefusal(seenWith(pass), 'TN003')
    await expectRefusal(passFor(twice, 300), 'TN003')
    // The leeway is for clocks: a credential that is over gives a pass that is over.
    const late = await passFor(as('user:1', { exp: inSeconds(-2) }), 300)
    await expectRefusal(seenWith(late), 'TN003')
  })

  it('is of no use to another login', async () => {
    const other = await notes.db.role('other', { allow: 'user' })
    const thief = await other.connect()
    const pass = await passFor(as('user:1'), 60)
    expect(await seenWith(pass)).toEqual(noteOfOne)
    await expectRefusal(seenWith(pass, thief), 'TN008', /not issued to this login/)
    expect(await seenWith(await passFor(as('user:1'), 60, thief), thief)).toEqual(noteOfOne)
  })

  it('is refused with any byte changed, and as anything but a pass', async () => {
    const pass = await passFor(as('user:1'), 60)
    expect(await seenWith(pass)).toEqual(noteOfOne)
    for (let at = 0; at < pass.length; at += 1) {
      if (at === 67) continue // the dot between code and text carries nothing
      const changed =
        pass.slice(0, at) + String.fromCharCode(pass.charCodeAt(at) ^ 1) + pass.slice(at + 1)
      await expectRefusal(seenWith(changed), 'TN008')
    }
    await expectRefusal(seenWith(pass.replaceAll('user:1', 'user:2')), 'TN008')
    await expectRefusal(seenWith(pass.replace('p1.', 'c1.')), 'TN008')
    await client.query('begin')
    await client.query(`select set_config('tenantry.context', $1, true)`, [
      pass.replace('p1.', 'c1.'),
    ])
    await expectRefusal(client.query(mine), 'TN002')
    await client.query('rollback')
    const context = await entered(
      client,
      as('user:1'),
      async () =>
        (await client.query<{ c: string }>(`select current_setting('tenantry.context') as c`))
          .rows[0]?.c ?? '',
    )
    await expectRefusal(seenWith(context), 'TN008')
    await expectRefusal(seenWith(context.replace('c1.', 'p1.')), 'TN008')
  })

  it('can be asked for only by logins that are allowed', async () => {
    const stranger = await notes.db.role('stranger')
    const admin = await notes.db.role('dba', { allow: 'admin' })
    for (const role of [stranger, admin]) {
      await expectRefusal(passFor(as('user:1'), 60, await role.connect()), '42501')
    }
    const leaver = await notes.db.role('leaver', { allow: 'user' })
    const left = await leaver.connect()
    const pass = await passFor(as('user:1'), 60, left)
    expect(await seenWith(pass, left)).toEqual(noteOfOne)
    await notes.db.admin.query('select tenantry.disallow($1)', [leaver.name])
    await expectRefusal(seenWith(pass, left), '42501')
  })
})

describe('a copy of a database, keys included', () => {
  let original: TestDatabase
  let copy: TestDatabase
  afterAll(async () => {
    await copy.drop()
    await original.drop()
  })

  it('takes no pass, context or credential of the original', async () => {
    const template = {
      name: 'two-with-the-same-keys',
      async build(admin: pg.Client) {
        await admin.query(
          `select tenantry.register_entity('user:1'); select tenantry.register_issuer('issuer', '\\x${Buffer.from('0123456789abcdef0123456789abcdef').toString('hex')}')`,
        )
      },
    }
    original = await testDatabase({ template })
    copy = await testDatabase({ template })
    const keys = 'select encode(sha256(secret), $1) as hash from tenantry_private.signing_keys'
    expect((await copy.admin.query(keys, ['hex'])).rows).toEqual(
      (await original.admin.query(keys, ['hex'])).rows,
    )
    const app = await original.role('app', { allow: 'user' })
    await copy.admin.query('select tenantry.allow($1)', [app.name])
    const here = await app.connect()
    const there = await app.connect({ connectionString: app.url.replace(original.name, copy.name) })
    const who = 'select principal from tenantry.whoami()'

    const credential = token(claims(original, 'user:1'))
    const pass = await passFor(credential, 60, here)
    expect((await entered(here, pass, () => here.query(who))).rows).toEqual([
      { principal: 'user:1' },
    ])
    expect(
      (await entered(there, token(claims(copy, 'user:1')), () => there.query(who))).rows,
    ).toEqual([{ principal: 'user:1' }])
    await expectRefusal(
      entered(there, credential, () => there.query(who)),
      'TN008',
      /another database/,
    )
    await expectRefusal(
      entered(there, pass, () => there.query(who)),
      'TN008',
      /this database/,
    )
    await there.end()
  })
})
