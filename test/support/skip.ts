import type { TestContext } from 'vitest'

/**
 * Skips the running test and says why. The end of the run lists it with the reason, and fails
 * unless test/support/may-skip.json names it.
 */
export function skipWithReason(context: Pick<TestContext, 'skip'>, reason: string): never {
  return context.skip(reason)
}
