import { existsSync, statSync } from 'node:fs'
import { dirname, relative, resolve } from 'node:path'
import { Command } from 'commander'
import type { ClientBase } from 'pg'
import type { GenerateOptions } from '../../codegen/generate.js'
import { connectionHelp, withConnection } from './connect.js'
import { CliError } from './errors.js'
import type { Io } from './io.js'

interface Options {
  readonly url?: string
  readonly out?: string
  readonly drizzle?: string[]
  readonly schema?: string[]
  readonly role?: string
  readonly camel?: true
  readonly check?: true
  readonly watch?: true
}

/** `tenantry generate`: typed accessors from the catalog, or a check that they are up to date. */
export function generateCommand(io: Io): Command {
  return new Command('generate')
    .description('Write typed accessors for the tables the application may use, or check the file.')
    .option('--url <url>', connectionHelp)
    .option('--out <file>', 'the file to write (default: tenantry.generated.ts)')
    .option('--schema <name...>', 'only these schemas; tables of the first go by their bare names')
    .option('--role <role>', 'whose privileges decide what is generated (default: tenantry_user)')
    .option('--camel', 'camelCase properties for snake_case tables and columns')
    .option(
      '--drizzle <module...>',
      'instead: what tenantry made on the Drizzle tables of these modules, for drizzle-kit push, named as the file imports them (default file: tenantry.drizzle.ts)',
    )
    .option('--check', 'write nothing; exit 1 and print a diff when the file is out of date')
    .option('--watch', 'keep running, and write the file anew whenever the schema changes')
    .addHelpText(
      'after',
      `
The same schema gives the same bytes: keep the file in git, and run --check in CI.

Examples:
  tenantry generate --out src/tenantry.generated.ts
  tenantry generate --out src/tenantry.generated.ts --check
  tenantry generate --drizzle ./schema --out src/tenantry.drizzle.ts      # for src/schema.ts`,
    )
    .action((options: Options) => {
      if (options.check && options.watch) {
        throw new CliError('BAD_OPTIONS', '--check and --watch exclude each other.')
      }
      requireModules(options)
      const work = options.watch ? follow : options.check ? check : write
      return withConnection(io, options, (client) => work(io, client, options))
    })
}

/** Modules are imported by what is written, so they are named as seen from there. */
function requireModules(options: Options): void {
  const out = fileOf(options)
  for (const module of options.drizzle ?? []) {
    if (!module.startsWith('.') || moduleAt(resolve(dirname(out), module))) continue
    const here = moduleAt(resolve(module))
    const seen = here && relative(dirname(out), resolve(module)).replaceAll('\\', '/')
    throw new CliError('NO_MODULE', `There is no module ${module} beside ${out}.`, {
      hint: seen
        ? `Name it as ${out} imports it: --drizzle ${seen.startsWith('.') ? seen : `./${seen}`}`
        : `--drizzle names the module with your tables as ${out} imports it, such as ./schema.`,
    })
  }
}

const moduleAt = (path: string): boolean =>
  ['', '.ts', '.mts', '.cts', '.tsx', '.js', '.mjs', '.cjs', '/index.ts', '/index.js'].some(
    (ending) => statSync(path + ending, { throwIfNoEntry: false })?.isFile(),
  ) ||
  // TypeScript lets ./schema.js stand for ./schema.ts.
  (/\.[cm]?js$/.test(path) && existsSync(path.replace(/js$/, 'ts')))

async function write(io: Io, client: ClientBase, options: Options): Promise<void> {
  const { generate, writeFileAtomically } = await generator()
  const text = await generate(client, generateOptions(options))
  const changed = await writeFileAtomically(fileOf(options), text)
  io.err(changed ? `${fileOf(options)} written.\n` : `${fileOf(options)} is up to date.\n`)
}

async function check(io: Io, client: ClientBase, options: Options): Promise<void> {
  const { generate, checkFile } = await generator()
  const drift = await checkFile(fileOf(options), await generate(client, generateOptions(options)))
  if (drift.stale) {
    io.out(drift.diff)
    const state = existsSync(fileOf(options)) ? 'is out of date' : 'is not there'
    throw new CliError('STALE', `${fileOf(options)} ${state}.`, {
      hint: 'Run the same command without --check, and keep the file in git.',
    })
  }
  io.err(`${fileOf(options)} is up to date.\n`)
}

async function follow(io: Io, client: ClientBase, options: Options): Promise<void> {
  const { watch, writeFileAtomically } = await generator()
  const stop = new AbortController()
  const onSignal = (): void => stop.abort()
  process.once('SIGINT', onSignal).once('SIGTERM', onSignal)
  io.err(`${fileOf(options)} follows the schema. Stop with Ctrl-C.\n`)
  await watch(client, generateOptions(options), {
    signal: stop.signal,
    onChange: async (text) => {
      if (await writeFileAtomically(fileOf(options), text)) io.err(`${fileOf(options)} written.\n`)
    },
  })
  process.off('SIGINT', onSignal).off('SIGTERM', onSignal)
}

const fileOf = ({ out, drizzle }: Options): string =>
  out ?? (drizzle ? 'tenantry.drizzle.ts' : 'tenantry.generated.ts')

function generateOptions({ schema, role, camel, drizzle }: Options): GenerateOptions {
  return {
    ...(drizzle && { drizzle }),
    ...(schema && { schemas: schema }),
    ...(role !== undefined && { role }),
    ...(camel && { camel }),
  }
}

/** Loaded late: the compiler behind it is large, and the other commands do not need it. */
const generator = () => import('../../codegen/index.js')
