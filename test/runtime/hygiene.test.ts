import type pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Session } from '../../src/index.js'
import { CLEAN, leftovers, type Leftovers, type Opened } from './leftovers.js'
import { codeOf, createWorld, user, type World } from './world.js'

let world: World
beforeAll(async () => {
  world = await createWorld()
})
afterAll(() => world.end())

describe.each(['sync', 'pipeline', 'awaited'] as const)('%s: after', (transport) => {
  const open = (options = {}, config: pg.PoolConfig = {}): Opened =>
    world.open({ transport, ...options }, { max: 1, ...config })

  async function compare(
    db: Opened,
    use: (session: Session) => Promise<unknown>,
  ): Promise<{ same: boolean; left: Omit<Leftovers, 'pid'> }> {
    await db.as(user(1)).query('select count(*) from notes')
    const before = await leftovers(db)
    expect(before).toMatchObject(CLEAN)
    await use(db.as(user(1)))
    const { pid, ...left } = await leftovers(db)
    expect({ ...left, zone: before.zone }).toEqual({ ...CLEAN, zone: left.zone })
    expect(left.zone).toBe(before.zone)
    return { same: pid === before.pid, left }
  }

  it('a query, a commit and a rollback: the connection goes on as it is', async () => {
    const db = open()
    const { same } = await compare(db, async (me) => {
      await me.query('select * from notes')
      await me.transaction((tx) => tx.query('update notes set n = 1'))
      await me
        .transaction(async (tx) => {
          await tx.query("set local timezone = 'Asia/Tokyo'")
          throw new Error('no')
        })
        .catch(() => undefined)
      const client = await me.client.connect()
      await client.query('begin')
      await client.query('select * from notes')
      await client.query('commit')
      client.release()
    })
    expect(same).toBe(true)
  })

  it.each([
    ['a failed query', (me: Session) => me.query('select 1/0')],
    [
      'a parameter of the wrong type',
      (me: Session) => me.query('select 1/0 from notes where $1 = 1', ['x']),
    ],
    ['a failed commit', (me: Session) => me.transaction((tx) => tx.query('select 1/0'))],
  ])('%s: the connection was reset', async (_, fail) => {
    const db = open()
    const { same } = await compare(db, async (me) => {
      await me.query("select set_config('app.planted', 'x', false)")
      expect((await db.raw.query("select current_setting('app.planted') as x")).rows).toEqual([
        { x: 'x' },
      ])
      expect(await codeOf(fail(me))).toBeTruthy()
    })
    expect(same).toBe(true)
  })

  it.each([
    [
      'a setting that changes how values are read',
      "select set_config('TimeZone', 'Asia/Tokyo', false)",
    ],
    ['a plain set', "set app.planted = 'x'"],
    ['a prepared statement', 'prepare a_guessed_name as select 1'],
    ['a subscription', 'listen a_channel'],
  ])('%s was planted: the connection was reset', async (_, text) => {
    const { same } = await compare(open(), (me) => me.query(text))
    expect(same).toBe(true)
  })

  it('anything was planted, with `reset: always`', async () => {
    const { same } = await compare(open({ reset: 'always' }), async (me) => {
      await me.query("select set_config('app.planted', 'x', false), pg_advisory_lock(1)")
    })
    expect(same).toBe(true)
  })

  it('an error, where the application sets connections up itself: replaced, not reset', async () => {
    const db = open()
    db.raw.on('connect', (client) => void client.query("set application_name = 'mine'"))
    const { same } = await compare(db, (me) => me.query('select 1/0').catch(() => undefined))
    expect(same).toBe(false)
    expect((await db.as(user(1)).query('show application_name')).rows).toEqual([
      { application_name: 'mine' },
    ])
  })

  it('a cancelled query: the connection is gone', async () => {
    const db = open()
    const { same } = await compare(db, async (me) => {
      const sleeping = codeOf(me.query('select pg_sleep(30) from notes limit 1'))
      await whileSleeping('pg_cancel_backend')
      expect(await sleeping).toBe('57014')
    })
    expect(same).toBe(false)
  })

  it('a terminated backend: a new connection, and no crash', async () => {
    const db = open()
    const { same } = await compare(db, async (me) => {
      const sleeping = codeOf(me.query('select pg_sleep(30) from notes limit 1'))
      await whileSleeping('pg_terminate_backend')
      expect(await sleeping).toBe('57P01')
      const inTransaction = codeOf(
        me.transaction(async (tx) => {
          await tx.query('update notes set n = 77')
          await Promise.all([
            tx.query('select pg_sleep(30)'),
            whileSleeping('pg_terminate_backend'),
          ])
        }),
      )
      expect(await inTransaction).toBe('57P01')
    })
    expect(same).toBe(false)
    expect((await db.as(user(1)).query('select from notes where n = 77')).rowCount).toBe(0)
  })

  it('a statement_timeout: the connection is gone', async () => {
    const { same } = await compare(open({}, { statement_timeout: 500 }), async (me) => {
      expect(await codeOf(me.query('select pg_sleep(5)'))).toBe('57014')
    })
    expect(same).toBe(false)
  })

  it('a query_timeout of the driver: the connection is gone, the query’s answer with it', async () => {
    const db = open({}, { query_timeout: 200 })
    const { same } = await compare(db, async (me) => {
      await expect(me.query('select pg_sleep(2)')).rejects.toThrow(/timeout/i)
      const client = await me.client.connect()
      await client.query('begin')
      await client.query('update notes set n = 78')
      // It is stopped on the server, too: otherwise its locks would stay for a minute.
      await expect(client.query('select pg_sleep(60)')).rejects.toThrow(/timeout|terminated/i)
      await expect(client.query('select 1')).rejects.toMatchObject({
        code: 'TN_TRANSACTION_FAILED',
      })
      expect(await client.query('rollback')).toMatchObject({ command: 'ROLLBACK' })
      client.release()
    })
    expect(same).toBe(false)
    const { rows } = await db.as(user(1)).query('update notes set n = 0 returning 1 as mine')
    expect(rows[0]).toEqual({ mine: 1 })
  })

  it('a transaction left open: the connection is gone, and its changes', async () => {
    const db = open()
    const { same } = await compare(db, async (me) => {
      const client = await me.client.connect()
      await client.query('begin')
      await client.query('update notes set n = 79')
      client.release()
    })
    expect(same).toBe(false)
    expect((await db.as(user(1)).query('select from notes where n = 79')).rowCount).toBe(0)
  })

  it('a begin that brought nothing along: nothing', async () => {
    const { same } = await compare(open(), async (me) => {
      const client = await me.client.connect()
      await client.query('begin')
      client.release()
    })
    expect(same).toBe(true)
  })

  it('a release with queries under way: they finish first', async () => {
    const db = open()
    const { same } = await compare(db, async (me) => {
      const client = await me.client.connect()
      const late = client.query('select count(*)::int as n from notes, pg_sleep(0.05)')
      client.release()
      expect((await late).rows).toEqual([{ n: 5 }])
      expect(() => client.release()).toThrow(/already been released/)
    })
    expect(same).toBe(true)
  })
})

/** Waits until the application sleeps in a query, and does this to it. */
async function whileSleeping(action: 'pg_cancel_backend' | 'pg_terminate_backend'): Promise<void> {
  for (;;) {
    const { rowCount } = await world.db.admin.query(
      `select ${action}(pid) from pg_stat_activity
        where datname = current_database() and wait_event = 'PgSleep'`,
    )
    if (rowCount) return
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}
