import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { loadShop } from '../fixtures/shop/load.js'
import { testDatabase, type TestDatabase, type TestRole } from '../support/database.js'
import { cli } from './cli.js'
import { uncomment } from './edit.js'

let db: TestDatabase
let owner: TestRole
let runtime: TestRole
let folder: string

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'tenantry-cli-'))
  db = await testDatabase()
  owner = await loadShop(db)
  runtime = await db.role('shop_runtime')
})

afterAll(async () => {
  rmSync(folder, { recursive: true, force: true })
  await db.drop()
})

/** The login that owns the tables is no superuser; all it cannot do is named with the next command. */
describe('a team without a superuser', () => {
  it('is told what a superuser must do, once', async () => {
    const file = await surveyedAndEdited()
    const first = await cli(['apply', file], { url: owner.url })
    expect(first.code).toBe(1)
    const admin = /HINT: A superuser or a tenantry admin runs: (select .*'admin'\);)/.exec(
      first.err,
    )?.[1]
    expect(admin).toContain(owner.name)
    await db.admin.query(admin ?? '')
    const second = await cli(['apply', file], { url: owner.url })
    expect(second.code).toBe(1)
    expect(second.out).toContain('1 refused')
    const hint = /HINT: A superuser runs: (select .*allow\('\S+', 'user'\);)/.exec(second.out)?.[1]
    expect(hint).toContain(runtime.name)
    await db.admin.query(hint ?? '')
  })

  it('does everything else itself, until nothing stands open', async () => {
    const secret = randomBytes(32).toString('base64url')
    const keys = await cli(['keys', 'register'], {
      url: owner.url,
      env: { TENANTRY_SECRET: secret },
    })
    expect(keys).toMatchObject({ code: 0, err: '' })
    const applied = await cli(['apply', await surveyedAndEdited()], { url: owner.url })
    expect(applied.out).toContain(' 0 refused')
    expect(applied).toMatchObject({ code: 0, err: '' })
    expect(await cli(['check'], { url: owner.url })).toEqual({
      code: 0,
      out: 'Nothing stands open.\n',
      err: '',
    })
    const seen = await cli(['sql', '--as', 'account:3', 'select count(*) from order_items'], {
      url: runtime.url,
      env: { TENANTRY_SECRET: secret },
    })
    expect(seen.out).toMatch(/│ 120 +│/)
    const all = await cli(['sql', 'select count(*) from order_items'], { url: owner.url })
    expect(all.out).toMatch(/│ 264 +│/)
  })
})

/** Once tables are declared, the survey leaves out what is done, and so the edits. */
async function surveyedAndEdited(): Promise<string> {
  const { out } = await cli(['survey', '--runtime-login', runtime.name], { url: owner.url })
  const file = join(folder, 'tenantry.sql')
  writeFileSync(file, out.includes('-- undecided:') ? uncomment(out) : out)
  return file
}
