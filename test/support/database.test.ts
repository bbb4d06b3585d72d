import type pg from 'pg'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { withAdmin } from './database/template.js'
import { testDatabase, type Template, type TestDatabase } from './database.js'

const numbers: Template = {
  name: 'numbers',
  sql: ['create table number (n int)'],
  async build(admin: pg.Client) {
    await admin.query('create table number (n int); insert into number values (1), (2)')
  },
}

describe('a test database', () => {
  let one: TestDatabase
  let two: TestDatabase

  beforeAll(async () => {
    ;[one, two] = await Promise.all([
      testDatabase({ template: numbers }),
      testDatabase({ template: numbers }),
    ])
  })
  afterAll(async () => {
    await Promise.all([one.drop(), two.drop()])
  })

  it('is independent of another clone of the same template', async () => {
    await one.admin.query('delete from number')
    const { rows } = await two.admin.query<{ n: number }>('select n from number order by n')
    expect(rows).toEqual([{ n: 1 }, { n: 2 }])
    expect((await one.admin.query('select from number')).rowCount).toBe(0)
  })

  it('is on the major version of the project', async () => {
    const { rows } = await one.admin.query<{ version: string }>(
      `select current_setting('server_version_num') as version`,
    )
    expect(Math.floor(Number(rows[0]?.version) / 10_000)).toBe(one.major)
    expect([15, 16, 17, 18]).toContain(one.major)
  })

  it('has tenantry installed, unless it is asked for empty', async () => {
    const find = `select to_regprocedure('tenantry.version()') is not null as installed`
    expect((await one.admin.query<{ installed: boolean }>(find)).rows).toEqual([
      { installed: true },
    ])
    const empty = await testDatabase({ empty: true })
    expect((await empty.admin.query<{ installed: boolean }>(find)).rows).toEqual([
      { installed: false },
    ])
    await empty.drop()
  })

  it('gives a role to two databases under different names', async () => {
    const [first, second] = await Promise.all([one.role('app'), two.role('app')])
    expect(first.name).not.toBe(second.name)
    const client = await first.connect()
    const { rows } = await client.query<{ me: string }>('select session_user::text as me')
    expect(rows).toEqual([{ me: first.name }])
  })

  it('allows a role to use tenantry when asked', async () => {
    const role = await one.role('allowed', { allow: 'user' })
    const { rows } = await one.admin.query<{ member: boolean }>(
      `select pg_has_role($1, 'tenantry_user', 'member') as member`,
      [role.name],
    )
    expect(rows).toEqual([{ member: true }])
  })

  it('goes with its roles and connections when it is dropped', async () => {
    const db = await testDatabase({ template: numbers })
    const role = await db.role('gone', { allow: 'user' })
    const pool = role.pool()
    await pool.query('select 1')
    await role.connect()
    await db.drop()
    const left = await withAdmin(inject('server').url, (admin) =>
      admin.query(
        `select datname from pg_database where datname = $1
         union all select rolname from pg_roles where rolname = $2`,
        [db.name, role.name],
      ),
    )
    expect(left.rows).toEqual([])
    expect(pool.ended).toBe(true)
  })
})

describe('a template', () => {
  it('is built once however many ask for it at the same time', async () => {
    let builds = 0
    const template: Template = {
      name: 'counted',
      async build(admin) {
        builds += 1
        await admin.query('create table counted ()')
      },
    }
    const all = await Promise.all([1, 2, 3, 4].map(() => testDatabase({ template })))
    expect(builds).toBe(1)
    await Promise.all(all.map((db) => db.drop()))
  })

  it('is another one when its SQL differs', async () => {
    const build = async (admin: pg.Client) => void (await admin.query('create table t ()'))
    let builds = 0
    const counting = (sql: string): Template => ({
      name: 'hashed',
      sql: [sql],
      build: async (admin) => {
        builds += 1
        await build(admin)
      },
    })
    const first = await testDatabase({ template: counting('create table a ()') })
    const same = await testDatabase({ template: counting('create table a ()') })
    const other = await testDatabase({ template: counting('create table b ()') })
    expect(builds).toBe(2)
    await Promise.all([first, same, other].map((db) => db.drop()))
  })

  it('leaves nothing that is taken for complete when building it fails', async () => {
    let attempts = 0
    const template: Template = {
      name: 'flaky',
      async build(admin) {
        attempts += 1
        await admin.query('create table t ()')
        if (attempts === 1) throw new Error('no luck')
      },
    }
    await expect(testDatabase({ template })).rejects.toThrow('no luck')
    const db = await testDatabase({ template })
    expect(attempts).toBe(2)
    await db.drop()
  })
})
