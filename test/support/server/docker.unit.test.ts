import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type RequestListener } from 'node:http'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { findContainerEngine } from './docker.js'

describe('looking for a container engine', () => {
  let folder: string

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'engine-'))
  })
  afterEach(() => {
    rmSync(folder, { recursive: true })
  })

  async function engineThat(answer: RequestListener, use: (host: string) => Promise<void>) {
    const socket = join(folder, 'docker.sock')
    const engine = createServer(answer).listen(socket)
    await once(engine, 'listening')
    try {
      await use(`unix://${socket}`)
    } finally {
      engine.closeAllConnections()
      engine.close()
    }
  }

  it('finds one that answers', async () => {
    await engineThat(
      (request, response) => response.writeHead(request.url === '/_ping' ? 200 : 404).end(),
      async (DOCKER_HOST) => {
        expect(await findContainerEngine({ DOCKER_HOST })).toBe(join(folder, 'docker.sock'))
      },
    )
  })

  it('is not taken in by a socket that answers otherwise', async () => {
    await engineThat(
      (_, response) => response.writeHead(500).end(),
      async (DOCKER_HOST) => expect(await findContainerEngine({ DOCKER_HOST })).toBeNull(),
    )
  })

  it('gives up within a second when nothing answers', async () => {
    await engineThat(
      () => undefined,
      async (DOCKER_HOST) => {
        const before = Date.now()
        expect(await findContainerEngine({ DOCKER_HOST })).toBeNull()
        expect(Date.now() - before).toBeLessThan(1000)
      },
    )
  })

  it('finds none behind a socket that does not exist', async () => {
    const DOCKER_HOST = `unix://${join(folder, 'nothing.sock')}`
    expect(await findContainerEngine({ DOCKER_HOST })).toBeNull()
  })
})
