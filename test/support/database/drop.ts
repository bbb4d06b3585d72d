import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'

const patience = 2000
const interval = 5

/**
 * Drops a database. Closing a pool returns before its sessions have ended, and cutting them off
 * would raise an error in the closing clients: so sessions get a moment to go by themselves.
 */
export async function dropDatabase(maintenance: pg.Client, name: string): Promise<void> {
  for (let waited = 0; waited < patience; waited += interval) {
    const sessions = await maintenance.query(
      'select from pg_stat_activity where datname = $1 limit 1',
      [name],
    )
    if (sessions.rowCount === 0) break
    await sleep(interval)
  }
  await maintenance.query(`drop database if exists ${pg.escapeIdentifier(name)} with (force)`)
}
