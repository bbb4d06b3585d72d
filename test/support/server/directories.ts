import { chownSync, mkdirSync, mkdtempSync, statSync } from 'node:fs'
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

/** A new private folder for one server, owned by the account that it runs as. */
export function makeServerDirectory(major: number, account: Account | null): string {
  const folder = mkdtempSync(join(temporaryRoot(account), `tenantry-pg${major}-`))
  if (account) chownSync(folder, account.uid, account.gid)
  return folder
}

/**
 * The folder that keeps unpacked server programs between runs. It lies in a place anybody can
 * write to and programs are run from it, so it is used only when nobody else could have made it.
 */
export function cacheDirectory(account: Account | null): string {
  const uid = process.getuid?.() ?? 0
  const folder = join(temporaryRoot(account), `tenantry-programs-${uid}`)
  mkdirSync(folder, { recursive: true, mode: 0o755 })
  const { uid: owner, mode } = statSync(folder)
  if (owner !== uid || (mode & 0o022) !== 0) {
    throw new Error(`${folder} can be written by others: remove it, then run again`)
  }
  return folder
}
