import type pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Tenantry } from '../../src/index.js'
import { codeOf, createWorld, EVERY_WAY, NOTES, user, type World } from './world.js'

let world: World
beforeAll(async () => {
  world = await createWorld()
})
afterAll(() => world.end())

const OWNERS = 'select distinct owner_id::int as owner from notes'
const own = (id: number): { owner: number }[] => [{ owner: id }]

describe.each(EVERY_WAY)('$name', ({ options }) => {
  let db: Tenantry & { raw: pg.Pool }

  beforeAll(() => {
    db = world.open(options)
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
})
