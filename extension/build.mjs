// Concatenates sql/ in path order into the three scripts that are installed:
//   tenantry--<version>.sql  for CREATE EXTENSION
//   install.sql              the same for `psql -f`, without extension files on the server
//   uninstall.sql            takes either of them away and says what it left
// A file named *.extension.sql goes into the first only, *.plain.sql into the second only.
// Usage: node extension/build.mjs
import { readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

const here = dirname(fileURLToPath(import.meta.url))
const version = /default_version = '([^']+)'/.exec(
  readFileSync(join(here, 'tenantry.control'), 'utf8'),
)[1]

/** Every .sql file below `dir`, in code-unit order of its path, so that a number in front decides. */
function sqlFiles(dir) {
  return readdirSync(dir, { withFileTypes: true })
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) => {
      const path = join(dir, entry.name)
      return entry.isDirectory() ? sqlFiles(path) : path.endsWith('.sql') ? [path] : []
    })
}

function script(flavour) {
  const other = flavour === 'extension' ? '.plain.sql' : '.extension.sql'
  return sqlFiles(join(here, 'sql'))
    .filter((path) => !path.endsWith(other))
    .map((path) => {
      const text = readFileSync(path, 'utf8').replaceAll('@version@', version)
      return `-- ${relative(here, path)}\n${text.trimEnd()}\n`
    })
    .join('\n')
}

/** Written beside and renamed, so that a reader never meets half a script. */
function write(name, text) {
  const partial = join(here, `.${name}.${process.pid}`)
  writeFileSync(partial, text)
  renameSync(partial, join(here, name))
}

write(`tenantry--${version}.sql`, script('extension'))
write('install.sql', script('plain'))
write('uninstall.sql', readFileSync(join(here, 'uninstall', 'uninstall.sql'), 'utf8'))
