import { readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { generate } from '../../codegen/generate.js'
import { introspect } from '../../codegen/introspect.js'
import type { TestDatabase } from '../support/database.js'
import { goldenDatabase, goldenFile, goldenOptions } from './support/golden.js'

describe('the generated file', () => {
  let db: TestDatabase

  beforeAll(async () => {
    db = await goldenDatabase()
  })
  afterAll(() => db.drop())

  const withClient = async <T>(use: (client: Parameters<typeof generate>[0]) => Promise<T>) => {
    const client = await db.admin.connect()
    try {
      return await use(client)
    } finally {
      client.release()
    }
  }

  // The file is committed, so that equality with it on every major is equality between majors.
  it('is the committed one, byte for byte, on every version of PostgreSQL', async () => {
    const text = await withClient((client) => generate(client, goldenOptions))
    if (process.env['UPDATE_GOLDEN']) await writeFile(goldenFile, text)
    expect(text).toBe(readFileSync(goldenFile, 'utf8'))
  })

  it('is the same when an ordinary login of the application reads the catalog', async () => {
    const client = await (await db.role('reader', { allow: 'user' })).connect()
    const theirs = await introspect(client)
    expect(theirs).toEqual(await withClient((admin) => introspect(admin)))
  })

  it('does not follow the settings of the session', async () => {
    const [plain, odd] = await withClient(async (client) => {
      const first = JSON.stringify(await introspect(client))
      await client.query(`set datestyle = 'German'; set intervalstyle = 'iso_8601';
        set timezone = 'Asia/Tokyo'; set search_path = billing, public;
        set quote_all_identifiers = on; set bytea_output = 'escape'`)
      const second = JSON.stringify(await introspect(client))
      await client.query('reset all')
      return [first, second]
    })
    expect(odd).toBe(plain)
  })

  it('does not depend on the order in which things were created', async () => {
    const before = await withClient((client) => introspect(client))
    await db.admin.query(`
      alter table billing.invoices rename to moved;
      alter table billing.moved rename to invoices;
      alter table public.events add column later integer;
      alter table public.events drop column later;
      drop view public.people;
      create view public.people as select id, name from public.users;
      comment on column public.people.id is '@notNull';
      grant select on public.people to tenantry_user`)
    const after = await withClient((client) => introspect(client))
    const owners = (snapshot: typeof before) =>
      JSON.stringify(snapshot, (key, value: unknown) => (key === 'owner' ? undefined : value))
    expect(owners(after)).toBe(owners(before))
  })
})
