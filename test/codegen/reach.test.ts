import { readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { introspect } from '../../codegen/introspect.js'
import { kyselyFor, withKysely } from '../../src/accessors/kysely.js'
import { tenantry, type Tenantry } from '../../src/index.js'
import { OrgId, schema, user, type Accessors } from './golden/reach.generated.js'
import { alice, bob, reachGolden, reachStage, secret, type ReachStage } from './support/reach.js'

let stage: ReachStage
let db: Tenantry<Accessors>

beforeAll(async () => {
  stage = await reachStage()
  db = stage.open()
})
afterAll(() => stage.on.drop())

describe('the generated file of a database with a reach path', () => {
  it('is the committed one, by views that are found by what they read', async () => {
    const text = await stage.generated('../../../src/index.js')
    if (process.env['UPDATE_GOLDEN']) await writeFile(reachGolden, text)
    expect(text).toBe(readFileSync(reachGolden, 'utf8'))
    expect(text).toContain("reach: { schema: 'reach', name: 'public_posts'")
  })

  it('has no such path where there is no view, or the role may not use it', async () => {
    const client = await stage.on.app.connect()
    const reaching = async (role: string | null) =>
      (await introspect(client, { role })).registry.tables
        .filter((table) => table.reach)
        .map((table) => [table.schema, table.name, table.reach?.name, table.reach?.privileges])
    const all = { usage: true, delete: true }
    expect(await reaching('tenantry_user')).toEqual([
      ['archive', 'posts', 'posts', all],
      ['public', 'agents', 'agents', all],
      ['public', 'members', 'members', all],
      ['public', 'posts', 'public_posts', all],
      ['public', 'projects', 'projects', all],
    ])
    expect((await reaching(null)).map((table) => table.at(-1))).toEqual(Array(5).fill(null))

    const { admin } = stage.on.db
    await admin.query('revoke insert, delete on reach.projects from tenantry_user')
    await admin.query('revoke all on reach.agents from tenantry_user')
    try {
      const text = await stage.generated('tenantry')
      const calls = /export interface ProjectsReachAccessor extends([^{]*)/.exec(text)?.[1]
      expect(calls).toContain('Reads<ProjectsRow>')
      expect(calls).toContain('Updates<ProjectsReachUpdate')
      expect(calls).not.toMatch(/Inserts|Upserts|Deletes/)
      expect(text).not.toContain('AgentsReach')
      expect(text).toContain('PostsReachAccessor')
    } finally {
      await admin.query('grant insert, delete on reach.projects to tenantry_user')
      await admin.query('grant select, insert, update, delete on reach.agents to tenantry_user')
    }
    await admin.query('revoke usage on schema reach from tenantry_user')
    try {
      expect(await stage.generated('tenantry')).not.toMatch(/reach/i)
    } finally {
      await admin.query('grant usage on schema reach to tenantry_user')
    }
  })

  it('does not have the anonymous as a kind', async () => {
    const client = await stage.on.app.connect()
    const { kinds } = (await introspect(client)).registry
    expect(kinds.map(({ kind }) => kind)).toEqual(['agent', 'anonymous', 'org', 'user'])
    expect(readFileSync(reachGolden, 'utf8')).not.toMatch(/anonymous/i)
  })
})

describe('the reach path through Kysely', () => {
  beforeEach(() => stage.refill())

  it('is read, written and joined under the names of its views', async () => {
    const query = kyselyFor(db.as(user(bob)), schema)
    const rows = await query.selectFrom('reach.projects').select('name').execute()
    expect(rows).toEqual([{ name: 'rocket' }])
    expect(await query.selectFrom('projects').selectAll().execute()).toEqual([])
    await query
      .insertInto('reach.projects')
      .values({ org_id: OrgId('1'), name: 'by Kysely' })
      .execute()
    const both = await query
      .selectFrom('reach.projects')
      .innerJoin('reach.members', 'reach.members.org_id', 'reach.projects.org_id')
      .where('reach.members.user_id', '=', bob)
      .select(['name', 'role'])
      .orderBy('name')
      .execute()
    expect(both).toEqual([
      { name: 'by Kysely', role: 'writer' },
      { name: 'rocket', role: 'writer' },
    ])
  })

  it('stands beside kysely on the session', async () => {
    const both = tenantry(stage.on.app.pool(), { secret, schema: withKysely(schema) })
    const session = both.as(user(alice))
    expect(await session.reach.posts.count()).toBe(2)
    const { count } = session.kysely.fn
    const found = await session.kysely
      .selectFrom('reach.public_posts')
      .select(count('id').as('posts'))
      .executeTakeFirst()
    expect(found).toEqual({ posts: '2' })
  })
})
