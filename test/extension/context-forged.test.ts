import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type pg from 'pg'
import { expectRefusal } from './support/refusal.js'
import { claims, entered, notesDatabase, token, type Notes } from './support/notes.js'

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
const one = () => token(claims(notes.db, 'user:1'))
const two = () => token(claims(notes.db, 'user:2'))

async function context(): Promise<string> {
  const { rows } = await client.query<{ context: string }>(
    `select current_setting('tenantry.context', true) as context`,
  )
  return rows[0]?.context ?? ''
}

const plant = (text: string, local = true, setting = 'tenantry.context') =>
  client.query('select set_config($1, $2, $3)', [setting, text, local])

/** Runs `work`, which leaves the transaction broken, and goes on with it. */
async function within<T>(work: () => Promise<T>): Promise<T> {
  await client.query('savepoint attempt')
  try {
    return await work()
  } finally {
    await client.query('rollback to attempt')
  }
}

describe('a context is refused', () => {
  it('with any byte changed, moved or missing', async () => {
    await entered(client, one(), async () => {
      const genuine = await context()
      const refused = async (text: string) => {
        await within(async () => {
          await plant(text)
          await expectRefusal(client.query(mine), 'TN002')
        })
      }
      for (let at = 0; at < genuine.length; at += 1) {
        if (at === 67) continue // the dot between code and text carries nothing
        const code = genuine.charCodeAt(at)
        for (const other of [code ^ 1, code ^ 32]) {
          if (other === 0) continue
          await refused(genuine.slice(0, at) + String.fromCharCode(other) + genuine.slice(at + 1))
        }
      }
      const swapped = genuine.replaceAll('user:1', 'user:2')
      for (const text of [
        swapped,
        genuine.slice(0, -1),
        `${genuine}x`,
        ` ${genuine}`,
        genuine.slice(3),
        genuine.repeat(2),
      ]) {
        await refused(text)
      }
      await plant(genuine)
      expect((await client.query(mine)).rows).toEqual(noteOfOne)
    })
  })

  it('whatever else is planted', async () => {
    for (const text of [
      'x',
      'c1.',
      `c1.${'0'.repeat(64)}.`,
      `c1.${'0'.repeat(64)}.\u001f\u001f\u001f\u001f\u001fuser:1`,
      'user:1',
      '{}',
      '\u00e9'.repeat(5_000),
    ]) {
      await client.query('begin')
      await plant(text)
      await within(() => expectRefusal(client.query(mine), 'TN002'))
      await within(() =>
        expectRefusal(client.query('select tenantry.principal($1)', ['user']), 'TN002'),
      )
      await within(() => expectRefusal(client.query('select * from tenantry.whoami()'), 'TN002'))
      // It locks nobody out: whoever has a credential enters over it.
      await client.query('select tenantry.enter($1)', [one()])
      expect((await client.query(mine)).rows).toEqual(noteOfOne)
      await client.query('commit')
    }
  })

  it('in the next transaction, planted for one transaction or for the session', async () => {
    const kept = await entered(client, one(), async () => {
      expect((await client.query(mine)).rows).toEqual(noteOfOne)
      return context()
    })
    await client.query('begin')
    await plant(kept)
    await expectRefusal(client.query(mine), 'TN002')
    await client.query('rollback')
    await plant(kept, false)
    await expectRefusal(client.query(mine), 'TN002')
    await client.query('begin')
    await expectRefusal(client.query(mine), 'TN002')
    await client.query('rollback')
    // A later user of the connection enters as usual.
    const later = await entered(client, two(), () => client.query(mine))
    expect(later.rows).toEqual([{ body: 'note of two' }])
    await client.query('reset tenantry.context')
    expect((await client.query(mine)).rows).toEqual([])
  })

  it('planted at session level from within its own transaction', async () => {
    await client.query('begin')
    await client.query('select tenantry.enter($1)', [one()])
    await plant(await context(), false)
    expect((await client.query(mine)).rows).toEqual(noteOfOne)
    await client.query('commit')
    await expectRefusal(client.query(mine), 'TN002')
    await client.query('reset tenantry.context')
    expect((await client.query(mine)).rows).toEqual([])
  })

  it('in another session, of the same login or another, at the same time', async () => {
    const other = await notes.db.role('other', { allow: 'user' })
    await entered(client, one(), async () => {
      const kept = await context()
      for (const role of [notes.app, other]) {
        const thief = await role.connect()
        await thief.query('begin')
        await thief.query(`select set_config('tenantry.context', $1, true)`, [kept])
        await expectRefusal(thief.query(mine), 'TN002')
        await thief.query('rollback')
        expect((await entered(thief, one(), () => thief.query(mine))).rows).toEqual(noteOfOne)
      }
      expect((await client.query(mine)).rows).toEqual(noteOfOne)
    })
  })
})

describe('the statement that enters', () => {
  it.each([
    ['a CTE', 'with e as materialized (select tenantry.enter($1)) select body from app.notes, e'],
    ['a join', 'select body from (select tenantry.enter($1) offset 0) e cross join app.notes'],
    ['a union', 'select tenantry.enter($1)::text union all select body from app.notes'],
    ['a condition', `select body from app.notes where tenantry.enter($1) is not null`],
    [
      'a sub-select',
      `select body from app.notes where (select tenantry.enter($1)) is not null or body is not null`,
    ],
    [
      'insert … select',
      `insert into app.notes (id, body) select 7, tenantry.enter($1)::text returning body`,
    ],
    [
      'an update',
      `update app.notes set body = 'x' where (select tenantry.enter($1) is not null) returning body`,
    ],
    ['a function', `select tenantry.principal('user') from (select tenantry.enter($1) offset 0) e`],
  ])('cannot use the context it makes, by %s', async (_how, statement) => {
    const rows = async (): Promise<unknown[]> => (await client.query(statement, [two()])).rows
    // Without a context before it …
    await client.query('begin')
    const outcome = await rows().catch((error: unknown) => {
      expect(error).toMatchObject({
        code: expect.stringMatching(/^(TN002|42501|23502)$/) as string,
      })
      return []
    })
    expect(JSON.stringify(outcome)).not.toContain('note of two')
    await client.query('rollback')
    // … and as an injected part of somebody's statement.
    await entered(client, one(), async () => {
      await within(() => expectRefusal(rows(), 'TN002', /already works as user:1/))
      expect((await client.query(mine)).rows).toEqual(noteOfOne)
    })
  })

  it('cannot leave first and enter as somebody else', async () => {
    await entered(client, one(), async () => {
      const injected = `select body from app.notes
        where body = '' or (tenantry.leave() is not null and tenantry.enter($1) is not null and body is not null)`
      const seen = await within(async () =>
        client.query<{ body: string }>(injected, [two()]).then(
          ({ rows }) => rows,
          () => [],
        ),
      )
      expect(JSON.stringify(seen)).not.toContain('note of two')
      const lateral = `select n.body from (select tenantry.leave(), tenantry.enter($1) offset 0) e, lateral (select * from app.notes) n`
      await within(() =>
        expectRefusal(client.query(lateral, [two()]), 'TN002', /in this very statement/),
      )
      expect((await client.query(mine)).rows).toEqual(noteOfOne)
    })
  })

  it('includes everything in one message, and a DO block', async () => {
    const credential = one()
    await expectRefusal(
      client.query(`begin; select tenantry.enter('${credential}'); ${mine}`),
      'TN002',
      /very statement/,
    )
    await client.query('rollback')
    const block = `do $$ begin perform tenantry.enter('${credential}'); perform 1 from app.notes; end $$`
    await expectRefusal(client.query(block), 'TN002', /very statement/)
    expect((await entered(client, credential, () => client.query(mine))).rows).toEqual(noteOfOne)
  })
})
