import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { leaked, spellings } from '../extension/support/listening.js'
import { clientProgram, noClientPrograms, run } from '../extension/support/programs.js'
import { credential, inTransaction } from '../extension/support/stage.js'
import { databaseOn } from '../support/database/clone.js'
import { skipWithReason } from '../support/skip.js'
import { keysOf } from './support/attacked.js'
import { configure, ownServer, restartWith, type OwnServer } from './support/own-server.js'
import { anna, secretStage, share, type SecretStage } from './support/stage.js'

// Known secrets go through a server that has pg_stat_statements and auto_explain, and are looked for in everything it keeps.

let server: OwnServer
let on: SecretStage
let missing: string | null = null

beforeEach((ctx) => {
  if (missing !== null) skipWithReason(ctx, missing)
})
beforeAll(async () => {
  const started = await ownServer()
  if (typeof started === 'string') {
    missing = started
    return
  }
  server = started
  await restartWith(server, {
    shared_preload_libraries: 'pg_stat_statements, auto_explain',
    'pg_stat_statements.track': 'all',
  })
  on = await secretStage(await databaseOn(server))
  await on.db.admin.query('create extension pg_stat_statements')
  await on.setUp.query(`
    create table vault (id int primary key, owner_id uuid not null references users, token text, doc jsonb, email text, plain text, check (id > 0));
    select tenantry.protect('vault');
    select tenantry.encrypt_column('vault', 'token'); select tenantry.encrypt_column('vault', 'doc', '{s}');
    select tenantry.encrypt_column('vault', 'email', blind_index => true)`)
})
afterAll(async () => {
  if (missing !== null) return
  await on.drop()
  await server.stop()
})

/** Writes, reads, searches and fails, with everything that matters in bind parameters; gives the credential it entered by. */
async function use(id: number, canary: string): Promise<string> {
  const client = await on.app.connect()
  const token = credential(on.db.name, anna)
  await inTransaction(client, async () => {
    await client.query('select tenantry.enter($1, $2)', [token, share])
    const insert = `insert into vault (id, token, doc, email) values ($1, $2, jsonb_build_object('s', $2::text), $2)`
    await client.query(insert, [id, canary])
    await client.query('update vault set token = $2 where id = $1', [id, `${canary} again`])
    const seen = await client.query(
      `select token from tenant.vault
        where email_index = tenantry.blind_index((select column_id from tenantry.encrypted_columns where column_name = 'email'), $1)`,
      [canary],
    )
    expect(seen.rows).toEqual([{ token: `${canary} again` }])
    await client.query('savepoint s')
    await expect(client.query(insert, [-id, canary])).rejects.toMatchObject({ code: '23514' })
    await client.query('rollback to savepoint s')
  })
  await client.end()
  return token
}

/** Everything the server keeps, each kind under its name. */
async function kept(): Promise<Record<string, string>> {
  await on.db.admin.query('checkpoint')
  const files = readdirSync(server.data, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => join(parentPath, name))
  const content = (wanted: (path: string) => boolean) =>
    files
      .filter(wanted)
      .map((path) => readFileSync(path, 'latin1'))
      .join('\n')
  const inWal = (path: string) => path.startsWith(join(server.data, 'pg_wal'))
  const statements = await on.stored('select query from pg_stat_statements')
  return {
    log: readFileSync(server.logFile, 'latin1'),
    pg_stat_statements: JSON.stringify(statements),
    wal: content(inWal),
    data: content((path) => !inWal(path)),
  }
}

/** As PostgreSQL, or a person, may have written a text or bytes. */
const forms = (text: string | Buffer) => {
  const bytes = Buffer.from(text as string)
  return [
    bytes.toString('latin1'),
    bytes.toString('hex'),
    [...bytes.subarray(0, 12)].map((byte) => (byte > 127 ? byte - 256 : byte)).join(' '),
    bytes.toString('base64').replace(/=*$/, '').slice(0, -1),
    ...(bytes.length === 32 ? spellings(bytes) : []),
  ]
}
const found = (where: Record<string, string>, what: string | Buffer) =>
  Object.entries(where)
    .filter(([, text]) => forms(what).some((form) => text.includes(form)))
    .map(([name]) => name)
    .sort()

test('by default a secret, the share and the credential are nowhere; what is not encrypted is found', async () => {
  const token = await use(1, 'CANARY-BY-DEFAULT')
  await on.db.admin.query(`update vault set plain = $1 where id = 1`, ['CANARY-CONTROL'])
  const everything = await kept()
  for (const what of ['CANARY-BY-DEFAULT', share, token])
    expect(found(everything, what)).toEqual([])
  expect(found(everything, 'CANARY-CONTROL')).toEqual(['data', 'wal'])
  expect(everything.pg_stat_statements).toContain('insert into vault (id, token')
  // What is stated: the database's share and the tag key lie in the database, its WAL and its dumps.
  const [stated] = await on.stored<{ share: Buffer }>(
    'select share from tenantry_private.master_keys',
  )
  expect(found(everything, stated!.share)).toEqual(['data', 'wal'])
})

test('nor in a dump of either format', (ctx) => {
  const program = clientProgram('pg_dump', on.db.major)
  if (program === null) skipWithReason(ctx, noClientPrograms)
  for (const format of [['-Fp'], ['-Fc', '-Z0']]) {
    const dump = run(program, [...format, on.db.url()])
    expect(found({ dump }, 'CANARY-CONTROL')).toEqual(['dump'])
    for (const what of ['CANARY-BY-DEFAULT', share]) expect(found({ dump }, what)).toEqual([])
  }
})

/** The log's entries, of several lines each, by what they are. */
function entriesOf(log: string): Record<string, string> {
  const kinds: Record<string, string> = {}
  for (const entry of log.split(/\n(?=\d{4}-\d\d-\d\d \d\d:)/)) {
    const kind = /DETAIL: {2}[Pp]arameters/.test(entry)
      ? 'parameters'
      : /CONTEXT: {2}.*portal.* with parameters/s.test(entry)
        ? 'parameters in context'
        : /LOG: {2}duration: .* plan:/.test(entry)
          ? 'auto_explain'
          : /DETAIL:\s+\(?\{/.test(entry)
            ? 'debug_print'
            : 'other'
    kinds[kind] = `${kinds[kind] ?? ''}\n${entry.replaceAll(/\s*\n\s*/g, ' ')}`
  }
  return kinds
}

const worst = {
  log_statement: 'all',
  log_min_duration_statement: '0',
  log_parameter_max_length: '-1',
  log_parameter_max_length_on_error: '-1',
  'auto_explain.log_min_duration': '0',
  'auto_explain.log_verbose': 'on',
  'auto_explain.log_nested_statements': 'on',
  'auto_explain.log_analyze': 'on',
  debug_print_parse: 'on',
  debug_print_rewritten: 'on',
  debug_print_plan: 'on',
}

test('the worst settings show bind parameters in the log and nowhere else, no key, and check() names each of them', async () => {
  const before = readFileSync(server.logFile, 'latin1').length
  configure(server, worst)
  await on.db.admin.query('select pg_reload_conf()')
  const token = await use(2, 'CANARY-AT-WORST')
  const codes = new Set(
    (await on.stored<{ code: string }>(`select code from tenantry.check('info')`)).map(
      ({ code }) => code,
    ),
  )
  const everything = await kept()
  for (const what of ['CANARY-AT-WORST', share, token])
    expect(found(everything, what)).toEqual(['log'])
  const kinds = entriesOf(everything.log!.slice(before))
  // Where values of parameters stand: the operator's doing, and what check() has named. Literals there are none.
  for (const what of ['CANARY-AT-WORST', share, token]) {
    expect(found(kinds, what)).toEqual([
      'auto_explain',
      'debug_print',
      'parameters',
      'parameters in context',
    ])
  }
  for (const code of ['logging_parameters', 'logging_parameters_on_error', 'debug_print'])
    expect([code, codes.has(code)]).toEqual([code, true])
  expect([...codes].filter((code) => code.startsWith('auto_explain'))).toHaveLength(1)
  // What the server knows by itself is not shown, nested statements and all.
  const [application, ...keys] = await keysOf(on)
  expect(application).toEqual(share)
  const log = Object.values(kinds)
  expect(leaked(log, keys)).toEqual([])
  expect(leaked(log, [share])).not.toEqual([]) // the control
})

test('nor do they show a key while an admin rotates every one of them', async () => {
  const before = readFileSync(server.logFile, 'latin1').length
  const old = await keysOf(on)
  const newShare = Buffer.from(share.map((byte) => byte ^ 0x3c))
  await on.setUp.query('call tenantry.rotate_data_keys($1)', [share])
  await on.setUp.query('call tenantry.rotate_master_key($1, $2)', [share, newShare])
  await on.setUp.query('select tenantry.finish_master_rotation($1)', [newShare])
  await on.setUp.query('select tenantry.initialise(rotate => true)')
  const fresh = await keysOf(on, newShare)
  const log = Object.values(entriesOf(readFileSync(server.logFile, 'latin1').slice(before)))
  expect(leaked(log, [...old.slice(1), ...fresh.slice(1)])).toEqual([])
  expect(leaked(log, [share])).not.toEqual([]) // the control
})
