import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { outcome, refusal } from '../extension/support/stage.js'
import { anna, bert, nursery, type Nursery } from '../birth/support/nursery.js'
import { repositoryRoot } from '../support/repository.js'
import { blocksOf, statementsOf } from './blocks.js'

// Every SQL block of extension/doc/new-tables.md is run, in order.

let on: Nursery
let heir: string
const blocks = blocksOf(join(repositoryRoot, 'extension', 'doc', 'new-tables.md'))
const statements = (who: string) =>
  statementsOf(blocks, who).map((statement) => statement.replaceAll('another_owner', heir))

async function run(who: string, client: { query(text: string): Promise<{ rows: unknown[] }> }) {
  const results: unknown[][] = []
  for (const statement of statements(who)) results.push((await client.query(statement)).rows)
  return results
}

beforeAll(async () => {
  on = await nursery()
  heir = (await on.db.role('heir')).name
  await on.db.admin.query(
    `grant "${heir}" to "${on.stranger.name}"; grant create on schema app to "${heir}"`,
  )
  await on.setUp.query(`drop table app.old; select tenantry.unmanage_schema('app')`)
  await run('manage', on.setUp)
})
afterAll(() => on.drop())

test('every block is run here', () => {
  expect(blocks.filter((block) => !block.run)).toEqual([])
  expect(blocks.map((block) => block.run)).toEqual([
    'manage',
    'born',
    'fails',
    'closed',
    'refused',
    'recorded',
    'degraded',
  ])
})

test('new tables become what the page says', async () => {
  await run('born', on.made)
  const { rows: declared } = await on.db.admin.query(
    `select relation::text, class, owner_column from tenantry.tables where class <> 'shared' order by 1`,
  )
  expect(declared).toEqual([
    { relation: 'app.in_mail', class: 'owned', owner_column: 'receiver' },
    { relation: 'app.log', class: 'owned', owner_column: 'owner_id' },
    { relation: 'app.notes', class: 'owned', owner_column: 'owner_id' },
    { relation: 'app.order_line', class: 'by_parent', owner_column: 'owner_id' },
    { relation: 'app.orders', class: 'owned', owner_column: 'owner_id' },
  ])
  await on.as(anna, async (client) => {
    await client.query(
      `insert into app.notes (id) values (1); insert into app.orders (id) values (1)`,
    )
    await client.query(`insert into app.order_line (id, order_id) values (1, 1)`)
  })
  for (const table of ['notes', 'orders', 'order_line']) {
    const rows = (who: typeof anna | typeof bert) =>
      on.as(who, (client) => outcome(client, `select from app.${table}`))
    expect([await rows(anna), await rows(bert)], table).toEqual(['1 rows', '0 rows'])
  }
  expect((await refusal(on.made.query(statements('fails').join(';')))).code).toBe('23502')
})

test('what is closed is named, and opened by what is said of it', async () => {
  const read = () => on.as(bert, (client) => outcome(client, 'select from app.colours'))
  expect(await read()).toBe('42501')
  const [named] = await run('closed', { query: (text) => on.db.admin.query(text) })
  expect(named).toEqual([
    { object: 'app.colours', fix: expect.stringMatching(/^select /) as string },
  ])
  expect(await read()).toBe('0 rows')
})

test('what is refused, and what is recorded', async () => {
  expect(statements('refused')).toHaveLength(16)
  for (const statement of statements('refused'))
    expect((await refusal(on.made.query(statement))).code, statement).toBe('42501')
  expect(await on.check()).toEqual([])
  const [, weakened] = await run('recorded', { query: (text) => on.db.admin.query(text) })
  expect(weakened).toEqual([
    { object: 'app.notes', detail: { what: 'row-level security is not forced' } },
  ])
  const [, findings] = await run('degraded', { query: (text) => on.db.admin.query(text) })
  expect(findings).toEqual([])
})
