import Cursor from 'pg-cursor'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { CLEAN, leftovers } from './leftovers.js'
import { codeOf, createWorld, user, type World } from './world.js'

let world: World
beforeAll(async () => {
  world = await createWorld()
})
afterAll(() => world.end())

describe('after', () => {
  it('a cursor left open: the connection is gone', async () => {
    const db = world.open({}, { max: 1 })
    const { pid } = await leftovers(db)
    const client = await db.as(user(1)).client.connect()
    await client.query('begin')
    const cursor = client.query(new Cursor('select * from notes'))
    expect(await cursor.read(1)).toHaveLength(1)
    client.release()
    const left = await leftovers(db)
    expect(left).toMatchObject(CLEAN)
    expect(left.pid).not.toBe(pid)
  })

  it('a named statement that failed to parse: its name is not spoilt', async () => {
    const db = world.open({ preparedStatements: true }, { max: 1 })
    const client = await db.as(user(1)).client.connect()
    await client.query('begin')
    await client.query('savepoint a')
    const spoilt = { name: 'one', text: 'select * from no_such_table' }
    expect(await codeOf(client.query(spoilt))).toBe('42P01')
    await client.query('rollback to a')
    expect(await codeOf(client.query(spoilt))).toBe('42P01')
    await client.query('rollback to a')
    const good = { name: 'one', text: 'select $1::int as a', values: [1] }
    expect((await client.query(good)).rows).toEqual([{ a: 1 }])
    expect((await client.query({ ...good, values: [2] })).rows).toEqual([{ a: 2 }])
    await expect(client.query({ name: 'one', text: 'select 2' })).rejects.toThrow(/must be unique/)
    await client.query('commit')
    client.release()
    // After the reset the driver prepares it anew.
    expect((await db.as(user(2)).query(good)).rows).toEqual([{ a: 1 }])
  })

  it('a statement prepared by somebody else under any name: it is not ours', async () => {
    const db = world.open({ preparedStatements: true }, { max: 1 })
    const query = { name: 'mine', text: 'select owner_id::int as owner from notes limit 1' }
    expect((await db.as(user(1)).query(query)).rows).toEqual([{ owner: 1 }])
    const { rows } = await db.raw.query<{ name: string }>('select name from pg_prepared_statements')
    expect(rows.length).toBeGreaterThanOrEqual(2)
    for (const { name } of rows) {
      expect(name).toMatch(/^tn_[\w-]{16}$/)
      // The first of these resets the connection, and the others are gone with it.
      expect([undefined, '26000']).toContain(
        await codeOf(db.as(user(1)).query(`deallocate "${name}"`)),
      )
    }
    expect((await db.as(user(2)).query(query)).rows).toEqual([{ owner: 2 }])
  })
})
