import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { Major } from '../../support/servers.js'

/** A client program such as pg_dump of exactly this major version, or null where there is none. */
export function clientProgram(name: string, major: Major): string | null {
  const path = join(`/usr/lib/postgresql/${major}/bin`, name)
  return existsSync(path) ? path : null
}

export const noClientPrograms = 'the machine has no pg_dump of that major version'

/** Runs a client program; what it says on stderr is part of the error. */
export function run(program: string, args: readonly string[]): string {
  return execFileSync(program, args, { stdio: ['ignore', 'pipe', 'pipe'], encoding: 'utf8' })
}
