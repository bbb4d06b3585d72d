import { Command, Option } from 'commander'
import { counted } from '../survey/index.js'
import { connectionHelp, withConnection } from './connect.js'
import { CliError } from './errors.js'
import { requireAdmin } from './installed.js'
import type { Io } from './io.js'
import { table } from './table.js'

interface Finding {
  readonly severity: 'critical' | 'warning' | 'info'
  readonly code: string
  readonly object: string
  readonly problem: string
  readonly fix: string
}

interface CheckOptions {
  url?: string
  json?: boolean
  severity: string
}

/** `tenantry check`: what stands open, with the statement that closes it. */
export function checkCommand(io: Io): Command {
  return new Command('check')
    .description('List what stands open, each with the statement that closes it.')
    .option('--url <url>', connectionHelp)
    .option('--json', 'print the findings as JSON')
    .addOption(
      new Option('--severity <severity>', 'the least severity to look for')
        .choices(['critical', 'warning', 'info'])
        .default('warning'),
    )
    .addHelpText(
      'after',
      `
Ends with 0 when nothing worse than info was found, 1 for warnings, 2 for anything critical.

Examples:
  tenantry check
  tenantry check --severity critical --json`,
    )
    .action((options: CheckOptions) =>
      withConnection(io, options, async (client) => {
        await requireAdmin(client)
        const { rows } = await client.query<Finding>(
          'select severity, code, object, problem, fix from tenantry.check($1)',
          [options.severity],
        )
        io.out(options.json ? `${JSON.stringify(rows, null, 2)}\n` : readable(io, rows))
        const worst = rows.some((row) => row.severity === 'critical')
          ? 2
          : rows.some((row) => row.severity === 'warning')
            ? 1
            : 0
        if (worst > 0) {
          throw new CliError('FINDINGS', `${counted(rows.length, 'finding')}.`, {
            exitCode: worst,
            hint: 'Running the statement of a finding removes it.',
          })
        }
      }),
    )
}

function readable(io: Io, findings: readonly Finding[]): string {
  if (findings.length === 0) return 'Nothing stands open.\n'
  const rows = findings.map((each) => [each.severity, each.code, each.object, each.problem])
  const fixes = findings.map((each) => `-- ${each.code} ${each.object}\n${each.fix}\n`)
  return (
    table(['severity', 'code', 'object', 'problem'], rows, io.columns) +
    `\nWhat closes them, in the same order:\n\n${fixes.join('\n')}`
  )
}
