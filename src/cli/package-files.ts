import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { CliError } from './errors.js'

/**
 * Reads a file of the SQL package: `dist/extension` in the npm package, `extension` in the
 * repository, wherever this module was compiled to.
 */
export function packageFile(name: string): string {
  const tried: string[] = []
  for (let at = dirname(fileURLToPath(import.meta.url)); at !== dirname(at); at = dirname(at)) {
    const path = join(at, 'extension', name)
    if (existsSync(path)) return readFileSync(path, 'utf8')
    tried.push(path)
    if (existsSync(join(at, 'package.json'))) break
  }
  throw new CliError('NO_PACKAGE_FILE', `${name} is not there: looked for ${tried.join(', ')}.`, {
    hint: 'In the repository: node extension/build.mjs. Otherwise install the npm package again.',
  })
}
