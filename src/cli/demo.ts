import { Command } from 'commander'
import type { runDemo } from '../../test/demo/run.js'
import { CliError } from './errors.js'
import { processIo, type Io } from './io.js'

interface Options {
  readonly keep?: boolean
}

/** `tenantry demo`: the product on a real schema, in a server of its own. */
export function demoCommand(io: Io = processIo): Command {
  return new Command('demo')
    .description(
      'Start a PostgreSQL of its own, load a real schema, protect it, use and attack it.',
    )
    .option('--keep', 'leave the server running, and print how to reach it')
    .action(async ({ keep = false }: Options) => {
      const { runDemo: play } = await demo()
      if (!(await play(io, keep))) {
        throw new CliError('DEMO_FAILED', 'A check of the demo did not hold; see above.')
      }
    })
}

/** The fixture and the server programs it needs come with the repository, not with the package. */
async function demo(): Promise<{ runDemo: typeof runDemo }> {
  try {
    return await import('../../test/demo/run.js')
  } catch (error) {
    if ((error as { code?: unknown }).code !== 'ERR_MODULE_NOT_FOUND') throw error
    throw new CliError('NO_DEMO', 'The demo is part of tenantry’s repository.', {
      hint: 'Clone the repository and run: make demo',
    })
  }
}
