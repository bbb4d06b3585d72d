import type pg from 'pg'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Town, bob, enter, state } from './town.js'

/** How a transaction that worked as bob may end, before somebody else gets the connection. */
export const endings: Record<string, (client: pg.ClientBase, at: Town) => Promise<void>> = {
  commit: async (client) => void (await client.query('commit')),
  rollback: async (client) => void (await client.query('rollback')),
  async error(client) {
    await state(client.query('select 1 / 0'))
    await client.query('rollback')
  },
  async cancel(client, at) {
    const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid')
    const long = state(client.query('select pg_sleep(20)'))
    await sleep(50)
    await at.db.admin.query('select pg_cancel_backend($1)', [rows[0]?.pid])
    if ((await long) !== '57014') throw new Error('the statement was not cancelled')
    await client.query('rollback')
  },
  async timeout(client) {
    await client.query(`set local statement_timeout = '20ms'`)
    if ((await state(client.query('select pg_sleep(20)'))) !== '57014')
      throw new Error('no timeout')
    await client.query('rollback')
  },
}

/** Works as bob in a transaction and ends it as told. */
export async function workAsBob(client: pg.ClientBase, at: Town, ending: string): Promise<void> {
  await client.query('begin')
  await client.query(`select set_config('app.user', $1, false)`, [bob.id])
  await enter(client, at.credential(bob.entity))
  await client.query('select from town.notes')
  await endings[ending]?.(client, at)
}
