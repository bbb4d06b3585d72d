import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { outcome } from '../extension/support/stage.js'
import { sharedAgentId } from '../fixtures/elizaos/generator.js'
import type { Chain } from './support/stage.js'
import {
  alice,
  bob,
  charlie,
  dora,
  roomStage,
  rooms,
  share,
  sharedAgent,
  type Face,
  type RoomStage,
} from './support/rooms.js'

let on: RoomStage
beforeAll(async () => {
  on = await roomStage()
})
afterAll(() => on.drop())

const read = `select content ->> 'text' from reach.memories m where type = 'messages' order by 1`
const refused = /^(42501|23503)$/

describe('joining a room', () => {
  const join = 'insert into participants (owner_id, entity_id, room_id) values ($1, $2, $3)'
  const joined = 'select count(*)::int from participants where entity_id = $1 and room_id = $2'

  it('by insert, update or upsert is refused, and shows nothing', async () => {
    const upsert = `insert into PATH (id, owner_id, entity_id, room_id) values ($1, $2, $3, $4)
                    on conflict (id) do update set room_id = excluded.room_id, entity_id = excluded.entity_id`
    const [theirs] = await on.column(
      [alice.user],
      'select id from participants where entity_id = $1 and room_id = $2',
      [bob.entity, rooms.one],
    )
    for (const path of ['participants', 'reach.participants']) {
      const seen = await on.trying([dora.user], async (c) => {
        const insert = join.replace('participants', path)
        expect(await outcome(c, insert, [dora.id, dora.entity, rooms.one]), path).toMatch(refused)
        expect(await outcome(c, insert, [alice.id, dora.entity, rooms.one]), path).toMatch(refused)
        // A row of one's own that names no room yet, moved into it afterwards.
        expect(await outcome(c, insert, [dora.id, dora.entity, null]), path).toBe('1 rows')
        const { rows } = await c.query<{ id: string }>('select id from participants')
        const move = `update ${path} set room_id = $1`
        expect(await outcome(c, move, [rooms.one]), path).toMatch(refused)
        const put = upsert.replace('PATH', path)
        const onOwn = [rows[0]?.id, dora.id, dora.entity, rooms.one]
        expect(await outcome(c, put, onOwn), path).toMatch(refused)
        expect(await outcome(c, put, [theirs, dora.id, dora.entity, rooms.one])).toMatch(refused)
        return (await c.query(read)).rows
      })
      expect(seen).toEqual([])
    }
    expect((await on.db.admin.query(joined, [dora.entity, rooms.one])).rows).toEqual([{ count: 0 }])
  })

  it('is not done by a member, for themselves or for others, nor by an agent', async () => {
    for (const chain of [
      [bob.user],
      [bob.user, bob.agent],
      [alice.user, alice.agent],
      [alice.user, sharedAgent],
    ] as const) {
      for (const owner of [bob, alice]) {
        const insert = [owner.id, dora.entity, rooms.one]
        expect(await on.trying(chain, (c) => outcome(c, join, insert)), chain.join()).toMatch(
          refused,
        )
      }
    }
    // Nor does a member of one room move their own row, or another's, into a second.
    const move = 'update participants set room_id = $1 where entity_id = $2'
    expect(
      await on.trying([bob.user], (c) => outcome(c, move, [rooms.alices, bob.entity])),
    ).toMatch(refused)
    expect(await on.trying([bob.user], (c) => outcome(c, move, [rooms.bobs, charlie.entity]))).toBe(
      '1 rows',
    )
  })

  it('is opened by whoever holds delegate on the room, and ends when they take it back', async () => {
    expect(await on.column([dora.user], read)).toEqual([])
    await on.under([alice.user], (c) => c.query(join, [alice.id, dora.entity, rooms.one]))
    expect(await on.column([dora.user], read)).toEqual(['alice in one', 'bob in one'])
    expect(await on.column([dora.user, dora.agent], read)).toEqual(['alice in one', 'bob in one'])
    await on.under([alice.user], (c) =>
      c.query('delete from participants where entity_id = $1', [dora.entity]),
    )
    expect(await on.column([dora.user], read)).toEqual([])
  })
})

describe('writing in a group room', () => {
  const all = ['select', 'insert', 'update', 'delete']
  const write = {
    insert: `insert into reach.memories (id, owner_id, type, content, agent_id, room_id)
             values (gen_random_uuid(), $1, 'messages', '{}', '${sharedAgentId}', $2)`,
    update: `update reach.memories set type = 'x' where owner_id = $1 and room_id = $2 and type = 'messages'`,
    delete: `delete from reach.memories where owner_id = $1 and room_id = $2 and type = 'messages'`,
  }
  const [no, unseen, none, one] = ['42501', '23503', '0 rows', '1 rows']

  it.each<[string, Chain, Face, string[], string[]]>([
    ['whose it is', [alice.user], alice, [], [one, one, one]],
    ['their agent', [alice.user, alice.agent], alice, [], [one, one, one]],
    ['the shared agent for them', [alice.user, sharedAgent], alice, [], [one, one, one]],
    ['a member', [bob.user], bob, [], [one, one, none]],
    ['the shared agent for a member', [bob.user, sharedAgent], bob, [], [one, one, none]],
    ['somebody outside', [dora.user], dora, [], [unseen, none, none]],
    ['given select', [dora.user], dora, ['select'], [no, none, none]],
    ['given insert', [dora.user], dora, ['select', 'insert'], [one, none, none]],
    ['given update', [dora.user], dora, ['select', 'update'], [no, one, none]],
    ['given delete', [dora.user], dora, ['select', 'delete'], [no, none, one]],
    ['given update without select', [dora.user], dora, ['update'], [unseen, none, none]],
    ['given everything', [dora.user], dora, all, [one, one, one]],
    ['their agent, given everything', [dora.user, dora.agent], dora, all, [one, one, one]],
  ])('%s', async (_, who, self, given, expected) => {
    if (given.length > 0) {
      await on.under([alice.user], (c) =>
        c.query('select tenantry.delegate($1, $2, $3)', [dora.user, given, `room:${rooms.one}`]),
      )
    }
    // What the others have written there: Bob's for Alice, Alice's for everybody else.
    const theirs = [(self === alice ? bob : alice).id, rooms.one]
    const attempt = (statement: string, values: string[]) =>
      on.trying(who, (c) => outcome(c, statement, values))
    const outcomes = [
      await attempt(write.insert, [self.id, rooms.one]),
      await attempt(write.update, theirs),
      await attempt(write.delete, theirs),
    ]
    await on.db.admin.query('delete from tenantry_private.delegations')
    expect(outcomes).toEqual(expected)
  })

  it('is done as oneself: nobody else’s name goes on a row, and no row changes hands', async () => {
    for (const [who, name] of [
      [bob, alice],
      [dora, alice],
      [alice, bob],
    ] as const) {
      const values = [name.id, rooms.one]
      expect(await on.trying([who.user], (c) => outcome(c, write.insert, values))).toBe(no)
    }
    const take = 'update reach.memories set owner_id = $1 where owner_id = $2 and room_id = $3'
    const values = [bob.id, alice.id, rooms.one]
    expect(await on.trying([bob.user], (c) => outcome(c, take, values))).toBe(no)
  })
})

describe('delegation', () => {
  const own = `select content ->> 'text' from memories where type = 'messages' order by 1`
  const acts = (chain: Chain) => on.column(chain, own).catch((e: { code: string }) => e.code)
  const give = (by: Chain, to: string, privileges = ['select']) =>
    on.under(by, (c) => c.query('select tenantry.delegate($1, $2)', [to, privileges]))
  const take = (by: Chain, from: string) =>
    on.under(by, (c) => c.query('select tenantry.revoke(to_entity => $1)', [from]))

  it('from a user to somebody’s agent, and its end', async () => {
    expect(await acts([alice.user, bob.agent])).toBe('TN004')
    await give([alice.user], bob.agent)
    expect(await acts([alice.user, bob.agent])).toEqual(['alice in one'])
    expect(await acts([alice.user, bob.user])).toBe('TN004')
    const write = `update memories set type = 'x'`
    expect(await on.trying([alice.user, bob.agent], (c) => outcome(c, write))).toBe('0 rows')
    await take([alice.user], bob.agent)
    expect(await acts([alice.user, bob.agent])).toBe('TN004')
  })

  it('from an agent to a user, given by whose agent it is, and its end', async () => {
    const kept = `select value #>> '{}' from cache where key = 'kept'`
    const reached = kept.replace('cache', 'reach.cache')
    const acting: Chain = [bob.agent, alice.user]
    await expect(on.column(acting, kept)).rejects.toMatchObject({ code: 'TN004' })
    // Not by the agent for its user, which never hands on, nor by a stranger.
    await expect(give([bob.user, bob.agent], alice.user)).rejects.toMatchObject({ code: 'TN004' })
    await give([bob.agent, bob.user], alice.user)
    expect(await on.column(acting, kept)).toEqual(['by the agent of bob'])
    expect(await on.column([alice.user], reached)).toEqual([
      'by the agent of alice',
      'by the agent of bob',
    ])
    // What the agent works for stays closed.
    expect(await acts([bob.user, alice.user])).toBe('TN004')
    expect(await on.column(acting, own)).toEqual([])
    await take([bob.agent, bob.user], alice.user)
    expect(await on.column([alice.user], reached)).toEqual(['by the agent of alice'])
    await expect(on.column(acting, kept)).rejects.toMatchObject({ code: 'TN004' })
  })

  it('does not open secrets unless it says so', async () => {
    await on.db.admin.query('select tenantry.create_master_key($1)', [share])
    await on.db.admin.query(
      `select * from tenantry.encrypt_column('agents', 'settings', path => '{secrets}')`,
    )
    await on.db.admin.query(
      `call tenantry.encrypt_existing('agents', 'settings', '{secrets}', to_step => 'sealed', key_share => '\\x${share.toString('hex')}')`,
    )
    const opened = `select settings #>> '{secrets,KEY}' from tenant.agents where id = '${alice.agentId}'`
    const stored = (path: string) =>
      `select settings ->> 'secrets' from ${path} where id = '${alice.agentId}'`
    expect(await on.column([alice.user], opened)).toEqual(['secret of alice'])
    expect(await on.column([alice.user, alice.agent], opened)).toEqual(['secret of alice'])
    expect(await on.column([dora.user], opened)).toEqual([])
    await give([alice.user], dora.user)
    for (const [chain, path] of [
      [[alice.user, dora.user], 'agents'],
      [[dora.user], 'reach.agents'],
      [[alice.user, sharedAgent], 'agents'],
    ] as const) {
      expect((await on.column(chain, stored(path)))[0], path).toMatch(/^tn1:/)
    }
    const open = (chain: Chain) => on.column(chain, opened).catch((e: { code: string }) => e.code)
    expect(await open([alice.user, dora.user])).not.toContain('secret of alice')
    expect(await open([alice.user, sharedAgent])).not.toContain('secret of alice')
    await give([alice.user], dora.user, ['select', 'decrypt'])
    expect(await open([alice.user, dora.user])).toEqual(['secret of alice'])
    await take([alice.user], dora.user)
    expect(await open([alice.user, dora.user])).toBe('TN004')
  })
})
