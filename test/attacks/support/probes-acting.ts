import {
  alice,
  anonymous,
  bob,
  carol,
  dave,
  frank,
  joining as join,
  ofBob,
  posts,
  roomOfBob,
  type RoomTown,
} from './rooms.js'
import { agentOfAlice, agentOfBob, ids, state, stateOf } from './town.js'

type Probe = (at: RoomTown) => Promise<boolean>

const onward = ['select', 'delegate']
const notes = 'select id from reach.notes order by 1'
const refused = (code: string): boolean => code === '42501' || code === '23503'
const same = (found: unknown, expected: unknown): boolean =>
  JSON.stringify(found) === JSON.stringify(expected)

/** The rows that a statement changes under a chain, or its SQLSTATE. */
const changed = (at: RoomTown, chain: readonly string[], sql: string, values: unknown[] = []) =>
  at
    .under(chain, async (c) => (await c.query(sql, values)).rowCount)
    .catch((error: { code: string }) => error.code)

/** What must hold whatever else does: each returns whether it held. */
const probes: Record<string, Probe> = {
  async 'rooms show what is in them to their members'(at) {
    for (const [who, seen] of [
      [alice, ['3', '5']],
      [bob, ['1', '2', '4', '5']],
      [carol, ['1', '2', '5']],
      [dave, ['1', '2', '5']],
      [frank, ['5']],
    ] as const) {
      if (!same(await at.seen([who.entity]), seen)) return false
    }
    return (
      same(await ids(await at.connect(), posts), []) &&
      same(await at.seen([carol.entity], ofBob), ['2', '5'])
    )
  },
  async 'what is written in rooms follows the role'(at) {
    const spoil = `update reach.posts set body = 'x'`
    const put = 'insert into PATH.posts (owner_id, room_id) values ($1, $2)'
    return (
      same(await changed(at, [carol.entity], spoil), 3) &&
      same(await changed(at, [dave.entity], spoil), 0) &&
      same(await changed(at, [frank.entity], spoil), 0) &&
      same(await changed(at, [bob.entity], 'delete from reach.posts'), 3) &&
      same(await changed(at, [dave.entity], 'delete from reach.posts'), 0) &&
      same(await changed(at, [carol.entity], 'delete from reach.posts'), 2) &&
      same(
        await changed(at, [carol.entity], put.replace('PATH', 'reach'), [carol.id, roomOfBob]),
        1,
      ) &&
      (await at.tried([carol.entity], put.replace('PATH', 'reach'), [bob.id, roomOfBob])) ===
        '42501' &&
      refused(await at.tried([alice.entity], put.replace('PATH', 'town'), [alice.id, roomOfBob])) &&
      refused(await at.tried([dave.entity], put.replace('PATH', 'town'), [dave.id, roomOfBob])) &&
      (await at.tried([carol.entity], 'update reach.posts set room_id = null where id = 1')) ===
        '42501'
    )
  },
  async 'rows keep their owner and who wrote them'(at) {
    const mine = `insert into town.posts (owner_id, posted_by) values ($1, $2) returning posted_by`
    const take = 'update reach.posts set owner_id = $1 where id = 1'
    return (
      (await at.tried([carol.entity], take, [carol.id])) === '42501' &&
      same(await at.under([alice.entity], (c) => ids(c, mine, [alice.id, bob.entity])), [
        alice.entity,
      ])
    )
  },
  async 'nobody joins by writing'(at) {
    const raise = `update town.members set role = 'host' where member_id = $1`
    const own = (member: string, role: string) => [bob.id, roomOfBob, member, role]
    return (
      refused(await at.tried([alice.entity], join, [alice.id, roomOfBob, alice.id, 'viewer'])) &&
      refused(await at.tried([carol.entity], join, [carol.id, roomOfBob, frank.id, 'viewer'])) &&
      (await at.tried([dave.entity], raise, [dave.id])) === '42501' &&
      (await at.under([alice.entity], async (c) => {
        await c.query(join, [alice.id, null, alice.id, 'host'])
        return refused(await stateOf(c, 'update town.members set room_id = $1', [roomOfBob]))
      })) &&
      (await at.tried([bob.entity], join, own(frank.id, 'host'))) === '00000'
    )
  },
  async 'nobody makes others more than they are'(at) {
    await at.db.admin.query(join, [bob.id, roomOfBob, frank.id, 'moderator'])
    const add = (role: string) =>
      at.tried([frank.entity], join, [frank.id, roomOfBob, alice.id, role])
    return (await add('host')) === '42501' && (await add('member')) === '00000'
  },
  async 'what is lent is not one’s own'(at) {
    await at.give([bob.entity], frank.entity, { privileges: ['all', 'delegate'], redelegate: 1 })
    const others = await at.give([bob.entity], carol.entity)
    const chain = [bob.entity, frank.entity]
    const add = [bob.id, roomOfBob, alice.id, 'viewer']
    const further = { privileges: onward, redelegate: 1 }
    return (
      refused(await at.tried(chain, join, add)) &&
      (await at.tried(chain, `select tenantry.revoke('${others}')`)) === 'TN004' &&
      (await at.giving(chain, dave.entity, further)) === '22023' &&
      (await at.giving(chain, dave.entity)) === '00000'
    )
  },
  async 'what one life had, another has not'(at) {
    const id = '00000000-0000-4000-8000-0000000000f9'
    const entity = `user:${id}`
    const birth = () => at.db.admin.query(`insert into town.users values ($1, 'x')`, [id])
    await birth()
    await at.db.admin.query(join, [bob.id, roomOfBob, id, 'viewer'])
    await at.give([bob.entity], entity, { privileges: onward, redelegate: 1 })
    await at.give([entity], dave.entity, { for_entity: bob.entity })
    const before = [await at.seen([entity]), await at.seen([dave.entity], notes)]
    await at.db.admin.query('delete from town.users where id = $1', [id])
    // What it passed on ends with it.
    const between = await at.seen([dave.entity], notes)
    await birth()
    const after = [await at.seen([entity]), await at.seen([entity], notes)]
    return same([before, between, after], [[['1', '2', '4', '5'], bob.notes], [], [['5'], []]])
  },
  async 'a delegation opens what it names, and no more'(at) {
    await at.give([bob.entity], frank.entity)
    const chain = [bob.entity, frank.entity]
    return (
      same(await at.seen([frank.entity]), ['1', '4', '5']) &&
      same(await at.seen(chain), ['1', '4', '5']) &&
      same(await at.seen(chain, ofBob), ['1', '4']) &&
      same(await changed(at, chain, `update town.posts set body = 'x'`), 0) &&
      same(await changed(at, [frank.entity], `update reach.posts set body = 'x' where id = 1`), 0)
    )
  },
  async 'an expired delegation opens nothing'(at) {
    await at.give([bob.entity], frank.entity, { seconds: 600 })
    const chain = [bob.entity, frank.entity]
    const ends = `select expires_at < now() + interval '700 seconds' from tenantry.whoami()`
    const bounded = same(await at.seen(chain, ends), ['true'])
    await at.db.admin.query(`update tenantry_private.delegations set expires_at = now()`)
    return (
      bounded && same(await at.seen([frank.entity]), ['5']) && (await at.seen(chain)) === 'TN004'
    )
  },
  async 'a revoked delegation opens nothing, nor does what was passed on from it'(at) {
    const root = await at.give([bob.entity], carol.entity, { privileges: onward, redelegate: 1 })
    await at.give([carol.entity], frank.entity, { for_entity: bob.entity })
    const before = await at.seen([frank.entity])
    await at.done([bob.entity], (c) => c.query('select tenantry.revoke($1)', [root]))
    // Another one, for somebody else, is there still.
    await at.give([carol.entity], dave.entity)
    return (
      same(before, ['1', '4', '5']) &&
      same(await at.seen([frank.entity]), ['5']) &&
      (await at.seen([bob.entity, frank.entity])) === 'TN004' &&
      (await at.seen([bob.entity, carol.entity])) === 'TN004'
    )
  },
  async 'what is passed on lies under what it comes from'(at) {
    const terms = { privileges: onward, redelegate: 1, seconds: 600, tables: ['town.posts'] }
    await at.give([bob.entity], carol.entity, terms)
    const on = { for_entity: bob.entity }
    const codes = [
      await at.giving([carol.entity], dave.entity, { ...on, privileges: ['select', 'update'] }),
      await at.giving([carol.entity], dave.entity, { ...on, privileges: onward, redelegate: 1 }),
      await at.giving([carol.entity], dave.entity, { ...on, seconds: 601 }),
      await at.giving([carol.entity], dave.entity, { ...on, tables: ['town.posts', 'town.notes'] }),
    ]
    await at.give([carol.entity], dave.entity, on)
    const limits = `select d.expires_at is not null from tenantry_private.delegations d where d.parent is not null`
    return (
      codes.every((code) => code === '22023') &&
      same(await ids(at.db.admin, limits), ['true']) &&
      same(await at.seen([dave.entity], notes), []) &&
      (await at.giving([dave.entity], frank.entity, on)) === 'TN004'
    )
  },
  async 'a delegation without redelegate is not passed on'(at) {
    await at.give([bob.entity], carol.entity, { privileges: onward, redelegate: 1 })
    await at.db.admin.query('update tenantry_private.delegations set redelegate = 0')
    return (await at.giving([carol.entity], frank.entity, { for_entity: bob.entity })) === 'TN004'
  },
  async 'nobody gives themselves what they pass on'(at) {
    const terms = (redelegate: number) => ({
      for_entity: bob.entity,
      privileges: onward,
      redelegate,
    })
    await at.give([bob.entity], carol.entity, terms(2))
    return (
      (await at.giving([carol.entity], carol.entity, terms(1))) === '22023' &&
      (await at.giving([carol.entity], bob.entity, terms(1))) === '22023' &&
      (await at.giving([carol.entity], dave.entity, terms(1))) === '00000'
    )
  },
  async 'a delegation for some tables is none for others'(at) {
    await at.give([bob.entity], frank.entity, { tables: ['town.notes'] })
    return (
      same(await at.seen([frank.entity], notes), bob.notes) &&
      same(await at.seen([frank.entity]), ['5']) &&
      (await at.seen([bob.entity, frank.entity])) === 'TN004'
    )
  },
  async 'only who holds delegate gives and takes'(at) {
    const id = await at.give([bob.entity], carol.entity)
    await at.give([carol.entity], bob.entity, { privileges: onward, redelegate: 1 })
    const revoke = (chain: readonly string[]) => at.tried(chain, `select tenantry.revoke('${id}')`)
    return (
      (await at.giving([alice.entity], frank.entity, { for_entity: bob.entity })) === 'TN004' &&
      (await at.giving([bob.entity, agentOfBob], frank.entity)) === 'TN004' &&
      // what Bob might pass on, his agent may not
      (await at.giving([bob.entity, agentOfBob], frank.entity, { for_entity: carol.entity })) ===
        'TN004' &&
      (await at.giving([bob.entity], frank.entity, { for_entity: carol.entity })) === '00000' &&
      (await revoke([alice.entity])) === 'TN004' &&
      (await revoke([bob.entity])) === '00000'
    )
  },
  async 'a chain leaves what all its links leave'(at) {
    await at.give([bob.entity], alice.entity)
    const may = `select array_to_string(privileges, ' ') from tenantry.whoami()`
    const chain = [bob.entity, alice.entity, agentOfAlice]
    const narrow = await at.seen(chain, may)
    await at.give([alice.entity], frank.entity, { privileges: ['all'] })
    return (
      same(narrow, ['select']) &&
      same(await changed(at, chain, 'delete from town.posts'), 0) &&
      // what was given to somebody is not what those may use whom they gave their own
      (await at.seen([bob.entity, alice.entity, frank.entity])) === 'TN004' &&
      same(await at.seen([frank.entity]), ['3', '5'])
    )
  },
  'another chain is another identity': (at) =>
    at.under([bob.entity], async (c) => {
      const round = at.chained([bob.entity, agentOfBob, bob.entity])
      const same = await stateOf(c, 'select tenantry.enter($1)', [at.chained([bob.entity])])
      return (
        same === '00000' && (await stateOf(c, 'select tenantry.enter($1)', [round])) === 'TN002'
      )
    }),
  async 'nobody in particular only reads'(at) {
    return (
      same(await at.seen([anonymous]), ['5']) &&
      same(await at.seen([anonymous], `select privileges::text from tenantry.whoami()`), [
        '{select}',
      ]) &&
      (await at.giving([anonymous], frank.entity)) === 'TN004' &&
      (await at.giving([bob.entity], anonymous)) === '22023' &&
      same(await changed(at, [anonymous], `update reach.posts set body = 'x' where id = 5`), 0) &&
      refused(
        await at.tried([anonymous], `insert into reach.posts (owner_id) values ($1)`, [carol.id]),
      )
    )
  },
  async 'reaching across tenants takes the right to'(at) {
    const client = await at.connect()
    const reason = 'a reason long enough'
    // So that the functions themselves are asked.
    await at.db.admin.query(
      `grant execute on function tenantry.impersonate, tenantry.break_glass to tenantry_user`,
    )
    const grant = `select from tenantry.grant_across('${at.app.name}', 'town.posts', 'select', $1)`
    return (
      (await state(client.query('select tenantry.impersonate($1, $2)', [bob.entity, reason]))) ===
        '42501' &&
      (await state(client.query('select tenantry.break_glass($1)', [reason]))) === '42501' &&
      (await state(client.query(grant, [reason]))) === '42501' &&
      (await state(at.db.admin.query(grant, [reason]))) === 'TN011' &&
      (await state(at.db.admin.query(grant, ['x']))) === '22023'
    )
  },
}

/** Names of the probes that did not hold. */
export async function actingFailures(at: RoomTown): Promise<string[]> {
  const failed: string[] = []
  for (const [name, probe] of Object.entries(probes)) {
    const held = await probe(at).catch(() => false)
    if (!held) failed.push(name)
    await at.forget()
    await at.db.admin.query('delete from town.members where id >= 100')
  }
  return failed
}
