import { setTimeout as sleep } from 'node:timers/promises'
import type pg from 'pg'
import { isServerError } from '../../errors.js'
import type { Listener } from './events.js'

const attempts = 20

/**
 * Builds the indexes that the policies of a table need, without stopping anybody: no function can,
 * because it is inside a transaction.
 *
 * @returns whether there was one to build
 */
export async function indexOwners(
  client: pg.Client,
  table: string,
  lockTimeout: string,
  listener: Listener,
): Promise<boolean> {
  let missing = await missingIndex(client, table)
  if (missing === null) return false
  await setLockTimeout(client, lockTimeout)
  try {
    for (let failed = 0; missing !== null; missing = await missingIndex(client, table)) {
      try {
        for (const statement of concurrently(missing)) {
          listener.tell({ event: 'index', table, statement })
          await client.query(statement)
        }
      } catch (error) {
        failed += 1
        const busy = isServerError(error) && (error.code === '55P03' || error.code === '40P01')
        if (!busy || failed >= attempts) throw error
        await sleep(100 + Math.random() * 900)
      }
    }
  } finally {
    await client.query('reset lock_timeout').catch(() => undefined)
  }
  return true
}

async function missingIndex(client: pg.Client, table: string): Promise<string | null> {
  const { rows } = await client.query<{ statement: string | null }>(
    'select tenantry_private.missing_index($1::text::pg_catalog.regclass) as statement',
    [table],
  )
  return rows[0]?.statement ?? null
}

async function setLockTimeout(client: pg.Client, lockTimeout: string): Promise<void> {
  await client.query(`select pg_catalog.set_config('lock_timeout', $1, false)`, [lockTimeout])
}

/** What an interrupted attempt has left goes first. */
export function concurrently(missing: string): string[] {
  const parts = /^(drop index concurrently .+); (create index .+)$/s.exec(missing)
  const [broken, wanted] = parts ? [parts[1], parts[2]] : [undefined, missing]
  const build = (wanted ?? missing).replace(/^create index /, 'create index concurrently ')
  return broken === undefined ? [build] : [broken, build]
}
