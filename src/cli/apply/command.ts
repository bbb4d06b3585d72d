import { readFile } from 'node:fs/promises'
import { Command, Option } from 'commander'
import { Listr } from 'listr2'
import type pg from 'pg'
import { isServerError } from '../../errors.js'
import { connectionHelp, withConnection } from '../connect.js'
import { CliError, describe } from '../errors.js'
import { requireAdmin } from '../installed.js'
import type { Io } from '../io.js'
import { table } from '../table.js'
import { readSteps, undecidedTables, type Step } from './file.js'
import {
  carryOut,
  rehearse,
  reportingFunctions,
  untouched,
  type Result,
  type RunOptions,
} from './run.js'

interface ApplyOptions {
  url?: string
  dryRun?: boolean
  partial?: boolean
  lockTimeout: string
  attempts: string
}

/** `tenantry apply <file>`: carries a survey's file out, statement by statement. */
export function applyCommand(io: Io): Command {
  return new Command('apply')
    .description('Carry out a file of declarations, every statement in a transaction of its own.')
    .argument(
      '<file>',
      'the file that tenantry survey wrote and you edited; - reads standard input',
    )
    .option('--url <url>', connectionHelp)
    .option(
      '--dry-run',
      'try everything in one transaction and roll it back; takes the same locks, for as long',
    )
    .option('--partial', 'carry out what is decided although tables are undecided')
    .addOption(
      new Option('--lock-timeout <interval>', 'how long a statement waits for its locks').default(
        '5s',
      ),
    )
    .addOption(
      new Option('--attempts <n>', 'how often a statement tries to get its locks').default('3'),
    )
    .addHelpText(
      'after',
      `
Running it again does what is left: what is as declared stays. Ctrl-C stops after the current statement.
Ends with 0 when everything is as declared, 1 when something was refused, 130 when it was stopped.

Examples:
  tenantry survey > tenantry.sql
  tenantry apply tenantry.sql --dry-run
  tenantry apply tenantry.sql`,
    )
    .action(async (file: string, options: ApplyOptions) => {
      const sql = file === '-' ? await standardInput(io) : await read(file)
      const steps = await readSteps(sql)
      const undecided = undecidedTables(sql, steps)
      if (undecided.length > 0 && !options.partial) throw notDecided(file, undecided)
      await withConnection(io, options, (client) =>
        apply(io, client, file, steps, undecided, options),
      )
    })
}

async function apply(
  io: Io,
  client: pg.Client,
  file: string,
  steps: readonly Step[],
  undecided: readonly string[],
  options: ApplyOptions,
): Promise<void> {
  if (steps.some((step) => step.statement.call)) await requireAdmin(client)
  const run: RunOptions = {
    lockTimeout: options.lockTimeout,
    attempts: Math.max(1, Number.parseInt(options.attempts, 10) || 1),
    reporting: await reportingFunctions(client),
  }
  await client.query('select pg_catalog.set_config($1, $2, false)', [
    'lock_timeout',
    options.lockTimeout,
  ])
  const stop = new AbortController()
  const onInterrupt = () => {
    if (stop.signal.aborted) process.exit(130)
    stop.abort()
    io.err('Stopping after the current statement (Ctrl-C again: at once) …\n')
  }
  process.on('SIGINT', onInterrupt)
  let results: Result[]
  try {
    results = options.dryRun
      ? await rehearse(client, steps, run, stop.signal)
      : await inTurn(io, client, steps, run, stop.signal)
  } finally {
    process.off('SIGINT', onInterrupt)
  }
  io.out(reportTable(io, results))
  finish(io, file, results, undecided, options)
}

/** Carries the steps out in order; whoever watches sees which one is running. */
async function inTurn(
  io: Io,
  client: pg.Client,
  steps: readonly Step[],
  run: RunOptions,
  stopped: AbortSignal,
): Promise<Result[]> {
  const results: Result[] = []
  // Without a connection there is no use in going on.
  let broken = false
  const work = async (show: (text: string) => void) => {
    for (const [index, step] of steps.entries()) {
      if (stopped.aborted || broken) {
        results.push(untouched(step, 'left'))
        continue
      }
      show(`${index + 1}/${steps.length} ${step.title}`)
      const result = await carryOut(client, step, run)
      results.push(result)
      broken = result.outcome === 'refused' && !isServerError(result.error)
    }
  }
  const title = `Carrying out ${steps.length} statements, each in a transaction of its own`
  const task = (_context: unknown, task: { output: string }) =>
    work((text) => void (task.output = text))
  await new Listr([{ title, task }], {
    // Interrupts are handled by the command itself.
    registerSignalListeners: false,
    ...(io.interactive
      ? { renderer: 'default' as const, rendererOptions: { clearOutput: true } }
      : { renderer: 'silent' as const }),
  }).run()
  return results
}

function reportTable(io: Io, results: readonly Result[]): string {
  const rows = results.map(({ step, outcome, milliseconds, statements }) => [
    step.statement.line,
    step.title,
    outcome,
    statements.length === 0 ? '' : statements.length,
    outcome === 'left' || outcome === 'not tried' ? '' : `${Math.round(milliseconds)} ms`,
  ])
  return table(['line', 'what', 'outcome', 'changes', 'time'], rows, io.columns)
}

function finish(
  io: Io,
  file: string,
  results: readonly Result[],
  undecided: readonly string[],
  options: ApplyOptions,
): void {
  const refused = results.filter((each) => each.outcome === 'refused')
  const left = results.filter((each) => each.outcome === 'left')
  const count = (outcome: Result['outcome']) =>
    results.filter((each) => each.outcome === outcome).length
  for (const { step, error } of refused) {
    io.out(`\nline ${step.statement.line}, ${step.title}: refused\n${describe(error)}\n`)
  }
  io.out(
    `\n${count('done')} done, ${count('as declared')} as declared already, ${refused.length} refused, ${left.length} left.\n`,
  )
  if (options.dryRun) io.out('This was a dry run: everything was rolled back.\n')
  if (undecided.length > 0) io.out(`Undecided: ${undecided.join(', ')}.\n`)
  if (left.length > 0) {
    throw new CliError('STOPPED', 'Stopped before the end.', {
      hint: `Run tenantry apply ${file} again: it does what is left.`,
      exitCode: 130,
    })
  }
  if (refused.length > 0) {
    throw new CliError(
      'REFUSED',
      `${refused.length === 1 ? 'One statement was' : `${refused.length} statements were`} refused.`,
      {
        hint: `Do what the hints above say and run tenantry apply ${file} again: it does what is left.`,
      },
    )
  }
  if (undecided.length > 0) throw notDecided(file, undecided)
  if (!options.dryRun) io.out('Next: tenantry check\n')
}

function notDecided(file: string, undecided: readonly string[]): CliError {
  return new CliError(
    'UNDECIDED',
    `${undecided.length === 1 ? 'One table is' : `${undecided.length} tables are`} undecided: ${undecided.join(', ')}.`,
    {
      hint: `In ${file}, take the two dashes off one of the statements below each "-- undecided:" line, or give --partial.`,
    },
  )
}

async function read(file: string): Promise<string> {
  return readFile(file, 'utf8').catch((error: unknown) => {
    throw new CliError('NO_FILE', `Cannot read ${file}: ${(error as Error).message}`, {
      hint: 'Write one: tenantry survey > tenantry.sql',
    })
  })
}

async function standardInput(io: Io): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of io.input) chunks.push(Buffer.from(chunk as Uint8Array))
  return Buffer.concat(chunks).toString()
}
