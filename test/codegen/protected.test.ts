import { randomUUID } from 'node:crypto'
import type pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { kyselyFor, withKysely } from '../../src/accessors/kysely.js'
import { deriveSigningKey, tenantry, type Tenantry } from '../../src/index.js'
import type { TestDatabase } from '../support/database.js'
import {
  agent,
  AgentId,
  org,
  OrgId,
  schema,
  user,
  UserId,
  type Accessors,
} from './golden/tenantry.generated.js'
import { goldenDatabase } from './support/golden.js'

const secret = 'a secret of the application, long enough'
const alice = UserId(randomUUID())
const bob = UserId(randomUUID())
const alicesAgent = AgentId(randomUUID())
const bobsMemory = randomUUID()
const seed = `
  insert into public.users (id, email, name) values
    ('${alice}', 'alice@example.org', 'Alice'), ('${bob}', 'bob@example.org', 'Bob');
  insert into public.orgs (name) values ('One'), ('Two');
  insert into public.agents (id, owner_id, name) values
    ('${alicesAgent}', '${alice}', 'helper'), (gen_random_uuid(), '${bob}', 'helper');
  insert into public.memories (id, user_id, body) values ('${bobsMemory}', '${bob}', 'of Bob');
  insert into public.countries values ('de', 'Germany');
  insert into billing.invoices (org_id, number, total) values (1, 1, 10.50), (2, 1, 20)`

/** The generated accessors on a protected database, through the runtime, as an ordinary login. */
describe('accessors of protected tables', () => {
  let db: TestDatabase
  let pool: pg.Pool
  let tenants: Tenantry<Accessors>

  beforeAll(async () => {
    db = await goldenDatabase(seed)
    const { keyId, key } = deriveSigningKey(secret)
    await db.admin.query('select tenantry.initialise()')
    await db.admin.query('select tenantry.register_issuer($1, $2)', [keyId, key])
    pool = (await db.role('app', { allow: 'user' })).pool()
    tenants = tenantry(pool, { secret, schema })
  })
  afterAll(() => db.drop())

  const as = (id: UserId) => tenants.as(user(id))
  const code = (wanted: string) => expect.objectContaining({ code: wanted }) as Error

  it('read the rows of the identity and no others', async () => {
    expect(await as(alice).memories.findMany()).toEqual([])
    expect(await as(bob).memories.findMany({ select: ['body'] })).toEqual([{ body: 'of Bob' }])
    expect(await as(alice).memories.findById(bobsMemory)).toBeNull()
    expect(await as(alice).agents.findMany({ select: ['id'] })).toEqual([{ id: alicesAgent }])
    expect(await as(alice).agents.count({ where: { name: 'helper' } })).toBe(1)
    expect(await as(alice).countries.count()).toBe(1)
  })

  it('know kinds apart: an org sees its invoices under its own schema', async () => {
    const invoices = await tenants.as(org(1)).billing_invoices.findMany()
    expect(invoices).toEqual([{ org_id: '1', number: 1, state: 'open', total: '10.50' }])
    expect(await as(alice).billing_invoices.findMany()).toEqual([])
    const key = { org_id: OrgId('2'), number: 1 }
    expect(await tenants.as(org(1)).billing_invoices.findById(key)).toBeNull()
  })

  it('let an agent work for its user', async () => {
    const memory = await tenants
      .as(agent(alicesAgent), { for: user(alice) })
      .memories.insert({ body: 'noted by the agent', agent_id: alicesAgent })
    expect(memory.user_id).toBe(alice)
    expect(await as(alice).memories.findById(memory.id)).toEqual(memory)
    await as(alice).memories.deleteById(memory.id)
  })

  it('fill in the owner, of a child from its parent', async () => {
    const memory = await as(alice).memories.insert({ body: 'mine', tags: ['a'], seen: 5n })
    expect(memory).toMatchObject({ user_id: alice, body_size: 4, tags: ['a'], seen: '5' })
    const attachment = await as(alice).attachments.insert({
      memory_id: memory.id,
      position: 1,
      content: Buffer.from('bytes'),
    })
    expect(attachment.user_id).toBe(alice)
    const many = await as(alice).memories.insertMany([{ body: 'one' }, { body: 'two', seen: 1 }])
    expect(many.map(({ body, user_id }) => [body, user_id])).toEqual([
      ['one', alice],
      ['two', alice],
    ])
    expect(await as(alice).memories.delete({ all: true })).toBe(3)
    expect(await as(bob).memories.count()).toBe(1)
  })

  it('change nothing of others, and do not tell whether it exists', async () => {
    const call = as(alice).memories
    for (const id of [bobsMemory, randomUUID()]) {
      await expect(call.updateById(id, { body: 'x' })).rejects.toThrow(code('TN_ZERO_ROWS'))
      await expect(call.deleteById(id)).rejects.toThrow(code('TN_ZERO_ROWS'))
    }
    expect(await call.update({ all: true, set: { body: 'x' } })).toBe(0)
    await expect(call.insert({ user_id: bob, body: 'planted' })).rejects.toThrow(code('TN_ACCESS'))
    await expect(call.upsert({ id: bobsMemory, body: 'mine now' })).rejects.toThrow(
      code('TN_ACCESS'),
    )
    expect((await as(bob).memories.findById(bobsMemory))?.body).toBe('of Bob')
  })

  it('give the same error for a reference to a foreign row and to none', async () => {
    const errors: unknown[] = []
    for (const memory_id of [bobsMemory, randomUUID()]) {
      const insert = { memory_id, position: 1, content: Buffer.alloc(0) }
      await as(alice)
        .attachments.insert(insert)
        .catch((error: unknown) => errors.push(error))
    }
    expect(errors).toEqual([code('TN_ACCESS'), code('TN_ACCESS')])
    expect((errors[0] as Error).message).toBe((errors[1] as Error).message)
    expect(JSON.stringify(errors)).not.toContain(bobsMemory)
  })

  it('name a taken key without its values', async () => {
    const error: unknown = await as(alice)
      .agents.insert({ name: 'helper' })
      .catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({ code: 'TN_CONSTRAINT', constraint: 'agents_owner_id_name_key' })
    expect(JSON.stringify(error)).not.toContain('helper')
  })

  it('upsert on a named unique key that holds the owner', async () => {
    const onConflict = 'agents_owner_id_name_key'
    const changed = await as(alice).agents.upsert(
      { owner_id: alice, name: 'helper', mood: 'happy' },
      { onConflict },
    )
    expect(changed).toMatchObject({ id: alicesAgent, mood: 'happy' })
    expect(await as(bob).agents.count({ where: { mood: 'happy' } })).toBe(0)
  })

  it('work in a transaction, which keeps all or nothing', async () => {
    const failed = as(alice).transaction(async (tx) => {
      await tx.memories.insert({ body: 'first' })
      expect(await tx.memories.count()).toBe(1)
      await tx.memories.insertMany([{ body: 'second' }, { body: 'third' }])
      throw new Error('changed my mind')
    })
    await expect(failed).rejects.toThrow('changed my mind')
    expect(await as(alice).memories.count()).toBe(0)
    const id = await as(alice).transaction(async (tx) => {
      const memory = await tx.memories.insert({ body: 'kept' })
      await tx.transaction((inner) => inner.memories.updateById(memory.id, { seen: 1 }))
      return memory.id
    })
    expect(await as(alice).memories.findById(id)).toMatchObject({ seen: '1' })
    await as(alice).memories.deleteById(id)
  })

  it('insert more rows than one statement carries, in one transaction', async () => {
    const rows = Array.from({ length: 22_000 }, (_, index) => ({
      body: `row ${index}`,
      seen: index,
      tags: ['bulk'],
    }))
    const stored = await as(alice).memories.insertMany(rows, { select: ['seen', 'user_id'] })
    expect(stored).toHaveLength(rows.length)
    expect(stored.at(-1)).toEqual({ seen: '21999', user_id: alice })
    expect(await as(bob).memories.count()).toBe(1)
    expect(await as(alice).memories.delete({ where: { tags: ['bulk'] } })).toBe(rows.length)
  })

  it('hold under many identities at once', async () => {
    const calls = Array.from({ length: 60 }, (_, index) => {
      const id = index % 2 === 0 ? alice : bob
      return as(id)
        .agents.findMany()
        .then((rows) => rows.every((row) => row.owner_id === id) && rows.length === 1)
    })
    expect(await Promise.all(calls)).not.toContain(false)
  })

  describe('through Kysely', () => {
    it('are isolated, joined and typed by the same file', async () => {
      const query = kyselyFor(as(bob), schema)
      const rows = await query
        .selectFrom('memories')
        .innerJoin('agents', 'agents.owner_id', 'memories.user_id')
        .select(['body', 'name', 'seen', 'created_at'])
        .execute()
      expect(rows).toEqual([
        { body: 'of Bob', name: 'helper', seen: '0', created_at: new Date('2026-01-01T00:00Z') },
      ])
      expect(
        await kyselyFor(as(alice), schema).selectFrom('memories').selectAll().execute(),
      ).toEqual([])
      const sql = query.selectFrom('memories').select('id').compile().sql
      expect(sql).toBe('select "id" from "public"."memories"')
    })

    it('are one property away, when asked for', async () => {
      const db = tenantry(pool, { secret, schema: withKysely(schema) })
      const names = await db.as(user(bob)).kysely.selectFrom('agents').select('name').execute()
      expect(names).toEqual([{ name: 'helper' }])
      const [count, session] = await db.as(user(alice)).transaction(async (tx) => {
        await tx.memories.insert({ body: 'seen by both' })
        const { body } = await tx.kysely
          .selectFrom('memories')
          .select('body')
          .executeTakeFirstOrThrow()
        return [await tx.memories.delete({ where: { body } }), tx]
      })
      expect(count).toBe(1)
      await expect(session.kysely.selectFrom('memories').selectAll().execute()).rejects.toThrow()
    })

    it('have transactions, of their own and around them', async () => {
      const query = kyselyFor(as(alice), schema)
      const own = query.transaction().execute(async (tx) => {
        await tx.insertInto('memories').values({ body: 'by Kysely' }).execute()
        throw new Error('undone')
      })
      await expect(own).rejects.toThrow('undone')
      const around = as(alice).transaction(async (tx) => {
        await kyselyFor(tx, schema).insertInto('memories').values({ body: 'in mine' }).execute()
        expect(await tx.memories.count()).toBe(1)
        throw new Error('undone too')
      })
      await expect(around).rejects.toThrow('undone too')
      expect(await as(alice).memories.count()).toBe(0)
      expect(pool.waitingCount).toBe(0)
    })
  })
})
