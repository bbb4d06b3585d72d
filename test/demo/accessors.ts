import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import ts from 'typescript'
import { generate } from '../../codegen/generate.js'
import type { Tenantry } from '../../src/index.js'
import { repositoryRoot } from '../support/repository.js'
import type { Scenery } from './stage.js'

/** What the compiled application offers to the rest of the demo. */
export interface Application {
  connect(url: string, secret: string): Tenantry<object>
  latest(db: Tenantry<object>, user: string): Promise<{ id: string; owner_id: string }[]>
  latestFor(
    db: Tenantry<object>,
    agent: string,
    user: string,
  ): Promise<{ id: string; owner_id: string }[]>
}

const folder = join(repositoryRoot, '.cache', 'demo')
const application = 'application.ts'

/** The application as somebody would write it, with the accessors of the schema. */
const source = `
import { Pool } from 'pg'
import { tenantry, type Tenantry, type AccessorsOf } from 'RUNTIME'
import { schema, user, agent } from './tenantry.generated.js'

type Database = Tenantry<AccessorsOf<typeof schema>>

export function connect(connectionString: string, secret: string): Database {
  return tenantry(new Pool({ connectionString, max: 4 }), { secret, schema })
}

export async function latest(db: Database, id: string) {
  return db.as(user(id)).memories.findMany({ orderBy: ['-created_at'], limit: 20 })
}

export async function latestFor(db: Database, agentId: string, userId: string) {
  const bot = db.as(agent(agentId), { for: user(userId) })
  return bot.memories.findMany({ orderBy: ['-created_at'], limit: 20 })
}

// Without an identity there are no accessors.
export function forgotten(db: Database) {
  // @ts-expect-error — there is no such property
  return db.memories.findMany()
}
`

/** Generates the accessors, compiles them and an application with tsc, strictly; returns its diagnostics. */
export async function compileApplication(stage: Scenery): Promise<string[]> {
  mkdirSync(folder, { recursive: true })
  const runtime = new URL('../../src/index.js', import.meta.url).pathname
  const generated = await stage.withAdmin((client) => generate(client, { runtime }))
  writeFileSync(join(folder, 'tenantry.generated.ts'), generated)
  writeFileSync(join(folder, application), source.replace('RUNTIME', runtime))

  const { config } = ts.readConfigFile(join(repositoryRoot, 'tsconfig.json'), (path) =>
    readFileSync(path, 'utf8'),
  ) as { config: object }
  const { options } = ts.parseJsonConfigFileContent(config, ts.sys, repositoryRoot)
  const program = ts.createProgram([join(folder, application)], {
    ...options,
    rootDir: repositoryRoot,
    outDir: repositoryRoot,
    declaration: false,
    sourceMap: false,
  })
  const own = program.getSourceFiles().filter(({ fileName }) => fileName.startsWith(folder))
  const diagnostics = own.flatMap((file) => [...ts.getPreEmitDiagnostics(program, file)])
  for (const file of own) program.emit(file)
  return diagnostics.map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n'))
}

/** The application that was compiled. */
export async function loadApplication(): Promise<Application> {
  const file = join(folder, application.replace('.ts', '.js'))
  return (await import(pathToFileURL(file).href)) as Application
}

export function linesGenerated(): number {
  return readFileSync(join(folder, 'tenantry.generated.ts'), 'utf8').split('\n').length
}
