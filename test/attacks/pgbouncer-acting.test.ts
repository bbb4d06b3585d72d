import { setTimeout } from 'node:timers/promises'
import pg from 'pg'
import { afterAll, afterEach, beforeAll, describe, expect, type TestContext } from 'vitest'
import { skipWithReason } from '../support/skip.js'
import { attack, control } from './support/attack.js'
import { actingFailures } from './support/probes-acting.js'
import { type Pooler, hasPgBouncer, startPooler } from './support/pgbouncer.js'
import {
  alice,
  bob,
  carol,
  frank,
  ofBob,
  posts,
  roomOfBob,
  type RoomTown,
  roomTown,
  withRooms,
} from './support/rooms.js'
import { enter, ids, state } from './support/town.js'

const installed = hasPgBouncer()

describe('acting for others through PgBouncer in transaction mode', () => {
  let at: RoomTown
  let pooler: Pooler
  let clients: pg.Client[]
  /** Two clients of the pooler on its one server connection. */
  let first: RoomTown
  let second: RoomTown
  beforeAll(async () => {
    if (!installed) return
    at = await roomTown()
    pooler = await startPooler(at.app, 1)
    clients = [0, 1].map(() => new pg.Client({ connectionString: pooler.url }))
    await Promise.all(clients.map((client) => client.connect()))
    const [one, two] = clients as [pg.Client, pg.Client]
    first = withRooms(at, one)
    second = withRooms(at, two)
  })
  afterEach(async () => {
    if (installed) await at.forget()
  })
  afterAll(async () => {
    if (!installed) return
    await Promise.all(clients.map((client) => client.end()))
    await pooler.stop()
    await at.drop()
  })

  function needsPgBouncer(context: TestContext): void {
    if (!installed) skipWithReason(context, 'PgBouncer is not installed')
  }
  const revoke = (id: string) =>
    first.done([bob.entity], (c) => c.query('select tenantry.revoke($1)', [id]))

  attack('behind PgBouncer, joining a room after somebody who may add members', async (context) => {
    needsPgBouncer(context)
    const join = `insert into town.members (owner_id, room_id, member_id, role) values ($1, $2, $3, 'host')`
    expect(await first.tried([bob.entity], join, [bob.id, roomOfBob, alice.id])).toBe('00000')
    for (const owner of [alice.id, bob.id]) {
      const values = [owner, roomOfBob, alice.id]
      expect(await second.tried([alice.entity], join, values)).toMatch(/^(42501|23503)$/)
    }
    const [, client] = clients as [pg.Client, pg.Client]
    expect(await state(client.query(join, [bob.id, roomOfBob, alice.id]))).toBe('42501')
    expect(await second.seen([alice.entity])).toEqual(['3', '5'])
    expect(await second.seen([carol.entity])).toEqual(['1', '2', '5'])
  })

  attack('behind PgBouncer, what one client was given used by the next', async (context) => {
    needsPgBouncer(context)
    await first.give([bob.entity], frank.entity)
    expect(await first.seen([bob.entity, frank.entity], ofBob)).toEqual(['1', '4'])
    expect(await first.seen([frank.entity])).toEqual(['1', '4', '5'])
    expect(await second.seen([alice.entity])).toEqual(['3', '5'])
    expect(await second.seen([bob.entity, alice.entity])).toBe('TN004')
    const [, client] = clients as [pg.Client, pg.Client]
    expect(await ids(client, posts)).toEqual([])
  })

  attack(
    'behind PgBouncer, a delegation used after it was revoked or has expired',
    async (context) => {
      needsPgBouncer(context)
      const id = await first.give([bob.entity], frank.entity)
      expect(await second.seen([bob.entity, frank.entity], ofBob)).toEqual(['1', '4'])
      await revoke(id)
      expect(await second.seen([bob.entity, frank.entity])).toBe('TN004')
      expect(await second.seen([frank.entity])).toEqual(['5'])
      await first.give([bob.entity], frank.entity, { seconds: 1 })
      expect(await second.seen([frank.entity])).toEqual(['1', '4', '5'])
      await setTimeout(1100)
      expect(await second.seen([bob.entity, frank.entity])).toBe('TN004')
      expect(await second.seen([frank.entity])).toEqual(['5'])
    },
  )

  attack('behind PgBouncer, a pass used after the revocation', async (context) => {
    needsPgBouncer(context)
    const [one, two] = clients as [pg.Client, pg.Client]
    const id = await first.give([bob.entity], frank.entity)
    const made = 'select tenantry_private.enter_for_pass($1, 1)'
    const pass = (await ids(one, made, [at.chained([bob.entity, frank.entity])]))[0] ?? ''
    await revoke(id)
    const using = async (): Promise<string[]> => {
      await two.query('begin')
      try {
        await enter(two, pass)
        return await ids(two, ofBob)
      } finally {
        await two.query('rollback')
      }
    }
    expect(await using()).toEqual(['1', '4'])
    await setTimeout(1100)
    expect(await state(using())).toBe('TN003')
  })

  attack(
    'behind PgBouncer, everything that the mutants of acting are found by',
    async (context) => {
      needsPgBouncer(context)
      const connect = async (): Promise<pg.Client> => {
        const client = new pg.Client({ connectionString: pooler.url })
        await client.connect()
        clients.push(client)
        return client
      }
      const through = withRooms({ ...at, connect }, await connect())
      expect(await actingFailures(through)).toEqual([])
      const owners = 'trigger tenantry_owner_kept'
      await at.db.admin.query(`alter table town.posts disable ${owners}`)
      control(await actingFailures(through)).not.toEqual([])
      await at.db.admin.query(`alter table town.posts enable ${owners}`)
    },
  )
})
