import { inspect } from 'node:util'
import { afterAll, beforeAll, describe, expect, expectTypeOf, it } from 'vitest'
import {
  AccessError,
  ConstraintError,
  tenantry,
  type Executor,
  type Tenantry,
  type TenantrySchema,
} from '../../src/index.js'
import { tapWire, type WireTap } from './wire-tap.js'
import { codeOf, createWorld, NOTES, user, type World } from './world.js'

/** A schema as the generator writes them, with as little in it as possible. */
interface Accessors {
  readonly notes: {
    count(): Promise<number>
    insert(body: string, owner?: number): Promise<void>
    both(first: string, second: string): Promise<void>
  }
  /** Called like a member of the session, which must win. */
  readonly query: 'not the session’s'
}

function notesOf(execute: Executor): Accessors['notes'] {
  return {
    async count() {
      const { rows } = await execute.query<{ n: number }>(
        'select count(*)::int as n from notes',
        [],
      )
      return rows[0]!.n
    },
    async insert(body, owner) {
      const values = owner === undefined ? [body] : [body, owner]
      const columns =
        owner === undefined ? '(body) values ($1)' : '(body, owner_id) values ($1, $2)'
      await execute.query(`insert into notes ${columns}`, values)
    },
    both: (first, second) =>
      execute.transaction(async (tx) => {
        await notesOf(tx).insert(first)
        await notesOf(tx).insert(second)
      }),
  }
}

let bound = 0
const schema: TenantrySchema<Accessors> = {
  bind(execute) {
    bound++
    return {
      get notes() {
        return notesOf(execute)
      },
      query: 'not the session’s',
    }
  },
}

let world: World
let tap: WireTap
let db: Tenantry<Accessors>
beforeAll(async () => {
  world = await createWorld()
  tap = await tapWire(world.login.connectionString!)
  db = tenantry(world.pool({ connectionString: undefined, ...tap.config, max: 2 }), {
    secret: world.secret,
    schema,
  })
})
afterAll(async () => {
  await world.end()
  await tap.close()
})

describe('a session with a schema', () => {
  it('carries the accessors, typed, beside its own members', async () => {
    const me = db.as(user(1))
    expectTypeOf(me.notes.count()).resolves.toBeNumber()
    expectTypeOf(me.identity.actor).toBeString()
    expect(await me.notes.count()).toBe(NOTES)
    expect((await me.query('select 1 as a')).rows).toEqual([{ a: 1 }])
    const plain = tenantry(world.pool(), { secret: world.secret }).as(user(1))
    expect('notes' in plain).toBe(false)
  })

  it('runs an accessor in one round trip', async () => {
    await db.as(user(1)).notes.count()
    tap.reset()
    await db.as(user(1)).notes.count()
    expect(tap.count).toMatchObject({ flights: 1, readyForQuery: 1 })
  })

  it('binds once for a session and once inside each transaction', async () => {
    const before = bound
    const me = db.as(user(1))
    await me.notes.count()
    await me.notes.count()
    expect(bound).toBe(before + 1)
    await me.transaction(async (tx) => {
      expect(await tx.notes.count()).toBe(NOTES)
      await tx.transaction(async (inner) => expect(await inner.notes.count()).toBe(NOTES))
    })
    expect(bound).toBe(before + 3)
  })

  it('runs accessors inside its transaction, and rolls them back with it', async () => {
    const me = db.as(user(2))
    await me
      .transaction(async (tx) => {
        await tx.notes.insert('new')
        expect(await tx.notes.count()).toBe(NOTES + 1)
        expect(await me.notes.count()).toBe(NOTES)
        throw new Error('no')
      })
      .catch((error: Error) => expect(error.message).toBe('no'))
    expect(await me.notes.count()).toBe(NOTES)
  })

  it('gives an accessor transactions of its own, nested as savepoints', async () => {
    const me = db.as(user(3))
    expect(await codeOf(me.notes.both('a', 'a'))).toBe('TN_CONSTRAINT')
    expect(await me.notes.count()).toBe(NOTES)
    await me.transaction(async (tx) => {
      expect(await codeOf(tx.notes.both('a', 'a'))).toBe('TN_CONSTRAINT')
      await tx.notes.both('a', 'b')
    })
    expect(await me.notes.count()).toBe(NOTES + 2)
  })
})

describe('errors of accessors', () => {
  const errorOf = (promise: Promise<unknown>): Promise<unknown> =>
    promise.then(
      () => undefined,
      (error: unknown) => error,
    )

  it('name the constraint of a taken key, and no value', async () => {
    const error = await errorOf(db.as(user(4)).notes.insert('note 1'))
    expect(error).toBeInstanceOf(ConstraintError)
    expect(error).toMatchObject({ code: 'TN_CONSTRAINT', constraint: 'notes_owner_id_body_key' })
    expect(inspect(error)).not.toContain('note 1')
  })

  it('do not tell a foreign row from one that does not exist', async () => {
    const me = db.as(user(4)).notes
    const foreign = await errorOf(me.insert('x', 5))
    const absent = await errorOf(me.insert('x', 123_456))
    expect(foreign).toBeInstanceOf(AccessError)
    expect({ ...(absent as object), message: (absent as Error).message }).toEqual({
      ...(foreign as object),
      message: (foreign as Error).message,
    })
    expect((foreign as Error).cause).toBeUndefined()
  })

  it('are pg’s own in session.query, for those who know the schema', async () => {
    const error = await errorOf(db.as(user(4)).query("insert into notes (body) values ('note 1')"))
    expect(error).toMatchObject({ name: 'error', code: '23505' })
  })
})
