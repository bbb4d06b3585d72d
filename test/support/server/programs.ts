import { execFileSync } from 'node:child_process'
import { join } from 'node:path'

/** Where the programs of one PostgreSQL version lie. */
export interface Programs {
  /** The folder that holds `initdb` and `postgres`. */
  readonly bin: string
  /** The installation around it when it is ours to add files to, else null. */
  readonly home: string | null
  /** A few words for the person who reads the output. */
  readonly origin: string
}

/** The version that `postgres --version` states, such as "18.4", or null when it cannot run. */
export function versionOf(bin: string): string | null {
  try {
    const said = execFileSync(join(bin, 'postgres'), ['--version'], {
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    return /\b(\d+(?:\.\d+)*)/.exec(said.toString())?.[1] ?? null
  } catch {
    return null // not there, not executable, or built for another machine: not usable here
  }
}
