import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type pg from 'pg'
import { outcome, quoted, refusal } from '../extension/support/stage.js'
import {
  actingStage,
  alice,
  bob,
  bot,
  charlie,
  chainCredential,
  dora,
  ids,
  room1,
  type ActingStage,
} from './support/stage.js'

let on: ActingStage
beforeAll(async () => {
  on = await actingStage()
})
afterAll(() => on.drop())

const idOf = async (body: string) =>
  String(
    (await on.db.admin.query<{ id: number }>('select id from memories where body = $1', [body]))
      .rows[0]?.id,
  )
const why = async (who: Parameters<ActingStage['rows']>[0], id: string) =>
  on.rows(who, 'select through, privileges, explanation from tenantry.why($1, $2)', [
    'memories',
    id,
  ])

describe('why()', () => {
  it('says which ownership, membership or delegation shows a row', async () => {
    const shared = await idOf('a in 1')
    expect(await why([alice], shared)).toEqual([
      [
        'owner',
        ['select', 'insert', 'update', 'delete', 'decrypt', 'delegate'],
        `${alice} is its own`,
      ],
      [
        'room_id',
        ['select', 'insert', 'update', 'delete', 'decrypt', 'delegate'],
        `${alice} owns ${room1}`,
      ],
    ])
    expect(await why([bob], shared)).toEqual([
      [
        'room_id',
        ['select', 'insert', 'update'],
        `${bob} is a member of ${room1} (public.participants, role member)`,
      ],
    ])
    expect(await why([alice, bot], shared)).toEqual([
      [
        'owner',
        ['select', 'insert', 'update', 'delete', 'decrypt'],
        `${bot} works for ${alice}, and ${alice} is its own`,
      ],
      [
        'room_id',
        ['select', 'insert', 'update', 'delete', 'decrypt'],
        `${bot} works for ${alice}, and ${alice} owns ${room1}`,
      ],
    ])
    expect(await why([bot], await idOf('a alone'))).toEqual([
      [
        'owner',
        ['select', 'insert', 'update', 'delete', 'decrypt'],
        `${bot} acts for its owner ${alice}`,
      ],
    ])
    expect(await why([charlie], await idOf('d public'))).toEqual([
      ['public', ['select'], 'it is public'],
    ])
    const [id] = await on.rows([dora], `select tenantry.delegate('${charlie}')`)
    expect(await why([charlie], await idOf('d alone'))).toEqual([
      ['owner', ['select'], `${charlie} was given ${dora} by delegation ${String(id)}`],
    ])
    await on.rows([dora], `select tenantry.revoke('${String(id)}')`)
  })

  it('answers for a row that is not seen as for one that does not exist', async () => {
    const hidden = await idOf('d alone')
    for (const f of ['why', 'who']) {
      const ask = `select * from tenantry.${f}('memories', $1)`
      expect(await on.rows([bob], ask, [hidden])).toEqual([])
      expect(await on.rows([bob], ask, ['999999'])).toEqual([])
      expect((await on.rows([dora], ask, [hidden])).length).toBeGreaterThan(0)
      expect(await on.asNobody(async (c) => (await c.query(ask, [hidden])).rowCount)).toBe(0)
    }
  })

  it('tells nothing to whoever asks its halves', async () => {
    const linked = `select * from tenantry_private.linked('user', '${ids.dora}', 'memories')`
    expect(await on.rows([bob], linked)).toEqual([])
    expect((await on.rows([dora], linked)).length).toBeGreaterThan(0)
    expect(
      await on.rows(
        [bob],
        `select * from tenantry_private.explained('memories', 'owner', 'user', '${ids.dora}')`,
      ),
    ).toEqual([])
    expect(
      await on.trying([bob], (c) =>
        outcome(c, `select tenantry_private.way_to(null, 'user', 'x', 'memories')`),
      ),
    ).toBe('42501')
  })

  it.each<[string, unknown[], RegExp]>([
    ['select * from tenantry.why($1, $2)', ['pg_class', '1'], /not protected/],
    ['select * from tenantry.why($1, $2, $3)', ['memories', '1', '2'], /is named by id/],
    ['select * from tenantry.who($1, $2)', ['members', '1'], /is named by org_id, user_id/],
  ])('refuses %s of %j', async (query, values, message) => {
    const error = await refusal(on.under([alice], (c) => c.query(query, values)))
    expect(error).toMatchObject({ code: '22023' })
    expect(error.message).toMatch(message)
  })
})

describe('who()', () => {
  it('names everybody who reaches a row, and how', async () => {
    const rows = await on.rows(
      [alice],
      'select through, entity, privileges from tenantry.who($1, $2) order by through, entity',
      ['memories', await idOf('a in 1')],
    )
    expect(rows).toEqual([
      ['owner', bot, ['select', 'insert', 'update', 'delete', 'decrypt']],
      ['owner', alice, ['select', 'insert', 'update', 'delete', 'decrypt', 'delegate']],
      ['room_id', room1, ['select', 'insert', 'update', 'delete', 'decrypt', 'delegate']],
      ['room_id', alice, ['select', 'insert', 'update', 'delete', 'decrypt', 'delegate']],
      ['room_id', alice, ['select', 'insert', 'update']],
      ['room_id', bob, ['select', 'insert', 'update']],
    ])
  })

  it('tells a superuser, who works as nobody, and no login of the application', async () => {
    const row = ['memories', await idOf('a in 1')]
    const query =
      'select distinct entity from tenantry.who($1, $2) where entity is not null order by 1'
    const all = await on.rows([alice], query, row)
    expect(all).toHaveLength(4)
    const toAdmin = await on.db.admin.query<{ entity: string }>(query, row)
    expect(toAdmin.rows.map(({ entity }) => [entity])).toEqual(all.map((each) => [each].flat()))
    expect((await on.app.pool().query(query, row)).rows).toEqual([])
  })
})

describe('across tenants', () => {
  const count = async (c: pg.Client, from: string) =>
    (await c.query<{ n: string }>(`select count(*) as n from ${from}`)).rows[0]?.n
  const total = '6'

  it('a standing reader reads one table, and says why in check()', async () => {
    const billing = await on.db.role('billing')
    const plans = async () =>
      on.rows([alice], "explain (costs off) select * from memories where body = 'x'")
    const before = await plans()
    const grant = (command: string, reason: string) =>
      on.setUp.query('select * from tenantry.grant_across($1, $2, $3, $4)', [
        billing.name,
        'memories',
        command,
        reason,
      ])
    expect(await refusal(grant('select', 'x'))).toMatchObject({ code: '22023', message: /reason/ })
    expect(await refusal(grant('truncate', 'invoices, monthly'))).toMatchObject({ code: 'TN011' })
    await grant('select', 'invoices, monthly')
    const reader = await billing.connect()
    expect(await count(reader, 'memories')).toBe(total)
    expect(await refusal(reader.query('select * from rooms'))).toMatchObject({ code: '42501' })
    expect(await refusal(reader.query("update memories set body = 'x'"))).toMatchObject({
      code: '42501',
    })
    expect(await on.check()).toEqual([])
    expect((await on.check('info')).filter((f) => f.code === 'granted_across')).toMatchObject([
      {
        object: 'public.memories',
        problem: expect.stringContaining('invoices, monthly') as string,
      },
    ])
    expect(await plans()).toEqual(before)
    expect(
      (await on.setUp.query('select * from tenantry.sync(true) where statement !~ $1', ['read_']))
        .rows,
    ).toEqual([])
    await on.setUp.query('select * from tenantry.revoke_across($1, $2)', [billing.name, 'memories'])
    expect(await refusal(reader.query('select * from memories'))).toMatchObject({ code: '42501' })
    expect(await on.check()).toEqual([])
    expect(
      await refusal(
        on.setUp.query('select * from tenantry.grant_across($1, $2, $3, $4)', [
          on.app.name,
          'memories',
          'select',
          'a way around',
        ]),
      ),
    ).toMatchObject({
      code: 'TN011',
      message: /belongs to the application/,
    })
  })

  it('support staff see what somebody sees, read-only, for a while, on the record', async () => {
    const staff = await on.db.role('staff')
    await on.db.admin.query('select tenantry.bind_role($1, $2, person => true)', [staff.name, dora])
    const session = await staff.connect()
    const take = (minutes = '15 minutes') =>
      session.query('select tenantry.impersonate($1, $2, $3)', [
        alice,
        'ticket 4711: rooms are empty',
        minutes,
      ])
    expect(await refusal(take())).toMatchObject({ code: '42501' })
    await on.db.admin.query("select * from tenantry.allow($1, 'support')", [staff.name])
    expect(
      await refusal(session.query('select tenantry.impersonate($1, $2)', [alice, 'because'])),
    ).toMatchObject({ code: '22023' })
    expect(await refusal(take('2 hours'))).toMatchObject({ code: '22023' })
    expect(
      await refusal(
        session.query('select tenantry.impersonate($1, $2)', ['user:nobody', 'ticket 4711: rooms']),
      ),
    ).toMatchObject({ code: 'TN009' })
    expect(await count(session, 'memories')).toBe('2')
    await take()
    expect(
      (await session.query('select actor, principal, privileges, source from tenantry.whoami()'))
        .rows,
    ).toEqual([{ actor: dora, principal: alice, privileges: ['select'], source: 'impersonated' }])
    expect((await session.query('select body from memories order by 1')).rows).toEqual([
      { body: 'a alone' },
      { body: 'a in 1' },
    ])
    expect(await count(session, "reach.memories where body = 'b in 1'")).toBe('1')
    expect((await session.query("update memories set body = 'x'")).rowCount).toBe(0)
    expect(
      await refusal(
        session.query("insert into memories (owner_id, body) values ($1, 'x')", [ids.alice]),
      ),
    ).toMatchObject({ code: '42501' })
    expect(await refusal(session.query('select tenantry.delegate($1)', [dora]))).toMatchObject({
      code: 'TN004',
    })
    const { rows } = await on.db.admin.query(
      "select login, object, detail ->> 'reason' as reason from tenantry.audit where action = 'impersonate'",
    )
    expect(rows).toEqual([
      { login: staff.name, object: alice, reason: 'ticket 4711: rooms are empty' },
    ])
    // disallowing ends what is going on
    await on.db.admin.query("select tenantry.disallow($1, 'support')", [staff.name])
    expect(await refusal(session.query('select * from memories'))).toMatchObject({ code: 'TN002' })
    await session.query('select tenantry.leave()')
    expect(await count(session, 'memories')).toBe('2')
  })

  it('breaking the glass opens everything to the one session, for a while, on the record', async () => {
    const oncall = await on.db.role('oncall')
    expect(
      await refusal(
        on.db.admin.query("select * from tenantry.allow($1, 'maintenance')", [on.app.name]),
      ),
    ).toMatchObject({ code: 'TN011' })
    const before = await on.rows(
      [alice],
      "explain (costs off) select * from memories where body = 'x'",
    )
    await on.db.admin.query("select * from tenantry.allow($1, 'maintenance')", [oncall.name])
    await on.db.admin.query('select * from tenantry.sync()')
    const session = await oncall.connect()
    const other = await oncall.connect()
    expect(await count(session, 'memories')).toBe('0')
    expect(await refusal(session.query("select tenantry.break_glass('now')"))).toMatchObject({
      code: '22023',
    })
    await session.query("select tenantry.break_glass('outage 12, rooms lost', '2 seconds')")
    expect(await count(session, 'memories')).toBe(total)
    expect(await count(other, 'memories')).toBe('0')
    await session.query('begin')
    expect(
      (await session.query("update memories set body = body where body = 'd alone'")).rowCount,
    ).toBe(1)
    await session.query('rollback')
    // the setting is worth nothing in another session
    const { rows } = await session.query<{ glass: string }>(
      "select current_setting('tenantry.glass') as glass",
    )
    await other.query("select set_config('tenantry.glass', $1, false)", [rows[0]?.glass])
    expect(await count(other, 'memories')).toBe('0')
    expect(await on.check()).toEqual([])
    expect(
      await on.rows([alice], "explain (costs off) select * from memories where body = 'x'"),
    ).toEqual(before)
    await new Promise((resolve) => setTimeout(resolve, 2100))
    expect(await count(session, 'memories')).toBe('0')
    expect(
      (await on.db.admin.query("select login from tenantry.audit where action = 'break_glass'"))
        .rows,
    ).toEqual([{ login: oncall.name }])
    // not even a policy for everybody opens a table to it
    await on.setUp.query(`create policy careless on memories for select to public using (true)`)
    expect(await count(session, 'memories')).toBe('0')
    await on.setUp.query(`drop policy careless on memories`)
    await on.db.admin.query("select tenantry.disallow($1, 'maintenance')", [oncall.name])
    await on.db.admin.query('select * from tenantry.sync()')
    expect(await refusal(session.query('select * from memories'))).toMatchObject({ code: '42501' })
  })
})

describe('people in psql', () => {
  it('work as the entity their role is bound to, on both paths, or enter a session', async () => {
    const session = await on.bound(bob)
    expect((await session.query('select body from memories order by 1')).rows).toEqual([
      { body: 'b in 1' },
      { body: 'b in 2' },
    ])
    expect((await session.query('select body from reach.memories order by 1')).rows).toHaveLength(4)
    const person = await on.db.role('person-charlie')
    await on.db.admin.query('select tenantry.bind_role($1, $2, person => true)', [
      person.name,
      charlie,
    ])
    const psql = await person.connect()
    await psql.query('select tenantry.enter_session($1)', [chainCredential(on.db.name, [charlie])])
    expect((await psql.query('select body from reach.memories order by 1')).rows).toEqual([
      { body: 'b in 2' },
      { body: 'd public' },
    ])
    expect(quoted(person.name)).toContain('person')
  })
})
