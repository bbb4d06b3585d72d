import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { outcome } from '../extension/support/stage.js'
import { elizaosTruth } from '../fixtures/elizaos/generator.js'
import type { Chain } from './support/stage.js'
import {
  alice,
  bob,
  charlie,
  dora,
  people,
  roomStage,
  rooms,
  sharedAgent,
  type RoomStage,
} from './support/rooms.js'

let on: RoomStage
beforeAll(async () => {
  on = await roomStage()
})
afterAll(() => on.drop())

const said = (where = 'true') =>
  `select content ->> 'text' from reach.memories m where type in ('messages', 'documents') and ${where} order by 1`
const logged = 'select body #>> $$ {} $$ from reach.logs order by 1'
const inOne = ['alice in one', 'alice in one, a document', 'bob in one']
const inTwo = ['bob in two', 'charlie in two', 'charlie in two, a document']

/** The protected tables, each with its view on the reach path. */
async function tables(): Promise<{ table: string; reach: string }[]> {
  const { rows } = await on.db.admin.query<{ table: string; reach: string }>(
    `select t.relation::text as table, tenantry_private.view_on(t.relation, 'reach')::text as reach
       from tenantry.tables t where t.class in ('owned', 'by_parent') order by 1`,
  )
  return rows
}

describe('without a context', () => {
  it('every protected table is empty, by itself and on the reach path', async () => {
    const all = await tables()
    const { tables: known, shared } = elizaosTruth({ schema: 'later' })
    expect(all.length).toBe(known.length - shared.length)
    for (const { table, reach } of all) {
      expect(reach, table).toMatch(/^reach\./)
      const count = `select from ${table} limit 1`
      expect((await on.db.admin.query(count)).rowCount, `${table} has rows`).toBe(1)
      await on.asNobody(async (c) => {
        for (const relation of [table, reach]) {
          expect((await c.query(`select from ${relation}`)).rowCount, relation).toBe(0)
          expect(await outcome(c, `delete from ${relation}`), relation).toBe('0 rows')
        }
      })
    }
  })

  it('nothing is written', async () => {
    const insert = `insert into RELATION (owner_id, entity_id, room_id, type, body) values ($1, $2, $3, 'x', '{}')`
    const values = [alice.id, alice.entity, rooms.one]
    for (const relation of ['logs', 'reach.logs']) {
      const statement = insert.replace('RELATION', relation)
      expect(await on.asNobody((c) => outcome(c, statement, values))).toBe('42501')
      expect(await on.trying([alice.user], (c) => outcome(c, statement, values))).toBe('1 rows')
    }
  })

  it('leaves check() nothing to say', async () => {
    expect(await on.check()).toEqual([])
  })
})

describe('rooms', () => {
  it.each<[string, Chain, string[]]>([
    ['Alice reads room 1', [alice.user], inOne],
    ['Bob reads both', [bob.user], [...inOne, ...inTwo].sort()],
    ['Charlie reads room 2 alone', [charlie.user], inTwo],
    ['Dora, in no room, reads nothing', [dora.user], []],
    ['an agent reads what its user reads', [alice.user, alice.agent], inOne],
    ['the shared agent reads what whom it works for reads', [charlie.user, sharedAgent], inTwo],
    ['an agent by itself goes by its user', [bob.agent], [...inOne, ...inTwo].sort()],
  ])('%s', async (_, who, expected) => {
    expect(await on.column(who, said())).toEqual(expected)
  })

  it('are not widened by the role that a document has', async () => {
    const documents = said(`metadata ->> 'role' = 'OWNER'`)
    expect(await on.column([alice.user], documents)).toEqual(['alice in one, a document'])
    expect(await on.column([charlie.user], documents)).toEqual(['charlie in two, a document'])
    expect(await on.column([bob.user], documents)).toHaveLength(2)
    expect(await on.column([dora.user], documents)).toEqual([])
  })

  it('show their logs to participants, and a private room’s to nobody else', async () => {
    expect(await on.column([alice.user], logged)).toEqual([
      'alice in alices',
      'alice in one',
      'bob in one',
    ])
    expect(await on.column([bob.user], logged)).toEqual([
      'alice in one',
      'bob in bobs',
      'bob in one',
    ])
    expect(await on.column([charlie.user], logged)).toEqual([])
    expect(await on.column([dora.user], logged)).toEqual([])
  })

  it('leave the tables themselves to the owners of their rows', async () => {
    const own = `select content ->> 'text' from memories order by 1`
    expect(await on.column([bob.user], own)).toEqual(['bob in one', 'bob in two'])
    expect(await on.column([dora.user], own)).toEqual([])
  })
})

describe('a stranger', () => {
  const idsOf = async (query: string) =>
    (await on.db.admin.query<{ id: string }>(query)).rows.map(({ id }) => id)

  it('finds nothing under an id that is known', async () => {
    for (const [table, id] of [
      [
        'memories',
        (await idsOf(`select id from memories where room_id = '${rooms.one}'`))[0] ?? '',
      ],
      ['rooms', rooms.one],
      ['entities', alice.entity],
      ['agents', alice.agentId],
      ['users', alice.id],
      [
        'participants',
        (await idsOf(`select id from participants where room_id = '${rooms.one}'`))[0] ?? '',
      ],
      ['message_servers', alice.agentId],
    ] as const) {
      for (const relation of [table, `reach.${table}`]) {
        const find = `select id from ${relation} where id = $1`
        expect(await on.column([dora.user], find, [id]), relation).toEqual([])
        expect(await on.column([alice.user], find, [id]), relation).toEqual([id])
      }
      const ask = (f: string) => `select through from tenantry.${f}($1, $2)`
      for (const f of ['why', 'who']) {
        expect(await on.column([dora.user], ask(f), [table, id]), table).toEqual([])
        expect((await on.column([alice.user], ask(f), [table, id])).length, table).toBeGreaterThan(
          0,
        )
      }
    }
  })

  it.each([
    [
      'memories and rooms',
      'm.owner_id, r.owner_id',
      'memories m join reach.rooms r on r.id = m.room_id',
    ],
    [
      'rooms and participants',
      'r.owner_id, p.owner_id',
      'rooms r join participants p on p.room_id = r.id',
    ],
    [
      'rooms and logs, from outside',
      'r.owner_id, l.owner_id',
      'rooms r right join reach.logs l on l.room_id = r.id',
    ],
    [
      'agents of a message server',
      'm.owner_id, a.owner_id',
      'message_server_agents m left join agents a on a.id = m.agent_id',
    ],
    [
      'agents of a message server, on the reach path',
      'm.owner_id, a.owner_id',
      'reach.message_server_agents m full join reach.agents a on a.id = m.agent_id',
    ],
    [
      'agents and memories, all with all',
      'a.owner_id, m.owner_id',
      'reach.agents a cross join reach.memories m',
    ],
  ])('sees no more through a join: %s', async (_, owners, from) => {
    const foreign = `select distinct o.id from ${from} cross join unnest(array[${owners}]) as o (id) where o.id <> all ($1)`
    // Whoever shares a room with Alice may stand in what she sees, and nobody else.
    expect(await on.column([alice.user], foreign, [[alice.id, bob.id]])).toEqual([])
    expect(await on.column([dora.user], foreign, [[dora.id]])).toEqual([])
    expect((await on.column([alice.user], `select count(*)::int from ${from}`))[0]).toBeGreaterThan(
      0,
    )
  })
})

describe('agents and their secrets', () => {
  const secrets = (path: string) =>
    `select settings #>> '{secrets,KEY}' from ${path} where settings #>> '{secrets,KEY}' like 'secret of %' order by 1`

  it('are their user’s, whoever shares a room or an agent with them', async () => {
    for (const path of ['agents', 'reach.agents']) {
      for (const { user, agent, name } of people) {
        expect(await on.column([user], secrets(path)), `${path}, ${name}`).toEqual([
          `secret of ${name}`,
        ])
        expect(await on.column([user, agent], secrets(path))).toEqual([`secret of ${name}`])
        expect(await on.column([user, sharedAgent], secrets(path))).toEqual([`secret of ${name}`])
      }
      const overwrite = `update ${path} set settings = '{}' where id = $1`
      expect(await on.trying([bob.user], (c) => outcome(c, overwrite, [alice.agentId]))).toBe(
        '0 rows',
      )
      expect(await on.trying([alice.user], (c) => outcome(c, overwrite, [alice.agentId]))).toBe(
        '1 rows',
      )
    }
  })

  it('no agent works for somebody else’s user', async () => {
    for (const chain of [
      [alice.user, bob.agent],
      [bob.agent, alice.user],
      [sharedAgent, alice.user],
      [alice.user, bob.user],
    ] as const) {
      await expect(on.column(chain, 'select 1')).rejects.toMatchObject({ code: 'TN004' })
    }
    expect(await on.column([alice.agent, alice.user], 'select 1')).toEqual([1])
  })

  it('keep their cache to themselves and to their user', async () => {
    const kept = `select value #>> '{}' from reach.cache where key = 'kept'`
    expect(await on.column([alice.user], kept)).toEqual(['by the agent of alice'])
    expect(await on.column([alice.agent], kept)).toEqual(['by the agent of alice'])
    expect(await on.column([dora.user], kept)).toEqual(['by the agent of dora'])
    expect(await on.column([alice.user, sharedAgent], 'select key from cache')).toEqual([])
  })
})
