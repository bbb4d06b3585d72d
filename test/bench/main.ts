import { cpus } from 'node:os'
import { join } from 'node:path'
import { SingleBar } from 'cli-progress'
import { Argument, Command, Option } from 'commander'
import { sizes, type SizeName } from '../fixtures/elizaos/generator.js'
import { repositoryRoot } from '../support/repository.js'
import { startServer, type Major, type TestServer } from '../support/servers.js'
import { measureCalls } from './calls.js'
import { delayed } from './delay.js'
import { prepare, type Bench } from './prepare.js'
import { measureReach, reportReach } from './reach.js'
import { prepareReach, type ReachBench } from './reach-stage.js'
import {
  reportCalls,
  reportStatements,
  reportVerdicts,
  type Verdict,
  writeResults,
} from './report.js'
import { type Measured, reportSecrets } from './secrets-report.js'
import { prepareSecrets, type SecretBench } from './secrets-stage.js'
import { measureRollout, reportRollout } from './rollout.js'
import { prepareRollout, type RolloutBench } from './rollout-stage.js'
import { measureSecrets } from './secrets.js'
import { measureStatements } from './statements.js'

// Prints what it measured, whatever it is, and ends with 0 when it could measure.

interface Options {
  readonly size: SizeName
  readonly major?: number
  readonly rounds: number
}

const command = new Command('bench')
  .description('Measure tenantry against the bare query and the hand-written WHERE, in one run')
  .addArgument(
    new Argument('[what]', 'measures only this')
      .choices(['isolation', 'secrets', 'reach', 'rollout'])
      .argOptional(),
  )
  .addOption(
    new Option('--size <name>', 'the fixture').choices(Object.keys(sizes)).default('bench1m'),
  )
  .option(
    '--major <version>',
    'PostgreSQL; secrets, reach and rollout are measured on 15 and 18, or on this one',
    Number,
  )
  .option('--rounds <n>', 'calls of each kind', Number, 3000)
  .parse()
const options = command.opts<Options>()
const [what] = command.processedArgs as [string | undefined]

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

const all = what === undefined
if (all || what === 'isolation') await isolation()
if (all || what === 'secrets') {
  const measure = (stage: SecretBench) => measureSecrets(stage, options.rounds, told)
  await onBoth('secrets', prepareSecrets, measure, reportSecrets)
}
if (all || what === 'reach') {
  const measure = (stage: ReachBench) => measureReach(stage, options.rounds / 3, told)
  await onBoth('reach', prepareReach, measure, reportReach)
}
if (all || what === 'rollout') {
  const stage = (server: TestServer) => prepareRollout(server, options.size)
  const measure = ({ on }: RolloutBench) => measureRollout(on, told)
  await onBoth('rollout', stage, measure, reportRollout)
}

async function isolation(): Promise<void> {
  let bench: Bench | undefined
  const server = await startServer({
    major: (options.major ?? 18) as Major,
    onProgress: console.log,
  })
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
    const statements = await measureStatements(bench, rounds, told)
    verdicts.push(...reportStatements(statements))
    reportVerdicts(verdicts)
    writeResults(
      join(
        repositoryRoot,
        'test',
        'bench',
        'results',
        `first-pg${options.major ?? 18}-${options.size}.json`,
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
}

/** Measures on 15 and on 18, one after the other, or on the one that was asked for, and keeps what was measured. */
async function onBoth<Stage extends { end(): Promise<void> }, Figures>(
  name: string,
  prepareStage: (server: TestServer) => Promise<Stage>,
  measure: (stage: Stage) => Promise<Figures>,
  report: (major: Measured, figures: Figures) => Verdict[],
): Promise<void> {
  const verdicts: Verdict[] = []
  const figures: Partial<Record<Measured, Figures>> = {}
  for (const major of ([15, 18] as const).filter((each) => each === (options.major ?? each))) {
    const server = await startServer({ major, onProgress: console.log })
    try {
      const stage = await prepareStage(server)
      try {
        const measured = await measure(stage)
        figures[major] = measured
        verdicts.push(...report(major, measured))
      } finally {
        await stage.end()
      }
    } finally {
      await server.stop()
    }
  }
  reportVerdicts(verdicts)
  writeResults(join(repositoryRoot, 'test', 'bench', 'results', `${name}.json`), {
    measuredAt: new Date().toISOString(),
    machine: { cpus: cpus().length, model: cpus()[0]?.model },
    options,
    figures,
    verdicts,
  })
}

function told(step: string): void {
  console.log(`measuring ${step}`)
}
