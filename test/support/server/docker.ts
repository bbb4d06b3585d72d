import { existsSync } from 'node:fs'
import { request, type RequestOptions } from 'node:http'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { SourceUnavailable, type Major } from './types.js'

/** A server in a container. */
export interface ContainerServer {
  readonly url: string
  stop(): Promise<void>
}

/** Starts the official image through testcontainers, which also removes it after a crash. */
export async function startContainer(major: Major): Promise<ContainerServer> {
  const engine = await findContainerEngine()
  if (engine === null) throw new SourceUnavailable('no container engine answers')
  const { PostgreSqlContainer } = await import('@testcontainers/postgresql')
  const options = ['fsync=off', 'full_page_writes=off', 'synchronous_commit=off']
  const command = ['postgres', ...options, 'max_connections=200'].flatMap((word, at) =>
    at === 0 ? [word] : ['-c', word],
  )
  try {
    const container = await new PostgreSqlContainer(`postgres:${major}`)
      .withUsername('postgres')
      .withDatabase('postgres')
      .withCommand(command)
      .start()
    return { url: container.getConnectionUri(), stop: async () => void (await container.stop()) }
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw new SourceUnavailable(`the container engine at ${engine} gave no server: ${reason}`)
  }
}

/** Where a container engine answers, or null. Takes well under a second when there is none. */
export async function findContainerEngine(
  environment: NodeJS.ProcessEnv = process.env,
): Promise<string | null> {
  for (const { name, options } of places(environment)) {
    if (await answersPing(options)) return name
  }
  return null
}

function places(environment: NodeJS.ProcessEnv): { name: string; options: RequestOptions }[] {
  const given = environment.DOCKER_HOST
  if (given) {
    const url = new URL(given)
    if (url.protocol === 'unix:') return socketPlace(url.pathname)
    return [{ name: given, options: { host: url.hostname, port: url.port || 2375 } }]
  }
  return [
    '/var/run/docker.sock',
    join(homedir(), '.docker', 'run', 'docker.sock'),
    join(environment.XDG_RUNTIME_DIR ?? '/nonexistent', 'docker.sock'),
    join(environment.XDG_RUNTIME_DIR ?? '/nonexistent', 'podman', 'podman.sock'),
  ].flatMap(socketPlace)
}

function socketPlace(socketPath: string): { name: string; options: RequestOptions }[] {
  return existsSync(socketPath) ? [{ name: socketPath, options: { socketPath } }] : []
}

async function answersPing(options: RequestOptions): Promise<boolean> {
  return new Promise((resolve) => {
    const ping = request({ ...options, path: '/_ping', timeout: 400 }, (response) => {
      response.resume()
      resolve(response.statusCode === 200)
    })
    ping.on('timeout', () => ping.destroy(new Error('no answer in time')))
    ping.on('error', () => resolve(false)) // nothing listens there, or nothing that is an engine
    ping.end()
  })
}
