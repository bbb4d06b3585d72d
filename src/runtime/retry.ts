import { setTimeout as sleep } from 'node:timers/promises'

/** Serialization failure and deadlock: the unit left no trace, and may well succeed next time. */
const RETRYABLE = new Set(['40001', '40P01'])
const FIRST_DELAY = 5
const LONGEST_DELAY = 500

/**
 * Runs a whole unit, which must leave nothing behind when it fails, up to `retries` times more
 * after a serialization failure or a deadlock. The pause doubles from 5 ms to at most 500 ms, and
 * half of it is chance, so that two that met once do not meet again.
 */
export function withRetries<T>(retries: number, unit: () => Promise<T>, tried = 0): Promise<T> {
  if (tried >= retries) return unit()
  return unit().catch(async (error: unknown) => {
    if (!isRetryable(error)) throw error
    const pause = Math.min(LONGEST_DELAY, FIRST_DELAY * 2 ** tried)
    await sleep(pause / 2 + (Math.random() * pause) / 2)
    return withRetries(retries, unit, tried + 1)
  })
}

/** Whether trying the whole unit again may help. */
function isRetryable(error: unknown): boolean {
  const code = (error as { code?: unknown } | null)?.code
  return typeof code === 'string' && RETRYABLE.has(code)
}
