import { afterAll, beforeAll, beforeEach, describe, expect, inject, it } from 'vitest'
import pg from 'pg'
import { databaseOn } from '../support/database/clone.js'
import { startServer, type TestServer } from '../support/servers.js'
import { skipWithReason } from '../support/skip.js'
import { claims, entered, notesDatabase, token, type Notes } from './support/notes.js'
import { expectRefusal } from './support/refusal.js'
import { startStandby, type Standby } from './support/standby.js'

const mine = 'select body from app.notes order by id'
const noteOfOne = [{ body: 'note of one' }]

describe('a hot standby', () => {
  let server: TestServer
  let notes: Notes
  let standby: Standby
  let client: pg.Client
  let missing: string | null = null

  beforeEach((ctx) => {
    if (missing !== null) skipWithReason(ctx, missing)
  })
  beforeAll(async () => {
    const { major } = inject('server')
    try {
      server = await startServer({ major, storage: 'memory', sources: ['embedded'] })
    } catch (error) {
      missing = (error as Error).message // the programs of this major are not installed
      return
    }
    notes = await notesDatabase((options) => databaseOn(server, options))
    standby = await startStandby(server)
    client = new pg.Client({ connectionString: standby.at(notes.app.url) })
    await client.connect()
  })
  afterAll(async () => {
    if (missing !== null) return
    await client.end()
    await standby.stop()
    await notes.db.drop()
    await server.stop()
  })

  const one = () => token(claims(notes.db, 'user:1'))

  it('lets a credential in, and shows what it shows on the primary', async () => {
    expect((await client.query('select pg_is_in_recovery() as standby')).rows).toEqual([
      { standby: true },
    ])
    expect((await client.query(mine)).rows).toEqual([])
    expect((await entered(client, one(), () => client.query(mine))).rows).toEqual(noteOfOne)
    const who = await entered(client, one(), () =>
      client.query('select actor, source from tenantry.whoami()'),
    )
    expect(who.rows).toEqual([{ actor: 'user:1', source: 'context' }])
    await expectRefusal(
      entered(client, token(claims(notes.db, 'user:99')), () => client.query(mine)),
      'TN009',
    )
    await expectRefusal(
      entered(client, `${one().slice(0, -4)}AAAA`, () => client.query(mine)),
      'TN008',
    )
  })

  it('gives and takes passes, which hold on the primary too', async () => {
    await client.query('begin')
    const { rows } = await client.query<{ pass: string }>(
      'select tenantry_private.enter_for_pass($1, 60) as pass',
      [one()],
    )
    expect((await client.query(mine)).rows).toEqual(noteOfOne)
    await client.query('commit')
    const pass = rows[0]?.pass ?? ''
    expect((await entered(client, pass, () => client.query(mine))).rows).toEqual(noteOfOne)
    expect((await entered(notes.client, pass, () => notes.client.query(mine))).rows).toEqual(
      noteOfOne,
    )
  })

  it('knows bound roles and the sessions of persons', async () => {
    const ada = await notes.db.role('grace')
    await notes.db.admin.query(`select tenantry.bind_role($1, 'user:2', person => true)`, [
      ada.name,
    ])
    let person = new pg.Client({ connectionString: standby.at(ada.url) })
    for (let tries = 0; ; tries += 1) {
      try {
        await person.connect()
        if ((await person.query(mine)).rowCount === 1) break
      } catch (error) {
        if (tries > 100) throw error // the new role is on its way
      }
      await person.end().catch(() => undefined)
      await new Promise((resolve) => setTimeout(resolve, 50))
      person = new pg.Client({ connectionString: standby.at(ada.url) })
    }
    expect((await person.query(mine)).rows).toEqual([{ body: 'note of two' }])
    await person.query('select tenantry.enter_session($1)', [one()])
    expect((await person.query(mine)).rows).toEqual(noteOfOne)
    await person.end()
  })

  it('writes nothing', async () => {
    await expectRefusal(
      entered(client, one(), () => client.query(`insert into app.notes (id, body) values (9, '')`)),
      '25006',
    )
    expect((await entered(client, one(), () => client.query(mine))).rows).toEqual(noteOfOne)
  })
})
