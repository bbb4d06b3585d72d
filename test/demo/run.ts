import { Listr } from 'listr2'
import type { Io } from '../../src/cli/io.js'
import { table } from '../../src/cli/table.js'
import type { LoadProgress } from '../fixtures/elizaos/generator.js'
import { compileApplication, linesGenerated, loadApplication } from './accessors.js'
import { fiveAttacks } from './attacks.js'
import { Checks } from './checks.js'
import { whoSeesWhat } from './identities.js'
import { unchangedQueries } from './queries.js'
import { secretsSideBySide } from './secrets.js'
import { Scenery, type Stage } from './stage.js'
import { groupRoom } from './rooms.js'
import { oneCall } from './timing.js'

/** Plays the demo; returns whether every check held. */
export async function runDemo(io: Io, keep: boolean): Promise<boolean> {
  const scenery = new Scenery()
  const checks = new Checks()
  try {
    const stage = await setUp(scenery, checks, io)
    await play(stage, checks, io)
    io.out(`\n${checks.summary}\n`)
    if (keep) await leave(stage, io)
    return checks.allHeld
  } finally {
    if (!keep) await scenery.end()
  }
}

async function setUp(scenery: Scenery, checks: Checks, io: Io): Promise<Stage> {
  let stage: Stage | undefined
  await new Listr(
    [
      {
        title: 'Start a PostgreSQL of its own',
        task: async (_, task) => {
          task.title = `Started: ${await scenery.startServer((line) => (task.output = line))}`
        },
      },
      { title: 'Install tenantry', task: () => scenery.install() },
      {
        title: 'Load elizaOS’s schema with 200 users and 20,000 memories',
        task: (_, task) =>
          scenery.load(
            byTenths(io.interactive, (line) => {
              task.output = line
            }),
          ),
      },
      { title: 'Protect every table', task: () => scenery.protect() },
      { title: 'Encrypt the secrets of agents and characters', task: () => scenery.encrypt() },
      {
        title: 'Make logins for the application and for a person',
        task: async () => {
          stage = await scenery.roles()
        },
      },
      {
        title: 'Ask what is still open',
        task: async (_, task) => {
          const findings = await scenery.findings()
          checks.holds(`check() finds nothing (${findings.join('; ')})`, findings.length === 0)
          task.title = `check() finds ${findings.length === 0 ? 'nothing' : findings.join('; ')}`
        },
      },
      {
        title: 'Generate typed accessors and compile an application that uses them',
        task: async (_, task) => {
          const errors = await compileApplication(scenery)
          checks.holds(`the application compiles (${errors.join('; ')})`, errors.length === 0)
          task.title = `${String(linesGenerated())} lines of accessors generated; the application compiles with tsc`
        },
      },
    ],
    { renderer: io.interactive ? 'default' : 'simple' },
  ).run()
  if (!stage) throw new Error('the stage was not set')
  return stage
}

/** Where nobody watches, a line for each tenth is progress enough. */
function byTenths(
  interactive: boolean,
  say: (line: string) => void,
): (progress: LoadProgress) => void {
  let last = -1
  return ({ step, table: name, done, total }) => {
    const tenth = Math.floor((10 * done) / total)
    if (!interactive && tenth === last) return
    last = tenth
    say(`${name ?? step} ${String(Math.floor((100 * done) / total))} %`)
  }
}

async function play(stage: Stage, checks: Checks, io: Io): Promise<void> {
  const title = (text: string): void => io.out(`\n${text}\n`)
  title('What each identity sees, and what there is')
  io.out(await whoSeesWhat(stage, checks, io.columns))
  title('Typed accessors: the latest memories, through the application that was compiled')
  io.out(await accessors(stage, checks, io.columns))
  title('The application’s own queries, unchanged, through the pool')
  io.out(await unchangedQueries(stage, checks, io.columns))
  title('Secrets, side by side')
  io.out(await secretsSideBySide(stage, checks, io.columns))
  title('A group room, agents in it, a delegation and its end')
  io.out(await groupRoom(stage, checks, io.columns))
  title('Five attacks')
  io.out(await fiveAttacks(stage, checks, io.columns))
  title('What it costs')
  io.out(await oneCall(stage, io.columns))
}

async function accessors(stage: Stage, checks: Checks, width: number): Promise<string> {
  const { ordinary, agents } = stage.truth.identities
  const own = agents.find(({ owner }) => owner === ordinary.entity)
  const application = await loadApplication()
  const db = application.connect(stage.app.url, stage.secret)
  try {
    const cases = [
      [ordinary.name, await application.latest(db, ordinary.id)],
      [
        `agent ${own?.name ?? ''} for ${ordinary.name}`,
        await application.latestFor(db, own?.id ?? '', ordinary.id),
      ],
    ] as const
    return table(
      ['who', 'rows', 'all their own'],
      cases.map(([who, found]) => [
        who,
        found.length,
        checks.holds(
          `the accessor shows ${who} 20 rows of ${ordinary.name}`,
          found.length === 20 && found.every(({ owner_id }) => owner_id === ordinary.id),
        ),
      ]),
      width,
    )
  } finally {
    await db.end()
  }
}

/** Prints how to go on by hand. */
async function leave(stage: Stage, io: Io): Promise<void> {
  const stop = stage.server.keep()
  const { ordinary } = stage.truth.identities
  io.out(`
The server goes on running. As ${ordinary.name}, who sees their own rows:

  npx tenantry sql --url '${stage.person.url}'

      select count(*) from memories;
      select * from tenantry.whoami();
      update memories set owner_id = gen_random_uuid();

As a DBA:

  npx tenantry sql --url '${stage.db.url()}'

      select * from tenantry.tables;
      select * from tenantry.check('info');

To end it:

  ${stop}
`)
  await stage.db.admin.end()
}
