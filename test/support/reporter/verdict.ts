import type { Outcome } from './outcome.js'

/** An entry of may-skip.json: a test that may be skipped, and under which circumstances. */
export interface MaySkip {
  readonly test: string
  readonly when: string
}

export interface Verdict {
  readonly passed: number
  readonly failed: number
  readonly skipped: number
  /** Skips that nobody allowed, or that state no reason; each counts as failed. */
  readonly refused: readonly Outcome[]
}

/**
 * Counts a run. A skipped test counts as failed unless the list names it and it said why, so
 * that a suite cannot shrink unnoticed.
 */
export function judge(outcomes: readonly Outcome[], maySkip: readonly MaySkip[]): Verdict {
  const allowed = new Set(maySkip.map(({ test }) => test))
  const count = (state: Outcome['state']) => outcomes.filter((one) => one.state === state).length
  const refused = outcomes.filter(
    ({ state, name, reason }) => state === 'skipped' && !(allowed.has(name) && reason !== ''),
  )
  return {
    passed: count('passed'),
    failed: count('failed') + refused.length,
    skipped: count('skipped') - refused.length,
    refused,
  }
}

/** The slowest tests first. */
export function slowest(outcomes: readonly Outcome[], howMany = 10): Outcome[] {
  return [...outcomes].sort((a, b) => b.milliseconds - a.milliseconds).slice(0, howMany)
}

/** The last line of a run. */
export function lastLine({ passed, failed, skipped }: Verdict): string {
  return `${passed} passed, ${failed} failed, ${skipped} skipped`
}
