import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { serverAccount } from './server/account.js'
import { startCluster } from './server/cluster.js'
import { startContainer } from './server/docker.js'
import { embeddedPrograms } from './server/embedded.js'
import { useGivenServer } from './server/given.js'
import { machinePrograms } from './server/machine.js'
import type { Programs } from './server/programs.js'
import { withDatabase } from './server/url.js'
import {
  SourceUnavailable,
  type Major,
  type OnProgress,
  type Storage,
  type TestServer,
} from './server/types.js'

export type { Major, OnProgress, ServerDescription, Storage, TestServer } from './server/types.js'
export { SourceUnavailable } from './server/types.js'

/** Where a server can come from, in the order in which they are tried. */
export const sources = ['given', 'container', 'embedded', 'machine'] as const
export type Source = (typeof sources)[number]

export interface StartServerOptions {
  readonly major: Major
  /** Gets one line per step that takes time. */
  readonly onProgress?: OnProgress
  /** Tries only these, in this order. */
  readonly sources?: readonly Source[]
  /** Where a server of our own keeps its data; default 'disk'. */
  readonly storage?: Storage
}

/**
 * Starts a PostgreSQL of the wanted major version with the first source that works here: the
 * server that TENANTRY_TEST_URL names, a container, the programs that npm installed, the
 * programs of the machine. The server ends with this process, however that ends.
 */
export async function startServer(options: StartServerOptions): Promise<TestServer> {
  const { major, onProgress = () => undefined, storage = 'disk' } = options
  const reasons: string[] = []
  for (const source of options.sources ?? sources) {
    try {
      const server = await starters[source](major, onProgress, storage)
      onProgress(`PostgreSQL ${major}: ${server.source}`)
      return server
    } catch (error) {
      if (!(error instanceof SourceUnavailable)) throw error
      reasons.push(`${source}: ${error.message}`)
    }
  }
  throw new Error(`no PostgreSQL ${major} can be started here\n  ${reasons.join('\n  ')}`)
}

type Start = (major: Major, onProgress: OnProgress, storage: Storage) => Promise<TestServer>

const starters: Record<Source, Start> = {
  given: (major) => useGivenServer(major, process.env.TENANTRY_TEST_URL),
  async container(major, onProgress) {
    const { url, stop } = await startContainer(major)
    onProgress(`PostgreSQL ${major}: container started`)
    const source = `postgres:${major} in a container`
    const keep = () => {
      throw new Error('a container ends with the program that started it: use another source')
    }
    return describe({ major, source, url, installs: 'script', logFile: null, stop, keep })
  },
  async embedded(major, onProgress, storage) {
    onProgress(`PostgreSQL ${major}: starting a server from npm packages …`)
    return fromPrograms(major, embeddedPrograms(major, serverAccount()), storage)
  },
  async machine(major, onProgress, storage) {
    onProgress(`PostgreSQL ${major}: starting a server with the machine's programs …`)
    return fromPrograms(major, machinePrograms(major), storage)
  },
}

async function fromPrograms(
  major: Major,
  programs: Programs,
  storage: Storage,
): Promise<TestServer> {
  const cluster = await startCluster(major, programs, storage)
  const { url, data, folders, logFile, installs, watchdog } = cluster
  const keep = () => {
    watchdog.release()
    return `kill -QUIT $(head -n 1 ${join(data, 'postmaster.pid')}); rm -rf ${folders.join(' ')}`
  }
  const stop = () => watchdog.stop()
  return describe({ major, source: programs.origin, url, installs, logFile, stop, keep })
}

function describe(server: Omit<TestServer, 'runId' | 'adminUrl'>): TestServer {
  return {
    ...server,
    runId: randomBytes(4).toString('hex'),
    adminUrl: (database) => withDatabase(server.url, database),
  }
}
