import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { codeOf, createWorld, user, type World } from './world.js'

let world: World
beforeAll(async () => {
  world = await createWorld()
})
afterAll(() => world.end())

const ADD_ONE = "update notes set n = n + 1 where body = 'note 1'"
const READ = "select n from notes where body = 'note 1'"
const TIMES = 12

/** Every call of the database meets others that changed the row since its snapshot. */
const REPEATABLE = { max: 4, options: '-c default_transaction_isolation=repeatable\\ read' }

const valueOf = async (db: ReturnType<World['open']>, id: number): Promise<number> =>
  (await db.as(user(id)).query<{ n: number }>(READ)).rows[0]!.n

describe('single calls', () => {
  it('are tried again after a serialization failure, and take effect once', async () => {
    const db = world.open({ retries: 20 }, REPEATABLE)
    await Promise.all(Array.from({ length: TIMES }, () => db.as(user(1)).query(ADD_ONE)))
    expect(await valueOf(db, 1)).toBe(TIMES)
  })

  it('fail with the server’s error when retries are off, and through db.pool', async () => {
    const db = world.open({ retries: 0 }, REPEATABLE)
    const outcomes = await Promise.all(
      Array.from({ length: TIMES }, (_, i) =>
        codeOf(
          i % 2 ? db.as(user(2)).query(ADD_ONE) : db.run(user(2), () => db.pool.query(ADD_ONE)),
        ),
      ),
    )
    const failed = outcomes.filter((code) => code === '40001').length
    expect(failed).toBeGreaterThan(0)
    expect(outcomes.filter((code) => code === undefined)).toHaveLength(TIMES - failed)
    expect(await valueOf(db, 2)).toBe(TIMES - failed)
  })
})

describe('transactions', () => {
  /** Reads, waits for everybody else to have read, writes: write skew that only one may commit. */
  const skew = async (retries: number | undefined): Promise<(string | undefined)[]> => {
    const db = world.open({}, { max: 4 })
    const me = db.as(user(3))
    let reading = 3
    const everybodyRead = barrier()
    const attempt = (): Promise<void> =>
      me.transaction(
        async (tx) => {
          await tx.query('select sum(n) from notes')
          if (--reading <= 0) everybodyRead.open()
          await everybodyRead.opened
          await tx.query(ADD_ONE)
        },
        { isolation: 'serializable', ...(retries === undefined ? {} : { retries }) },
      )
    return Promise.all([codeOf(attempt()), codeOf(attempt()), codeOf(attempt())])
  }

  it('are run again as a whole when asked', async () => {
    const db = world.open()
    const before = await valueOf(db, 3)
    expect(await skew(10)).toEqual([undefined, undefined, undefined])
    expect(await valueOf(db, 3)).toBe(before + 3)
  })

  it('are run once by default', async () => {
    const db = world.open()
    const before = await valueOf(db, 3)
    const outcomes = await skew(undefined)
    expect(outcomes).toContain('40001')
    const committed = outcomes.filter((code) => code === undefined).length
    expect(committed).toBeGreaterThan(0)
    expect(await valueOf(db, 3)).toBe(before + committed)
  })

  it('are run again after a deadlock', async () => {
    // Only a superuser may shorten it, and only for connections to come.
    await world.db.admin.query(`alter database "${world.db.name}" set deadlock_timeout = '50ms'`)
    const me = world.open({}, { max: 4 }).as(user(4))
    let runs = 0
    const both = barrier()
    const lockInOrder = (first: string, second: string): Promise<void> =>
      me.transaction(
        async (tx) => {
          await tx.query('update notes set n = n + 1 where body = $1', [first])
          if (++runs >= 2) both.open()
          await both.opened
          await tx.query('update notes set n = n + 1 where body = $1', [second])
        },
        { retries: 5 },
      )
    await Promise.all([lockInOrder('note 1', 'note 2'), lockInOrder('note 2', 'note 1')])
    expect(runs).toBeGreaterThan(2)
    const { rows } = await me.query("select n from notes where body in ('note 1', 'note 2')")
    expect(rows).toEqual([{ n: 2 }, { n: 2 }])
  })

  it('give up after so many tries, and never repeat other errors', async () => {
    const me = world.open().as(user(5))
    let runs = 0
    const failing = (sqlstate: string): Promise<unknown> =>
      me.transaction(
        (tx) => {
          runs++
          return tx.query(`do $$ begin raise 'x' using errcode = '${sqlstate}'; end $$`)
        },
        { retries: 2 },
      )
    expect(await codeOf(failing('40001'))).toBe('40001')
    expect(runs).toBe(3)
    expect(await codeOf(failing('22012'))).toBe('22012')
    expect(runs).toBe(4)
  })

  it('take options at the outermost level only', async () => {
    const me = world.open().as(user(5))
    await expect(
      me.transaction((tx) => tx.transaction(async () => undefined, { retries: 1 })),
    ).rejects.toThrow(/takes no options/)
    await expect(
      me.transaction(async () => undefined, { isolation: 'chaos' as never }),
    ).rejects.toThrow(/isolation is one of/)
  })

  it('can be read-only', async () => {
    const me = world.open().as(user(5))
    expect(await codeOf(me.transaction((tx) => tx.query(ADD_ONE), { readOnly: true }))).toBe(
      '25006',
    )
  })
})

function barrier(): { open: () => void; opened: Promise<void> } {
  let open!: () => void
  const opened = new Promise<void>((resolve) => (open = resolve))
  return { open, opened }
}
