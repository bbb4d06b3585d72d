import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { chownSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { serverAccount } from '../../support/server/account.js'
import type { TestRole } from '../../support/database.js'

/** A transaction pooler in front of a test database, for one login. */
export interface Pooler {
  readonly url: string
  stop(): Promise<void>
}

/** Whether PgBouncer is on this machine. */
export function hasPgBouncer(): boolean {
  return program() !== undefined
}

function program(): string | undefined {
  for (const path of ['pgbouncer', '/usr/sbin/pgbouncer']) {
    try {
      execFileSync(path, ['--version'], { stdio: 'ignore' })
      return path
    } catch {
      // not there, or not in the path of an ordinary user
    }
  }
  return undefined
}

/** Starts PgBouncer in transaction mode on a free port, as an ordinary user. */
export async function startPooler(role: TestRole, poolSize: number): Promise<Pooler> {
  const path = program()
  if (path === undefined) throw new Error('PgBouncer is not installed')
  const server = new URL(role.url)
  const folder = mkdtempSync(join(tmpdir(), 'tenantry-pooler-'))
  const port = await freePort()
  const file = (name: string, text: string): string => {
    writeFileSync(join(folder, name), text)
    return join(folder, name)
  }
  const users = file('users.txt', `"${role.name}" "${role.password}"\n`)
  const database = decodeURIComponent(server.pathname.slice(1))
  const settings = file(
    'pgbouncer.ini',
    `[databases]
${database} = host=${server.hostname} port=${server.port} dbname=${database}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = plain
auth_file = ${users}
pool_mode = transaction
default_pool_size = ${poolSize}
`,
  )
  const account = serverAccount()
  if (account) {
    for (const owned of [folder, users, settings]) chownSync(owned, account.uid, account.gid)
  }
  const process_ = spawn(path, [settings], {
    stdio: 'ignore',
    ...(account ? { uid: account.uid, gid: account.gid } : {}),
  })
  const url = `postgres://${encodeURIComponent(role.name)}:${encodeURIComponent(role.password)}@127.0.0.1:${port}/${encodeURIComponent(database)}`
  await listening(url, process_)
  return {
    url,
    async stop() {
      const ended = new Promise((resolve) => process_.once('exit', resolve))
      process_.kill('SIGINT')
      await Promise.race([ended, sleep(2_000).then(() => process_.kill('SIGKILL'))])
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

async function listening(url: string, process_: ChildProcess): Promise<void> {
  for (let attempt = 0; attempt < 100; attempt++) {
    if (process_.exitCode !== null) throw new Error(`PgBouncer ended with ${process_.exitCode}`)
    const client = new pg.Client({ connectionString: url })
    try {
      await client.connect()
      await client.query('select 1')
      return
    } catch (error) {
      if (attempt === 99) throw error
      await sleep(50)
    } finally {
      await client.end().catch(() => undefined)
    }
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => {
        resolve(typeof address === 'object' && address ? address.port : 0)
      })
    })
  })
}
