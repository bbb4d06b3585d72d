import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test, type TestContext } from 'vitest'
import { deriveSigningKey } from '../../src/credential.js'
import { clientProgram, noClientPrograms, run } from '../extension/support/programs.js'
import { credential, inTransaction } from '../extension/support/stage.js'
import { testDatabase, type TestDatabase } from '../support/database.js'
import { skipWithReason } from '../support/skip.js'
import {
  anna,
  encryptVault,
  secretStage,
  share,
  vaultTable,
  type SecretStage,
} from './support/stage.js'

// What a dump holds, what it lacks, and that nothing is sealed twice or stored in clear on the way back.

let on: SecretStage
let folder: string
const extra: TestDatabase[] = []

beforeAll(async () => {
  on = await secretStage()
  await on.setUp.query(vaultTable)
  await on.setUp.query(encryptVault)
  await on.holding(anna, (client) =>
    client.query(
      `insert into vault (id, token, pin, settings, email) values (1, 'CANARY-1', '1234', '{"secrets":{"k":"CANARY-2"}}', 'CANARY-3@x'), (2, '', null, null, null)`,
    ),
  )
  folder = mkdtempSync(join(tmpdir(), 'tenantry-secrets-'))
})
afterAll(async () => {
  for (const db of extra) await db.drop()
  await on.drop()
  rmSync(folder, { recursive: true, force: true })
})

const requirePrograms = (ctx: TestContext) => {
  if (clientProgram('pg_dump', on.db.major) === null) skipWithReason(ctx, noClientPrograms)
}
const program = (name: string) => clientProgram(name, on.db.major) ?? ''
const emptyDatabase = async () => {
  const db = await testDatabase({ empty: true })
  extra.push(db)
  return db
}

const shown = [
  {
    id: 1,
    token: 'CANARY-1',
    pin: '1234',
    settings: { secrets: { k: 'CANARY-2' } },
    email: 'CANARY-3@x',
  },
  { id: 2, token: '', pin: null, settings: null, email: null },
]

/** What its owner reads in a restored database, once it has been told what a dump does not carry. */
async function reads(db: TestDatabase): Promise<unknown[]> {
  await db.admin.query('select tenantry.initialise()')
  const { key, keyId } = deriveSigningKey('a secret of the tests, long enough for anybody')
  await db.admin.query('select tenantry.register_issuer($1, $2)', [keyId, key])
  await db.admin.query('select tenantry.sync()')
  const client = await on.app.connect({ connectionString: on.app.url.replace(on.db.name, db.name) })
  try {
    return await inTransaction(client, async () => {
      await client.query('select tenantry.enter($1, $2)', [credential(db.name, anna), share])
      return (
        await client.query('select id, token, pin, settings, email from tenant.vault order by id')
      ).rows
    })
  } finally {
    await client.end()
  }
}

test('a full dump opens in a new database, in every format, and holds neither secrets nor shares nor signing keys', async (ctx) => {
  requirePrograms(ctx)
  const custom = join(folder, 'full.dump')
  const plain = join(folder, 'full.sql')
  run(program('pg_dump'), ['-Fc', '-Z0', '-f', custom, on.db.url()])
  run(program('pg_dump'), ['-f', plain, on.db.url()])
  const signing = (
    await on.stored<{ s: string }>(
      `select encode(secret, 'hex') as s from tenantry_private.signing_keys`,
    )
  ).map(({ s }) => s)
  const tag = (
    await on.stored<{ s: string }>(
      `select encode(secret, 'hex') as s from tenantry_private.tag_keys`,
    )
  )[0]!.s
  const issuer = deriveSigningKey('a secret of the tests, long enough for anybody').key
  signing.push(issuer.toString('hex'))
  for (const file of [custom, plain]) {
    const bytes = readFileSync(file)
    for (const secret of ['CANARY', ...signing, share.toString('hex'), share.toString('base64')]) {
      expect([file, bytes.includes(secret)]).toEqual([file, false])
    }
    expect(bytes.includes(tag)).toBe(true) // the control: what lies in the database is found
    expect(bytes.includes(share)).toBe(false)
  }
  const restored = await emptyDatabase()
  run(program('pg_restore'), ['-1', '--exit-on-error', '-d', restored.url(), custom])
  expect(await reads(restored)).toEqual(shown)
  const again = await emptyDatabase()
  run(program('psql'), ['-q', '-1', '-v', 'ON_ERROR_STOP=1', '-f', plain, again.url()])
  expect(await reads(again)).toEqual(shown)
  // What is written afterwards is sealed with new keys whose numbers are free.
  const stored = await restored.admin.query<{ token: string }>('select token from vault')
  for (const { token } of stored.rows) expect(token).toMatch(/^tn1:/)
})

test('data alone comes back as it was, with triggers on and off, and without a share', async (ctx) => {
  requirePrograms(ctx)
  const before = await on.stored('select * from vault order by id')
  for (const options of [[], ['--disable-triggers']]) {
    const file = join(folder, `data${options.length}.sql`)
    run(program('pg_dump'), ['-a', '-t', 'vault', ...options, '-f', file, on.db.url()])
    await on.db.admin.query('delete from vault')
    run(program('psql'), ['-q', '-1', '-v', 'ON_ERROR_STOP=1', '-f', file, on.db.url()])
    expect(await on.stored('select * from vault order by id')).toEqual(before)
    // pg_dump's way to turn triggers off and on forgets that these fire always: check() says so, sync() sees to it.
    const codes = new Set((await on.check()).map(({ code }) => code))
    expect(codes).toEqual(new Set(options.length ? ['secret_unsealed'] : []))
    await on.db.admin.query('select tenantry.sync()')
  }
  expect(
    await on.holding(
      anna,
      async (client) =>
        (await client.query('select id, token, pin, settings, email from tenant.vault order by id'))
          .rows,
    ),
  ).toEqual(shown)
})

test('a dump of the schema says in check() what it lacks', async (ctx) => {
  requirePrograms(ctx)
  const file = join(folder, 'schema.dump')
  run(program('pg_dump'), ['-Fc', '-s', '-f', file, on.db.url()])
  const restored = await emptyDatabase()
  run(program('pg_restore'), ['-1', '--exit-on-error', '-d', restored.url(), file])
  const codes = async () =>
    (
      await restored.admin.query<{ code: string; object: string }>(
        `select code, object from tenantry.check() where code <> 'server_outdated'`,
      )
    ).rows
  // Without its data the extension's registry is empty, too: the tables are known to nobody.
  await restored.admin.query('select tenantry.initialise()')
  expect((await codes()).map(({ code }) => code)).toContain('secret_registry_missing')
})

test('a dump of one schema or of some tables says in check() what it lacks; a full dump brings it', async (ctx) => {
  requirePrograms(ctx)
  const full = join(folder, 'whole.dump')
  run(program('pg_dump'), ['-Fc', '-f', full, on.db.url()])
  for (const options of [
    ['-n', 'public'],
    ['-t', 'vault', '-t', 'users'],
  ]) {
    const file = join(folder, 'part.dump')
    run(program('pg_dump'), ['-Fc', ...options, '-f', file, on.db.url()])
    const restored = await testDatabase()
    extra.push(restored)
    // Its functions are not in such a dump, and so neither are the triggers that call them.
    expect(() => run(program('pg_restore'), ['-d', restored.url(), file])).toThrow(/seal_/)
    await restored.admin.query('select tenantry.initialise()')
    const findings = async () =>
      (
        await restored.admin.query<{ code: string; object: string }>(
          `select code, object from tenantry.check() where code <> 'server_outdated'`,
        )
      ).rows.filter(({ code }) => code !== 'temporary_privilege')
    expect(await findings()).toEqual([{ code: 'secret_registry_missing', object: 'public.vault' }])
    // The dump brings it.
    await restored.admin.query(`select tenantry.configure('accepted_server', null)`)
    run(program('pg_restore'), [
      '-1',
      '--exit-on-error',
      '--data-only',
      '--schema=tenantry_private',
      '-d',
      restored.url(),
      full,
    ])
    // Rights on tenantry's own functions are in no dump of data.
    await restored.admin.query(`select tenantry.allow($1, 'user')`, [on.app.name])
    expect(await reads(restored)).toEqual(shown)
    expect(await findings()).toEqual([])
  }
})

test('declarations without keys are found, and no plaintext is taken meanwhile', async () => {
  const admin = await on.db.admin.connect()
  try {
    await admin.query('begin')
    await admin.query(`delete from tenantry_private.index_keys; delete from tenantry_private.data_keys;
      delete from tenantry_private.master_keys; delete from tenantry_private.tag_keys`)
    const { rows } = await admin.query<{ code: string }>(
      `select distinct code from tenantry.check() where code <> 'server_outdated'`,
    )
    expect(rows).toEqual([{ code: 'secret_keys_missing' }])
    await admin.query('savepoint s')
    await expect(admin.query(`update vault set token = 'plain'`)).rejects.toMatchObject({
      code: 'TN005',
    })
    await admin.query('rollback')
    expect(await on.check()).toEqual([])
  } finally {
    admin.release()
  }
})
