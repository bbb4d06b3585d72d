import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

/**
 * The folder of the checkout. Looked for upwards, because this file runs both as
 * `test/support/repository.ts` and compiled as `dist/test/support/repository.js`.
 */
export const repositoryRoot: string = findRoot(dirname(fileURLToPath(import.meta.url)))

function findRoot(from: string): string {
  for (let folder = from; ; folder = dirname(folder)) {
    const manifest = join(folder, 'package.json')
    if (existsSync(manifest)) {
      const { name } = JSON.parse(readFileSync(manifest, 'utf8')) as { name?: string }
      if (name === 'tenantry') return folder
    }
    if (folder === dirname(folder)) throw new Error(`no checkout of tenantry above ${from}`)
  }
}
