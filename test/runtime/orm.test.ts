import { eq, sql } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/node-postgres'
import { bigint, integer, pgTable, text, unique } from 'drizzle-orm/pg-core'
import { Kysely, PostgresDialect, type Generated } from 'kysely'
import pg from 'pg'
import Cursor from 'pg-cursor'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Tenantry } from '../../src/index.js'
import { createWorld, NOTES, user, type World } from './world.js'

let world: World
beforeAll(async () => {
  world = await createWorld()
})
afterAll(() => world.end())

const WAYS = [
  { name: 'sync', options: {} },
  { name: 'sync, prepared, by pass', options: { preparedStatements: true, contextTtl: 60 } },
  { name: 'pipeline', options: { transport: 'pipeline' as const } },
  { name: 'awaited', options: { transport: 'awaited' as const } },
]

const notes = pgTable(
  'notes',
  {
    id: bigint({ mode: 'number' }).generatedAlwaysAsIdentity().primaryKey(),
    // The application says nothing about owners; the column has a default now.
    ownerId: bigint('owner_id', { mode: 'number' })
      .notNull()
      .default(sql`default`),
    body: text().notNull(),
    n: integer().notNull().default(0),
  },
  (table) => [unique().on(table.ownerId, table.body)],
)

describe.each(WAYS)('Drizzle, unchanged, over db.pool ($name)', ({ options }) => {
  let db: Tenantry
  let orm: ReturnType<typeof drizzle>
  beforeAll(() => {
    db = world.open(options)
    expect(db.pool).toBeInstanceOf(pg.Pool)
    orm = drizzle(db.pool)
  })

  it('selects the rows of the identity only', async () => {
    const mine = await db.run(user(1), () => orm.select().from(notes))
    expect(mine).toHaveLength(NOTES)
    expect(new Set(mine.map((note) => note.ownerId))).toEqual(new Set([1]))
    const foreign = await db.run(user(1), () =>
      orm.select().from(notes).where(eq(notes.ownerId, 2)),
    )
    expect(foreign).toEqual([])
  })

  it('refuses a query without an identity', async () => {
    const error: unknown = await orm
      .select()
      .from(notes)
      .then(
        () => undefined,
        (caught: unknown) => caught,
      )
    expect((error as Error).cause).toMatchObject({ code: 'TN_NO_IDENTITY' })
  })

  it('inserts with returning, upserts, updates and deletes', async () => {
    await db.run(user(2), async () => {
      const [made] = await orm.insert(notes).values({ body: 'new' }).returning()
      expect(made).toMatchObject({ ownerId: 2, body: 'new', n: 0 })
      const [again] = await orm
        .insert(notes)
        .values({ body: 'new', n: 5 })
        .onConflictDoUpdate({ target: [notes.ownerId, notes.body], set: { n: 6 } })
        .returning()
      expect(again).toMatchObject({ id: made!.id, n: 6 })
      await orm.update(notes).set({ n: 7 }).where(eq(notes.id, made!.id))
      const [gone] = await orm.delete(notes).where(eq(notes.id, made!.id)).returning()
      expect(gone).toMatchObject({ n: 7 })
    })
  })

  it('runs transactions: committed, rolled back, nested', async () => {
    await db.run(user(3), async () => {
      await orm.transaction(
        async (tx) => {
          await tx.update(notes).set({ n: 1 })
          await tx
            .transaction(async (inner) => {
              await inner.delete(notes)
              inner.rollback()
            })
            .catch((error: Error) => expect(error.message).toBe('Rollback'))
          expect(await tx.$count(notes)).toBe(NOTES)
        },
        { isolationLevel: 'serializable', accessMode: 'read write' },
      )
      await orm
        .transaction(async (tx) => {
          await tx.delete(notes)
          throw new Error('no')
        })
        .catch((error: Error) => expect(error.message).toBe('no'))
      const rows = await orm.select().from(notes)
      expect(rows).toHaveLength(NOTES)
      expect(rows.every((row) => row.n === 1)).toBe(true)
    })
  })

  it('keeps every identity to itself when many work at once', async () => {
    const work = async (id: number): Promise<void> => {
      await orm.transaction(async (tx) => {
        const rows = await tx.select({ owner: notes.ownerId }).from(notes)
        expect(rows).toEqual(Array(NOTES).fill({ owner: id }))
      })
      const rows = await orm.select({ owner: notes.ownerId }).from(notes)
      expect(rows).toEqual(Array(NOTES).fill({ owner: id }))
    }
    await Promise.all(
      Array.from({ length: 30 }, (_, i) => db.run(user(i + 10), () => work(i + 10))),
    )
  })

  it('prepares statements under the application’s names', async () => {
    const statement = orm
      .select()
      .from(notes)
      .where(eq(notes.n, sql.placeholder('n')))
      .prepare('by_n')
    for (const id of [41, 42, 41]) {
      const rows = await db.run(user(id), () => statement.execute({ n: 0 }))
      expect(rows.map((row) => row.ownerId)).toEqual(Array(NOTES).fill(id))
    }
  })

  it('works on a session’s client as well', async () => {
    const mine = drizzle(db.as(user(5)).client)
    expect(await mine.$count(notes)).toBe(NOTES)
    await mine.transaction(async (tx) => expect(await tx.$count(notes)).toBe(NOTES))
    await db.as(user(5)).transaction(async (tx) => {
      expect(await drizzle(tx.client).$count(notes)).toBe(NOTES)
    })
  })
})

interface Tables {
  notes: { id: Generated<string>; owner_id: Generated<string>; body: string; n: Generated<number> }
}

describe.each(WAYS)('Kysely, unchanged, over db.pool ($name)', ({ options }) => {
  let db: Tenantry
  let kysely: Kysely<Tables>
  beforeAll(() => {
    db = world.open(options)
    kysely = new Kysely<Tables>({ dialect: new PostgresDialect({ pool: db.pool, cursor: Cursor }) })
  })

  it('selects, inserts, upserts and counts affected rows', async () => {
    await db.run(user(101), async () => {
      expect(await kysely.selectFrom('notes').select('owner_id').distinct().execute()).toEqual([
        { owner_id: '101' },
      ])
      const made = await kysely
        .insertInto('notes')
        .values({ body: 'k' })
        .onConflict((conflict) => conflict.columns(['owner_id', 'body']).doUpdateSet({ n: 2 }))
        .returningAll()
        .executeTakeFirstOrThrow()
      expect(made).toMatchObject({ owner_id: '101', body: 'k' })
      const updated = await kysely.updateTable('notes').set({ n: 9 }).executeTakeFirst()
      expect(updated.numUpdatedRows).toBe(BigInt(NOTES + 1))
      const foreign = await kysely
        .deleteFrom('notes')
        .where('owner_id', '=', '102')
        .executeTakeFirst()
      expect(foreign.numDeletedRows).toBe(0n)
      await kysely.deleteFrom('notes').where('body', '=', 'k').execute()
    })
  })

  it('runs transactions, isolation levels and savepoints', async () => {
    await db.run(user(103), async () => {
      await kysely
        .transaction()
        .setIsolationLevel('repeatable read')
        .execute(async (trx) => {
          await trx.updateTable('notes').set({ n: 4 }).execute()
          await trx.selectFrom('notes').select('n').execute()
        })
      const failing = kysely.transaction().execute(async (trx) => {
        await trx.deleteFrom('notes').execute()
        throw new Error('no')
      })
      await expect(failing).rejects.toThrow('no')

      const trx = await kysely.startTransaction().execute()
      const after = await trx.savepoint('one').execute()
      await after.deleteFrom('notes').execute()
      const back = await after.rollbackToSavepoint('one').execute()
      expect(await back.selectFrom('notes').select('n').execute()).toEqual(
        Array(NOTES).fill({ n: 4 }),
      )
      await trx.commit().execute()
    })
  })

  // pg itself offers no cursors on pipelined clients.
  const streams = options.transport !== 'pipeline'
  it.each(streams ? ['a cursor'] : [])('streams inside a transaction by %s', async () => {
    await db.run(user(104), () =>
      kysely.transaction().execute(async (trx) => {
        const seen: string[] = []
        for await (const row of trx.selectFrom('notes').select('owner_id').stream(2)) {
          seen.push(row.owner_id)
        }
        expect(seen).toEqual(Array(NOTES).fill('104'))
      }),
    )
  })
})
