import { setTimeout as sleep } from 'node:timers/promises'
import type { ClientBase } from 'pg'
import { generateFrom, snapshotOptions, type GenerateOptions } from './generate.js'
import { introspect } from './introspect.js'

export interface WatchOptions {
  /** Ends the watch. */
  readonly signal: AbortSignal
  /** Gets the text of the file, at the start and after every change of the schema. */
  readonly onChange: (text: string) => Promise<void>
  readonly pollMilliseconds?: number
}

/**
 * Follows the schema until it is told to stop. Looks at the catalog at intervals, which costs a
 * few milliseconds and needs no trigger in the database; generates only when it says something new.
 */
export async function watch(
  client: ClientBase,
  options: GenerateOptions,
  { signal, onChange, pollMilliseconds = 1000 }: WatchOptions,
): Promise<void> {
  let seen = ''
  while (!signal.aborted) {
    const snapshot = await introspect(client, snapshotOptions(options))
    const fingerprint = JSON.stringify(snapshot)
    if (fingerprint !== seen) {
      seen = fingerprint
      await onChange(generateFrom(snapshot, options))
    }
    // Rejects when the signal ends the wait, which the loop sees for itself.
    await sleep(pollMilliseconds, undefined, { signal }).catch(() => undefined)
  }
}
