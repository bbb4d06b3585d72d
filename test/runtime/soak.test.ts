import { randomInt } from 'node:crypto'
import type pg from 'pg'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { tenantry, type Tenantry } from '../../src/index.js'
import { fullLength } from '../support/full-length.js'
import { randomFrom } from './random.js'
import { check, Leak } from './soak-check.js'
import { Expected, NOBODY, pick, STEPS } from './soak-steps.js'
import { createWorld, user, USERS, type World } from './world.js'

// Of the seldomest calls, five in a thousand, some thirty are left.
const CALLS = Number(process.env.TENANTRY_SOAK ?? (fullLength ? 100_000 : 6000))
const SEED = Number(process.env.TENANTRY_SOAK_SEED ?? randomInt(2 ** 31))
const CONNECTIONS = 10
const WORKERS = 32

let world: World
/** Two ways of entering on the same ten connections: anew each time, and by short-lived passes. */
let anew: Tenantry & { raw: pg.Pool }
let byPass: Tenantry
beforeAll(async () => {
  world = await createWorld()
  anew = world.open({}, { max: CONNECTIONS })
  byPass = tenantry(anew.raw, { secret: world.secret, contextTtl: 2, preparedStatements: true })
})
afterAll(() => world.end())

it(
  `${CALLS} mixed calls of ${USERS} identities over ${CONNECTIONS} connections show no foreign row`,
  { timeout: 60_000 + CALLS * 10 },
  async () => {
    console.log(`soak: seed ${SEED} (TENANTRY_SOAK_SEED), ${CALLS} calls (TENANTRY_SOAK)`)
    const seen = await world.db.admin.query('select count(distinct owner_id)::int as n from notes')
    expect(seen.rows).toEqual([{ n: USERS }])
    expect(() => check(1, [{ owner: 2, body: 'note 1' }], false)).toThrow(Leak)

    const done = new Map<string, number>()
    const problems: unknown[] = []
    let started = 0
    const worker = async (number: number): Promise<void> => {
      const random = randomFrom(SEED + number)
      while (started++ < CALLS && problems.length < 10) {
        const id = 1 + Math.floor(random() * USERS)
        const db = random() < 0.5 ? anew : byPass
        const [, name, run] = pick(random)
        try {
          await run({
            id,
            session: db.as(user(id)),
            db,
            random,
            raw: anew.raw,
            admin: world.db.admin,
          })
        } catch (error) {
          // Two updates of one user may meet, and be told so.
          if (!(error instanceof Expected))
            problems.push(Object.assign(error as Error, { step: name }))
        }
        done.set(name, (done.get(name) ?? 0) + 1)
      }
    }
    await Promise.all(Array.from({ length: WORKERS }, (_, number) => worker(number)))
    console.log([...done].map(([name, times]) => `${name} ${times}`).join(', '))
    expect(problems).toEqual([])
    expect([...done.keys()].sort()).toEqual(STEPS.map(([, name]) => name).sort())

    // Every connection that is left, one after the other.
    const clients = await Promise.all(Array.from({ length: CONNECTIONS }, () => anew.raw.connect()))
    for (const client of clients) {
      const { rows } = await client.query<object>(NOBODY)
      expect(rows).toEqual([{ seen: 0, context: '', zone: expect.not.stringMatching('Tokyo') }])
      const cursors = await client.query("select name from pg_cursors where name <> ''")
      client.release()
      expect(cursors.rows).toEqual([])
    }
  },
)
