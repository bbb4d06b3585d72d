import { cpus } from 'node:os'
import { join } from 'node:path'
import { SingleBar } from 'cli-progress'
import { Command, Option } from 'commander'
import { sizes, type SizeName } from '../fixtures/elizaos/generator.js'
import { repositoryRoot } from '../support/repository.js'
import { startServer, type Major } from '../support/servers.js'
import { measureCalls } from './calls.js'
import { delayed } from './delay.js'
import { prepare, type Bench } from './prepare.js'
import { reportCalls, reportStatements, reportVerdicts, writeResults } from './report.js'
import { measureStatements } from './statements.js'

// Prints what it measured, whatever it is, and ends with 0 when it could measure.

interface Options {
  readonly size: SizeName
  readonly major: number
  readonly rounds: number
}

const options = new Command('bench')
  .description('Measure tenantry against the bare query and the hand-written WHERE, in one run')
  .addOption(
    new Option('--size <name>', 'the fixture').choices(Object.keys(sizes)).default('bench1m'),
  )
  .option('--major <version>', 'PostgreSQL', Number, 18)
  .option('--rounds <n>', 'calls of each kind', Number, 3000)
  .parse()
  .opts<Options>()

const bar = new SingleBar({
  format: '{what} {bar} {percentage} %',
  clearOnComplete: true,
  noTTYOutput: false,
})
const along = (what: string) => {
  bar.start(1, 0, { what })
  return (done: number, total: number) => {
    bar.setTotal(total)
    bar.update(done)
  }
}

let bench: Bench | undefined
const server = await startServer({ major: options.major as Major, onProgress: console.log })
try {
  const load = along('loading')
  bench = await prepare(server, options.size, ({ done, total }) => load(done, total))
  bar.stop()
  const { hostname, port } = new URL(server.url)

  const loopback = await measureCalls(bench, Number(port), options.rounds, along('calls'))
  bar.stop()
  const verdicts = reportCalls('one call, loopback', loopback)

  const slow = await delayed(hostname, Number(port), 1)
  const far = await measureCalls(
    bench,
    slow.port,
    Math.ceil(options.rounds / 10),
    along('calls, far away'),
  )
  await slow.stop()
  bar.stop()
  verdicts.push(
    ...reportCalls('one call, 2 ms away', far, {
      'pool, context reused': 1.05,
      'accessor, context reused': 1.05,
    }),
  )

  const rounds = { few: options.rounds, many: Math.max(10, Math.ceil(options.rounds / 100)) }
  const statements = await measureStatements(bench, rounds, (name) =>
    console.log(`measuring ${name}`),
  )
  verdicts.push(...reportStatements(statements))
  reportVerdicts(verdicts)
  writeResults(
    join(
      repositoryRoot,
      'test',
      'bench',
      'results',
      `first-pg${options.major}-${options.size}.json`,
    ),
    {
      measuredAt: new Date().toISOString(),
      machine: { cpus: cpus().length, model: cpus()[0]?.model },
      server: server.source,
      options,
      calls: { loopback, far },
      statements,
      verdicts,
    },
  )
} finally {
  bar.stop()
  await bench?.db.drop()
  await server.stop()
}
