import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Tenantry } from '../../src/index.js'
import { codeOf, createWorld, EVERY_WAY, user, type World } from './world.js'

let world: World
beforeAll(async () => {
  world = await createWorld()
})
afterAll(() => world.end())

describe.each(EVERY_WAY)('$name', ({ options }) => {
  let db: Tenantry & { raw: pg.Pool }

  beforeAll(() => {
    db = world.open(options)
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
      { text: 'select 2::int8 as a', types: { getTypeParser: () => () => 'parsed' } },
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
      expect((error as Error).stack).toContain('results.test.ts')
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
})
