import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import pg from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { deriveSigningKey, mintCredential } from '../../src/credential.js'
import { identityOf } from '../../src/identity.js'
import { ownServer } from '../extension/support/installation.js'
import { databaseOn, type TestDatabase } from '../support/database/clone.js'
import type { TestRole } from '../support/database.js'
import type { TestServer } from '../support/servers.js'
import { anna, annaId } from './support/stage.js'

// A known secret is written under the default and the worst settings of logging, and looked for everywhere.

const share = Buffer.from('0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f0', 'hex')
const secret = 'a secret of the canary, long enough for anybody'

let server: TestServer
let db: TestDatabase
let app: TestRole

beforeAll(async () => {
  server = await ownServer()
  db = await databaseOn(server)
  const owner = await db.role('owner', { ordinary: false })
  app = await db.role('app', { allow: 'user' })
  const { key, keyId } = deriveSigningKey(secret)
  await db.admin.query('select tenantry.register_issuer($1, $2)', [keyId, key])
  await db.admin.query('select tenantry.create_master_key($1)', [share])
  await db.admin
    .query(`grant create, usage on schema public to "${owner.name}"; set role "${owner.name}";
    create table users (id uuid primary key); insert into users values ('${annaId}');
    create table vault (id int primary key, owner_id uuid not null references users, token text, plain text, check (id > 0));
    reset role;
    select tenantry.register_kind('user', 'users'); select tenantry.protect('users', 'id'); select tenantry.protect('vault');
    select tenantry.encrypt_column('vault', 'token')`)
})
afterAll(async () => {
  await db.drop()
  await server.stop()
})

const credential = () =>
  mintCredential(deriveSigningKey(secret), identityOf(anna), {
    audience: db.name,
    expiresAt: Math.floor(Date.now() / 1000) + 60,
  })

/** Writes, reads, and fails to write, as the application does: everything that matters as bind parameters. */
async function use(id: number, token: string, before = ''): Promise<string[]> {
  const client = new pg.Client({ connectionString: app.url })
  const said: string[] = []
  client.on('notice', (notice) => said.push(JSON.stringify({ ...notice, message: notice.message })))
  await client.connect()
  await client.query('begin')
  await client.query('select tenantry.enter($1, $2)', [credential(), share])
  // Whoever injects SQL comes behind the statement that entered.
  if (before) await client.query(before)
  await client.query('insert into vault (id, token) values ($1, $2)', [id, token])
  await client.query('update vault set token = $2 where id = $1', [id, `${token} again`])
  const { rows } = await client.query<{ token: string }>(
    'select token from tenant.vault where token = $1',
    [`${token} again`],
  )
  expect(rows).toHaveLength(1)
  await client.query('savepoint s')
  const failed = await client
    .query('insert into vault (id, token) values (-1, $1)', [`${token} failing`])
    .catch((error: unknown) => error)
  said.push(JSON.stringify(failed, Object.getOwnPropertyNames(failed)))
  await client.query('rollback to savepoint s')
  await client.query('commit')
  await client.end()
  return said
}

const forms = () => [share.toString('hex'), share.toString('base64'), share.toString('latin1')]
const log = () => readFileSync(server.logFile!, 'latin1')
const has = (text: string, wanted: readonly string[]) => wanted.filter((one) => text.includes(one))

async function files(): Promise<string> {
  await db.admin.query('checkpoint')
  const { rows } = await db.admin.query<{ d: string; b: string }>(
    `select current_setting('data_directory') as d, (select oid::text from pg_database where datname = current_database()) as b`,
  )
  const { d, b } = rows[0]!
  return [join(d, 'base', b), join(d, 'pg_wal')]
    .flatMap((folder) => readdirSync(folder).map((name) => join(folder, name)))
    .filter((path) => statSync(path).isFile())
    .map((path) => readFileSync(path, 'latin1'))
    .join('\n')
}

const findings = async () =>
  (
    await db.admin.query<{ code: string; fix: string }>(
      `select code, fix from tenantry.check('info') where code like 'logging%' or code like '%explain%' or code = 'debug_print'`,
    )
  ).rows

test('under default settings a secret is nowhere: not in the log, the files, the WAL, nor what the client is told', async () => {
  const said = await use(1, 'CANARY-DEFAULT')
  expect(said.join('\n')).toMatch(/violates check constraint/)
  expect(has(said.join('\n'), forms())).toEqual([])
  expect(said.join('\n')).not.toContain('CANARY-DEFAULT')
  expect(has(log(), ['CANARY-DEFAULT', ...forms()])).toEqual([])
  const stored = await files()
  expect(has(stored, ['CANARY-DEFAULT', ...forms()])).toEqual([])
  // The control: what is not encrypted is found, in the files and in the WAL.
  await db.admin.query(`update vault set plain = 'CANARY-CONTROL' where id = 1`)
  expect((await files()).split('CANARY-CONTROL').length).toBeGreaterThan(2)
  expect(await findings()).toEqual([])
})

test('with every debug setting that a user may change, no key, share or secret is told', async () => {
  const settings = `set client_min_messages = debug5; set debug_print_plan = on; set debug_print_parse = on; set debug_print_rewritten = on;
    set plpgsql.print_strict_params = on; set log_parameter_max_length_on_error = -1; set log_error_verbosity = verbose`
  const allowed = settings.replace('; set log_error_verbosity = verbose', '')
  const said = (await use(2, 'CANARY-DEBUG', allowed)).join('\n')
  const master = await db.admin.query<{ s: string }>(
    `select encode(share, 'hex') as s from tenantry_private.master_keys union all select encode(secret, 'hex') from tenantry_private.tag_keys union all select encode(secret, 'hex') from tenantry_private.signing_keys`,
  )
  const keys = master.rows.map(({ s }) => s)
  // Printed plans show bytes as signed numbers in a row.
  const asConstants = [...keys, share.toString('hex')].map((hex) =>
    [...Buffer.from(hex, 'hex')]
      .slice(0, 8)
      .map((byte) => (byte > 127 ? byte - 256 : byte))
      .join(' '),
  )
  const insideTheServer = said.replaceAll(/insert into vault|update vault/g, '')
  expect(has(insideTheServer, [...keys, ...asConstants, ...forms()])).toEqual([])
  expect(said).toMatch(/parse tree|plan/)
})

test('the worst settings show bind parameters in the log, and check() has named each of them', async () => {
  const worst = [
    `log_statement = 'all'`,
    'log_min_duration_statement = 0',
    'log_parameter_max_length = -1',
    'log_parameter_max_length_on_error = -1',
    `debug_print_plan = on`,
  ]
  for (const setting of worst)
    await db.admin.query(`alter role "${app.name}" in database "${db.name}" set ${setting}`)
  const named = await findings()
  expect(new Set(named.map(({ code }) => code))).toEqual(
    new Set([
      'logging_parameters',
      'logging_parameters_on_error',
      'logging_statements',
      'debug_print',
    ]),
  )
  await use(3, 'CANARY-WORST')
  expect(log()).toContain('CANARY-WORST')
  // What the operator has let in by that: the parameters themselves. What he has not: anything of the functions' insides.
  const inside = log()
    .split('\n')
    .filter((line) => !/parameters:|Parameters:/.test(line))
    .join('\n')
  expect(has(inside, [share.toString('hex')])).toEqual([])

  for (const { fix } of named)
    for (const statement of fix.split(/;\s*/).filter(Boolean)) await db.admin.query(statement)
  expect(await findings()).toEqual([])
  await use(4, 'CANARY-FIXED')
  expect(has(log(), ['CANARY-FIXED'])).toEqual([])
})
