import { setTimeout as sleep } from 'node:timers/promises'
import type pg from 'pg'
import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import { stage, type Stage } from '../extension/support/stage.js'
import { databaseOn } from '../support/database/clone.js'
import { startServer, type TestServer } from '../support/servers.js'
import { anna, annaId } from './support/library.js'

// Autovacuum holds a lock that every step needs, and gives way only to who waits for longer than a step may.

let server: TestServer
let on: Stage

beforeAll(async () => {
  server = await startServer({ major: inject('server').major, sources: ['embedded', 'machine'] })
  const db = await databaseOn(server)
  await db.admin.query(`alter system set autovacuum_naptime = '1s'`)
  await db.admin.query('select pg_reload_conf()')
  on = await stage(db)
  await on.setUp.query(`
    create table users (id uuid primary key);
    insert into users values ('${annaId}');
    create table letters (id int primary key, sender uuid, body text) with (
      autovacuum_vacuum_threshold = 0, autovacuum_vacuum_scale_factor = 0, autovacuum_analyze_threshold = 1000000,
      autovacuum_vacuum_cost_delay = 100, autovacuum_vacuum_cost_limit = 1, fillfactor = 10);
    insert into letters select n, '${annaId}', repeat('x', 300) from generate_series(1, 2000) n;
    select tenantry.register_kind('user', 'users');
    select tenantry.rollout('letters', 'owner_id', 'user');
    select tenantry.rollout_signal('letters', 1, 'sender', tenantry.rollout_from_column('letters', 'sender'));
    delete from letters where id % 2 = 0`)
}, 60_000)
afterAll(async () => {
  await on.drop()
  await server.stop()
})

const vacuuming = async (): Promise<number | undefined> =>
  (
    await on.db.admin.query<{ pid: number }>(
      `select v.pid from pg_stat_progress_vacuum v join pg_stat_activity a using (pid)
        where v.relid = 'letters'::regclass and a.backend_type = 'autovacuum worker'`,
    )
  ).rows[0]?.pid

/** Reads and writes the table until it is told to stop; how long the longest statement took, in milliseconds. */
function working(client: pg.Client) {
  let stopped = false
  const longest = (async () => {
    let longest = 0
    while (!stopped) {
      const began = performance.now()
      await client.query('update letters set body = body where id = 1')
      longest = Math.max(longest, performance.now() - began)
      await sleep(5)
    }
    return longest
  })()
  return {
    stop() {
      stopped = true
      return longest
    },
  }
}

test('autovacuum of a table gives way to a step, and nobody else waits for it', async () => {
  await expect.poll(vacuuming, { timeout: 20_000 }).toBeTypeOf('number')
  const busy = await vacuuming()
  const application = await on.owner.connect()
  const work = working(application)
  const began = performance.now()
  await on.setUp.query(`call tenantry.rollout_to('letters', 'prepared')`)
  const seconds = (performance.now() - began) / 1000
  const longest = await work.stop()
  await application.end()
  // It would have been at it for minutes.
  expect(await vacuuming()).not.toBe(busy)
  expect(seconds).toBeLessThan(15)
  expect(longest).toBeLessThan(1000)
  await on.db.admin.query('alter system set autovacuum = off')
  await on.db.admin.query('select pg_reload_conf()')
  await on.setUp.query(`call tenantry.rollout_to('letters', 'strict')`)
  expect(
    await on.as(anna, async (client) => (await client.query('select from letters')).rowCount),
  ).toBe(1000)
})
