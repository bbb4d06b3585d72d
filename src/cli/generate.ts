import { setTimeout as sleep } from 'node:timers/promises'
import { Command } from 'commander'
import pg from 'pg'
import type { GenerateOptions } from '../../codegen/generate.js'

interface Options {
  readonly url?: string
  readonly out: string
  readonly schema?: string[]
  readonly role?: string
  readonly camel?: true
  readonly check?: true
  readonly watch?: true
}

const pollMilliseconds = 1000

/** `tenantry generate`: typed accessors from the catalog, or a check that they are up to date. */
export function generateCommand(): Command {
  return new Command('generate')
    .description('write typed accessors for the tables the application may use')
    .option('--url <url>', 'database to read; default: DATABASE_URL, then the PG… variables')
    .option('--out <file>', 'file to write', 'tenantry.generated.ts')
    .option('--schema <name...>', 'only these schemas; tables of the first go by their bare names')
    .option('--role <name>', 'role the application works as; default: tenantry_user')
    .option('--camel', 'camelCase properties for snake_case columns and tables')
    .option('--check', 'write nothing; exit 1 and show a diff when the file is out of date')
    .option('--watch', 'keep running, and write the file anew whenever the schema changes')
    .action(run)
}

async function run(options: Options): Promise<void> {
  if (options.check && options.watch) throw new Error('--check and --watch exclude each other.')
  const url = options.url ?? process.env['DATABASE_URL']
  const client = new pg.Client(url === undefined ? {} : { connectionString: url })
  await client.connect()
  try {
    if (options.watch) await watch(client, options)
    else if (options.check) await check(client, options)
    else await write(client, options)
  } finally {
    await client.end()
  }
}

async function write(client: pg.Client, options: Options): Promise<void> {
  const { generate, writeFileAtomically } = await generator()
  const changed = await writeFileAtomically(
    options.out,
    await generate(client, generateOptions(options)),
  )
  report(changed ? `${options.out} written.` : `${options.out} is up to date.`)
}

async function check(client: pg.Client, options: Options): Promise<void> {
  const { generate, checkFile } = await generator()
  const drift = await checkFile(options.out, await generate(client, generateOptions(options)))
  if (!drift.stale) return report(`${options.out} is up to date.`)
  process.stdout.write(drift.diff)
  process.stderr.write(`${options.out} is out of date: run tenantry generate.\n`)
  process.exitCode = 1
}

/** Looks at the catalog every second; emits only when it says something new. */
async function watch(client: pg.Client, options: Options): Promise<void> {
  const { introspect, generateFrom, writeFileAtomically } = await generator()
  const stop = new AbortController()
  const onSignal = (): void => stop.abort()
  process.once('SIGINT', onSignal).once('SIGTERM', onSignal)
  const wanted = generateOptions(options)
  let seen = ''
  report(`Watching; ${options.out} follows the schema. Stop with Ctrl-C.`)
  while (!stop.signal.aborted) {
    const snapshot = await introspect(client, wanted)
    const fingerprint = JSON.stringify(snapshot)
    if (fingerprint !== seen) {
      seen = fingerprint
      const changed = await writeFileAtomically(options.out, generateFrom(snapshot, wanted))
      if (changed) report(`${options.out} written.`)
    }
    await sleep(pollMilliseconds, undefined, { signal: stop.signal }).catch(() => undefined)
  }
  process.off('SIGINT', onSignal).off('SIGTERM', onSignal)
}

function generateOptions({ schema, role, camel }: Options): GenerateOptions {
  return {
    ...(schema && { schemas: schema }),
    ...(role !== undefined && { role }),
    ...(camel && { camel }),
  }
}

/** Loaded late: the compiler behind it is large, and the other commands do not need it. */
const generator = () => import('../../codegen/index.js')

function report(line: string): void {
  process.stderr.write(`${line}\n`)
}
