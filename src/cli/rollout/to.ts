import { Argument, type Command } from 'commander'
import type pg from 'pg'
import { asAdmin } from '../admin.js'
import { withConnection } from '../connect.js'
import type { Io } from '../io.js'
import { command, positive, type RolloutOptions } from './command.js'
import type { Listener } from './events.js'
import { pidOf, withHelpers, type Helper } from './helpers.js'
import { Interrupt } from './interrupt.js'
import { listener as listenerOf } from './listeners.js'
import { endOfLog, longestLock } from './report.js'
import { run } from './run.js'
import { callsTo, states, type Rollout, type State } from './states.js'
import { rolloutsOf } from './tables.js'
import { Watcher } from './watcher.js'

interface ToOptions extends RolloutOptions {
  readonly batchSize: number
  readonly lockTimeout: string
  readonly jobs: number
}

/** `tenantry rollout to`: takes tables to a state, forth or back. */
export function toCommand(io: Io): Command {
  return command('to', 'Take tables to a state, forth or back, one state at a time for all.')
    .addArgument(new Argument('<state>', 'the state').choices(states))
    .argument('[table...]', 'only these (default: every declared rollout)')
    .option('--batch-size <rows>', 'rows of the first batch; adapted afterwards', positive, 5000)
    .option('--jobs <n>', 'sessions that fill owners side by side', positive, 1)
    .option('--lock-timeout <interval>', 'how long building an index waits for a lock', '10s')
    .addHelpText(
      'after',
      `
Parents come before those that take owners from them, and children first where tables are closed. Indexes of
larger tables are built concurrently. With --json each event is a line. Ctrl-C cancels what runs; running it
again goes on from there. Ends with 0 when every table is there, 1 when a step was refused, 130 when stopped.

Examples:
  tenantry rollout to backfilled
  tenantry rollout to backfilled --jobs 2        # about twice as fast where the server has processors to spare
  tenantry rollout to strict memories
  tenantry rollout to planned                    # everything back`,
    )
    .action((state: State, tables: string[], options: ToOptions) =>
      asAdmin(io, options, async (client) => {
        const rollouts = await rolloutsOf(client, tables)
        await withConnection(io, options, (observer) =>
          withConnection(io, options, (watching) =>
            withHelpers(io, options, options.jobs - 1, (helpers) =>
              rollOut(
                io,
                { client, observer, watching, helpers },
                rollouts,
                state,
                tables,
                options,
              ),
            ),
          ),
        )
      }),
    )
}

interface Connections {
  readonly client: pg.Client
  readonly observer: pg.Client
  readonly watching: pg.Client
  readonly helpers: readonly Helper[]
}

async function rollOut(
  io: Io,
  { client, observer, watching, helpers }: Connections,
  rollouts: readonly Rollout[],
  state: State,
  tables: readonly string[],
  options: ToOptions,
): Promise<void> {
  const listener = listenerOf(io, options.json ?? false)
  tellNotices(client, listener)
  const pid = await pidOf(client)
  const since = await endOfLog(client)
  const pids = [pid, ...helpers.map((helper) => helper.pid)]
  const watcher = new Watcher(watching, pids)
  const interrupt = new Interrupt(observer, pids, listener)
  let failure: Error | undefined
  try {
    await run(
      { client, pid, helpers, observer, listener, interrupt },
      callsTo(rollouts, state),
      options,
    )
  } catch (error) {
    failure = asError(error)
  }
  interrupt.end()
  if (interrupt.stopped) {
    failure = interrupt.error(['tenantry rollout to', state, ...tables].join(' '))
  }
  try {
    // Also of what was refused or stopped. The observer, because the other connection may be broken.
    const waits = await watcher.stop()
    const names = rollouts.map(({ table }) => table)
    const longest = await longestLock(observer, names, since)
    listener.tell({ event: 'report', longest_lock: longest, waits })
  } catch (error) {
    failure ??= asError(error)
  } finally {
    if (failure !== undefined) tellError(failure, listener)
    listener.end()
  }
  if (failure !== undefined) throw failure
}

const asError = (error: unknown): Error =>
  error instanceof Error ? error : new Error(String(error))

/** For whoever reads events; everybody else reads it where the command ends. */
function tellError(error: Error, listener: Listener): void {
  const { code, message, hint } = error as Error & { code?: string; hint?: string }
  listener.tell({
    event: 'error',
    code: code ?? 'ERROR',
    message,
    ...(hint ? { hint } : {}),
  })
}

/** Warnings are told of by the connection itself. */
function tellNotices(client: pg.Client, listener: Listener): void {
  client.on('notice', ({ severity, message, hint }) => {
    // What a statement takes away if it is there tells nobody anything when it is not.
    if (severity !== 'NOTICE' || message?.endsWith(' does not exist, skipping')) return
    listener.tell({ event: 'notice', message: message ?? '', ...(hint ? { hint } : {}) })
  })
}
