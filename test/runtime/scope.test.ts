import { EventEmitter } from 'node:events'
import pg from 'pg'
import Cursor from 'pg-cursor'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { tenantry, type Tenantry } from '../../src/index.js'
import { agent, codeOf, createWorld, user, type World } from './world.js'

let world: World
let db: Tenantry & { raw: pg.Pool }
beforeAll(async () => {
  world = await createWorld()
  db = world.open({}, { max: 1 })
})
afterAll(() => world.end())

const OWNER = 'select distinct owner_id::int as owner from notes'

describe('db.run', () => {
  it('gives back what its function returns, and ends with it', async () => {
    expect(db.run(user(1), () => 'value')).toBe('value')
    await db.run(user(1), async () => {
      await new Promise((resolve) => setTimeout(resolve, 1))
      expect((await db.pool.query(OWNER)).rows).toEqual([{ owner: 1 }])
    })
    expect(await codeOf(db.pool.query(OWNER))).toBe('TN_NO_IDENTITY')
    expect(await codeOf(db.pool.connect())).toBe('TN_NO_IDENTITY')
  })

  it('takes a session, with whom it acts for', async () => {
    const session = db.as(agent(2), { for: user(2) })
    expect(session.identity).toEqual({ actor: 'agent:2', principal: 'user:2' })
    const { rows } = await db.run(session, () =>
      db.pool.query('select actor, principal from tenantry.whoami()'),
    )
    expect(rows).toEqual([{ actor: 'agent:2', principal: 'user:2' }])
  })

  it('refuses what is no identity', () => {
    expect(() => db.run('user' as never, () => undefined)).toThrow(/no colon/)
    const options = { for: user(2) }
    // @ts-expect-error who acts for somebody is given as a session
    expect(() => db.run(user(1), () => undefined, options)).toThrow(/an identity and a function/)
    expect(() => db.as('User:1')).toThrow(/a kind is/)
    expect(() => db.as(user(1), { for: 'x:' })).toThrow(/must not be empty/)
  })

  it('starts a lazy query, as query builders return, under its identity', async () => {
    const lazy = {
      then: (resolve: (rows: unknown) => void, reject: (error: unknown) => void) =>
        db.pool.query(OWNER).then(({ rows }) => resolve(rows), reject),
    }
    expect(await db.run(user(1), () => lazy)).toEqual([{ owner: 1 }])
  })

  it('reports a missing identity to a callback as well', async () => {
    const code = await new Promise((resolve) =>
      db.pool.query(OWNER, (error) => resolve((error as { code?: string }).code)),
    )
    expect(code).toBe('TN_NO_IDENTITY')
  })

  it('is kept by callbacks, whoever opened the connection', async () => {
    const fresh = world.open({}, { max: 1 })
    // The connection, and with it the socket whose events call back, is opened by user 3.
    await fresh.run(user(3), () => fresh.pool.query('select 1'))
    const owner = await new Promise((resolve) => {
      fresh.run(user(4), () =>
        fresh.pool.query('select 1', () =>
          fresh.pool.connect((_, client, release) =>
            client!.query(OWNER, () =>
              client!.query(OWNER, (_error: unknown, result: pg.QueryResult) => {
                release()
                resolve(result.rows)
              }),
            ),
          ),
        ),
      )
    })
    expect(owner).toEqual([{ owner: 4 }])
  })

  it('is never that of whoever opened the connection, where a callback is not tied to its caller', async () => {
    const fresh = world.open({}, { max: 1 })
    await fresh.run(user(3), () => fresh.pool.query('select 1'))
    const outcome = await fresh.run(user(4), async () => {
      const client = await fresh.pool.connect()
      await client.query('begin')
      const cursor = client.query(new Cursor(OWNER))
      const inCallback = new Promise((resolve) =>
        cursor.on('row', () => resolve(codeOf(fresh.pool.query(OWNER)))),
      )
      await cursor.read(10)
      const code = await inCallback
      await cursor.close()
      await client.query('rollback')
      client.release()
      return code
    })
    expect(outcome).toBe('TN_NO_IDENTITY')
  })
})

describe('a client', () => {
  it('stays with the identity that checked it out', async () => {
    const client = await db.run(user(5), () => db.pool.connect())
    // Outside of any run it still is user 5's.
    expect((await client.query(OWNER)).rows).toEqual([{ owner: 5 }])
    expect(await codeOf(db.run(user(6), () => client.query(OWNER)))).toBe('TN_IDENTITY_CHANGED')
    expect((await db.run(user(5), () => client.query(OWNER))).rows).toEqual([{ owner: 5 }])
    client.release()
  })

  it('of a session does not look at db.run', async () => {
    const client = await db.as(user(5)).client.connect()
    expect((await db.run(user(6), () => client.query(OWNER))).rows).toEqual([{ owner: 5 }])
    client.release()
  })

  it('is a pg client to whoever looks', async () => {
    const client = await db.as(user(5)).client.connect()
    expect(client).toBeInstanceOf(pg.Client)
    expect(client).toBeInstanceOf(EventEmitter)
    expect(client.escapeIdentifier('a"b')).toBe('"a""b"')
    const notices: unknown[] = []
    expect(client.on('notice', (notice) => notices.push(notice.message))).toBe(client)
    await client.query(`do $$ begin raise notice 'hello'; end $$`)
    expect(notices).toEqual(['hello'])
    await expect(client.end()).rejects.toThrow(/Release this client/)
    client.release()
    expect(await codeOf(client.query('select 1'))).toBe('TN_CLIENT_RELEASED')
  })
})

describe('a client that is released', () => {
  it('takes its listeners with it', async () => {
    const heard: unknown[] = []
    const client = await db.as(user(5)).client.connect()
    client
      .on('notice', (notice) => heard.push(notice.message))
      .on('notification', (message) => heard.push(message.payload))
    await client.query(`do $$ begin raise notice 'mine'; end $$`)
    client.release()
    await db.as(user(6)).query(`do $$ begin raise notice 'not yours'; end $$`)
    expect(heard).toEqual(['mine'])
  })

  it('may have been wrapped by the application, as pg’s own guide does', async () => {
    const client = await db.as(user(5)).client.connect()
    const { query, release } = client
    const texts: unknown[] = []
    client.query = ((...args: unknown[]) => {
      texts.push(args[0])
      return Reflect.apply(query, client, args)
    }) as never
    client.release = () => {
      texts.push('release')
      release.call(client)
    }
    expect((await client.query(OWNER)).rows).toEqual([{ owner: 5 }])
    client.release()
    expect((await db.as(user(6)).query(OWNER)).rows).toEqual([{ owner: 6 }])
    expect(texts).toEqual([OWNER, 'release'])
  })
})

describe('db.pool', () => {
  it('is a pg pool to whoever looks', () => {
    expect(db.pool).toBeInstanceOf(pg.Pool)
    expect(Object.getPrototypeOf(db.pool).constructor.name).toContain('Pool')
    expect(db.pool.totalCount).toBe(db.raw.totalCount)
    expect(db.pool.options.max).toBe(1)
    const listener = (): void => undefined
    // Chaining must not hand out the bare pool, which runs anything as nobody.
    expect(db.pool.on('error', listener).on('error', listener)).toBe(db.pool)
    db.pool.off('error', listener).off('error', listener)
    expect(db.raw.listeners('error')).not.toContain(listener)
  })

  it('refuses what needs a client', async () => {
    expect(() => db.run(user(1), () => db.pool.query(new Cursor('select 1')))).toThrow(
      /needs a client/,
    )
    for (const text of ['begin', 'commit', 'rollback']) {
      expect(await codeOf(db.run(user(1), () => db.pool.query(text)))).toBe('TN_STATEMENT_REFUSED')
    }
  })

  it('ends with the pool', async () => {
    const mine = world.open()
    await mine.as(user(1)).query('select 1')
    await mine.end()
    expect(mine.raw.ended).toBe(true)
    await expect(mine.as(user(1)).query('select 1')).rejects.toThrow(/after calling end/)
  })
})

describe('tenantry()', () => {
  it.each([
    [{ secret: 'short' }, /at least 32 bytes/],
    [{ contextTtl: 301 }, /contextTtl is a whole number from 0 to 300/],
    [{ credentialTtl: 1 }, /credentialTtl/],
    [{ transport: 'udp' as never }, /transport is 'sync' or 'pipeline' or 'awaited'/],
    [{ transport: 'pipeline' as const }, /`pipeline: true`/],
    [{ reset: 'never' as never }, /reset is/],
    [{ retries: -1 }, /retries/],
  ])('refuses %o', (options, message) => {
    expect(() => tenantry(world.pool(), { secret: world.secret, ...options })).toThrow(message)
  })

  it('refuses what is no pool', () => {
    expect(() => tenantry({} as never, { secret: world.secret })).toThrow(/takes a pg.Pool/)
  })
})
