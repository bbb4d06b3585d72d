import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import pg from 'pg'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { generate } from '../../codegen/generate.js'
import { deriveKeyShare, deriveSigningKey } from '../../src/credential.js'
import { tenantry } from '../../src/index.js'
import { testDatabase, type TestDatabase, type TestRole } from '../support/database.js'
import { repositoryRoot } from '../support/repository.js'
import { withLogin } from '../support/server/url.js'
import { blocksOf, type Block } from './blocks.js'

// Every block of README that says who runs it is run, in order, as that person.

const alice = '6f1c0000-0000-4000-8000-000000000001'
const bob = '6f1c0000-0000-4000-8000-000000000002'
const secret = 'the secret of the documentation, long enough'
const folder = join(repositoryRoot, '.cache', `readme-${process.pid}`)
const blocks = blocksOf(join(repositoryRoot, 'README.md'))

let db: TestDatabase
let owner: TestRole

const blocksRunBy = (who: string): Block[] => blocks.filter((block) => block.run === who)

beforeAll(async () => {
  db = await testDatabase()
  // README names these three; no other test of the cluster does.
  await db.admin.query('drop role if exists app_runtime, app_accounts, alice')
  await db.admin.query(`create role app_runtime login password 'documented'`)
  await db.admin.query(`create role app_accounts login password 'documented'`)
  await db.admin.query(`create role alice login password 'documented'`)
  owner = await db.role('owner', { allow: 'admin' })
  await db.admin.query(`grant create on schema public to ${pg.escapeIdentifier(owner.name)}`)
  mkdirSync(folder, { recursive: true })
})

afterAll(async () => {
  vi.unstubAllEnvs()
  await db.drop()
  const admin = new pg.Client(db.server.url)
  await admin.connect()
  await admin.query('drop role if exists app_runtime, app_accounts, alice')
  await admin.end()
  rmSync(folder, { recursive: true, force: true })
})

test('every block says who runs it, or is for a shell', () => {
  expect(
    blocks.filter((block) => !block.run && block.language !== 'sh').map((b) => b.line),
  ).toEqual([])
})

test('a new application: declared, protected, nothing open', async () => {
  const asOwner = await owner.connect()
  for (const block of blocksRunBy('owner')) await asOwner.query(block.text)
  await db.admin.query('insert into users values ($1, $2), ($3, $4)', [alice, 'a@x', bob, 'b@x'])
  await db.admin.query(`insert into projects (owner_id, name) values ($1, 'Secret')`, [bob])

  const [declare, bind] = blocksRunBy('dba')
  const results = (await db.admin.query(declare?.text ?? '')) as unknown as pg.QueryResult[]
  expect(results.at(-1)?.rows).toEqual([])
  await db.admin.query(bind?.text ?? '')
  for (const block of blocksRunBy('accounts')) await db.admin.query(block.text)

  const key = deriveSigningKey(secret)
  await db.admin.query('select tenantry.register_issuer($1, $2)', [key.keyId, key.key])
  await db.admin.query('select tenantry.create_master_key($1)', [deriveKeyShare(secret)])
  for (const block of blocksRunBy('secrets')) await db.admin.query(block.text)
  expect((await db.admin.query('select * from tenantry.check()')).rows).toEqual([])
})

test('the application: its own queries and accessors', async () => {
  const runtime = JSON.stringify(join(repositoryRoot, 'src', 'index.js'))
  const client = new pg.Client(db.url())
  await client.connect()
  const generated = await generate(client, { schemas: ['public'] })
  await client.end()
  const local = (text: string) => text.replaceAll(/from ['"]tenantry['"]/g, `from ${runtime}`)
  writeFileSync(join(folder, 'tenantry.generated.ts'), local(generated))
  writeFileSync(
    join(folder, 'app.ts'),
    [
      `const alice = '${alice}'`,
      ...blocksRunBy('app').map((block) => local(block.text)),
      'await db.end()',
      'await typed.end()',
      'await accounts.end()',
      'export { found, hers, keyed, latest, made, project, projects }',
    ].join('\n'),
  )
  vi.stubEnv('DATABASE_URL', withLogin(db.url(), 'app_runtime', 'documented'))
  vi.stubEnv('ACCOUNTS_URL', withLogin(db.url(), 'app_accounts', 'documented'))
  vi.stubEnv('TENANTRY_SECRET', secret)

  const app = (await import(join(folder, 'app.ts'))) as {
    found: { id: string }[]
    hers: { rows: unknown[] }
    made: { id: string }[]
    keyed: { name: string; api_key: { reveal(): string } | null }
    latest: { title: string }[]
    project: { owner_id: string }
    projects: { rows: unknown[] }
  }
  expect(app.projects.rows).toEqual([])
  expect(app.found).toEqual(app.made)
  expect(app.hers.rows).toEqual([{ email: 'carol@example.org' }])
  expect(app.project.owner_id).toBe(alice)
  expect(app.keyed.api_key?.reveal()).toBe('sk-live-1234')
  expect(JSON.stringify(app.keyed)).toBe('{"name":"Website","api_key":"[secret]"}')
  expect(app.latest.map((task) => task.title)).toEqual(['Draft'])
})

test('a person in psql sees her own rows, and who she is', async () => {
  const client = new pg.Client(withLogin(db.url(), 'alice', 'documented'))
  await client.connect()
  const [block] = blocksRunBy('alice')
  const results = (await client.query(block?.text ?? '')) as unknown as pg.QueryResult<
    Record<string, unknown>
  >[]
  await client.end()
  expect(results[0]?.rows).toMatchObject([{ name: 'Website', owner_id: alice }])
  expect(results[1]?.rows).toMatchObject([{ principal: `user:${alice}`, source: 'role' }])
})

test('a room, its members and a delegation', async () => {
  const [declare] = blocksRunBy('rooms')
  const as = pg.escapeIdentifier(owner.name)
  await db.admin.query(
    `set session authorization ${as}; ${declare?.text ?? ''}; reset session authorization`,
  )
  expect((await db.admin.query('select * from tenantry.check()')).rows).toEqual([])
  const [room] = (
    await db.admin.query<{ id: string }>('insert into rooms (owner_id) values ($1) returning id', [
      bob,
    ])
  ).rows
  await db.admin.query(`insert into messages (owner_id, room_id, text) values ($1, $2, 'hello')`, [
    bob,
    room?.id,
  ])
  const client = new pg.Client(withLogin(db.url(), 'alice', 'documented'))
  await client.connect()
  const reached = async () => (await client.query('select text from reach.messages')).rows
  expect(await reached()).toEqual([])
  await db.admin.query('insert into participants values ($1, $2, $3)', [bob, room?.id, alice])
  expect(await reached()).toEqual([{ text: 'hello' }])
  const [block] = blocksRunBy('delegation')
  const results = (await client.query(block?.text ?? '')) as unknown as pg.QueryResult[]
  expect(results[1]?.rows).toMatchObject([
    { to_entity: `user:${bob}`, privileges: ['select'], state: 'in force' },
  ])
  expect(results[2]?.rows).toEqual([{ revoke: 1 }])
  await client.end()
})

test('organisations, and what their members may do', async () => {
  const [declare] = blocksRunBy('orgs')
  const as = pg.escapeIdentifier(owner.name)
  await db.admin.query(
    `set session authorization ${as}; ${declare?.text ?? ''}; reset session authorization`,
  )
  expect((await db.admin.query('select * from tenantry.check()')).rows).toEqual([])
  const { rows: orgs } = await db.admin.query<{ id: string }>(
    `insert into orgs (name) values ('Acme'), ('Other') returning id`,
  )
  const [acme, other] = orgs.map(({ id }) => id)
  await db.admin.query(
    `insert into members values ($1, $3, 'accountant'), ($2, $3, 'intern'), ($1, $4, 'owner')`,
    [acme, other, alice, bob],
  )
  const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL })
  const app = tenantry(pool, { secret })
  const write = (org: string | undefined) =>
    app
      .as(`user:${alice}`, { for: `org:${org}` })
      .query('insert into invoices (amount) values (10) returning org_id')
  expect((await write(acme)).rows).toEqual([{ org_id: acme }])
  await expect(write(other)).rejects.toMatchObject({ code: expect.stringMatching(/42501|23502/) })
  const seen = async (org: string | undefined) =>
    (await app.as(`user:${alice}`, { for: `org:${org}` }).query('select amount from invoices')).rows
  expect(await seen(acme)).toEqual([{ amount: '10' }])
  expect(await seen(other)).toEqual([])
  await app.end()
})

test('every file that README links is there', () => {
  const text = readFileSync(join(repositoryRoot, 'README.md'), 'utf8')
  const links = [...text.matchAll(/\]\(([^)#:]+)\)/g)].map((match) => match[1] ?? '')
  expect(links.length).toBeGreaterThan(3)
  expect(links.filter((link) => !existsSync(join(repositoryRoot, link)))).toEqual([])
})
