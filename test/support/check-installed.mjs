// Exits 0 when node_modules holds exactly what package-lock.json names. npm leaves a record of
// what it installed; after an interrupted installation that record is missing.
import { readFileSync } from 'node:fs'

const root = new URL('../../', import.meta.url)

function packagesOf(file) {
  return JSON.parse(readFileSync(new URL(file, root), 'utf8')).packages
}

try {
  const wanted = packagesOf('package-lock.json')
  const present = packagesOf('node_modules/.package-lock.json')
  const differs = Object.entries(wanted).some(
    ([path, { version, optional }]) =>
      path !== '' && present[path]?.version !== version && !(optional && !present[path]),
  )
  process.exit(differs ? 1 : 0)
} catch (error) {
  if (error.code !== 'ENOENT') throw error
  process.exit(1)
}
