import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { versionOf, type Programs } from './programs.js'
import { SourceUnavailable, type Major } from './types.js'

/** PostgreSQL as the machine has it installed. */
export function machinePrograms(major: Major): Programs {
  for (const bin of candidates(major)) {
    if (!existsSync(join(bin, 'initdb'))) continue
    const version = versionOf(bin)
    if (version !== null && Number.parseInt(version) === major) {
      return { bin, home: null, origin: `the machine's PostgreSQL ${version} in ${bin}` }
    }
  }
  throw new SourceUnavailable(`no server programs of PostgreSQL ${major} on this machine`)
}

function candidates(major: Major): string[] {
  return [
    ...configuredBin(),
    `/usr/lib/postgresql/${major}/bin`,
    `/usr/pgsql-${major}/bin`,
    `/opt/homebrew/opt/postgresql@${major}/bin`,
    `/usr/local/opt/postgresql@${major}/bin`,
    ...(process.env.PATH ?? '').split(delimiter).filter(Boolean),
  ]
}

function configuredBin(): string[] {
  try {
    const said = execFileSync('pg_config', ['--bindir'], { stdio: ['ignore', 'pipe', 'ignore'] })
    return [said.toString().trim()]
  } catch {
    return [] // no pg_config on PATH: the usual folders are looked at anyway
  }
}
