/** The major versions of PostgreSQL the helper can start. */
export type Major = 15 | 16 | 17 | 18

export type OnProgress = (line: string) => void

/** How the package gets into a database of this server. */
export type Installs = 'extension' | 'script'

/** Where the data lies: memory is fast and small, and gives way to disk where it is too small. */
export type Storage = 'disk' | 'memory'

/** What a process needs to know to use a server that another process started. */
export interface ServerDescription {
  readonly major: Major
  /** A sentence: what was taken, and where it comes from. */
  readonly source: string
  /** URL of the superuser, in the maintenance database. */
  readonly url: string
  /** 'extension' when tenantry's files lie where `create extension` finds them. */
  readonly installs: Installs
  /** The server's log, when it is a file of this machine. */
  readonly logFile: string | null
  /** Part of the name of every database and role made in this run. */
  readonly runId: string
}

/** A running server of a stated major version. */
export interface TestServer extends ServerDescription {
  /** URL of the superuser in `database` (default: the maintenance database). */
  adminUrl(database?: string): string
  /** Stops the server and removes its files; of a given server, only what this run made. */
  stop(): Promise<void>
  /**
   * Leaves the server running after this process; returns the command that ends it. A container
   * cannot be kept: testcontainers removes it.
   */
  keep(): string
}

/** Thrown by a source that cannot serve here; the next one is tried. */
export class SourceUnavailable extends Error {
  readonly code = 'SOURCE_UNAVAILABLE'
  override readonly name = 'SourceUnavailable'
}
