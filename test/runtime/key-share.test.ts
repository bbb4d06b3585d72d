import Cursor from 'pg-cursor'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Tenantry } from '../../src/index.js'
import { caught, createSecretWorld, formsOf, printed, type SecretWorld } from './secret-world.js'
import { tapWire, type WireTap } from './wire-tap.js'
import { codeOf, EVERY_WAY, user } from './world.js'

// The runtime brings the application's share of the master key with the context: where it is wanted,
// as a bind parameter, in the same round trip, and never to where anybody could read it.

const READ = 'select token from tenant.vault order by id'

let world: SecretWorld
let tap: WireTap
/** Pools that were in use before this database had a master key. */
const early = new Map<string, Tenantry>()

beforeAll(async () => {
  world = await createSecretWorld()
  tap = await tapWire(world.login.connectionString!)
  for (const { name, options } of EVERY_WAY) {
    const db = world.open(options)
    expect((await db.as(user(1)).query('select count(*)::int as n from vault')).rows).toEqual([
      { n: 0 },
    ])
    early.set(name, db)
  }
  await world.encrypt()
})
afterAll(async () => {
  await world.end()
  await tap.close()
})
beforeEach(() => world.db.admin.query('delete from vault'))

const write = (db: Tenantry, who: number, token: string) =>
  db.as(user(who)).query('insert into vault (id, token) values ($1, $2)', [who, token])

describe.each(EVERY_WAY)('the key share ($name)', ({ name, options }) => {
  it('comes by itself, so that what is written is sealed and read decrypted', async () => {
    const db = world.open(options)
    await write(db, 1, 'of one')
    await write(db, 2, 'of two')
    for (const [who, token] of [
      [1, 'of one'],
      [2, 'of two'],
      [1, 'of one'],
    ] as const) {
      expect((await db.as(user(who)).query(READ)).rows).toEqual([{ token }])
      expect((await db.run(user(who), () => db.pool.query(READ))).rows).toEqual([{ token }])
    }
    expect((await db.as(user(3)).query(READ)).rows).toEqual([])
    expect(await world.stored()).toEqual([
      expect.stringMatching(/^tn1:/),
      expect.stringMatching(/^tn1:/),
    ])
  })

  it('stays away when told so: secrets refuse, everything else goes on', async () => {
    await write(world.open(options), 1, 'of one')
    const db = world.open({ ...options, keyShare: false })
    for (let n = 0; n < 2; n += 1) {
      await expect(db.as(user(1)).query(READ)).rejects.toMatchObject({
        code: 'TN005',
        hint: expect.stringContaining('keyShare') as string,
      })
      expect(await codeOf(write(db, 2, 'never'))).toBe('TN005')
      expect((await db.as(user(1)).query('select label from vault')).rows).toEqual([
        { label: 'a label' },
      ])
    }
    expect(await world.stored()).toHaveLength(1)
    const told = world.open({ ...options, keyShare: true })
    expect((await told.as(user(1)).query(READ)).rows).toEqual([{ token: 'of one' }])
  })

  it('comes with the call after the one that missed it, on a pool from before the master key', async () => {
    const db = early.get(name)!
    // What is kept for this identity was made without the share.
    await db.as(user(1)).query('select label from vault')
    await db.as(user(1)).query('select label from vault')
    expect(await codeOf(write(db, 1, 'too early'))).toBe('TN005')
    await write(db, 1, 'in time')
    expect((await db.as(user(1)).query(READ)).rows).toEqual([{ token: 'in time' }])
    await write(db, 2, 'and so for others')
    await db.as(user(2)).transaction(async (tx) => {
      expect((await tx.query(READ)).rows).toEqual([{ token: 'and so for others' }])
    })
  })

  it('is printed with nothing that a program can get hold of, not even meanwhile', async () => {
    const db = world.open(options, { max: 1 })
    const seen: string[] = []
    db.raw.on('connect', (client) => {
      const query = client.query.bind(client) as (...args: unknown[]) => unknown
      client.query = ((...args: unknown[]) => {
        seen.push(printed(args))
        const result = query(...args)
        // What runs, and what waits, is on the client now.
        seen.push(printed(client))
        return result
      }) as typeof client.query
    })
    await write(db, 1, 'of one')
    await db.as(user(1)).query(READ)
    await db.as(user(1)).transaction((tx) => tx.query(READ))
    const session = db.as(user(1))
    const refused = await caught(session.query('select 1 / 0'))
    seen.push(printed(db, session, session.client, db.pool, db.raw, refused))
    seen.push(JSON.stringify([db, session, refused]))
    const all = seen.join('\n')
    expect(all).toContain('insert into vault')
    for (const form of formsOf(world.share)) expect(all).not.toContain(form)
    expect(all).not.toContain('eyJ')
  })
})

describe.each(EVERY_WAY.filter(({ options }) => options.transport === 'sync'))(
  'on the wire ($name)',
  ({ options }) => {
    it('is one parameter of one call in one round trip, and in no text of a statement', async () => {
      const db = world.open(options, { max: 1, connectionString: undefined, ...tap.config })
      await write(db, 1, 'of one')
      await db.as(user(1)).query(READ)
      tap.reset()
      const { rows } = await db.as(user(1)).query(READ)
      expect(rows).toEqual([{ token: 'of one' }])
      expect(tap.count).toMatchObject({ flights: 1, readyForQuery: 1 })
      expect(tap.words.parsed).toContain(READ)
      const hex = `\\x${world.share.toString('hex')}`
      expect(tap.words.bound.split(hex)).toHaveLength(2)
      for (const form of formsOf(world.share)) expect(tap.words.parsed).not.toContain(form)
    })

    it('does not travel where it is not wanted', async () => {
      const config = { max: 1, connectionString: undefined, ...tap.config }
      const db = world.open({ ...options, keyShare: false }, config)
      tap.reset()
      for (let n = 0; n < 3; n += 1) await db.as(user(1)).query('select label from vault')
      expect(tap.words.bound).toContain('eyJ')
      for (const form of formsOf(world.share)) expect(tap.words.bound).not.toContain(form)
    })
  },
)

it('is asked about with the audience, in the one round trip that took before', async () => {
  const flights = async (options: Parameters<SecretWorld['open']>[0]) => {
    const db = world.open(options, { max: 1, connectionString: undefined, ...tap.config })
    await db.raw.query('select 1')
    tap.reset()
    await db.as(user(1)).query('select 1')
    return tap.count.flights
  }
  expect(await flights({})).toBe(2)
  expect(await flights({ audience: world.db.name, keyShare: true })).toBe(1)
})

it('is missed by a cursor, too, and brought to the next', async () => {
  const other = await createSecretWorld()
  try {
    const db = other.open()
    await db.as(user(1)).query('select 1')
    await other.encrypt()
    await write(other.open(), 1, 'of one')
    const read = async () => {
      const client = await db.as(user(1)).client.connect()
      try {
        await client.query('begin')
        return await client.query(new Cursor<{ token: string }>(READ)).read(9)
      } finally {
        await client.query('rollback')
        client.release()
      }
    }
    expect(await codeOf(read())).toBe('TN005')
    expect(await read()).toEqual([{ token: 'of one' }])
  } finally {
    await other.end()
  }
})

it('is decided by true or false, not by a word from the environment', () => {
  for (const keyShare of [true, false, undefined]) world.open({ keyShare })
  expect(() => world.open({ keyShare: 'false' as never })).toThrow(/keyShare is true or false/)
})
