import { readFileSync } from 'node:fs'
import pg from 'pg'
import { expect, vi } from 'vitest'
import { ownServer, restartWith, type OwnServer } from '../../secrets/support/own-server.js'
import { anna, secretStage, share, type SecretStage } from '../../secrets/support/stage.js'
import { databaseOn, type TestDatabase } from '../../support/database/clone.js'
import { credential, inTransaction, quoted, type Finding } from './stage.js'

/** A server of our own whose log is read, with secrets, an issuer of credentials, and pg_stat_statements. */
export interface LoggingStage extends SecretStage {
  readonly server: OwnServer
  /** A database in which there is nothing to leak. */
  readonly elsewhere: TestDatabase
  /** What a session of the application leaves behind in the log and in pg_stat_statements. */
  left(): Promise<string[]>
  /** The severity, the code and the object, as login or database. */
  short(finding: Finding): string
  /** ALTER SYSTEM, until new sessions have it. */
  system(setting: string, value: string | null): Promise<void>
}

type Queries = Pick<pg.ClientBase, 'query'>

export const everything = ['credential', 'share', 'written', 'sought', 'failing', 'in text']

/** What has plans logged. */
export const explain = [
  `session_preload_libraries = 'auto_explain'`,
  'auto_explain.log_min_duration = 0',
]

export async function loggingFindings(client: Queries): Promise<Finding[]> {
  return (await client.query<Finding>('select * from tenantry_private.logging_findings()')).rows
}

export async function loggingStage(): Promise<LoggingStage> {
  const server = await ownServer()
  if (typeof server === 'string') throw new Error(server)
  await restartWith(server, { shared_preload_libraries: 'pg_stat_statements' })
  const system: LoggingStage['system'] = async (setting, value) => {
    const change =
      value === null ? `reset ${setting}` : `set ${setting} = ${pg.escapeLiteral(value)}`
    await once(server, `alter system ${change}`)
    await once(server, 'select pg_reload_conf()')
    await vi.waitUntil(async () => {
      const [row] = await once<{ now: string; initial: string }>(
        server,
        `select setting as now, boot_val as initial from pg_settings where name = '${setting}'`,
      )
      return row!.now === (value ?? row!.initial)
    })
  }
  await system('pg_stat_statements.track_utility', 'off')
  const on = await secretStage(await databaseOn(server))
  await on.setUp.query(`
    create table vault (id int generated always as identity primary key, owner_id uuid not null references users, token text, note text, check (note <> 'bad'));
    select tenantry.protect('vault'); select tenantry.encrypt_column('vault', 'token', blind_index => true)`)
  const elsewhere = await databaseOn(server)
  await elsewhere.admin.query('create extension pg_stat_statements')
  return {
    ...on,
    server,
    elsewhere,
    system,
    left: () => left(on, server, elsewhere),
    short: ({ severity, code, object }) =>
      `${severity} ${code} ${[on.app.name, quoted(on.app.name)].includes(object) ? 'login' : 'database'}`,
    async drop() {
      await on.drop()
      await elsewhere.drop()
      await server.stop()
    },
  }
}

async function once<R extends object>(server: OwnServer, query: string): Promise<R[]> {
  const client = new pg.Client(server.url)
  await client.connect()
  try {
    return (await client.query<R>(query)).rows
  } finally {
    await client.end()
  }
}

async function left(on: SecretStage, server: OwnServer, other: TestDatabase): Promise<string[]> {
  const token = credential(on.db.name, anna)
  const before = readFileSync(server.logFile, 'latin1').length
  await other.admin.query('select pg_stat_statements_reset()')
  const client = await on.app.connect()
  await inTransaction(client, async () => {
    await client.query('select tenantry.enter($1, $2)', [token, share])
    await client.query('insert into vault (token) values ($1)', ['CANARY-WRITTEN'])
    await client.query('select from tenant.vault where token = $1', ['CANARY-SOUGHT'])
    await client.query('savepoint s')
    const failing = client.query(`insert into vault (note, token) values ('bad', $1)`, [
      'CANARY-FAILING',
    ])
    await expect(failing).rejects.toThrow('vault_note_check')
    await client.query('rollback to savepoint s')
    await client.query(
      `do $$ begin raise warning 'heard'; insert into vault (token) values ('CANARY-IN-TEXT'); end $$`,
    )
  })
  await client.end()
  const log = readFileSync(server.logFile, 'latin1').slice(before)
  const kept = await other.admin.query<{ query: string }>('select query from pg_stat_statements')
  // Query trees show bytes as signed numbers, in lines that end anywhere.
  const text = [log, ...kept.rows.map(({ query }) => query)].join('\n').replaceAll(/\s/g, '')
  const bytes = (value: string | Buffer) => [...new Int8Array(Buffer.from(value))].join('')
  const canaries: [string, string | Buffer][] = [
    ['credential', token],
    ['share', share],
    ['written', 'CANARY-WRITTEN'],
    ['sought', 'CANARY-SOUGHT'],
    ['failing', 'CANARY-FAILING'],
    ['in text', 'CANARY-IN-TEXT'],
  ]
  return canaries
    .filter(([, value]) =>
      [bytes(value), Buffer.isBuffer(value) ? value.toString('hex') : value].some((form) =>
        text.includes(form),
      ),
    )
    .map(([name]) => name)
}
