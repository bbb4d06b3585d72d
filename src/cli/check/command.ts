import { Command, Option } from 'commander'
import { counted } from '../../survey/index.js'
import { asAdmin } from '../admin.js'
import { connectionHelp } from '../connect.js'
import { CliError, endingWith } from '../errors.js'
import type { Io } from '../io.js'
import { table } from '../table.js'
import { readBaseline, withoutKnown, writeBaseline } from './baseline.js'
import type { Finding } from './finding.js'
import { sarif } from './sarif.js'

interface CheckOptions {
  url?: string
  json?: boolean
  format: 'readable' | 'json' | 'sarif'
  severity: string
  baseline?: string
  writeBaseline?: string
}

/** `tenantry check`: what stands open, with the statement that closes it. */
export function checkCommand(io: Io): Command {
  return new Command('check')
    .description('List what stands open, each with the statement that closes it.')
    .option('--url <url>', connectionHelp)
    .addOption(
      new Option('--format <format>', 'how to print the findings')
        .choices(['readable', 'json', 'sarif'])
        .default('readable'),
    )
    .option('--json', 'the same as --format json')
    .addOption(
      new Option('--severity <severity>', 'the least severity to look for')
        .choices(['critical', 'warning', 'info'])
        .default('warning'),
    )
    .option('--baseline <file>', 'leave out the findings that this file names')
    .option('--write-baseline <file>', 'write the findings of now to a file, and end with 0')
    .addHelpText(
      'after',
      `
Ends with 0 when nothing worse than info was found, 1 for warnings, 2 for anything critical, 3 when it could not look.
A finding that a baseline names is known by its code, object and problem: when one of them changes, it
counts again. Names in a baseline that are found no more are reported.

Examples:
  tenantry check
  tenantry check --severity critical --json
  tenantry check --write-baseline tenantry-baseline.json
  tenantry check --baseline tenantry-baseline.json --format sarif > tenantry.sarif`,
    )
    .action(async (options: CheckOptions) => {
      const findings = await look(io, options).catch((error: unknown) => {
        throw endingWith(3, error)
      })
      refuseFindings(findings)
    })
}

/** Prints what is found, or writes it down as known, and returns what counts. */
async function look(io: Io, options: CheckOptions): Promise<readonly Finding[]> {
  const known = options.baseline === undefined ? [] : await readBaseline(options.baseline)
  let counting: readonly Finding[] = []
  await asAdmin(io, options, async (client) => {
    const { rows } = await client.query<Finding>(
      'select severity, code, object, problem, fix from tenantry.check($1)',
      [options.severity],
    )
    if (options.writeBaseline !== undefined) {
      await writeBaseline(options.writeBaseline, rows)
      io.out(`${counted(rows.length, 'finding')} written to ${options.writeBaseline}.\n`)
      return
    }
    const { findings, gone } = withoutKnown(rows, known)
    io.out(printed(io, options, findings))
    for (const each of gone) io.err(`No longer found: ${each.code} ${each.object}\n`)
    counting = findings
  })
  return counting
}

function printed(io: Io, options: CheckOptions, findings: readonly Finding[]): string {
  const format = options.json ? 'json' : options.format
  if (format === 'json') return `${JSON.stringify(findings, null, 2)}\n`
  return format === 'sarif' ? sarif(findings) : readable(io, findings)
}

function refuseFindings(findings: readonly Finding[]): void {
  const worst = (['critical', 'warning'] as const).find((severity) =>
    findings.some((each) => each.severity === severity),
  )
  if (worst === undefined) return
  throw new CliError('FINDINGS', `${counted(findings.length, 'finding')}.`, {
    exitCode: worst === 'critical' ? 2 : 1,
    hint: 'Running the statement of a finding removes it.',
  })
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
