import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'vitest'
import { loadShop, readTruth, type Truth } from '../fixtures/shop/load.js'
import {
  acceptServer,
  testDatabase,
  type TestDatabase,
  type TestRole,
} from '../support/database.js'
import { cli, type CliResult } from './cli.js'
import { uncomment } from './edit.js'

/** The shop as it was, and the shop after somebody went from `survey` to `apply`. */
export interface Adopted {
  /** The control: the same data, which nobody protected. */
  readonly unprotected: TestDatabase
  readonly unprotectedOwner: TestRole
  readonly db: TestDatabase
  readonly owner: TestRole
  /** What the application connects as from now on. */
  readonly runtime: TestRole
  /** Whose every row is, read before anything was protected. */
  readonly truth: Truth
  readonly secret: string
  readonly folder: string
  /** The survey's file, as written and as edited. */
  readonly surveyed: string
  readonly edited: string
  readonly applied: CliResult
  drop(): Promise<void>
}

export async function adoptShop(): Promise<Adopted> {
  const folder = mkdtempSync(join(tmpdir(), 'tenantry-cli-'))
  const secret = randomBytes(32).toString('base64url')
  const unprotected = await testDatabase({ empty: true })
  const unprotectedOwner = await loadShop(unprotected)
  const db = await testDatabase({ empty: true })
  const owner = await loadShop(db)
  const runtime = await db.role('shop_runtime')
  const truth = await readTruth(db)

  const url = db.url()
  const env = { TENANTRY_SECRET: secret }
  expect(await cli(['install'], { url })).toMatchObject({ code: 0 })
  await db.admin.query(acceptServer)
  expect(await cli(['keys', 'register'], { url, env })).toMatchObject({ code: 0 })
  const surveyed = (await cli(['survey', '--runtime-login', runtime.name], { url })).out
  const edited = uncomment(surveyed)
  const file = join(folder, 'tenantry.sql')
  writeFileSync(file, edited)
  const applied = await cli(['apply', file], { url })
  return {
    unprotected,
    unprotectedOwner,
    db,
    owner,
    runtime,
    truth,
    secret,
    folder,
    surveyed,
    edited,
    applied,
    async drop() {
      rmSync(folder, { recursive: true, force: true })
      await db.drop()
      await unprotected.drop()
    },
  }
}
