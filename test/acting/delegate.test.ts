import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { Entity } from '../../src/identity.js'
import { outcome, refusal } from '../extension/support/stage.js'
import {
  acme,
  actingStage,
  alice,
  bob,
  bot,
  chainCredential,
  charlie,
  dora,
  ids,
  type ActingStage,
  type Chain,
} from './support/stage.js'

let on: ActingStage
beforeAll(async () => {
  on = await actingStage()
})
afterAll(() => on.drop())
afterEach(() => on.db.admin.query('delete from tenantry_private.delegations'))

interface Terms {
  readonly to_entity: Entity
  readonly privileges?: string[]
  readonly for_entity?: Entity
  readonly expires_at?: Date
  readonly tables?: string[]
  readonly redelegate?: number
}

async function give(by: Chain, terms: Terms): Promise<string> {
  const names = Object.keys(terms)
  const call = names.map((name, i) => `${name} => $${i + 1}`).join(', ')
  return on.under(by, async (c) => {
    const { rows } = await c.query<{ id: string }>(
      `select tenantry.delegate(${call}) as id`,
      Object.values(terms),
    )
    return rows[0]?.id ?? ''
  })
}
const refused = async (by: Chain, terms: Terms) => refusal(give(by, terms))
const own = 'select body from memories order by body'
const bodies = "select body from reach.memories where body <> 'd public' order by body"
const enters = async (chain: Chain) =>
  on
    .trying(
      chain,
      async (c) =>
        (await c.query<{ p: string[] }>('select privileges as p from tenantry.whoami()')).rows[0]
          ?.p,
    )
    .catch((e: { code: string }) => e.code)
const soon = (seconds: number) => new Date(Date.now() + seconds * 1000)

describe('a delegation', () => {
  it('opens the data of one entity to another, as far as it says', async () => {
    expect(await enters([alice, charlie])).toBe('TN004')
    await give([alice], { to_entity: charlie, privileges: ['select', 'update'] })
    expect(await enters([alice, charlie])).toEqual(['select', 'update'])
    expect(await on.rows([alice, charlie], own)).toEqual(['a alone', 'a in 1'])
    expect(await on.rows([charlie], bodies)).toEqual(['a alone', 'a in 1', 'b in 2'])
    expect(
      await on.trying([alice, charlie], (c) =>
        outcome(c, "update memories set body = 'x' where body = 'a alone'"),
      ),
    ).toBe('1 rows')
    expect(
      await on.trying([charlie], (c) =>
        outcome(c, "update reach.memories set body = 'x' where body = 'a alone'"),
      ),
    ).toBe('1 rows')
    expect(await on.trying([alice, charlie], (c) => outcome(c, 'delete from memories'))).toBe(
      '0 rows',
    )
    expect(
      await on.trying([alice, charlie], (c) =>
        outcome(c, "insert into memories (body) values ('x')"),
      ),
    ).toBe('42501')
    expect(await on.rows([dora], bodies)).toEqual(['d alone'])
  })

  it('covers the data of the entity it names, and not what that reaches', async () => {
    await give([alice], { to_entity: charlie })
    // Alice's organisation, and Bob's memory in her room
    expect(await on.rows([alice], 'select name from reach.projects')).toEqual(['rocket'])
    expect(await on.rows([charlie], 'select name from reach.projects')).toEqual([])
    expect(await on.rows([alice, charlie], 'select name from reach.projects')).toEqual([])
    expect(await on.rows([alice, charlie], bodies)).toEqual(['a alone', 'a in 1'])
    expect(await enters([acme, alice, charlie])).toBe('TN004')
    // whoever gives away their own does not give away what they were given
    await give([charlie], { to_entity: dora })
    expect(await enters([alice, charlie, dora])).toBe('TN004')
    expect(await on.rows([dora], bodies)).toEqual(['d alone'])
  })

  it("serves the receiver's own agent, too", async () => {
    await give([bob], { to_entity: alice })
    expect(await on.rows([bot], bodies)).toEqual(['a alone', 'a in 1', 'b in 1', 'b in 2'])
    expect(await enters([bob, alice, bot])).toEqual(['select'])
  })

  it('may be narrowed to tables: on the reach path', async () => {
    await give([alice], { to_entity: dora, tables: ['rooms'] })
    expect(await on.rows([dora], 'select name from reach.rooms')).toEqual(['one'])
    expect(await on.rows([dora], bodies)).toEqual(['d alone'])
    expect(await enters([alice, dora])).toBe('TN004')
  })

  it('is given by an organisation through whoever holds delegate on it', async () => {
    expect(await refused([acme, bob], { to_entity: dora })).toMatchObject({ code: 'TN004' })
    await give([acme, alice], { to_entity: dora })
    await give([alice], { to_entity: charlie, for_entity: acme })
    expect(await on.rows([dora], 'select name from reach.projects order by 1')).toEqual([
      'other',
      'rocket',
    ])
    expect(await on.rows([charlie], 'select name from reach.projects')).toEqual(['rocket'])
  })

  it.each<[string, Chain, Terms, string, RegExp]>([
    [
      "of a stranger's data",
      [dora],
      { to_entity: charlie, for_entity: alice },
      'TN004',
      /may not delegate for/,
    ],
    [
      'of an unknown entity',
      [dora],
      { to_entity: charlie, for_entity: 'user:nobody' },
      'TN004',
      /may not delegate for/,
    ],
    ['to an unknown entity', [alice], { to_entity: 'user:nobody' }, 'TN009', /there is no entity/],
    ['to oneself', [alice], { to_entity: alice }, '22023', /its own data/],
    ['to everybody', [alice], { to_entity: 'anonymous:anonymous' }, '22023', /everybody/],
    [
      'of an unknown privilege',
      [alice],
      { to_entity: bob, privileges: ['read'] },
      '22023',
      /no privilege 'read'/,
    ],
    ['of nothing', [alice], { to_entity: bob, privileges: [] }, '22023', /needs privileges/],
    ['that is over', [alice], { to_entity: bob, expires_at: soon(-60) }, '22023', /in the past/],
    ['for no table', [alice], { to_entity: bob, tables: [] }, '22023', /no table/],
    ['for a catalog', [alice], { to_entity: bob, tables: ['pg_class'] }, '22023', /not protected/],
    [
      'too deep',
      [alice],
      { to_entity: bob, privileges: ['all'], redelegate: 6 },
      '22023',
      /between 0 and 5/,
    ],
    [
      'to pass on without the privilege',
      [alice],
      { to_entity: bob, redelegate: 1 },
      '22023',
      /go together/,
    ],
    [
      'by an agent',
      [alice, bot],
      { to_entity: bob },
      'TN004',
      /does not leave the privilege delegate/,
    ],
  ])('is refused: %s', async (_, by, terms, code, message) => {
    const error = await refused(by, terms)
    expect(error.code).toBe(code)
    expect(error.message).toMatch(message)
    expect(error.hint).not.toBe('')
    expect((await on.db.admin.query('select from tenantry_private.delegations')).rowCount).toBe(0)
  })

  it('gives the same answer for a stranger and for nobody', async () => {
    const stranger = await refused([dora], { to_entity: charlie, for_entity: alice })
    const nobody = await refused([dora], { to_entity: charlie, for_entity: 'user:nobody' })
    expect(stranger.message.replace(alice, 'X')).toBe(nobody.message.replace('user:nobody', 'X'))
  })
})

describe('passing on', () => {
  it('never gives more, longer, wider or further than was given', async () => {
    const until = soon(600)
    const first = await give([alice], {
      to_entity: bob,
      privileges: ['select', 'delegate'],
      expires_at: until,
      redelegate: 2,
    })
    const on_ = (terms: Omit<Terms, 'to_entity'>) => ({
      to_entity: charlie,
      for_entity: alice,
      ...terms,
    })
    expect(await refused([bob], on_({ privileges: ['select', 'delete'] }))).toMatchObject({
      code: '22023',
      message: /does not hold delete/,
    })
    expect(await refused([bob], on_({ expires_at: soon(900) }))).toMatchObject({
      code: '22023',
      message: /longer/,
    })
    expect(
      await refused([bob], on_({ privileges: ['select', 'delegate'], redelegate: 2 })),
    ).toMatchObject({ code: '22023', message: /1 more times/ })
    const second = await give([bob], on_({ privileges: ['select', 'delegate'], redelegate: 1 }))
    const third = await give([charlie], { to_entity: dora, for_entity: alice })
    expect(await on.rows([dora], bodies)).toEqual(['a alone', 'a in 1', 'd alone'])
    // its end is inherited, and the last cannot pass it on
    const { rows } = await on.db.admin.query<{ expires_at: Date; passed_on_from: string }>(
      'select expires_at, passed_on_from from tenantry.delegations where id = any ($1) order by given_at',
      [[second, third]],
    )
    expect(rows).toEqual([
      { expires_at: until, passed_on_from: first },
      { expires_at: until, passed_on_from: second },
    ])
    expect(await refused([dora], { to_entity: bob, for_entity: alice })).toMatchObject({
      code: 'TN004',
    })
  })

  it('does not widen the tables', async () => {
    await give([alice], {
      to_entity: bob,
      privileges: ['select', 'delegate'],
      tables: ['rooms'],
      redelegate: 1,
    })
    expect(
      await refused([bob], { to_entity: dora, for_entity: alice, tables: ['memories'] }),
    ).toMatchObject({ code: '22023', message: /more tables/ })
    await give([bob], { to_entity: dora, for_entity: alice })
    expect(await on.rows([dora], 'select name from reach.rooms')).toEqual(['one'])
    expect(await on.rows([dora], bodies)).toEqual(['d alone'])
  })

  it('ends with what it was passed on from', async () => {
    const first = await give([alice], {
      to_entity: bob,
      privileges: ['select', 'delegate'],
      redelegate: 2,
    })
    await give([bob], {
      to_entity: charlie,
      for_entity: alice,
      privileges: ['select', 'delegate'],
      redelegate: 1,
    })
    await give([charlie], { to_entity: dora, for_entity: alice })
    expect(await enters([alice, dora])).toEqual(['select'])
    expect(await on.rows([alice], `select tenantry.revoke('${first}')`)).toEqual([3])
    for (const who of [bob, charlie, dora]) expect(await enters([alice, who])).toBe('TN004')
    expect(await on.rows([dora], bodies)).toEqual(['d alone'])
  })

  it('ends when the life of whoever passed it on ends', async () => {
    const eve = 'user:6f1c0000-0000-4000-8000-0000000000ee'
    await on.db.admin.query('insert into users values ($1, $2)', [eve.slice(5), 'Eve'])
    await give([alice], { to_entity: eve, privileges: ['select', 'delegate'], redelegate: 1 })
    await give([eve], { to_entity: dora, for_entity: alice })
    expect(await enters([alice, dora])).toEqual(['select'])
    await on.db.admin.query('delete from users where id = $1', [eve.slice(5)])
    expect(await enters([alice, dora])).toBe('TN004')
    expect(await on.rows([dora], bodies)).toEqual(['d alone'])
    // and does not come back with the id
    await on.db.admin.query('insert into users values ($1, $2)', [eve.slice(5), 'Another'])
    expect(await enters([alice, eve as Entity])).toBe('TN004')
    expect(await enters([alice, dora])).toBe('TN004')
    await on.db.admin.query('delete from users where id = $1', [eve.slice(5)])
  })

  it('goes round in circles without widening', async () => {
    await give([alice], { to_entity: bob })
    await give([bob], { to_entity: charlie })
    await give([charlie], { to_entity: alice })
    expect(await on.rows([charlie], bodies)).toEqual(['b in 1', 'b in 2'])
    expect(await on.rows([bob], bodies)).toEqual(['a alone', 'a in 1', 'b in 1', 'b in 2'])
  })
})

describe('revoking', () => {
  it('is for the giver, the holder and whoever holds delegate on the data', async () => {
    const id = await give([acme, alice], { to_entity: dora })
    const take = `select tenantry.revoke('${id}')`
    expect(await refusal(on.under([charlie], (c) => c.query(take)))).toMatchObject({
      code: 'TN004',
    })
    expect(await refusal(on.under([acme, bob], (c) => c.query(take)))).toMatchObject({
      code: 'TN004',
    })
    expect(await on.rows([dora], take)).toEqual([1])
    const again = await give([acme, alice], { to_entity: dora })
    expect(await on.rows([alice], `select tenantry.revoke('${again}')`)).toEqual([1])
    expect(
      await refusal(on.under([alice], (c) => c.query(`select tenantry.revoke('${again}')`))),
    ).toMatchObject({ code: 'TN004' })
  })

  it('takes everything from somebody at once', async () => {
    await give([alice], { to_entity: bob })
    await give([alice], { to_entity: bob, tables: ['rooms'] })
    expect(await on.rows([alice], `select tenantry.revoke(to_entity => '${bob}')`)).toEqual([2])
    expect(await enters([alice, bob])).toBe('TN004')
  })

  it('holds from the next statement on the reach path, from the next enter() for acting', async () => {
    const id = await give([alice], { to_entity: dora })
    const app = await on.app.connect()
    await app.query('begin')
    await app.query('select tenantry.enter($1)', [chainCredential(on.db.name, [dora])])
    const reached = async () =>
      (await app.query("select body from reach.memories where body = 'a alone'")).rowCount
    expect(await reached()).toBe(1)
    await on.under([alice], (c) => c.query('select tenantry.revoke($1)', [id]))
    expect(await reached()).toBe(0)
    await app.query('commit')
    expect(await enters([alice, dora])).toBe('TN004')
  })

  it('holds for a pass when the pass ends', async () => {
    const id = await give([alice], { to_entity: dora })
    const app = await on.app.connect()
    const { rows } = await app.query<{ pass: string }>(
      'select tenantry_private.enter_for_pass($1, 1) as pass',
      [chainCredential(on.db.name, [alice, dora])],
    )
    await on.under([alice], (c) => c.query('select tenantry.revoke($1)', [id]))
    const byPass = async () => {
      await app.query('begin')
      try {
        await app.query('select tenantry.enter($1)', [rows[0]?.pass])
        return (await app.query(own)).rowCount
      } finally {
        await app.query('rollback')
      }
    }
    expect(await byPass()).toBe(2)
    await new Promise((resolve) => setTimeout(resolve, 1100))
    expect(await refusal(byPass())).toMatchObject({ code: 'TN003' })
  })
})

describe('expiry', () => {
  it('holds at once, in a transaction that has begun as well', async () => {
    await give([alice], { to_entity: dora, expires_at: soon(1.2) })
    const app = await on.app.connect()
    const reading = await on.app.connect()
    await app.query('begin')
    await app.query('select tenantry.enter($1)', [chainCredential(on.db.name, [alice, dora])])
    await reading.query('begin')
    await reading.query('select tenantry.enter($1)', [chainCredential(on.db.name, [dora])])
    const { rows } = await (
      await on.app.connect()
    ).query<{ pass: string }>('select tenantry_private.enter_for_pass($1, 60) as pass', [
      chainCredential(on.db.name, [alice, dora]),
    ])
    const reached = async () =>
      (await reading.query("select body from reach.memories where body = 'a alone'")).rowCount
    expect((await app.query(own)).rowCount).toBe(2)
    expect(await reached()).toBe(1)
    await new Promise((resolve) => setTimeout(resolve, 1300))
    expect(await refusal(app.query(own))).toMatchObject({ code: 'TN003' })
    expect(await reached()).toBe(0)
    await app.query('rollback')
    await reading.query('rollback')
    expect(await enters([alice, dora])).toBe('TN004')
    expect(await refusal(app.query('select tenantry.enter($1)', [rows[0]?.pass]))).toMatchObject({
      code: 'TN003',
    })
  })
})

describe('the view delegations', () => {
  it('shows each side what it gave and holds, and others nothing', async () => {
    const id = await give([alice], { to_entity: dora, privileges: ['select', 'insert'] })
    const seen =
      'select id::text, from_entity, to_entity, for_entity, privileges, state from tenantry.delegations'
    const row = [id, alice, dora, alice, ['select', 'insert'], 'in force']
    expect(await on.rows([alice], seen)).toEqual([row])
    expect(await on.rows([dora], seen)).toEqual([row])
    expect(await on.rows([bob], seen)).toEqual([])
    expect(await on.asNobody(async (c) => (await c.query(seen)).rows)).toEqual([])
    expect(await on.rows([alice, bot], seen)).toEqual([row])
    await on.under([alice], (c) => c.query('select tenantry.revoke($1)', [id]))
    expect(await on.rows([dora], 'select state, revoked_by from tenantry.delegations')).toEqual([
      ['revoked', alice],
    ])
  })

  it('shows who only acts by delegation nothing but that delegation', async () => {
    await give([alice], { to_entity: dora })
    await give([alice], { to_entity: bob })
    expect(await on.rows([alice, dora], 'select to_entity from tenantry.delegations')).toEqual([
      dora,
    ])
  })

  it('has no table behind it that an application could read or write', async () => {
    for (const statement of [
      'select * from tenantry_private.delegations',
      'delete from tenantry_private.delegations',
      'select * from tenantry_private.memberships',
      `insert into tenantry_private.memberships values ('rooms', 'user', '${ids.dora}', 'room', '${ids.room1}', 'x', 63, 1)`,
      'select * from tenantry.audit',
      "select tenantry_private.note('x', 'y')",
      `select * from tenantry_private.walk('user', '${ids.alice}', 1)`,
      `select tenantry_private.reached(array['','','',',select,','${alice}','${alice}'], 'select', null)`,
    ])
      expect([statement, await on.trying([dora], (c) => outcome(c, statement))]).toEqual([
        statement,
        '42501',
      ])
  })
})

describe('the audit', () => {
  it('knows who gave and took what, and cannot be rewritten', async () => {
    const id = await give([acme, alice], { to_entity: dora, privileges: ['select'] })
    await on.under([acme, alice], (c) => c.query('select tenantry.revoke($1)', [id]))
    const { rows } = await on.db.admin.query(
      'select action, actor, principal, login, object, detail from tenantry.audit order by id desc limit 2',
    )
    expect(rows).toEqual([
      {
        action: 'revoke',
        actor: alice,
        principal: acme,
        login: on.app.name,
        object: dora,
        detail: { delegation: id, for: acme, ended: 1 },
      },
      {
        action: 'delegate',
        actor: alice,
        principal: acme,
        login: on.app.name,
        object: dora,
        detail: { delegation: id, for: acme, privileges: ['select'], redelegate: 0 },
      },
    ])
    expect(
      await refusal(on.db.admin.query("update tenantry_private.audit_entries set actor = 'x'")),
    ).toMatchObject({ code: '42501' })
    expect(
      await refusal(on.db.admin.query('truncate tenantry_private.audit_entries')),
    ).toMatchObject({ code: '42501' })
  })

  it('shows in its hashes what a superuser has changed', async () => {
    const state = async () =>
      (await on.db.admin.query('select broken_at::int from tenantry_private.audit_state()'))
        .rows[0] as object
    expect(await state()).toEqual({ broken_at: null })
    const { admin } = on.db
    await admin.query('begin')
    await admin.query('alter table tenantry_private.audit_entries disable trigger keep_audit')
    await admin.query("update tenantry_private.audit_entries set actor = 'somebody' where id = 2")
    expect(await state()).toEqual({ broken_at: 2 })
    await admin.query('rollback')
    await admin.query('begin')
    await admin.query('alter table tenantry_private.audit_entries disable trigger keep_audit')
    await admin.query('delete from tenantry_private.audit_entries where id = 2')
    expect(await state()).toEqual({ broken_at: 3 })
    await admin.query('rollback')
  })
})
