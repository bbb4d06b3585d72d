import { readFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import type { Reporter, Vitest } from 'vitest/node'
import { repositoryRoot } from '../repository.js'
import { outcomesOf, type Outcome } from './outcome.js'
import { judge, lastLine, slowest, type MaySkip, type Verdict } from './verdict.js'

const maySkipFile = join(repositoryRoot, 'test', 'support', 'may-skip.json')

/**
 * Prints the slowest tests and every skipped one with its reason ahead of vitest's own summary,
 * fails the run for a skip that may-skip.json does not allow, and leaves one plain line with
 * the numbers as the last that the process says.
 */
export function runReporter(): Reporter {
  let vitest: Vitest | undefined
  let verdict: Verdict | undefined
  return {
    onInit(instance) {
      vitest = instance
      if (!instance.config.watch) process.once('exit', () => sayLastLine(verdict))
    },
    onTestRunEnd(modules, unhandledErrors) {
      const outcomes = outcomesOf(modules)
      // With `-t` most tests are skipped because somebody asked for one of them.
      const filtered = vitest?.config.testNamePattern !== undefined
      const considered = filtered ? outcomes.filter(({ state }) => state !== 'skipped') : outcomes
      const judged = judge(considered, readMaySkip())
      const elsewhere = unhandledErrors.length + (modules.length === 0 ? 1 : 0) // nothing ran
      verdict = { ...judged, failed: judged.failed + elsewhere }
      if (verdict.failed > 0) process.exitCode = 1
      const say = (line: string) => vitest?.logger.log(line)
      for (const line of [...slowestLines(considered), ...skipLines(considered, judged)]) say(line)
    },
  }
}

function sayLastLine(verdict: Verdict | undefined): void {
  const failedBefore = { passed: 0, failed: process.exitCode ? 1 : 0, skipped: 0, refused: [] }
  writeSync(1, `${lastLine(verdict ?? failedBefore)}\n`)
}

function readMaySkip(): MaySkip[] {
  return JSON.parse(readFileSync(maySkipFile, 'utf8')) as MaySkip[]
}

function slowestLines(outcomes: readonly Outcome[]): string[] {
  const lines = slowest(outcomes).map(
    ({ label, milliseconds }) => `  ${(milliseconds / 1000).toFixed(2).padStart(7)} s  ${label}`,
  )
  return lines.length > 0 ? ['', 'Slowest tests', ...lines] : []
}

function skipLines(outcomes: readonly Outcome[], { refused }: Verdict): string[] {
  const list = (title: string, some: readonly Outcome[]) =>
    some.length === 0
      ? []
      : ['', title, ...some.map((one) => `  ${one.label}: ${one.reason || 'no reason given'}`)]
  const allowed = outcomes.filter((one) => one.state === 'skipped' && !refused.includes(one))
  return [
    ...list('Skipped', allowed),
    ...list('Skipped, which test/support/may-skip.json does not allow', refused),
  ]
}
