import { spawn } from 'node:child_process'
import { openSync, closeSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { serverAccount } from './account.js'
import { identity, serverStatus } from './cluster.js'
import type { TestServer } from './types.js'

/**
 * Shuts a server of our own down as a crash would, without a checkpoint, and starts it again in the same
 * place; it recovers from its log. Only for a server with its data on disk, from programs of npm or the machine.
 */
export async function crash(server: TestServer): Promise<void> {
  if (server.logFile === null) throw new Error(`${server.source} cannot be started again`)
  const folder = dirname(server.logFile)
  const data = join(folder, 'data')
  const pid = Number(readFileSync(join(data, 'postmaster.pid'), 'utf8').split('\n')[0])
  // What it was started with: a program and its arguments, each in double quotes.
  const options = readFileSync(join(data, 'postmaster.opts'), 'utf8').trim()
  const [program = '', ...words] = options.split(/ (?=")/).map((word) => word.replaceAll('"', ''))

  process.kill(pid, 'SIGQUIT')
  await until(() => !isRunning(pid))
  const log = openSync(server.logFile, 'a')
  spawn(program, words, {
    ...identity(serverAccount(), folder),
    detached: true,
    stdio: ['ignore', log, log],
  }).unref()
  closeSync(log)
  await until(() => serverStatus(data) === 'ready')
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

async function until(done: () => boolean): Promise<void> {
  for (let waited = 0; waited < 30_000; waited += 20) {
    if (done()) return
    await sleep(20)
  }
  throw new Error('the server did not come back within 30 seconds')
}
