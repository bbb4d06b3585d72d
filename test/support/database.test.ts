import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { testDatabase, type TestDatabase } from './database.js'

describe('a test database', () => {
  let one: TestDatabase
  let two: TestDatabase
  const template = {
    name: 'numbers',
    sql: ['create table number (n int)'],
    build: async (admin: import('pg').Client) => {
      await admin.query('create table number (n int); insert into number values (1), (2)')
    },
  }

  beforeAll(async () => {
    ;[one, two] = await Promise.all([testDatabase({ template }), testDatabase({ template })])
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
  })
})
