import { readFile, writeFile } from 'node:fs/promises'
import { CliError } from '../errors.js'
import type { Finding } from './finding.js'

/** What a finding is known by. */
export type Known = Pick<Finding, 'code' | 'object' | 'problem'>

export async function readBaseline(file: string): Promise<Known[]> {
  const hint = `Write one: tenantry check --write-baseline ${file}`
  let parsed: unknown
  try {
    parsed = JSON.parse(await readFile(file, 'utf8'))
  } catch (error) {
    throw new CliError('BASELINE', `${file} cannot be read: ${(error as Error).message}`, { hint })
  }
  const known: unknown = (parsed as { findings?: unknown } | null)?.findings
  if (!Array.isArray(known) || !known.every(isKnown)) {
    throw new CliError('BASELINE', `${file} is not a baseline.`, { hint })
  }
  return known
}

function isKnown(value: unknown): value is Known {
  const each = value as Partial<Record<keyof Known, unknown>> | null
  return [each?.code, each?.object, each?.problem].every((part) => typeof part === 'string')
}

export async function writeBaseline(file: string, findings: readonly Finding[]): Promise<void> {
  const known = findings.map(({ code, object, problem }): Known => ({ code, object, problem }))
  await writeFile(file, `${JSON.stringify({ findings: known }, null, 2)}\n`)
}

/** The findings that a baseline does not name, and what it names that is found no more. */
export function withoutKnown(
  findings: readonly Finding[],
  known: readonly Known[],
): { findings: Finding[]; gone: Known[] } {
  const key = ({ code, object, problem }: Known) => JSON.stringify([code, object, problem])
  const named = new Set(known.map(key))
  const found = new Set(findings.map(key))
  return {
    findings: findings.filter((each) => !named.has(key(each))),
    gone: known.filter((each) => !found.has(key(each))),
  }
}
