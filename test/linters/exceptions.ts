import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { repositoryRoot } from '../support/repository.js'

/** A line of a table in extension/doc/linters.md: what is reported, of what, and why it stays. */
export interface Exception {
  readonly finding: RegExp
  readonly where: RegExp
}

/** The exceptions below a heading of the page. Patterns stand in backticks; \| is a bar. */
export function exceptionsBelow(heading: string): Exception[] {
  const page = readFileSync(join(repositoryRoot, 'extension', 'doc', 'linters.md'), 'utf8')
  const section = page.split(/^## /m).find((part) => part.startsWith(`${heading}\n`))
  if (section === undefined) throw new Error(`linters.md has no section ${heading}`)
  const rows = [...section.matchAll(/^\| +`(.+?)` +\| +`(.+?)` +\|/gm)]
  if (rows.length === 0) throw new Error(`${heading} has no exceptions`)
  const pattern = (text: string) => new RegExp(`^(?:${text.replaceAll('\\|', '|')})$`)
  return rows.map(([, finding, where]) => ({ finding: pattern(finding!), where: pattern(where!) }))
}

/** What no exception names, and the exceptions that name nothing. */
export function judged(
  findings: readonly { finding: string; where: string }[],
  exceptions: readonly Exception[],
): { open: string[]; idle: string[] } {
  const matches = (each: { finding: string; where: string }, { finding, where }: Exception) =>
    finding.test(each.finding) && where.test(each.where)
  return {
    open: findings
      .filter((each) => !exceptions.some((exception) => matches(each, exception)))
      .map(({ finding, where }) => `${where}: ${finding}`),
    idle: exceptions
      .filter((exception) => !findings.some((each) => matches(each, exception)))
      .map(({ finding, where }) => `${where.source}: ${finding.source}`),
  }
}
