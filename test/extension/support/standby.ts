import { spawn } from 'node:child_process'
import { appendFileSync, chmodSync, chownSync, cpSync, mkdirSync, readdirSync } from 'node:fs'
import { rmSync, writeFileSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { serverAccount } from '../../support/server/account.js'
import { makeServerDirectory, memoryRoot, temporaryRoot } from '../../support/server/directories.js'
import { embeddedPrograms } from '../../support/server/embedded.js'
import { watch } from '../../support/server/watchdog.js'
import type { TestServer } from '../../support/servers.js'

export interface Standby {
  /** The same URL on the standby. */
  at(url: string): string
  stop(): Promise<void>
}

/** A hot standby that streams from `primary`: its files are copied while it runs. */
export async function startStandby(primary: TestServer): Promise<Standby> {
  const account = serverAccount()
  const folder = makeServerDirectory(memoryRoot() ?? temporaryRoot(account), primary.major, account)
  const data = join(folder, 'data')
  const watchdog = watch(data, [folder])
  try {
    await copyRunning(primary, data)
    const { username, password, hostname, port } = new URL(primary.url)
    const from = `host=${hostname} port=${port} user=${username} password=${password}`
    appendFileSync(
      join(data, 'postgresql.auto.conf'),
      `primary_conninfo = '${from}'\nhot_standby = on\n`,
    )
    writeFileSync(join(data, 'standby.signal'), '')
    if (account) giveTo(folder, account.uid, account.gid)
    chmodSync(data, 0o700)
    const own = await freePort()
    const { bin } = embeddedPrograms(primary.major, account)
    const server = spawn(join(bin, 'postgres'), ['-D', data, '-p', `${own}`], {
      cwd: folder,
      env: { PATH: process.env.PATH ?? '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' },
      stdio: 'ignore',
      ...(account && { uid: account.uid, gid: account.gid }),
    })
    server.unref()
    const at = (url: string) => {
      const moved = new URL(url)
      moved.port = `${own}`
      return moved.href
    }
    await caughtUp(primary.url, at(primary.url))
    return { at, stop: () => watchdog.stop() }
  } catch (error) {
    await watchdog.stop()
    throw error
  }
}

async function copyRunning(primary: TestServer, into: string): Promise<void> {
  const client = new pg.Client({ connectionString: primary.url })
  await client.connect()
  const { rows } = await client.query<{ data: string }>(
    `select current_setting('data_directory') as data from pg_backup_start('standby', fast => true)`,
  )
  mkdirSync(into)
  cpSync(rows[0]?.data ?? '', into, {
    recursive: true,
    filter: (path) => !/\/(postmaster\.(pid|opts)|pg_internal\.init|pgsql_tmp)$/.test(path),
  })
  const stopped = await client.query<{ labelfile: string }>(
    'select labelfile from pg_backup_stop(wait_for_archive => false)',
  )
  rmSync(join(into, 'backup_label'), { force: true })
  writeFileSync(join(into, 'backup_label'), stopped.rows[0]?.labelfile ?? '')
  await client.end()
}

function giveTo(folder: string, uid: number, gid: number): void {
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isSymbolicLink()) chownSync(join(entry.parentPath, entry.name), uid, gid)
  }
}

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1')
  await new Promise((resolve) => probe.once('listening', resolve))
  const { port } = probe.address() as AddressInfo
  await new Promise((resolve) => probe.close(resolve))
  return port
}

/** Waits until the standby answers and has replayed what the primary has written so far. */
async function caughtUp(primary: string, standby: string): Promise<void> {
  const target = await ask<{ lsn: string }>(primary, 'select pg_current_wal_lsn()::text as lsn')
  for (let tries = 0; tries < 300; tries += 1) {
    try {
      const { done } = await ask<{ done: boolean }>(
        standby,
        `select pg_is_in_recovery() and pg_last_wal_replay_lsn() >= '${target.lsn}' as done`,
      )
      if (done) return
    } catch (error) {
      if (tries === 299) throw error // starting up until then
    }
    await sleep(100)
  }
  throw new Error('the standby did not catch up within 30 seconds')
}

async function ask<R extends object>(url: string, query: string): Promise<R> {
  const client = new pg.Client({ connectionString: url })
  try {
    await client.connect()
    return (await client.query<R>(query)).rows[0] as R
  } finally {
    await client.end()
  }
}
