import {
  accessSync,
  chmodSync,
  chownSync,
  constants,
  existsSync,
  mkdirSync,
  mkdtempSync,
} from 'node:fs'
import { statfsSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { Account } from './account.js'

/** The temporary folder, or /tmp when the account of the server cannot reach it. */
export function temporaryRoot(account: Account | null): string {
  const preferred = tmpdir()
  return account === null || reachableByAll(preferred) ? preferred : '/tmp'
}

function reachableByAll(folder: string): boolean {
  for (let at = folder; ; at = dirname(at)) {
    if ((statSync(at).mode & 0o001) === 0) return false
    if (at === dirname(at)) return true
  }
}

/** A new private folder below `root`, owned by the account that the server runs as. */
export function makeServerDirectory(root: string, major: number, account: Account | null): string {
  const folder = mkdtempSync(join(root, `tenantry-pg${major}-`))
  if (account) chownSync(folder, account.uid, account.gid)
  return folder
}

const memory = '/dev/shm'
const plenty = 2 * 1024 ** 3

/**
 * A folder that lives in memory, where cloning a database takes a tenth of the time, or null
 * when there is none with room: in containers it is often tiny.
 */
export function memoryRoot(): string | null {
  if (!existsSync(memory)) return null
  const { bavail, bsize } = statfsSync(memory)
  return bavail * bsize >= plenty && isWritable(memory) ? memory : null
}

function isWritable(folder: string): boolean {
  try {
    accessSync(folder, constants.W_OK)
    return true
  } catch {
    return false // the question was whether
  }
}

/**
 * The folder that keeps unpacked server programs between runs. It lies in a place anybody can
 * write to and programs are run from it, so it is used only when nobody else could have made it.
 */
export function cacheDirectory(account: Account | null): string {
  const uid = process.getuid?.() ?? 0
  const folder = join(temporaryRoot(account), `tenantry-programs-${uid}`)
  const isNew = mkdirSync(folder, { recursive: true }) !== undefined
  if (isNew) chmodSync(folder, 0o755) // whatever the umask says
  const { uid: owner, mode } = statSync(folder)
  if (owner !== uid || (mode & 0o022) !== 0) {
    throw new Error(`${folder} can be written by others: remove it, then run again`)
  }
  return folder
}
