import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  anonymous,
  deriveSigningKey,
  tenantry,
  type Entity,
  type Tenantry,
  type TenantryOptions,
} from '../../src/index.js'
import {
  acme,
  actingStage,
  alice,
  bob,
  bot,
  charlie,
  dora,
  ids,
  sharedBot,
  type ActingStage,
} from '../acting/support/stage.js'
import { codeOf, EVERY_WAY } from './world.js'

const secret = 'a secret of the application, long enough'

let on: ActingStage
let open: (options?: Partial<TenantryOptions>) => Tenantry

beforeAll(async () => {
  on = await actingStage()
  const { keyId, key } = deriveSigningKey(secret)
  await on.db.admin.query('select tenantry.register_issuer($1, $2)', [keyId, key])
  open = (options = {}) => {
    const pool = on.app.pool({ max: 2, pipeline: options.transport === 'pipeline' })
    return tenantry(pool, { secret, ...options })
  }
})
afterAll(() => on.drop())

const list = async (db: Tenantry, actor: Entity, actsFor: Entity | Entity[], sql: string) =>
  (await db.as(actor, { for: actsFor }).query<{ it: string }>(sql)).rows.map(({ it }) => it)

const projects = 'select name as it from projects order by 1'
const whoami = `select concat_ws(' ', tenantry.actor(), tenantry.principal('org')) as it`
const may = `select p as it from unnest('{select,insert,update,delete,decrypt,delegate}'::text[]) p
              where tenantry.may(p) order by p`
const dml = ['select', 'insert', 'update', 'delete']

describe.each(EVERY_WAY)('a chain, $name', ({ options }) => {
  it('works on the data of its last, as far as every link goes', async () => {
    const db = open(options)
    // twice: by the pass or the credential that was kept
    for (let call = 0; call < 2; call += 1) {
      expect(await list(db, bot, [alice, acme], whoami)).toEqual([`${bot} 1`])
      expect(await list(db, bot, [alice, acme], projects)).toEqual(['rocket'])
      // an agent may do all for its owner but delegate, an admin all
      expect(await list(db, bot, [alice, acme], may)).not.toContain('delegate')
      expect(await list(db, bot, [alice, acme], may)).toContain('delete')
      expect(await list(db, alice, acme, may)).toContain('delegate')
      expect(await list(db, bob, [acme], may)).toEqual(['select'])
    }
  })

  it('is refused where one link is missing, though its ends and the others hold', async () => {
    const db = open(options)
    expect(await list(db, bot, alice, whoami)).toEqual([bot])
    for (const [actor, ...links] of [
      [bot, acme], // the agent is no member
      [bot, bob, acme], // nor does it act for Bob, who is one
      [bob, alice, acme], // and Bob acts not for Alice
      [bot, alice, 'org:2'], // where Alice is no member
      [acme, alice, bot],
      [bot, alice, charlie],
    ] as [Entity, ...Entity[]][]) {
      expect(await codeOf(db.as(actor, { for: links }).query('select 1'))).toBe('TN004')
    }
    expect(await codeOf(db.as(bot, { for: ['user:nobody', acme] }).query('select 1'))).toMatch(
      /TN004|TN009/,
    )
  })

  it('is not taken for another one between the same two', async () => {
    const db = open(options)
    // The service works for every user: for Acme by its admin it may write, by a viewer only read.
    for (let call = 0; call < 2; call += 1) {
      expect(await list(db, sharedBot, [alice, acme], may)).toEqual([...dml].sort())
      expect(await list(db, sharedBot, [bob, acme], may)).toEqual(['select'])
      expect(await codeOf(db.as(sharedBot, { for: acme }).query('select 1'))).toBe('TN004')
      expect(await codeOf(db.as(sharedBot, { for: [charlie, acme] }).query('select 1'))).toBe(
        'TN004',
      )
    }
  })
})

describe('the identity of a chain', () => {
  it('is on its session, and taken over by db.run', async () => {
    const db = open()
    const session = db.as(bot, { for: [alice, acme] })
    expect(session.identity).toEqual({ actor: bot, via: [alice], principal: acme })
    const { rows } = await db.run(session, () => db.pool.query(whoami))
    expect(rows).toEqual([{ it: `${bot} 1` }])
  })

  it('does not mix with one of the same ends within a transaction', async () => {
    const db = open()
    await db.as(bot, { for: alice }).transaction(async (tx) => {
      await tx.query('select 1')
      expect(() => db.run(db.as(bot, { for: [bot, alice] }), () => 1)).not.toThrow()
      expect(() => db.run(db.as(bot, { for: [bob, alice] }), () => 1)).toThrow(
        `A transaction of ${bot} for ${alice} is open here; ${bot} for ${bob} for ${alice} cannot`,
      )
    })
  })

  it('may be five actors long, which the database takes too', async () => {
    const db = open()
    const longest = [alice, bot, alice, bot, alice] as Entity[]
    expect(await list(db, bot, longest.slice(0, 1), 'select name as it from users')).toEqual([
      'Alice',
    ])
    expect(await list(db, bot, longest, 'select name as it from users')).toEqual(['Alice'])
    expect(() => db.as(dora, { for: [bot, ...longest] })).toThrow(/at most 5 who act/)
  })
})

describe('anonymous()', () => {
  const bodies = (path: string) => `select body as it from ${path} order by 1`

  it('sees what is public on the reach path, and nothing on the own path', async () => {
    const db = open()
    expect(await list(db, anonymous(), [], bodies('reach.memories'))).toEqual(['d public'])
    expect(await list(db, anonymous(), [], bodies('memories'))).toEqual([])
    expect(await list(db, dora, [], bodies('memories'))).toEqual(['d alone', 'd public'])
    expect(await list(db, dora, [], bodies('reach.memories'))).toEqual(['d alone', 'd public'])
  })

  it('writes nothing, and acts for nobody', async () => {
    const session = open().as(anonymous())
    const insert = 'insert into reach.memories (owner_id, body) values ($1, $2)'
    expect(await codeOf(session.query(insert, [ids.dora, 'planted']))).toBe('42501')
    expect((await session.query("update reach.memories set body = 'x'")).rowCount).toBe(0)
    expect((await session.query('delete from reach.memories')).rowCount).toBe(0)
    expect(await codeOf(open().as(anonymous(), { for: dora }).query('select 1'))).toBe('TN004')
    expect(await codeOf(open().as(bot, { for: anonymous() }).query('select 1'))).toBe('TN004')
  })
})
