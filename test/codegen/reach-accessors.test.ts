import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { anonymous, type Entity, type Tenantry } from '../../src/index.js'
import { agent, org, OrgId, user, type Accessors } from './golden/reach.generated.js'
import { alice, bob, bot, charlie, reachStage, type ReachStage } from './support/reach.js'

let stage: ReachStage
let db: Tenantry<Accessors>

beforeAll(async () => {
  stage = await reachStage()
  db = stage.open()
})
afterAll(() => stage.on.drop())

const code = (wanted: string) => expect.objectContaining({ code: wanted }) as Error
const reach = (who: Entity) => db.as(who).reach

describe('accessors of the reach path', () => {
  beforeEach(() => stage.refill())

  const names = (rows: readonly { name: string }[]) => rows.map(({ name }) => name)
  const slugs = (rows: readonly { slug: string }[]) => rows.map(({ slug }) => slug).sort()

  it('read what the identity reaches, where the own path has its own alone', async () => {
    expect(await db.as(user(bob)).projects.findMany()).toEqual([])
    expect(names(await reach(user(bob)).projects.findMany())).toEqual(['rocket'])
    expect(names(await reach(user(charlie)).projects.findMany())).toEqual(['rocket'])
    // positive control: there is another, and who owns it sees it
    expect(names(await db.as(org(2)).projects.findMany())).toEqual(['other'])

    expect(slugs(await db.as(agent(bot)).posts.findMany())).toEqual([])
    expect(slugs(await reach(agent(bot)).posts.findMany())).toEqual(['a', 'p'])
    expect(slugs(await reach(user(charlie)).posts.findMany())).toEqual(['p'])
    expect(slugs(await reach(user(bob)).posts.findMany())).toEqual(['b', 'p'])
  })

  it('have every call, with filters, orders and selections', async () => {
    const { posts } = reach(user(alice))
    expect(await posts.count()).toBe(2)
    expect(await posts.count({ where: { is_public: true } })).toBe(1)
    expect(
      await posts.findMany({ orderBy: ['-slug'], limit: 1, select: ['slug', 'length'] }),
    ).toEqual([{ slug: 'p', length: 6 }])
    const first = await posts.findFirst({ where: { slug: { in: ['a', 'b'] } } })
    expect(first).toMatchObject({ slug: 'a', owner_id: alice })
    expect(await posts.findById(first!.id)).toEqual(first)
    const [bobs] = await db.as(user(bob)).posts.findMany()
    expect(await posts.findById(bobs!.id)).toBeNull()
  })

  it('take the table of the same name in another schema for what it is', async () => {
    expect(await reach(user(alice)).archive_posts.findMany()).toEqual([
      { id: 1, owner_id: alice, body: 'archived' },
    ])
    expect(await reach(user(bob)).archive_posts.findMany()).toEqual([])
  })

  it('insert as oneself by default, and for whom one may by naming the owner', async () => {
    const own = await reach(user(bob)).posts.insert({ slug: 'new', data: ['json', 1] })
    expect(own).toMatchObject({
      owner_id: bob,
      body: 'nothing yet',
      data: ['json', 1],
      created_by: user(bob),
    })
    expect(await db.as(user(bob)).posts.findById(own.id)).toEqual(own)

    const theirs = await reach(user(bob)).projects.insert({ org_id: OrgId('1'), name: 'by Bob' })
    expect(theirs.org_id).toBe('1')
    expect(names(await db.as(org(1)).projects.findMany())).toContain('by Bob')
    for (const [who, org_id] of [
      [charlie, OrgId('1')],
      [bob, OrgId('2')],
    ] as const) {
      const insert = reach(user(who)).projects.insert({ org_id, name: 'planted' })
      await expect(insert).rejects.toThrow(code('TN_ACCESS'))
    }
    const forAlice = await reach(agent(bot)).posts.insert({ owner_id: alice, slug: 'by bot' })
    expect(forAlice).toMatchObject({ owner_id: alice, created_by: agent(bot) })
    await expect(reach(user(bob)).posts.insert({ owner_id: alice, slug: 'x' })).rejects.toThrow(
      code('TN_ACCESS'),
    )
  })

  it('insert in bulk, all or nothing, also more than one statement carries', async () => {
    const { projects } = reach(user(bob))
    const rows = Array.from({ length: 35_000 }, (_, index) => ({
      org_id: OrgId('1'),
      name: `project ${index}`,
    }))
    expect(await projects.insertMany(rows, { select: ['id'] })).toHaveLength(rows.length)
    expect(await projects.count()).toBe(rows.length + 1)
    const bad = [...rows, { org_id: OrgId('2'), name: 'of others' }]
    await expect(projects.insertMany(bad)).rejects.toThrow(code('TN_ACCESS'))
    expect(await projects.count()).toBe(rows.length + 1)
  })

  it('update and delete what is reached with that privilege', async () => {
    const [rocket] = await reach(user(bob)).projects.findMany()
    const id = rocket!.id
    expect(await reach(user(bob)).projects.updateById(id, { name: 'faster' })).toMatchObject({
      name: 'faster',
    })
    expect(await reach(user(bob)).projects.update({ all: true, set: { name: 'all' } })).toBe(1)
    expect(names(await db.as(org(2)).projects.findMany())).toEqual(['other'])
    // a viewer sees it, and that is all
    expect(await reach(user(charlie)).projects.update({ all: true, set: { name: 'x' } })).toBe(0)
    await expect(reach(user(charlie)).projects.updateById(id, { name: 'x' })).rejects.toThrow(
      code('TN_ZERO_ROWS'),
    )
    expect(await reach(user(bob)).projects.delete({ all: true })).toBe(0)
    await expect(reach(user(bob)).projects.deleteById(id)).rejects.toThrow(code('TN_ZERO_ROWS'))
    await reach(user(alice)).projects.deleteById(id)
    expect(await db.as(org(1)).projects.count()).toBe(0)
  })

  it('change who owns a row only for whoever may give it away', async () => {
    const [post] = await db.as(user(alice)).posts.findMany({ where: { slug: 'a' } })
    await expect(reach(agent(bot)).posts.updateById(post!.id, { owner_id: bob })).rejects.toThrow(
      code('TN_ACCESS'),
    )
    await expect(reach(user(alice)).posts.updateById(post!.id, { owner_id: bob })).rejects.toThrow(
      code('TN_ACCESS'),
    )
    await db
      .as(user(bob))
      .query('select tenantry.delegate($1, $2)', [user(alice), ['select', 'insert', 'update']])
    const moved = await reach(user(alice)).posts.updateById(post!.id, { owner_id: bob })
    expect(moved.owner_id).toBe(bob)
    expect(slugs(await db.as(user(bob)).posts.findMany())).toEqual(['a', 'b'])
    await db.as(user(bob)).query('select tenantry.revoke(to_entity => $1)', [user(alice)])
  })

  it('upsert on the primary key and on a named one, and leave the owner as it is', async () => {
    const { posts } = reach(user(alice))
    const onConflict = 'posts_owner_id_slug_key'
    const changed = await posts.upsert({ owner_id: alice, slug: 'a', body: 'new' }, { onConflict })
    expect(changed).toMatchObject({ slug: 'a', body: 'new', length: 3 })
    const made = await posts.upsert({ slug: 'made' }, { onConflict })
    expect(made).toMatchObject({ owner_id: alice, slug: 'made' })
    expect(await posts.upsert({ id: made.id, slug: 'again' })).toMatchObject({
      id: made.id,
      slug: 'again',
    })
    // as a writer of the organisation, on a row of it
    const [rocket] = await reach(user(bob)).projects.findMany()
    const given = { id: rocket!.id, org_id: OrgId('1'), name: 'upserted' }
    expect(await reach(user(bob)).projects.upsert(given)).toEqual(given)
    await expect(reach(user(charlie)).projects.upsert(given)).rejects.toThrow(code('TN_ACCESS'))

    // Alice may write Bob's posts: an upsert of hers changes the post, not whose it is
    await db
      .as(user(bob))
      .query('select tenantry.delegate($1, $2)', [user(alice), ['select', 'insert', 'update']])
    const [bobs] = await db.as(user(bob)).posts.findMany()
    const kept = await posts.upsert({ id: bobs!.id, owner_id: alice, slug: 'kept' })
    expect(kept).toMatchObject({ owner_id: bob, slug: 'kept' })
    const named = posts.upsert(
      { id: bobs!.id, owner_id: alice, slug: 'taken' },
      { update: ['owner_id', 'slug'] },
    )
    await expect(named).rejects.toThrow(code('TN_ACCESS'))
    await db.as(user(bob)).query('select tenantry.revoke(to_entity => $1)', [user(alice)])
  })

  it('tell of a taken key without its values', async () => {
    const error: unknown = await reach(user(alice))
      .posts.insert({ slug: 'a', body: 'again' })
      .catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({ code: 'TN_CONSTRAINT', constraint: 'posts_owner_id_slug_key' })
    expect(JSON.stringify(error)).not.toContain(alice)
  })

  it('work in a transaction, beside the own path', async () => {
    const failed = db.as(user(bob)).transaction(async (tx) => {
      await tx.posts.insert({ slug: 'own' })
      await tx.reach.projects.insert({ org_id: OrgId('1'), name: 'reached' })
      expect(await tx.reach.posts.count({ where: { slug: 'own' } })).toBe(1)
      expect(await tx.projects.count()).toBe(0)
      throw new Error('undone')
    })
    await expect(failed).rejects.toThrow('undone')
    expect(names(await reach(user(bob)).projects.findMany())).toEqual(['rocket'])
    await db.as(user(bob)).transaction(async (tx) => {
      const { id } = await tx.reach.projects.insert({ org_id: OrgId('1'), name: 'kept' })
      await tx.transaction((inner) => inner.reach.projects.updateById(id, { name: 'kept too' }))
    })
    expect(names(await reach(user(bob)).projects.findMany())).toEqual(['rocket', 'kept too'])
  })

  it('reach from a chain as far as its links leave', async () => {
    const through = db.as(agent(bot), { for: [user(alice), org(1)] })
    expect(names(await through.projects.findMany())).toEqual(['rocket'])
    expect(names(await through.reach.projects.findMany())).toEqual(['rocket'])
    const made = await through.projects.insert({ name: 'by the chain' })
    expect(made.org_id).toBe('1')
    const viewer = db.as(user(charlie), { for: org(1) })
    expect(await viewer.reach.projects.count()).toBe(2)
    await expect(viewer.reach.projects.insert({ name: 'x' })).rejects.toThrow(code('TN_ACCESS'))
    await expect(
      db.as(agent(bot), { for: [user(bob), org(1)] }).reach.projects.findMany(),
    ).rejects.toThrow(code('TN004'))
  })

  it('show the public rows to the anonymous, and nothing on the own path', async () => {
    const visitor = db.as(anonymous())
    expect(slugs(await visitor.reach.posts.findMany())).toEqual(['p'])
    expect(await visitor.posts.findMany()).toEqual([])
    expect(await visitor.reach.projects.findMany()).toEqual([])
    expect(await visitor.countries.count()).toBe(0)
    await expect(visitor.reach.posts.insert({ owner_id: alice, slug: 'x' })).rejects.toThrow(
      code('TN_ACCESS'),
    )
    expect(await visitor.reach.posts.update({ all: true, set: { body: 'x' } })).toBe(0)
    expect(await visitor.reach.posts.delete({ all: true })).toBe(0)
    await db.as(user(alice)).posts.update({ where: { slug: 'p' }, set: { is_public: false } })
    expect(await visitor.reach.posts.count()).toBe(0)
  })

  it('refuse what types would have refused', async () => {
    const { posts } = reach(user(alice))
    await expect(posts.updateById(1, { length: 1 } as never)).rejects.toThrow(/cannot be changed/)
    await expect(posts.findMany({ where: { nope: 1 } as never })).rejects.toThrow(
      'reach.posts.findMany: "reach.posts" has no column "nope"',
    )
    expect((db.as(user(alice)).reach as object as { logs?: unknown }).logs).toBeUndefined()
    expect(await db.as(user(alice)).logs.count()).toBe(1)
  })
})
