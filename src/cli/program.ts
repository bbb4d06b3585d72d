import { Command, CommanderError } from 'commander'
import { applyCommand } from './apply/command.js'
import { checkCommand } from './check/command.js'
import { demoCommand } from './demo.js'
import { report } from './errors.js'
import { generateCommand } from './generate.js'
import { installCommand } from './install.js'
import type { Io } from './io.js'
import { keysCommand } from './keys/index.js'
import { rolloutCommand } from './rollout/index.js'
import { sqlCommand } from './sql/command.js'
import { statusCommand } from './status.js'
import { surveyCommand } from './survey.js'
import { packageVersion } from './version.js'

/** Runs one command line; returns how the process should end. */
export async function main(args: readonly string[], io: Io): Promise<number> {
  const program = new Command('tenantry')
    .description('Multi-tenant isolation inside PostgreSQL.')
    .version(packageVersion())
    .showHelpAfterError('(--help shows what there is)')
    .addHelpText(
      'after',
      `
A new database:        tenantry install && tenantry keys register
An existing one:       tenantry survey > tenantry.sql, edit it, tenantry apply tenantry.sql, tenantry check
Full and in use:       tenantry rollout plan, tenantry rollout to backfilled … to strict
Ends with 0 when all is well, 1 when something was refused or found, 2 for wrong usage or critical
findings, 3 when there is no connection.`,
    )
  for (const command of [
    installCommand(io),
    keysCommand(io),
    surveyCommand(io),
    applyCommand(io),
    rolloutCommand(io),
    checkCommand(io),
    statusCommand(io),
    sqlCommand(io),
    generateCommand(io),
    demoCommand(io),
  ]) {
    program.addCommand(command)
  }
  prepare(program, io)
  try {
    await program.parseAsync([...args], { from: 'user' })
    return 0
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2
    return report(io, error)
  }
}

/** Errors are thrown instead of ending the process, and everything is written through `io`. */
function prepare(command: Command, io: Io): void {
  command.exitOverride().configureOutput({ writeOut: io.out, writeErr: io.err })
  for (const sub of command.commands) prepare(sub, io)
}
