import { format } from 'prettier'
import { besides, designed } from './lines.js'
import { type Verdict, verdicts } from './verdicts.js'

const introduction = `# Attacks, and what becomes of them

Each line is a test, on PostgreSQL 15 and 18, as the least privileged role that could try it, and behind PgBouncer in transaction mode
where a pooler makes a difference. Beside each stands a control, which does the same to a table that is open or protected in the way that
people try first (one policy that trusts a setting), so that a refusal means something. This page is written by the tests.

`

function row(attack: string, { verdict, by, because, stated }: Verdict): string {
  const where = stated ? `: [${stated.page}](${stated.page})` : ''
  return `| ${attack} | ${by} | ${verdict} | ${because}${where} |`
}

const table = (lines: Record<string, readonly string[]>): string =>
  Object.entries(lines)
    .map(([line, attacks]) =>
      [
        `### ${line}\n`,
        '| attack | who tries it | verdict | what closes it, or what remains |',
        '| --- | --- | --- | --- |',
        ...attacks.map((attack) => row(attack, (verdicts as Record<string, Verdict>)[attack]!)),
      ].join('\n'),
    )
    .join('\n\n')

/** What extension/doc/attacks.md says. */
export function page(): Promise<string> {
  const all = Object.values<Verdict>(verdicts)
  const remaining = all.filter(({ verdict }) => verdict === 'stated residual').length
  const text = [
    introduction,
    `${all.length} attacks: ${all.length - remaining} are closed, ${remaining} are stated residuals.\n`,
    '## What the design lists\n',
    table(designed),
    '\n## What came up besides\n',
    table(besides),
    '',
  ].join('\n')
  return format(text, { parser: 'markdown' })
}
