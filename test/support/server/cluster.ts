import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { appendFileSync, chownSync, closeSync, openSync, readFileSync, rmSync } from 'node:fs'
import { writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { serverAccount, type Account } from './account.js'
import { makeServerDirectory, memoryRoot, temporaryRoot } from './directories.js'
import { linkTree } from './embedded.js'
import { copyExtensionFiles, extensionFiles } from './extension-files.js'
import type { Programs } from './programs.js'
import type { Installs, Major, Storage } from './types.js'
import { watch, type Watchdog } from './watchdog.js'

/** A server that we made from program files: a new data directory, gone after stop(). */
export interface Cluster {
  readonly url: string
  readonly data: string
  /** What has to be removed when the server is gone. */
  readonly folders: readonly string[]
  readonly logFile: string
  readonly installs: Installs
  readonly watchdog: Watchdog
}

/** Durability is of no use to data that is thrown away; nothing here changes a plan. */
const settings = {
  listen_addresses: "'127.0.0.1'",
  unix_socket_directories: "''",
  max_connections: '200',
  fsync: 'off',
  full_page_writes: 'off',
  synchronous_commit: 'off',
  checkpoint_timeout: "'30min'",
  log_line_prefix: "'%m [%p] %q%u@%d '",
  timezone: "'UTC'",
}

/** Makes a data directory, starts a server on a free port and waits until it answers. */
export async function startCluster(
  major: Major,
  programs: Programs,
  storage: Storage,
): Promise<Cluster> {
  const account = serverAccount()
  const folder = makeServerDirectory(temporaryRoot(account), major, account)
  const root = storage === 'memory' ? memoryRoot() : null
  const home = root === null ? folder : makeServerDirectory(root, major, account)
  const data = join(home, 'data')
  const folders = home === folder ? [folder] : [folder, home]
  const watchdog = watch(data, folders)
  try {
    const { bin, extra, installs } = placeExtension(major, programs, folder)
    const place: Place = { bin, data, folder, account }
    const password = initialise(place)
    const max_wal_size = root === null ? "'4GB'" : "'512MB'"
    const lines = Object.entries({ ...settings, max_wal_size, ...extra })
    const text = lines.map(([key, value]) => `${key} = ${value}\n`).join('')
    appendFileSync(join(data, 'postgresql.conf'), `\n${text}`)
    const port = await launch(place)
    const url = `postgresql://postgres:${password}@127.0.0.1:${port}/postgres`
    return { url, data, folders, logFile: join(folder, 'server.log'), installs, watchdog }
  } catch (error) {
    await watchdog.stop()
    throw error
  }
}

/** Where the programs of one server are, and as whom and where they run. */
interface Place {
  readonly bin: string
  readonly data: string
  readonly folder: string
  readonly account: Account | null
}

/**
 * From 18 on a setting names the folder of the extension's files. Before, they must lie in the
 * installation, so each server gets an installation of its own made of links: two checkouts
 * with different files never meet. An installation of the machine is left as it is.
 */
function placeExtension(major: Major, programs: Programs, folder: string) {
  const none = { bin: programs.bin, extra: {}, installs: 'script' as Installs }
  if (extensionFiles().length === 0) return none
  if (major >= 18) {
    copyExtensionFiles(join(folder, 'extension'))
    const extra = { extension_control_path: `'${folder}:$system'` }
    return { bin: programs.bin, extra, installs: 'extension' as Installs }
  }
  if (programs.home === null) return none
  const home = join(folder, 'postgres')
  linkTree(programs.home, home)
  copyExtensionFiles(join(home, 'share', 'postgresql', 'extension'))
  return { bin: join(home, 'bin'), extra: {}, installs: 'extension' as Installs }
}

function initialise({ bin, data, folder, account }: Place): string {
  const password = randomBytes(18).toString('base64url')
  const passwordFile = join(folder, 'password')
  writeFileSync(passwordFile, password, { mode: 0o600 })
  if (account) chownSync(passwordFile, account.uid, account.gid)
  const options = [
    ['--pgdata', data],
    ['--username', 'postgres', '--pwfile', passwordFile, '--auth', 'scram-sha-256'],
    ['--encoding', 'UTF8', '--locale', 'C', '--no-sync', '--no-instructions'],
  ].flat()
  const { status, error, stdout, stderr } = spawnSync(join(bin, 'initdb'), options, {
    ...identity(account, folder),
    encoding: 'utf8',
  })
  rmSync(passwordFile, { force: true })
  if (status !== 0) throw new Error(`initdb failed: ${error?.message ?? stdout + stderr}`)
  return password
}

/** The port is free when we ask, but somebody may take it before PostgreSQL does: try again. */
async function launch({ bin, data, folder, account }: Place): Promise<number> {
  for (let attempt = 1; ; attempt += 1) {
    const port = await freePort()
    const log = openSync(join(folder, 'server.log'), 'a', 0o644)
    const server = spawn(join(bin, 'postgres'), ['-D', data, '-p', `${port}`], {
      ...identity(account, folder),
      detached: true, // Ctrl-C in a terminal reaches us, and we stop it in order
      stdio: ['ignore', log, log],
    })
    closeSync(log)
    server.unref()
    if (await becomesReady(server, data)) return port
    const said = readFileSync(join(folder, 'server.log'), 'utf8')
    if (attempt >= 5 || !said.includes('could not bind')) {
      throw new Error(`PostgreSQL did not start:\n${said.split('\n').slice(-20).join('\n')}`)
    }
  }
}

async function becomesReady(server: ChildProcess, data: string): Promise<boolean> {
  let failed = false
  server.once('error', () => (failed = true))
  for (let waited = 0; waited < 60_000; waited += 20) {
    if (failed || server.exitCode !== null || server.signalCode !== null) return false
    if (serverStatus(data) === 'ready') return true
    await sleep(20)
  }
  return false
}

/** What the server says of itself in line 8 of its pid file; `pg_ctl -w` reads the same. */
export function serverStatus(data: string): string {
  try {
    const lines = readFileSync(join(data, 'postmaster.pid'), 'utf8').split('\n')
    return lines[7]?.trim() ?? ''
  } catch {
    return '' // not written yet
  }
}

/** As whom, where and with which environment a server runs. */
export function identity(account: Account | null, folder: string) {
  return {
    cwd: folder,
    env: { PATH: process.env.PATH ?? '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' },
    ...(account && { uid: account.uid, gid: account.gid }),
  }
}

async function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer()
    probe.once('error', reject)
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address()
      probe.close(() =>
        address !== null && typeof address === 'object'
          ? resolve(address.port)
          : reject(new Error('the system gave no port')),
      )
    })
  })
}
