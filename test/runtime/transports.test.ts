import type pg from 'pg'
import Cursor from 'pg-cursor'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Tenantry } from '../../src/index.js'
import { codeOf, createWorld, EVERY_WAY, NOTES, user, agent, type World } from './world.js'

let world: World
beforeAll(async () => {
  world = await createWorld()
})
afterAll(() => world.end())

const OWNERS = 'select distinct owner_id::int as owner from notes'
const own = (id: number): { owner: number }[] => [{ owner: id }]

describe.each(EVERY_WAY)('$name', ({ options }) => {
  let db: Tenantry & { raw: pg.Pool }
  const pipelined = options.transport === 'pipeline'

  beforeAll(() => {
    db = world.open(options)
  })

  describe('rows', () => {
    it('are those of the identity, however many ask at once', async () => {
      const answers = await Promise.all(
        Array.from({ length: 60 }, async (_, i) => {
          const id = (i % 20) + 1
          const { rows } = await db.as(user(id)).query(OWNERS)
          return [id, rows] as const
        }),
      )
      for (const [id, rows] of answers) expect(rows).toEqual(own(id))
    })

    it('come through db.pool with the identity of db.run', async () => {
      const { rows } = await db.run(user(3), () => db.pool.query(OWNERS))
      expect(rows).toEqual(own(3))
      const nested = await db.run(user(3), () => db.run(user(4), () => db.pool.query(OWNERS)))
      expect(nested.rows).toEqual(own(4))
    })

    it('of a user show to an agent that acts for it', async () => {
      const { rows } = await db.as(agent(5), { for: user(5) }).query(OWNERS)
      expect(rows).toEqual(own(5))
      expect(await codeOf(db.as(agent(5), { for: user(6) }).query(OWNERS))).toBe('TN004')
    })

    it('can be written, and only the own ones', async () => {
      const me = db.as(user(7))
      const inserted = await me.query(
        'insert into notes (body) values ($1) returning owner_id::int as owner',
        [`by ${options.transport} ${Math.random()}`],
      )
      expect(inserted).toMatchObject({ command: 'INSERT', rowCount: 1, rows: own(7) })
      const foreign = await me.query('update notes set n = 99 where owner_id = 8')
      expect(foreign.rowCount).toBe(0)
      expect(await codeOf(me.query("insert into notes (owner_id, body) values (8, 'x')"))).toBe(
        '42501',
      )
      await me.query("delete from notes where body like 'by %'")
    })
  })

  it('streams by a cursor inside a transaction, and only there', async () => {
    const client = await db.as(user(15)).client.connect()
    const outside = client.query(new Cursor('select * from notes'))
    await expect(outside.read(1)).rejects.toMatchObject({ code: 'TN_STATEMENT_REFUSED' })

    await client.query('begin')
    const cursor = client.query(new Cursor('select owner_id::int as owner from notes'))
    if (pipelined) {
      await expect(cursor.read(1)).rejects.toThrow(/not supported in pipeline mode/)
    } else {
      expect(await cursor.read(2)).toEqual([...own(15), ...own(15)])
      expect(await cursor.read(100)).toHaveLength(NOTES - 2)
      await cursor.close()
    }
    await client.query('commit')
    expect((await client.query(OWNERS)).rows).toEqual(own(15))
    client.release()
  })

  it('reads pages with `rows`, and survives an error between them', async () => {
    const client = await db.as(user(15)).client.connect()
    const paged = { text: 'select owner_id::int as owner from notes', rows: 2 }
    if (pipelined) {
      await expect(client.query(paged)).rejects.toThrow(/not supported in pipeline mode/)
    } else {
      expect((await client.query(paged)).rows).toHaveLength(NOTES)
    }
    if (options.transport === 'sync') {
      const failing = { text: 'select 1 / (3 - i) from generate_series(1, 9) i', rows: 1 }
      expect(await codeOf(client.query(failing))).toBe('22012')
      expect((await client.query(OWNERS)).rows).toEqual(own(15))
    }
    client.release()
  })

  it('inserts many rows in one statement', async () => {
    const me = db.as(user(16))
    const rows = [
      [
        'many "1"',
        1,
        ['a', 'b,c'],
        { deep: [1, { x: null }] },
        Buffer.from([0, 255, 92]),
        new Date(5),
      ],
      ["many '2'", undefined, [], 'a json string', null, '2020-01-01'],
    ]
    const { rowCount, rows: back } = await me.insertMany(
      ['public', 'notes'],
      ['body', 'n', 'tags', 'data', 'raw', 'at'],
      rows.map(([body, n, ...rest]) => [body, n ?? 5, ...rest]),
      { returning: ['owner_id', 'body', 'n', 'tags', 'data', 'raw', 'at'] },
    )
    expect(rowCount).toBe(2)
    expect(back).toEqual([
      {
        owner_id: '16',
        body: 'many "1"',
        n: 1,
        tags: ['a', 'b,c'],
        data: { deep: [1, { x: null }] },
        raw: Buffer.from([0, 255, 92]),
        at: new Date(5),
      },
      {
        owner_id: '16',
        body: "many '2'",
        n: 5,
        tags: [],
        data: 'a json string',
        raw: null,
        at: expect.any(Date),
      },
    ])
    expect((await me.insertMany('notes', ['body'], [])).rowCount).toBe(0)
    expect(await codeOf(me.insertMany('notes', ['owner_id', 'body'], [[17, 'x']]))).toBe('42501')
    await expect(me.insertMany('notes', ['body'], [['a', 'b']])).rejects.toThrow(/2 values for 1/)
    await me.query("delete from notes where body like 'many %'")
  })
})
