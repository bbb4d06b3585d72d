import type pg from 'pg'
import type { Executor } from '../../../src/accessors/executor.js'

export interface RecordedExecutor extends Executor {
  /** Every statement sent, `begin` and `commit` included. */
  readonly sent: { text: string; values: readonly unknown[] }[]
}

/** Accessors straight on one connection: what they send, without the runtime in between. */
export function plainExecutor(client: pg.ClientBase): RecordedExecutor {
  const sent: RecordedExecutor['sent'] = []
  const query: Executor['query'] = async (text, values) => {
    sent.push({ text, values })
    return client.query(text, [...values])
  }
  const executor: RecordedExecutor = {
    sent,
    query,
    async transaction(fn) {
      await query('begin', [])
      try {
        const result = await fn(executor)
        await query('commit', [])
        return result
      } catch (error) {
        await query('rollback', [])
        throw error
      }
    },
  }
  return executor
}
