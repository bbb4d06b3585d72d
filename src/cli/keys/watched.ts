import type pg from 'pg'
import { cancelQuery } from '../../runtime/cancel.js'
import type { RawClient } from '../../runtime/pg-internals.js'
import { CliError } from '../errors.js'
import type { Io } from '../io.js'

/** Long work: notices of the server are its progress, and Ctrl-C stops it between two batches' work. */
export async function watched(
  io: Io,
  client: pg.Client,
  command: string,
  work: () => Promise<unknown>,
): Promise<void> {
  client.on('notice', ({ severity, message }) => {
    if (severity === 'NOTICE' || severity === 'WARNING') io.err(`${message ?? ''}\n`)
  })
  let stopped = false
  const stop = (): void => {
    stopped = true
    cancelQuery(client as unknown as RawClient)
  }
  process.once('SIGINT', stop)
  try {
    await work()
  } catch (error) {
    if (!stopped) throw error
    throw new CliError('STOPPED', 'Stopped. What was done is kept.', {
      hint: `To go on, run it again: ${command}`,
    })
  } finally {
    process.off('SIGINT', stop)
  }
}
