import pg from 'pg'
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

  describe('results are pg’s', () => {
    let plain: pg.Pool
    beforeAll(() => {
      plain = world.pool()
    })

    const QUERIES: readonly (string | pg.QueryConfig | pg.QueryArrayConfig)[] = [
      'select 1 as a, null as b',
      '',
      'show server_version_num',
      'select from generate_series(1, 3)',
      'table motd',
      'explain select 1',
      { text: 'select $1::int as a, $2::text[] as b', values: [7, ['x', 'y"']] },
      { text: 'select 1 as a, 2 as a', rowMode: 'array' },
      {
        text: 'select $1::jsonb as j, $2::timestamptz as t, $3::bytea as b',
        values: [{ a: [1] }, new Date(0), Buffer.from('hé')],
      },
      { text: 'select $1::text as a', values: [undefined] },
      { text: 'select 2::int8 as a', types: { getTypeParser: () => () => 'parsed' } as never },
      { text: 'select 1 as a, now() is not null as ok', name: 'a-name' },
    ]

    it.each(QUERIES)('%o', async (query) => {
      const expected = await plain.query(query as pg.QueryConfig)
      const session = await db.as(user(1)).query(query as pg.QueryConfig)
      const pool = await db.run(user(1), () => db.pool.query(query as pg.QueryConfig))
      for (const got of [session, pool]) {
        expect({ ...got, _types: null, _parsers: null }).toEqual({
          ...expected,
          _types: null,
          _parsers: null,
        })
      }
    })

    it('by callback, in every form', async () => {
      const me = db.as(user(1)).client
      const results = await Promise.all([
        new Promise((done) =>
          me.query('select 1 as a', (_: unknown, r: pg.QueryResult) => done(r.rows)),
        ),
        new Promise((done) =>
          me.query('select $1::int as a', [1], (_: unknown, r: pg.QueryResult) => done(r.rows)),
        ),
        new Promise((done) =>
          me.query({ text: 'select 1 as a' }, (_: unknown, r: pg.QueryResult) => done(r.rows)),
        ),
        new Promise((done) =>
          me.connect((error, client, release) => {
            client!.query('select 1 as a', (_: unknown, r: pg.QueryResult) => {
              release()
              done(error ?? r.rows)
            })
          }),
        ),
      ])
      for (const rows of results) expect(rows).toEqual([{ a: 1 }])
    })

    it('for errors too: DatabaseError with DETAIL, pointing at the caller', async () => {
      const error: unknown = await db
        .as(user(1))
        .query(`select '{"a":'::json`)
        .catch((caught: unknown) => caught)
      expect(error).toBeInstanceOf(pg.DatabaseError)
      expect(error).toMatchObject({ code: '22P02', detail: expect.stringContaining('ended') })
      expect((error as Error).stack).toContain('transports.test.ts')
    })

    it('for errors of values, which leave the connection usable', async () => {
      const value = {
        toPostgres() {
          throw new Error('no such value')
        },
      }
      const client = await db.as(user(1)).client.connect()
      await expect(client.query('select $1', [value])).rejects.toThrow('no such value')
      expect((await client.query('select 1 as a')).rows).toEqual([{ a: 1 }])
      client.release()
      await expect(client.query('select 1')).rejects.toMatchObject({ code: 'TN_CLIENT_RELEASED' })
    })

    it('for copy from stdin: refused, and the connection lives', async () => {
      const client = await db.as(user(1)).client.connect()
      expect(await codeOf(client.query('copy motd from stdin'))).toMatch(/^57014|42501|0A000$/)
      expect((await client.query('select 1 as a')).rows).toEqual([{ a: 1 }])
      client.release()
    })
  })

  describe('a transaction by text', () => {
    it.each(['begin', 'BEGIN;', '/* x */ start transaction isolation level serializable -- y'])(
      '%s … commit',
      async (begin) => {
        const client = await db.as(user(9)).client.connect()
        const opened = await client.query(begin)
        expect(opened).toMatchObject({ rowCount: null, rows: [], fields: [] })
        expect(opened.command).toMatch(/^(BEGIN|START)$/)
        expect(client.getTransactionStatus()).toBe('T')
        await client.query('update notes set n = n + 1')
        expect((await client.query(OWNERS)).rows).toEqual(own(9))
        const isolation = await client.query('show transaction_isolation')
        expect(isolation.rows).toEqual([
          {
            transaction_isolation: begin.includes('serializable')
              ? 'serializable'
              : 'read committed',
          },
        ])
        expect(await client.query('commit')).toMatchObject({ command: 'COMMIT' })
        expect(client.getTransactionStatus()).toBe('I')
        client.release()
      },
    )

    it('takes its isolation from a following set transaction', async () => {
      const client = await db.as(user(9)).client.connect()
      await client.query('begin')
      expect(await client.query('SET TRANSACTION ISOLATION LEVEL REPEATABLE READ')).toMatchObject({
        command: 'SET',
      })
      const { rows } = await client.query('show transaction_isolation')
      expect(rows).toEqual([{ transaction_isolation: 'repeatable read' }])
      await client.query('commit')
      client.release()
    })

    it('rolls back, and to savepoints', async () => {
      const client = await db.as(user(10)).client.connect()
      const sum = async (): Promise<number> =>
        (await client.query<{ n: number }>('select sum(n)::int as n from notes')).rows[0]!.n
      const before = await sum()
      await client.query('begin')
      await client.query('savepoint a')
      await client.query('update notes set n = n + 1')
      await client.query('savepoint b')
      expect(await codeOf(client.query('select 1/0'))).toBe('22012')
      await client.query('rollback to savepoint b')
      expect(await sum()).toBe(before + NOTES)
      await client.query('rollback to a')
      expect(await sum()).toBe(before)
      expect((await client.query(OWNERS)).rows).toEqual(own(10))
      await client.query('update notes set n = n + 1')
      await client.query('rollback')
      expect(await sum()).toBe(before)
      client.release()
    })

    it('that failed says so at its commit', async () => {
      const client = await db.as(user(10)).client.connect()
      await client.query('begin')
      await client.query('update notes set n = 7')
      expect(await codeOf(client.query('select 1/0'))).toBe('22012')
      expect(await codeOf(client.query('select 1'))).toBe('25P02')
      expect(await codeOf(client.query('commit'))).toBe('TN_TRANSACTION_ROLLED_BACK')
      expect(await client.query('rollback')).toMatchObject({ command: 'ROLLBACK' })
      expect((await client.query(OWNERS)).rows).toEqual(own(10))
      client.release()
    })

    it('that could not open lets nothing run until it is rolled back', async () => {
      const db2 = world.open({ ...options, audience: 'another database' })
      const client = await db2.as(user(10)).client.connect()
      await client.query('begin')
      expect(await codeOf(client.query('update notes set n = 7'))).toBe('TN008')
      expect(await codeOf(client.query('select 1'))).toMatch(/^(25P02|TN_TRANSACTION_FAILED)$/)
      expect(await codeOf(client.query('commit'))).toBe('TN_TRANSACTION_ROLLED_BACK')
      client.release()
    })

    it('refuses what would carry a context beyond its end', async () => {
      const client = await db.as(user(10)).client.connect()
      await client.query('begin')
      await client.query('select 1')
      for (const text of [
        'commit and chain',
        "prepare transaction 'x'",
        'set session authorization default',
        'discard all',
        'declare c cursor with hold for select 1',
        'commit; select 1',
      ]) {
        expect(await codeOf(client.query(text))).toBe('TN_STATEMENT_REFUSED')
      }
      expect(await codeOf(client.query('select 1; select 2'))).toBe('42601')
      await client.query('rollback')
      client.release()
      expect(await codeOf(db.as(user(10)).client.query('begin'))).toBe('TN_STATEMENT_REFUSED')
    })

    it('takes queries that are not awaited one after the other', async () => {
      const client = await db.as(user(11)).client.connect()
      const [, , first, , last] = await Promise.all([
        client.query('begin'),
        client.query('update notes set n = 1'),
        client.query('select sum(n)::int as n from notes'),
        client.query('rollback'),
        client.query('select sum(n)::int as n from notes'),
      ])
      expect(first.rows).toEqual([{ n: NOTES }])
      expect(last.rows).toEqual([{ n: 0 }])
      client.release()
    })
  })

  describe('session.transaction', () => {
    it('commits what its function resolved to', async () => {
      const n = await db.as(user(12)).transaction(
        async (tx) => {
          expect((await tx.query(OWNERS)).rows).toEqual(own(12))
          await tx.query('update notes set n = 3')
          const { rows } = await tx.query<{ level: string }>(
            `select current_setting('transaction_isolation') as level`,
          )
          expect(rows).toEqual([{ level: 'serializable' }])
          return 42
        },
        { isolation: 'serializable' },
      )
      expect(n).toBe(42)
      const { rows } = await db.as(user(12)).query('select distinct n from notes')
      expect(rows).toEqual([{ n: 3 }])
    })

    it('rolls back when it throws, and nests by savepoints', async () => {
      const me = db.as(user(13))
      await expect(
        me.transaction(async (tx) => {
          await tx.query('update notes set n = 1')
          await expect(
            tx.transaction(async (inner) => {
              await inner.query('delete from notes')
              await inner.query('select 1/0')
            }),
          ).rejects.toMatchObject({ code: '22012' })
          const { rows } = await tx.query('select count(*)::int as c, sum(n)::int as n from notes')
          expect(rows).toEqual([{ c: NOTES, n: NOTES }])
          await tx.transaction((inner) => inner.query('update notes set n = 2'))
          throw new Error('changed my mind')
        }),
      ).rejects.toThrow('changed my mind')
      const { rows } = await me.query('select count(*)::int as c, sum(n)::int as n from notes')
      expect(rows).toEqual([{ c: NOTES, n: 0 }])
    })

    it('fails when an error was swallowed', async () => {
      const swallowing = db.as(user(13)).transaction(async (tx) => {
        await tx.query('select 1/0').catch(() => undefined)
      })
      expect(await codeOf(swallowing)).toBe('TN_TRANSACTION_ROLLED_BACK')
    })

    it('is ended by nobody else', async () => {
      await db.as(user(13)).transaction(async (tx) => {
        expect(await codeOf(tx.query('commit'))).toBe('TN_STATEMENT_REFUSED')
        expect(await codeOf(tx.client.query('rollback'))).toBe('TN_STATEMENT_REFUSED')
        expect(() => (tx.client as unknown as pg.PoolClient).release()).toThrow(/belongs to/)
        expect((await tx.client.query(OWNERS)).rows).toEqual(own(13))
      })
    })

    it('has one identity', async () => {
      await db.as(user(13)).transaction(async (tx) => {
        await tx.query('select 1')
        expect(() => db.run(user(14), () => undefined)).toThrow(/user:13 is open here/)
        expect(db.run(user(13), () => 'same')).toBe('same')
      })
      expect(db.run(user(14), () => 'later')).toBe('later')
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
