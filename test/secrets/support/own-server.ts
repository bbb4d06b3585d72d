import { spawn } from 'node:child_process'
import { appendFileSync, closeSync, existsSync, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { inject } from 'vitest'
import { serverAccount } from '../../support/server/account.js'
import { startServer, type TestServer } from '../../support/servers.js'

/** A server of ours whose files are at hand. */
export interface OwnServer extends TestServer {
  readonly data: string
  readonly logFile: string
}

/** Starts a server of ours; a sentence that says why not where npm installed no programs of this major version. */
export async function ownServer(): Promise<OwnServer | string> {
  const { major } = inject('server')
  try {
    const server = await startServer({ major, storage: 'memory', sources: ['embedded'] })
    const [row] = await ask<{ data: string }>(
      server,
      `select current_setting('data_directory') as data`,
    )
    return { ...server, data: row!.data, logFile: server.logFile! }
  } catch (error) {
    return (error as Error).message
  }
}

/** Adds settings to the server's own; those that can be changed while it runs take effect at the next reload. */
export function configure(server: OwnServer, settings: Record<string, string>): void {
  const lines = Object.entries(settings).map(([name, value]) => `${name} = '${value}'\n`)
  appendFileSync(join(server.data, 'postgresql.conf'), lines.join(''))
}

/** Starts it again with settings that only a start can change. */
export async function restartWith(
  server: OwnServer,
  settings: Record<string, string>,
): Promise<void> {
  configure(server, settings)
  const pidFile = join(server.data, 'postmaster.pid')
  process.kill(Number.parseInt(readFileSync(pidFile, 'utf8')), 'SIGINT')
  await until(() => !existsSync(pidFile), 'stop')
  // What the server notes of its own start: its program and the options, in quotation marks.
  const [program, ...options] = readFileSync(join(server.data, 'postmaster.opts'), 'utf8')
    .trim()
    .split(' ')
  const account = serverAccount()
  const log = openSync(server.logFile, 'a')
  spawn(
    program!,
    options.map((option) => option.replaceAll('"', '')),
    {
      cwd: server.data,
      env: { PATH: process.env.PATH ?? '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' },
      detached: true,
      stdio: ['ignore', log, log],
      ...(account && { uid: account.uid, gid: account.gid }),
    },
  ).unref()
  closeSync(log)
  const ready = () => existsSync(pidFile) && /^ready/m.test(readFileSync(pidFile, 'utf8'))
  await until(ready, 'start')
}

async function until(done: () => boolean, what: string): Promise<void> {
  for (let tries = 0; !done(); tries += 1) {
    if (tries >= 600) throw new Error(`the server did not ${what} within 30 seconds`)
    await sleep(50)
  }
}

async function ask<R extends object>(server: TestServer, query: string): Promise<R[]> {
  const client = new pg.Client({ connectionString: server.url })
  await client.connect()
  try {
    return (await client.query<R>(query)).rows
  } finally {
    await client.end()
  }
}
