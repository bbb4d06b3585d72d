import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Stage, attempt, nameOf, stage } from './support/stage.js'
import { protectedTables, tablesInSchemas } from './support/tables.js'

describe('the tables these tests know', () => {
  let on: Stage
  beforeAll(async () => {
    on = await stage()
  })
  afterAll(() => on.db.drop())

  it('are all there are, each declared', async () => {
    expect(await tablesInSchemas(on)).toEqual([...on.truth.tables].sort())
    const { rows } = await on.db.admin.query('select from tenantry.tables')
    expect(rows).toHaveLength(on.truth.tables.length)
    const { rows: findings } = await on.db.admin.query('select * from tenantry.check()')
    expect(findings).toEqual([])
  })

  it('fail, rather than leave it out, when a table is added', async () => {
    await on.db.admin.query('create table todo.added_later (id uuid)')
    await expect(protectedTables(on)).rejects.toThrow('todo.added_later')
    const { rows } = await on.db.admin.query('select code, object from tenantry.check()')
    expect(rows).toEqual([{ code: 'table_undeclared', object: 'todo.added_later' }])
    await on.db.admin.query('drop table todo.added_later')
    await expect(protectedTables(on)).resolves.toBeDefined()
  })

  it('are read by everybody and written by nobody where they are shared', async () => {
    expect(on.truth.shared).toEqual(['servers'])
    for (const table of on.truth.shared) {
      const key = on.truth.keyExpression(table)
      const all = [...on.truth.rows(table)].map((row) => row.key).sort()
      expect(all.length).toBeGreaterThan(0)
      for (const caller of on.callers) {
        await on.as(caller, async (client) => {
          const who = `${table} as ${nameOf(caller)}`
          const { rows } = await client.query<{ key: string }>(`select ${key} as key from ${table}`)
          expect(rows.map((row) => row.key).sort(), who).toEqual(all)
          for (const sql of [
            `insert into ${table} (id) values (gen_random_uuid())`,
            `update ${table} set updated_at = now()`,
            `delete from ${table}`,
            `truncate ${table}`,
            `select from ${table} for update`,
          ]) {
            expect((await attempt(client, sql)).code, `${sql} as ${nameOf(caller)}`).toBe('42501')
          }
        })
      }
    }
  })
})
