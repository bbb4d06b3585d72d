/**
 * What must compile and what must not. Nothing here runs: the build is the test, which no test
 * starts without, and an `@ts-expect-error` over a line that compiles is an error itself.
 */
import type pg from 'pg'
import { kyselyFor } from '../../src/accessors/kysely.js'
import { tenantry, type AccessorsOf } from '../../src/index.js'
import {
  agent,
  AgentId,
  DeviceId,
  org,
  OrgId,
  robot,
  RobotId,
  schema,
  user,
  UserId,
  type Accessors,
  type AgentsRow,
  type MemoriesRow,
  type Mood,
} from './golden/tenantry.generated.js'

type Equal<A, B> =
  (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
declare function same<A, B>(equal: Equal<A, B>): void
/** `is<T>()(value)` compiles when the value's type is T, no wider and no narrower. */
declare function is<T>(): <V>(value: Equal<T, V> extends true ? V : T & never) => void

export async function identities(pool: pg.Pool): Promise<void> {
  const db = tenantry(pool, { secret: 'x'.repeat(32), schema })
  const session = db.as(user('6f1f'))
  await session.memories.findMany()
  await db.as(agent('a'), { for: user('u') }).memories.count()
  await session.transaction(async (tx) => tx.agents.count())

  // @ts-expect-error no identity, no accessor
  await db.memories.findMany()
  // @ts-expect-error an id alone does not say whose it is
  db.as('6f1f')
  // @ts-expect-error there is no such table
  await session.nope.findMany()
  // @ts-expect-error the application may not use this table
  await session.internal.findMany()
  // @ts-expect-error the session's own member is not the table of the same name
  await session.transaction.findMany()
  await session.transaction_table.findMany()

  const plain = tenantry(pool, { secret: 'x'.repeat(32) })
  // @ts-expect-error without a schema there are no accessors
  await plain.as(user('u')).memories.findMany()

  same<AccessorsOf<typeof schema>, Accessors>(true)
}

export async function ids(db: Accessors): Promise<void> {
  const me = UserId('u')
  const mine = AgentId('a')
  await db.agents.findById(mine)
  await db.agents.findMany({ where: { owner_id: me } })
  user(me)
  org(OrgId('1'))

  // @ts-expect-error a user's id is not an agent's
  await db.agents.findById(me)
  // @ts-expect-error nor is plain text
  await db.agents.findById('a')
  // @ts-expect-error the brand of agents.id reached memories.agent_id through the foreign key
  await db.memories.findMany({ where: { agent_id: me } })
  // @ts-expect-error and billing.users.user_id is a user's
  await db.billing_users.findById(mine)
  // @ts-expect-error in lists too
  await db.agents.findMany({ where: { owner_id: { in: [mine] } } })
  // @ts-expect-error and in inserts
  await db.memories.insert({ body: 'x', agent_id: me })

  await db.readings.findById({ device_id: DeviceId(5), at: new Date() })
  robot(RobotId('r2d2'))
  // @ts-expect-error kinds whose ids are integers have branded numbers
  await db.readings.findById({ device_id: 5, at: new Date() })
  // @ts-expect-error not text
  DeviceId('5')

  const found = await db.memories.findFirst({ select: ['agent_id', 'user_id'] })
  if (found?.agent_id) await db.agents.findById(found.agent_id)
}

export async function reads(db: Accessors): Promise<void> {
  is<MemoriesRow[]>()(await db.memories.findMany())
  const some = await db.memories.findMany({ select: ['id', 'seen'] })
  is<Pick<MemoriesRow, 'id' | 'seen'>[]>()(some)
  same<MemoriesRow['seen'], string>(true)
  same<MemoriesRow['importance'], string>(true)
  same<MemoriesRow['created_at'], Date>(true)
  same<MemoriesRow['body_size'], number | null>(true)
  same<AgentsRow['mood'], Mood>(true)

  // @ts-expect-error and not the whole row
  is<MemoriesRow[]>()(some)
  // @ts-expect-error not selected
  is<string | undefined>()(some[0]?.body)
  await db.memories.findMany({
    where: { seen: { gt: 5n }, created_at: { lt: new Date() }, body: { in: ['a', 'b'] } },
    orderBy: ['-created_at', 'id'],
    limit: 20,
    offset: 40,
  })
  await db.memories.findMany({ where: { created_at: { gte: '2026-01-01' }, metadata: null } })
  await db.memories.findMany({ where: { tags: ['a'], agent_id: { not: null } } })
  await db.billing_invoices.findById({ org_id: OrgId('1'), number: 7 })

  // @ts-expect-error no such column
  await db.memories.findMany({ where: { nope: 1 } })
  // @ts-expect-error no such operator
  await db.memories.findMany({ where: { body: { like: '%x%' } } })
  // @ts-expect-error the wrong type
  await db.memories.findMany({ where: { body: 5 } })
  // @ts-expect-error an undefined filter would match everything
  await db.memories.findMany({ where: { body: undefined } })
  // @ts-expect-error the column is never null
  await db.memories.findMany({ where: { body: null } })
  // @ts-expect-error nor is there anything to exclude
  await db.memories.findMany({ where: { body: { not: null } } })
  // @ts-expect-error json has no equality
  await db.memories.findMany({ where: { metadata: { a: 1 } } })
  // @ts-expect-error nor have points
  await db.samples.findMany({ where: { a_point: { x: 1, y: 2 } } })
  // @ts-expect-error not a label
  await db.agents.findMany({ where: { mood: 'furious' } })
  // @ts-expect-error not a column
  await db.memories.findMany({ orderBy: ['-nope'] })
  // @ts-expect-error not a column
  await db.memories.findMany({ select: ['nope'] })
  // @ts-expect-error half a key
  await db.billing_invoices.findById({ org_id: OrgId('1') })
  // @ts-expect-error a view has no primary key
  await db.people.findById('x')
  // @ts-expect-error a column nobody granted
  await db.members.findMany({ select: ['salary'] })
}

export async function writes(db: Accessors): Promise<void> {
  await db.memories.insert({ body: 'x' })
  await db.memories.insert({ body: 'x', seen: 5n, importance: '0.5', metadata: { a: [1] } })
  await db.memories.update({ where: { body: 'x' }, set: { seen: 6 } })
  await db.memories.update({ all: true, set: { metadata: null } })
  await db.agents.upsert(
    { name: 'a' },
    { onConflict: 'agents_owner_id_name_key', update: ['mood'] },
  )
  const returned = await db.memories.updateById('id', { body: 'y' }, { select: ['id'] })
  is<Pick<MemoriesRow, 'id'>>()(returned)
  await db.memories.delete({ where: { seen: { lt: 1 } } })

  // @ts-expect-error `body` is NOT NULL and has no default
  await db.memories.insert({ seen: 5 })
  // @ts-expect-error generated by the database
  await db.memories.insert({ body: 'x', body_size: 1 })
  // @ts-expect-error generated by the database
  await db.memories.updateById('id', { body_size: 1 })
  // @ts-expect-error rows do not change their owner
  await db.memories.updateById('id', { user_id: UserId('u') })
  // @ts-expect-error not even where the owner came from the parent
  await db.attachments.updateById({ memory_id: 'm', position: 1 }, { user_id: UserId('u') })
  // @ts-expect-error NOT NULL
  await db.memories.updateById('id', { body: null })
  // @ts-expect-error no filter
  await db.memories.update({ set: { seen: 1 } })
  // @ts-expect-error no filter
  await db.memories.delete({})
  // @ts-expect-error one or the other
  await db.memories.delete({ all: true, where: { body: 'x' } })
  await db.settings.upsert({ key: 'a', value: 1 }, { onConflict: 'settings_key_key' })
  // @ts-expect-error no such unique key
  await db.agents.upsert({ name: 'a' }, { onConflict: 'nope' })
}

export async function withoutPrimaryKey(db: Accessors): Promise<void> {
  // @ts-expect-error nothing to land on unless it is named
  await db.settings.upsert({ key: 'a', value: 1 })
  // @ts-expect-error there is no id
  await db.settings.findById('a')
  // @ts-expect-error there is no id
  await db.settings.deleteById('a')
}

export async function privileges(db: Accessors): Promise<void> {
  await db.countries.findMany()
  await db.audit_trail.insert({ what: 'x' })
  await db.members.insert({ org_id: OrgId('1'), user_id: UserId('u') })
  await db.members.update({ where: { role: 'member' }, set: { role: 'admin' } })

  // @ts-expect-error shared tables are read only
  await db.countries.insert({ code: 'de', name: 'Germany' })
  // @ts-expect-error granted INSERT alone
  await db.audit_trail.findMany()
  // @ts-expect-error granted INSERT alone
  await db.audit_trail.delete({ all: true })
  // @ts-expect-error identity, generated always
  await db.audit_trail.insert({ what: 'x', id: 1 })
  // @ts-expect-error no INSERT on this column
  await db.members.insert({ org_id: OrgId('1'), user_id: UserId('u'), role: 'admin' })
  // @ts-expect-error no UPDATE on this column
  await db.members.update({ all: true, set: { joined_at: '2026-01-01' } })
  // @ts-expect-error views are for reading
  await db.people.delete({ all: true })
}

export async function kysely(pool: pg.Pool): Promise<void> {
  const db = tenantry(pool, { secret: 'x'.repeat(32), schema })
  const query = kyselyFor(db.as(user('u')), schema)
  const rows = await query
    .selectFrom('memories')
    .innerJoin('agents', 'agents.id', 'memories.agent_id')
    .select(['memories.id', 'agents.name', 'seen'])
    .where('memories.user_id', '=', UserId('u'))
    .execute()
  is<{ id: string; name: string; seen: string }[]>()(rows)
  await query.selectFrom('billing.invoices').selectAll().execute()
  await query.insertInto('memories').values({ body: 'x', seen: 5n }).execute()

  // @ts-expect-error no such column
  await query.selectFrom('memories').select('nope').execute()
  // @ts-expect-error generated by the database
  await query.insertInto('memories').values({ body: 'x', body_size: 1 }).execute()
  // @ts-expect-error a required column is missing
  await query.insertInto('memories').values({ seen: 1 }).execute()
  const owner = { user_id: UserId('u') }
  // @ts-expect-error the owner stays
  await query.updateTable('memories').set(owner).execute()
}
