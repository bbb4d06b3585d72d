import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { TestProject } from 'vitest/node'
import type {} from './database.js'
import { repositoryRoot } from './repository.js'
import { startServer, type Major } from './servers.js'

/** Starts the server of one project ("pg15", "pg18") and tells the project's workers about it. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const major = Number(project.name.replace(/^pg/, '')) as Major
  const say = (line: string) => process.stderr.write(`${line}\n`)
  buildExtension(say)
  const server = await startServer({ major, onProgress: say, storage: 'memory' })
  const { source, url, installs, logFile, runId } = server
  project.provide('server', { major, source, url, installs, logFile, runId })
  return () => server.stop()
}

/** Each project has a module graph of its own, hence the note on the process. */
const built = Symbol.for('tenantry.extension-built')

function buildExtension(say: (line: string) => void): void {
  const process_ = process as typeof process & { [built]?: boolean }
  const script = join(repositoryRoot, 'extension', 'build.mjs')
  if (process_[built] || !existsSync(script)) return
  say('Building the extension …')
  execFileSync(process.execPath, [script], { cwd: repositoryRoot, stdio: ['ignore', 2, 2] })
  process_[built] = true
}
