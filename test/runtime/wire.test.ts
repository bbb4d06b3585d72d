import Cursor from 'pg-cursor'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Tenantry } from '../../src/index.js'
import { tapWire, type WireTap } from './wire-tap.js'
import { agent, createWorld, user, type World } from './world.js'

let world: World
let tap: WireTap

beforeAll(async () => {
  world = await createWorld()
  tap = await tapWire(world.login.connectionString!)
})
afterAll(async () => {
  await world.end()
  await tap.close()
})

const COUNT = 'select count(*)::int as n from notes'

describe.each([
  { name: 'anew', options: {} },
  { name: 'by pass', options: { contextTtl: 60 } },
  { name: 'prepared', options: { preparedStatements: true } },
  { name: 'on a pipelined client', options: { contextTtl: 60 }, config: { pipeline: true } },
])('one call is one round trip ($name)', ({ options, config }) => {
  let db: Tenantry

  beforeAll(async () => {
    db = world.open(options, { max: 1, connectionString: undefined, ...tap.config, ...config })
    // The first call connects, asks for the audience, and may prepare.
    for (const one of [user(1), user(2)]) {
      await db.as(one).query(COUNT)
      await db.as(one).query(COUNT)
    }
  })
  beforeEach(() => tap.reset())

  it('for a query without parameters', async () => {
    await db.as(user(1)).query(COUNT)
    expect(tap.count).toMatchObject({ flights: 1, readyForQuery: 1 })
    expect(tap.count.sent).toMatch(/^P?BEPBDES$/)
  })

  it('for a query with parameters through db.pool', async () => {
    await db.run(user(2), () => db.pool.query('select * from notes where id > $1', [0]))
    expect(tap.count).toMatchObject({ flights: 1, readyForQuery: 1 })
    expect(tap.count.sent).toMatch(/^P?BEPBDES$/)
  })

  it('for a write', async () => {
    const { rowCount } = await db
      .as(user(1))
      .query('update notes set n = n + 1 where body = $1', ['note 1'])
    expect(rowCount).toBe(1)
    expect(tap.count).toMatchObject({ flights: 1, readyForQuery: 1 })
  })

  it('for acting for another', async () => {
    await db.as(agent(2), { for: user(2) }).query(COUNT)
    tap.reset()
    const { rows } = await db.as(agent(2), { for: user(2) }).query(COUNT)
    expect(rows).toEqual([{ n: 5 }])
    expect(tap.count).toMatchObject({ flights: 1, readyForQuery: 1 })
  })

  it('for the first statement of a transaction, which brings BEGIN along', async () => {
    const client = await db.as(user(1)).client.connect()
    await client.query('begin isolation level repeatable read')
    expect(tap.count.flights).toBe(0)
    await client.query(COUNT)
    expect(tap.count).toMatchObject({ flights: 1, readyForQuery: 1 })
    expect(tap.count.sent).toMatch(/^PBEP?BEPBDES$/)
    await client.query(COUNT)
    await client.query('commit')
    expect(tap.count).toMatchObject({ flights: 3, readyForQuery: 3 })
    client.release()
  })

  it('for a transaction of the session: one more than its queries', async () => {
    await db.as(user(1)).transaction(async (tx) => {
      await tx.query(COUNT)
      await tx.query(COUNT)
    })
    expect(tap.count.flights).toBe(3)
  })

  it('and nothing at all for a transaction without queries', async () => {
    await db.as(user(1)).transaction(async () => undefined)
    const client = await db.as(user(1)).client.connect()
    await client.query('begin')
    await client.query('commit')
    await client.query('begin')
    await client.query('rollback')
    client.release()
    expect(tap.count).toEqual({ flights: 0, sent: '', readyForQuery: 0 })
  })

  it('and nothing at all without an identity', async () => {
    await expect(db.pool.query('select 1')).rejects.toMatchObject({ code: 'TN_NO_IDENTITY' })
    expect(tap.count.sent).toBe('')
  })
})

it('never uses the simple protocol for what an application sends', async () => {
  const db = world.open({}, { max: 1, connectionString: undefined, ...tap.config })
  await db.as(user(1)).query('select 1')
  tap.reset()
  const client = await db.as(user(1)).client.connect()
  for (const text of [
    'begin',
    'select 1',
    'savepoint a',
    'rollback to a',
    'commit',
    '',
    'select 1',
  ]) {
    await client.query(text)
  }
  client.release()
  await db.as(user(1)).transaction((tx) => tx.query('select 1'))
  expect(tap.count.sent).not.toContain('Q')
})

it('adds one round trip for a cursor that opens its transaction', async () => {
  const db = world.open({}, { max: 1, connectionString: undefined, ...tap.config })
  await db.as(user(1)).query('select 1')
  tap.reset()
  const client = await db.as(user(1)).client.connect()
  await client.query('begin')
  const cursor = client.query(new Cursor('select * from notes order by id'))
  expect(await cursor.read(2)).toHaveLength(2)
  expect(tap.count.flights).toBeLessThanOrEqual(3)
  await cursor.close()
  await client.query('commit')
  client.release()
})
