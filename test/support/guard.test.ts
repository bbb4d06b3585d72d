import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { assertOrdinaryRole, testDatabase, type TestDatabase, type TestRole } from './database.js'

describe('the guard of policy tests', () => {
  let db: TestDatabase
  let owner: TestRole

  beforeAll(async () => {
    db = await testDatabase()
    owner = await db.role('owner')
    await db.admin.query(`
      create schema ward;
      create table ward.patient (id int);
      alter table ward.patient owner to ${pg.escapeIdentifier(owner.name)};
      alter table ward.patient enable row level security`)
  })
  afterAll(async () => {
    await db.drop()
  })

  it('lets an ordinary role in', async () => {
    const client = await (await db.role('ordinary')).connect()
    await expect(assertOrdinaryRole(client)).resolves.toBeUndefined()
  })

  it('refuses a superuser', async () => {
    const client = await db.admin.connect()
    await expect(assertOrdinaryRole(client)).rejects.toThrow('is a superuser')
    client.release()
  })

  it('refuses a superuser that has become somebody else', async () => {
    const plain = await db.role('plain')
    const client = await db.admin.connect()
    await client.query(`set role ${pg.escapeIdentifier(plain.name)}`)
    await expect(assertOrdinaryRole(client)).rejects.toThrow('is a superuser')
    client.release(true)
  })

  it('refuses BYPASSRLS', async () => {
    const role = await db.role('bypassing', { attributes: 'bypassrls' })
    await expect(role.connect()).rejects.toMatchObject({ code: 'NOT_AN_ORDINARY_ROLE' })
    await expect(role.connect()).rejects.toThrow('has BYPASSRLS')
  })

  it('refuses the owner of a table in a protected schema', async () => {
    await expect(owner.connect()).rejects.toThrow('owns table ward.patient')
  })

  it('refuses a member of the owner', async () => {
    const member = await db.role('member')
    await db.admin.query(
      `grant ${pg.escapeIdentifier(owner.name)} to ${pg.escapeIdentifier(member.name)}`,
    )
    await expect(member.connect()).rejects.toThrow('owns table ward.patient')
  })

  it('stands before every connection of a pool', async () => {
    await expect(owner.pool().query('select 1')).rejects.toThrow('owns table ward.patient')
  })

  it('stands aside only for a test of the refusal itself', async () => {
    const role = await db.role('on_purpose', { attributes: 'bypassrls', ordinary: false })
    const { rows } = await role.pool().query<{ one: number }>('select 1 as one')
    expect(rows).toEqual([{ one: 1 }])
  })
})
