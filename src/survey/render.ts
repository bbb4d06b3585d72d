import { duration } from './cost.js'
import type { Kind, Proposal, Survey, TableClass } from './model.js'
import { counted, path, qualified, withArticle } from './names.js'
import { rowsOf } from './schema.js'
import { registerKind } from './statements.js'
import { viewName } from './views.js'

/** How a question that is still open is marked in the file; apply refuses a file that has one. */
export const undecidedMark = '-- undecided:'

const classes: readonly [TableClass, string][] = [
  ['owned', 'owned'],
  ['by parent', 'by parent'],
  ['many-to-many', 'many-to-many'],
  ['shared', 'shared'],
  ['exempt', 'exempt'],
  ['protected', 'declared already'],
  ['undecided', 'undecided'],
]

/** `36 tables: 17 owned, 12 by parent, 6 shared, 1 undecided`. */
export function summary(survey: Survey): string {
  const parts = classes
    .map(([name, label]) => [survey.proposals.filter((each) => each.class === name).length, label])
    .filter(([count]) => count !== 0)
    .map(([count, label]) => `${count} ${label}`)
  const tables = counted(survey.proposals.length, 'table')
  return parts.length === 0 ? tables : `${tables}: ${parts.join(', ')}`
}

/** The survey as one SQL file to read, edit, keep and apply. */
export function render(survey: Survey): string {
  const seconds = survey.proposals.reduce((all, each) => all + (each.cost?.seconds ?? 0), 0)
  const undecided = survey.proposals.filter((each) => each.class === 'undecided')
  return [
    comment(
      `How the tables of ${survey.database} are isolated. Written by \`tenantry survey\`; edit it, keep it in git, ` +
        'and carry it out with `tenantry apply <this file>`, as often as you like: what is done already stays.',
    ),
    '--',
    comment(`${summary(survey)}.`),
    comment(
      `Every statement runs in a transaction of its own; all together take ${duration(seconds)}. ` +
        'Times are estimates from the planner’s row counts.',
    ),
    ...(undecided.length > 0
      ? [
          '--',
          comment(
            `Decide first: ${undecided.map((each) => qualified(each.table)).join(', ')}. ` +
              'Find their blocks below and take the two dashes off the statements you choose.',
          ),
        ]
      : []),
    ...survey.warnings.flatMap((warning) => ['--', comment(`Warning: ${warning}`)]),
    ...(survey.kinds.length === 0
      ? [
          '--',
          comment(
            'Warning: no table looks like one of tenants. Name it: tenantry survey --kind account=accounts',
          ),
        ]
      : []),
    '',
    heading('set-up'),
    ...survey.setup.flatMap((block) => [comment(block.reason), ...block.statements, '']),
    heading('kinds: the tables whose ids own rows'),
    ...survey.kinds.flatMap(kindBlock),
    heading('tables'),
    ...survey.proposals.flatMap(tableBlock),
    ...(survey.views.length > 0
      ? [
          heading('views'),
          ...survey.views.flatMap((each) => [
            comment(`${viewName(each.view)} ${each.reason}.`),
            ...each.statements,
            '',
          ]),
        ]
      : []),
  ].join('\n')
}

function kindBlock(kind: Kind): string[] {
  const rows = rowsOf(kind.table)
  return [
    comment(
      `${kind.kind}: ${qualified(kind.table)}${rows === null ? '' : `, ${number(rows)} rows`}; ${kind.reason}.`,
    ),
    registerKind(kind),
    ...(actsForOwner(kind)
      ? [
          comment(
            `  or, if ${withArticle(kind.kind)} works on the data of its ${kind.owner?.kind ?? ''}:`,
          ),
          `-- ${registerKind({ ...kind, actsForOwner: true })}`,
        ]
      : []),
    '',
  ]
}

/** Agents are made to act for somebody; people are not, unless somebody says so. */
const actsForOwner = (kind: Kind): boolean =>
  kind.owner !== null && !kind.registered && /agent|bot/.test(kind.kind)

function tableBlock(proposal: Proposal): string[] {
  const { table } = proposal
  const rows = rowsOf(table)
  const size = `${rows === null ? 'never analysed' : `${number(rows)} rows`}, ${bytes(proposal.bytes)}`
  const label = classes.find(([name]) => name === proposal.class)?.[1] ?? proposal.class
  return [
    comment(`${qualified(table)} (${size}): ${label}; ${proposal.reason}.`),
    ...proposal.notes.map((note) => comment(`  note: ${note}`)),
    ...proposal.warnings.map((warning) => comment(`  warning: ${warning}`)),
    ...(proposal.cost
      ? [comment(`  locks: ${proposal.cost.locks.join(', ')}; ${duration(proposal.cost.seconds)}`)]
      : []),
    ...(proposal.class === 'undecided' ? [`${undecidedMark} ${path(table)}`] : []),
    ...proposal.statements,
    ...proposal.alternatives.flatMap((each) => [
      comment(`  ${proposal.class === 'undecided' ? 'either' : 'or'}: ${each.reason}`),
      ...each.statements.map((statement) => `-- ${statement}`),
    ]),
    '',
  ]
}

const heading = (title: string): string => `-- ${'-'.repeat(90 - title.length)} ${title}`

/** `56 kB`, `1.2 GB`. */
function bytes(n: number): string {
  const units = ['bytes', 'kB', 'MB', 'GB', 'TB']
  const power = n < 1024 ? 0 : Math.min(units.length - 1, Math.floor(Math.log2(n) / 10))
  const scaled = n / 1024 ** power
  return `${scaled < 10 && power > 1 ? scaled.toFixed(1) : Math.round(scaled)} ${units[power] ?? ''}`
}

const number = (n: number): string => Math.round(n).toLocaleString('en-US')

/** A comment, wrapped between words; continuation lines are indented like the first. */
function comment(text: string): string {
  const indent = /^ */.exec(text)?.[0] ?? ''
  const lines: string[] = []
  let line = ''
  for (const word of text.trim().split(/\s+/)) {
    if (line !== '' && line.length + word.length + 1 > 104 - indent.length) {
      lines.push(line)
      line = word
    } else {
      line = line === '' ? word : `${line} ${word}`
    }
  }
  lines.push(line)
  return lines.map((each, index) => `-- ${indent}${index === 0 ? '' : '  '}${each}`).join('\n')
}
