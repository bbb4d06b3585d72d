import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { elizaosTemplate } from '../fixtures/elizaos/template.js'
import { testDatabase, type TestDatabase } from '../support/database.js'
import { exceptionsBelow, judged } from './exceptions.js'
import { lints } from './lints.js'

// What tenantry installs and what protecting adds. What the application brought itself is found before it is protected, too.

let bare: TestDatabase
let db: TestDatabase
beforeAll(async () => {
  bare = await testDatabase({ template: elizaosTemplate() })
  db = await testDatabase({ template: elizaosTemplate({ rooms: true }) })
  await db.admin.query(`select tenantry.create_master_key('\\x${'ab'.repeat(32)}');
    create table vault (id uuid primary key, owner_id uuid not null references users, token text);
    do $$begin execute (select format('alter table vault owner to %I', tableowner) from pg_tables where tablename = 'memories'); end$$;
    select tenantry.protect('vault', owner_column => 'owner_id', owner_kind => 'user');
    select tenantry.encrypt_column('vault', 'token', blind_index => true)`)
})
afterAll(async () => {
  await bare.drop()
  await db.drop()
})

const own = /^(tenantry|tenantry_private|tenant|reach)\./

async function found(database: TestDatabase, sql: string): Promise<string[]> {
  return (await database.admin.query<{ where: string }>(sql)).rows.map(({ where }) => where)
}

describe('splinter', () => {
  it.each(lints)('$name fires where something is wrong', async ({ sql, bad }) => {
    const client = await db.admin.connect()
    try {
      await client.query(
        `begin; create schema bad; create table bad.parent (id int primary key, owner text)`,
      )
      const before = await client.query(sql)
      await client.query(bad)
      expect((await client.query(sql)).rowCount).toBe((before.rowCount ?? 0) + 1)
    } finally {
      await client.query('rollback')
      client.release()
    }
  })

  it('finds nothing in tenantry or by it, but for what linters.md names', async () => {
    const findings: { finding: string; where: string }[] = []
    for (const { name, sql } of lints) {
      const before = new Set(await found(bare, sql))
      for (const where of await found(db, sql))
        if (own.test(where) || !before.has(where)) findings.push({ finding: name, where })
    }
    expect(judged(findings, exceptionsBelow('splinter'))).toEqual({ open: [], idle: [] })
  })
})
