import { Command } from 'commander'
import { render, summary, survey } from '../survey/index.js'
import { connectionHelp, withConnection } from './connect.js'
import { CliError } from './errors.js'
import type { Io } from './io.js'

interface SurveyCommandOptions {
  url?: string
  schema?: string[]
  kind?: string[]
  runtimeLogin?: string
  owner?: string
}

/** `tenantry survey`: reads the schema and writes a proposal for every table to standard output. */
export function surveyCommand(io: Io): Command {
  return new Command('survey')
    .description('Read a schema and propose, as one SQL file to edit, how every table is isolated.')
    .option('--url <url>', connectionHelp)
    .option('--schema <name...>', 'only these schemas (default: all but the system’s)')
    .option('--kind <kind=table...>', 'the tables whose ids own rows, where the guess is wrong')
    .option(
      '--runtime-login <role>',
      'the login the application shall use (default: the owner’s name and _runtime)',
    )
    .option(
      '--owner <role>',
      'the role that gets tables a superuser owns today (default: the database’s name and _owner)',
    )
    .addHelpText(
      'after',
      `
It changes nothing. The file goes to standard output, the summary to standard error.

Examples:
  tenantry survey > tenantry.sql
  tenantry survey --schema public billing --kind org=organizations > tenantry.sql`,
    )
    .action((options: SurveyCommandOptions) =>
      withConnection(io, options, async (client) => {
        const found = await survey(client, {
          ...(options.schema ? { schemas: options.schema } : {}),
          ...(options.kind ? { kinds: namedKinds(options.kind) } : {}),
          ...(options.owner ? { owner: options.owner } : {}),
          ...(options.runtimeLogin ? { runtimeLogin: options.runtimeLogin } : {}),
        })
        io.out(render(found))
        io.err(`${summary(found)}.\n`)
        for (const warning of found.warnings) io.err(`Warning: ${warning}\n`)
      }),
    )
}

function namedKinds(given: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    given.map((each) => {
      const [kind, name, ...more] = each.split('=')
      if (!kind || !name || more.length > 0) {
        throw new CliError('BAD_KIND', `--kind ${each} is not of the form kind=table.`)
      }
      return [kind, name]
    }),
  )
}
