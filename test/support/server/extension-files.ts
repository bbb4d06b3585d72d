import { chmodSync, copyFileSync, existsSync, mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { repositoryRoot } from '../repository.js'

const source = join(repositoryRoot, 'extension')

/** Names of the built files that `create extension tenantry` reads; empty before the build. */
export function extensionFiles(): string[] {
  if (!existsSync(source)) return []
  const names = readdirSync(source)
  const scripts = names.filter((name) => /^tenantry--.*\.sql$/.test(name))
  return names.includes('tenantry.control') && scripts.length > 0
    ? ['tenantry.control', ...scripts]
    : []
}

/** Copies the built files into `folder`, readable by the account of the server. */
export function copyExtensionFiles(folder: string): void {
  mkdirSync(folder, { recursive: true })
  chmodSync(folder, 0o755) // whatever the umask says
  for (const name of extensionFiles()) {
    copyFileSync(join(source, name), join(folder, name))
    chmodSync(join(folder, name), 0o644)
  }
}
