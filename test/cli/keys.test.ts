import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { deriveKeyShare } from '../../src/credential.js'
import { testDatabase, type TestDatabase } from '../support/database.js'
import { cli } from './cli.js'

const [old, fresh] = [randomBytes(32).toString('base64url'), randomBytes(32).toString('base64url')]

let db: TestDatabase
let url: string

beforeAll(async () => {
  db = await testDatabase()
  url = db.url()
})
afterAll(() => db.drop())

const keys = (args: string[], env: Record<string, string> = {}) =>
  cli(['keys', ...args], { url, env })

it('makes the master key from the secret, and says what is missing without it', async () => {
  expect(await keys(['status'])).toMatchObject({
    code: 0,
    out: 'There is no master key: tenantry keys create\n',
  })
  expect(await keys(['create'])).toMatchObject({
    code: 1,
    err: expect.stringMatching(/TENANTRY_SECRET is not set/) as string,
  })
  expect(await keys(['create'], { TENANTRY_SECRET: old })).toMatchObject({ code: 0, err: '' })
  expect(await keys(['create'], { TENANTRY_SECRET: fresh })).toMatchObject({
    code: 1,
    err: expect.stringMatching(/TN005/) as string,
  })
  expect((await keys(['status'])).out).toMatch(/active/)
})

it('prints the share for a key file, with a warning beside it', async () => {
  const { out, err } = await keys(['share'], { TENANTRY_SECRET: old })
  expect(out).toBe(`${deriveKeyShare(old).toString('hex')}\n`)
  expect(err).toMatch(/dump reads every secret/)
})

it('rotates the master key, says that both are valid, and finishes', async () => {
  expect(await keys(['rotate'], { TENANTRY_SECRET: fresh })).toMatchObject({
    code: 1,
    err: expect.stringMatching(/TENANTRY_SECRET_OLD is not set.*\n.* uses until now/) as string,
  })
  const rotated = await keys(['rotate'], { TENANTRY_SECRET_OLD: old, TENANTRY_SECRET: fresh })
  expect(rotated).toMatchObject({
    code: 0,
    out: expect.stringMatching(/finish-rotation/) as string,
  })
  expect(rotated.err).toMatch(/0 keys wrapped/)
  expect((await keys(['status'])).out).toMatch(/retiring[\s\S]*finish-rotation/)
  expect(await keys(['finish-rotation'], { TENANTRY_SECRET: old })).toMatchObject({
    code: 1,
    err: expect.stringMatching(/TN005/) as string,
  })
  expect(await keys(['finish-rotation'], { TENANTRY_SECRET: fresh })).toMatchObject({ code: 0 })
  expect((await keys(['status'])).out).not.toMatch(/retiring/)
})

it('rotates data keys and shreds', async () => {
  await db.admin.query(`select tenantry.register_entity('user:1')`)
  expect(await keys(['rotate-data'], { TENANTRY_SECRET: fresh })).toMatchObject({ code: 0 })
  expect(
    await keys(['rotate-data', '--entity', 'user:2'], { TENANTRY_SECRET: fresh }),
  ).toMatchObject({ code: 1, err: expect.stringMatching(/TN009/) as string })
  expect((await keys(['shred', 'user:1'])).code).toBe(2)
  expect(await keys(['shred', 'user:1', '--reason', 'asked for'])).toMatchObject({
    code: 0,
    out: expect.stringMatching(/0 keys of user:1[\s\S]*Backups/) as string,
  })
})

it('is for admins', async () => {
  const app = await db.role('app', { allow: 'user' })
  const { code, err } = await cli(['keys', 'status'], { url: db.url(app) })
  expect(code).toBe(1)
  expect(err).toMatch(/HINT/)
})
