import { setTimeout } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, describe, expect } from 'vitest'
import { attack } from './support/attack.js'
import {
  alice,
  anonymous,
  bob,
  carol,
  dave,
  frank,
  ofBob,
  posts,
  roomOfBob,
  type RoomTown,
  roomTown,
} from './support/rooms.js'
import { agentOfAlice, agentOfBob, enter, ids, service, state, stateOf } from './support/town.js'

describe('what somebody was given', () => {
  let at: RoomTown
  beforeAll(async () => {
    at = await roomTown()
  })
  afterEach(() => at.forget())
  afterAll(() => at.drop())

  const onward = ['select', 'delegate']
  const revoke = (chain: readonly string[], id: string) =>
    at.done(chain, (c) => c.query('select tenantry.revoke($1)', [id]))
  const revoking = (chain: readonly string[], id: string) =>
    state(at.under(chain, (c) => c.query('select tenantry.revoke($1)', [id])))

  attack('giving what is somebody else’s', async () => {
    for (const [by, for_entity] of [
      [[alice.entity], bob.entity],
      [[alice.entity], `room:${roomOfBob}`],
      [[carol.entity], `room:${roomOfBob}`],
      [[carol.entity], bob.entity],
      [[alice.entity], agentOfBob],
      [[alice.entity], 'user:nobody'],
    ] as const) {
      expect(await at.giving(by, frank.entity, { for_entity }), for_entity).toBe('TN004')
    }
    expect(await at.giving([bob.entity], frank.entity, { for_entity: `room:${roomOfBob}` })).toBe(
      '00000',
    )
    expect(await at.giving([bob.entity], frank.entity, { for_entity: agentOfBob })).toBe('00000')
  })

  attack('an agent or a service that hands on what it may do', async () => {
    for (const by of [[bob.entity, agentOfBob], [bob.entity, service], [agentOfBob]]) {
      const for_entity = bob.entity
      expect(await at.giving(by, frank.entity, { for_entity }), by.join(' ')).toBe('TN004')
    }
    expect(await at.giving([bob.entity], frank.entity)).toBe('00000')
    // Nor does it take away: an agent revokes nothing of its user's.
    const id = await at.give([bob.entity], frank.entity)
    expect(await revoking([bob.entity, agentOfBob], id)).toBe('TN004')
    expect(await revoking([bob.entity], id)).toBe('00000')
  })

  attack('rows put before somebody who did not ask for them', async () => {
    const own = () => at.under([bob.entity], (c) => ids(c, 'select id from town.posts order by 1'))
    const [mine, before] = [await own(), await at.seen([bob.entity])]
    const id = await at.give([alice.entity], bob.entity)
    // On the reach path Alice's are among Bob's, where they were not; on the own path nothing changes.
    expect(before).not.toContain('3')
    expect(await at.seen([bob.entity])).toContain('3')
    expect(await own()).toEqual(mine)
    // Who holds it may end it.
    await revoke([bob.entity], id)
    expect(await at.seen([bob.entity])).toEqual(before)
  })

  attack('a delegation widened by whoever holds it', async () => {
    const tables = ['town.posts']
    const given = { privileges: onward, redelegate: 2, seconds: 600, tables }
    await at.give([bob.entity], carol.entity, given)
    const on = { for_entity: bob.entity }
    for (const [what, terms] of Object.entries({
      'a privilege': { ...on, privileges: ['select', 'update'] },
      everything: { ...on, privileges: ['all'] },
      'another table': { ...on, tables: ['town.notes'] },
      'a table more': { ...on, tables: ['town.posts', 'town.notes'] },
      'more time': { ...on, seconds: 601 },
      'as many steps': { ...on, privileges: onward, redelegate: 2 },
    })) {
      expect(await at.giving([carol.entity], frank.entity, terms), what).toBe('22023')
    }
    for (const for_entity of [`room:${roomOfBob}`, agentOfBob]) {
      expect(await at.giving([carol.entity], frank.entity, { for_entity }), for_entity).toBe(
        'TN004',
      )
    }
    // What is not said is what it was given with: neither all tables, nor for ever.
    const made = await at.give([carol.entity], frank.entity, on)
    const limits = `select array_to_string(tables, ' ') || case when expires_at <= now() + interval '600 s' then ', ends' end from tenantry.delegations where id = $1`
    expect(await ids(at.db.admin, limits, [made])).toEqual(['town.posts, ends'])
    expect(await at.seen([frank.entity])).toEqual(['1', '4', '5'])
    expect(await at.tried([frank.entity], `update reach.posts set body = 'x' where id = 1`)).toBe(
      '00000',
    )
    const written = await at.under([frank.entity], (c) =>
      c.query(`update reach.posts set body = 'x' where id in (1, 4)`),
    )
    expect(written.rowCount).toBe(0)
    // Nor by writing what is on record.
    for (const statement of [
      `update tenantry_private.delegations set bits = 63, tables = null, expires_at = null`,
      `update tenantry.delegations set privileges = '{all}'`,
      `insert into tenantry_private.delegations select * from tenantry_private.delegations`,
      `delete from tenantry_private.delegations`,
    ]) {
      expect(await at.tried([carol.entity], statement), statement).toMatch(/^(42501|55000)$/)
    }
  })

  attack('a delegation passed on further than it may be', async () => {
    const on = { for_entity: bob.entity }
    await at.give([bob.entity], carol.entity, { privileges: onward, redelegate: 1 })
    expect(
      await at.giving([carol.entity], dave.entity, { ...on, privileges: onward, redelegate: 1 }),
    ).toBe('22023')
    await at.give([carol.entity], dave.entity, on)
    expect(await at.seen([dave.entity])).toEqual(['1', '2', '4', '5'])
    expect(await at.giving([dave.entity], frank.entity, on)).toBe('TN004')
    // Nor by giving one's own to somebody, nor by acting for whom one was given.
    await at.give([dave.entity], frank.entity, { privileges: ['all'] })
    expect(await at.seen([frank.entity])).toEqual(['5'])
    expect(await at.seen([bob.entity, dave.entity, frank.entity])).toBe('TN004')
    await at.forget()
    await at.give([bob.entity], carol.entity)
    expect(await at.giving([bob.entity, carol.entity], frank.entity)).toBe('TN004')
    expect(await at.giving([carol.entity], frank.entity, on)).toBe('TN004')
  })

  attack('a delegation passed on in a circle', async () => {
    const terms = (redelegate: number) => ({
      for_entity: bob.entity,
      privileges: onward,
      redelegate,
    })
    const root = await at.give([bob.entity], carol.entity, terms(3))
    await at.give([carol.entity], dave.entity, terms(2))
    // To whom it came from, to whose it is, to oneself.
    expect(await at.giving([carol.entity], carol.entity, terms(1))).toBe('22023')
    expect(await at.giving([dave.entity], bob.entity, terms(1))).toBe('22023')
    await at.give([dave.entity], carol.entity, terms(1))
    // It comes to no more than before, ends with its beginning, and nobody is caught in it.
    expect(await at.giving([carol.entity], frank.entity, terms(3))).toBe('22023')
    expect(await at.seen([carol.entity])).toEqual(['1', '2', '4', '5'])
    await revoke([bob.entity], root)
    expect(await at.seen([carol.entity])).toEqual(['1', '2', '5'])
    expect(await at.seen([dave.entity])).toEqual(['1', '2', '5'])
    expect(await at.seen([bob.entity, carol.entity])).toBe('TN004')
    // Two who give themselves to each other hold each other's, and nothing twice.
    await at.give([alice.entity], frank.entity, { privileges: ['all'] })
    await at.give([frank.entity], alice.entity, { privileges: ['all'] })
    expect(await at.seen([alice.entity])).toEqual(['3', '5'])
    expect(await at.seen([alice.entity, frank.entity])).toEqual(['3', '5'])
    expect(await at.seen([alice.entity, frank.entity, alice.entity])).toBe('TN004')
    expect(await at.seen([alice.entity, frank.entity, alice.entity, frank.entity])).toBe('TN004')
  })

  attack('a delegation used after it has expired', async () => {
    const until = (privileges: readonly string[]) =>
      at.give([bob.entity], frank.entity, { privileges, seconds: 1 })
    await until(['select', 'update'])
    const chain = [bob.entity, frank.entity]
    expect(await at.seen(chain, ofBob)).toEqual(['1', '4'])
    const session = await at.connect()
    const codes = await at.under(chain, async (c) => {
      // Entered in time, or with a pass of that time.
      const { rows } = await session.query<{ pass: string }>(
        'select tenantry_private.enter_for_pass($1, 300) as pass',
        [at.chained(chain)],
      )
      await session.query('begin')
      await enter(session, at.chained([frank.entity]))
      expect(await ids(session, posts)).toEqual(['1', '4', '5'])
      await session.query(`prepare theirs as ${posts}`)
      await setTimeout(1100)
      const reached = await ids(session, 'execute theirs')
      await session.query('rollback')
      const passed = await state(enter(session, rows[0]?.pass ?? ''))
      return [
        await stateOf(c, ofBob),
        await stateOf(c, `update town.posts set body = 'x'`),
        passed,
        ...reached,
      ]
    })
    expect(codes).toEqual(['TN003', 'TN003', 'TN003', '5'])
    expect(await at.seen(chain)).toBe('TN004')
    expect(await at.seen([frank.entity])).toEqual(['5'])
    // A second one goes on where the first has ended.
    await until(['select'])
    await at.give([bob.entity], frank.entity, { seconds: 60 })
    await setTimeout(1100)
    expect(await at.seen(chain, ofBob)).toEqual(['1', '4'])
  })

  attack('a delegation used after it was revoked', async () => {
    const id = await at.give([bob.entity], frank.entity, { privileges: ['select', 'update'] })
    const session = await at.connect()
    await session.query('begin')
    await enter(session, at.chained([frank.entity]))
    await session.query(`prepare theirs as ${posts}`)
    await session.query(
      `prepare spoil as update reach.posts set body = 'x' where id = 1 returning id`,
    )
    for (let run = 0; run < 6; run++) {
      expect(await ids(session, 'execute theirs')).toEqual(['1', '4', '5'])
    }
    expect(await ids(session, 'savepoint s')).toEqual([])
    expect(await ids(session, 'execute spoil')).toEqual(['1'])
    await session.query('rollback to s')
    await revoke([bob.entity], id)
    // The very next statement of the same transaction, planned before.
    expect(await ids(session, 'execute theirs')).toEqual(['5'])
    expect(await ids(session, 'execute spoil')).toEqual([])
    await session.query('rollback')
    expect(await at.seen([bob.entity, frank.entity])).toBe('TN004')
    expect(await at.seen([frank.entity])).toEqual(['5'])
  })

  attack('acting on in a transaction that began before the revocation', async () => {
    const id = await at.give([bob.entity], frank.entity)
    const session = await at.connect()
    await session.query('begin')
    await enter(session, at.chained([bob.entity, frank.entity]))
    await revoke([bob.entity], id)
    expect(await ids(session, ofBob)).toEqual(['1', '4'])
    expect(await state(enter(session, at.chained([bob.entity, frank.entity])))).toBe('TN004')
    await session.query('rollback')
    // Nor does it last longer than contexts do, nor give anything on.
    expect(await at.seen([bob.entity, frank.entity])).toBe('TN004')
  })

  attack('a cursor that was opened before the revocation', async () => {
    const id = await at.give([bob.entity], frank.entity)
    const session = await at.connect()
    await session.query('begin')
    await enter(session, at.chained([frank.entity]))
    await session.query(`declare opened cursor for ${posts}`)
    await revoke([bob.entity], id)
    expect(await ids(session, 'fetch all opened')).toEqual(['1', '4', '5'])
    expect(await ids(session, posts)).toEqual(['5'])
    await session.query('rollback')
  })

  attack('a pass used after the revocation', async () => {
    const id = await at.give([bob.entity], frank.entity)
    const chain = [bob.entity, frank.entity]
    const session = await at.connect()
    const pass = async (seconds: number): Promise<string> =>
      (
        await ids(session, 'select tenantry_private.enter_for_pass($1, $2)', [
          at.chained(chain),
          seconds,
        ])
      )[0] ?? ''
    const short = await pass(1)
    const using = async (credential: string): Promise<string[]> => {
      await session.query('begin')
      try {
        await enter(session, credential)
        return await ids(session, ofBob)
      } finally {
        await session.query('rollback')
      }
    }
    await revoke([bob.entity], id)
    // For its seconds, which are stated, and no longer; and no pass begets another.
    expect(await using(short)).toEqual(['1', '4'])
    expect(
      await state(
        session.query('select tenantry_private.enter_for_pass($1, 300)', [at.chained(chain)]),
      ),
    ).toBe('TN004')
    const again = 'select tenantry_private.enter_for_pass($1, 300)'
    const longer = (await ids(session, again, [short]))[0] ?? ''
    await setTimeout(1100)
    expect(await state(using(short))).toBe('TN003')
    expect(await state(using(longer))).toBe('TN003')
  })

  attack('a delegation for some tables used on another', async () => {
    await at.give([bob.entity], frank.entity, {
      tables: ['town.notes'],
      privileges: ['select', 'update', 'delete', 'insert'],
    })
    const notes = 'select id from reach.notes order by 1'
    expect(await at.seen([frank.entity], notes)).toEqual(bob.notes)
    expect(await at.seen([frank.entity])).toEqual(['5'])
    expect(await at.seen([frank.entity], 'select id from reach.comments')).toEqual([])
    expect(await at.seen([bob.entity, frank.entity])).toBe('TN004')
    await at.under([frank.entity], async (c) => {
      for (const [statement, rows] of [
        [`update reach.posts set body = 'x' where id = 1`, 0],
        [`delete from reach.posts where id = 1`, 0],
        [`update reach.notes set amount = 0 where id = 3`, 1],
      ] as const) {
        expect((await c.query(statement)).rowCount, statement).toBe(rows)
      }
      expect(await stateOf(c, `insert into reach.posts (owner_id) values ($1)`, [bob.id])).toBe(
        '42501',
      )
      expect(
        await stateOf(c, `insert into reach.notes (owner_id, slug, body) values ($1, 'z', 'z')`, [
          bob.id,
        ]),
      ).toBe('00000')
      const foreign = `select id from tenantry.reach('user', 'select') as id`
      expect((await ids(c, `select unnest(id) from (${foreign}) r`)).includes(bob.id)).toBe(false)
    })
  })

  attack('a delegation to or of somebody who was born again', async () => {
    const id = '00000000-0000-4000-8000-0000000000f9'
    const entity = `user:${id}`
    const birth = () => at.db.admin.query(`insert into town.users values ($1, 'x')`, [id])
    const death = () => at.db.admin.query('delete from town.users where id = $1', [id])
    await birth()
    await at.give([bob.entity], entity)
    await at.give([entity], carol.entity)
    expect(await at.seen([entity])).toEqual(['1', '4', '5'])
    expect(await at.seen([bob.entity, entity], ofBob)).toEqual(['1', '4'])
    expect(await at.seen([entity, carol.entity], 'select 1')).toEqual(['1'])
    await death()
    await birth()
    expect(await at.seen([entity])).toEqual(['5'])
    expect(await at.seen([bob.entity, entity])).toBe('TN004')
    expect(await at.seen([entity, carol.entity])).toBe('TN004')
    await death()
  })

  attack('a delegation ended or read by whom it does not concern', async () => {
    const id = await at.give([bob.entity], carol.entity)
    for (const by of [[alice.entity], [frank.entity], [agentOfBob], [agentOfAlice]]) {
      expect(await revoking(by, id), by.join(' ')).toBe('TN004')
      expect(await at.seen(by, 'select id from tenantry.delegations'), by.join(' ')).toEqual([])
    }
    expect(await state(at.connect().then((c) => c.query('select tenantry.revoke($1)', [id])))).toBe(
      'TN001',
    )
    expect(await at.seen([carol.entity], 'select id from tenantry.delegations')).toEqual([id])
    expect(await revoking([bob.entity], id)).toBe('00000')
    expect(await revoking([carol.entity], id)).toBe('00000')
  })

  attack('what somebody was given, used by whom they gave their own', async () => {
    await at.give([bob.entity], carol.entity, { privileges: ['all'] })
    await at.give([carol.entity], frank.entity, { privileges: ['all'] })
    expect(await at.seen([frank.entity])).toEqual(['2', '5'])
    expect(await at.seen([bob.entity, frank.entity])).toBe('TN004')
    expect(await at.seen([bob.entity, carol.entity, frank.entity])).toBe('TN004')
    expect(await at.seen([carol.entity, frank.entity])).toEqual(['2', '5'])
    expect(await at.seen([carol.entity])).toEqual(['1', '2', '4', '5'])
  })

  attack('a context whose mark of what is lent is taken out', async () => {
    await at.give([bob.entity], frank.entity)
    const codes = await at.under([bob.entity, frank.entity], async (c) => {
      const real = (await ids(c, `select current_setting('tenantry.context')`))[0] ?? ''
      expect(real).toContain(',=select,')
      const forged = real.replace('=select,', '')
      await c.query(`select set_config('tenantry.context', $1, true)`, [forged])
      const code = [await stateOf(c, posts), await stateOf(c, ofBob)]
      await c.query(`select set_config('tenantry.context', $1, true)`, [real])
      return [...code, await stateOf(c, posts)]
    })
    expect(codes).toEqual(['TN002', 'TN002', '00000'])
  })

  attack('everybody as the receiver, the giver or the actor of a delegation', async () => {
    expect(await at.giving([bob.entity], anonymous)).toBe('22023')
    expect(await at.giving([anonymous], frank.entity)).toBe('TN004')
    expect(await at.seen([bob.entity, anonymous])).toBe('TN004')
    expect(await at.seen([anonymous, bob.entity])).toBe('TN004')
    expect(await at.giving([bob.entity], frank.entity)).toBe('00000')
  })
})
