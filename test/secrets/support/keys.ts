import type pg from 'pg'
import { expect } from 'vitest'
import type { Entity } from '../../../src/identity.js'
import { credential, refusal } from '../../extension/support/stage.js'
import { unwrap, wrappingKeys } from '../format/keys.js'
import { anna, bert, secretStage, share, type SecretStage } from './stage.js'

/** The share that a rotation goes to. */
export const newShare = Buffer.alloc(32, 0xcd)

/** What `fill` writes for each of the two users. */
export const tokens = Array.from({ length: 30 }, (_, i) => `token ${i + 1}`)

/** The two users, and a table with an encrypted column and one that can be searched. */
export async function keyStage(): Promise<SecretStage> {
  const on = await secretStage()
  await on.setUp.query(`
    create table vault (id int primary key, owner_id uuid not null references users, token text, email text);
    select tenantry.protect('vault');
    select tenantry.encrypt_column('vault', 'token');
    select tenantry.encrypt_column('vault', 'email', blind_index => true)`)
  return on
}

/** Thirty secrets of Anna from 1 on, thirty of Bert from 101 on, and nothing else. */
export async function fill(on: SecretStage, using = share): Promise<void> {
  await on.db.admin.query('delete from vault')
  for (const [who, base] of [
    [anna, 0],
    [bert, 100],
  ] as const) {
    const rows = `insert into vault (id, token, email) select n + $1, 'token ' || n, 'm' || n || '@x' from generate_series(1, 30) n`
    await on.holding(who, (client) => client.query(rows, [base]), using)
  }
}

export async function read(client: Pick<pg.ClientBase, 'query'>): Promise<(string | null)[]> {
  const { rows } = await client.query<{ token: string | null }>(
    'select token from tenant.vault order by id',
  )
  return rows.map(({ token }) => token)
}

/** Opens a transaction of the application that the caller ends. */
export async function begun(on: SecretStage, who: Entity, mode = ''): Promise<pg.Client> {
  const client = await on.app.connect()
  await client.query(`begin ${mode}`)
  await client.query('select tenantry.enter($1, $2)', [credential(on.db.name, who), share])
  return client
}

export const keyStatus = (on: SecretStage) =>
  on.stored(
    `select state, data_keys::int, superseded::int, retired::int, shredded::int from tenantry.key_status order by state`,
  )

/** Asks until there is a row. */
export async function until(on: SecretStage, query: string): Promise<void> {
  for (let tries = 0; tries < 2000; tries += 1) {
    if ((await on.stored(query)).length > 0) return
  }
  throw new Error(`in vain: ${query}`)
}

/** A call that comes to stand where another transaction holds a row, is ended there, and leaves the rest to be done. */
export async function endedWhileWaiting(
  on: SecretStage,
  lock: string,
  call: string,
  values: unknown[],
) {
  const holder = await on.db.admin.connect()
  const runner = await on.owner.connect()
  runner.on('error', () => undefined)
  try {
    await holder.query('begin')
    await holder.query(lock)
    const { rows } = await runner.query<{ pid: number }>('select pg_backend_pid() as pid')
    const pid = rows[0]!.pid
    const ended = refusal(runner.query(call, values))
    await until(on, `select from pg_stat_activity where pid = ${pid} and wait_event_type = 'Lock'`)
    await on.stored(`select pg_terminate_backend(${pid})`)
    expect((await ended).code).toBe('57P01')
    // Its error comes before it has let go its locks.
    await until(on, `select where not exists (select from pg_stat_activity where pid = ${pid})`)
  } finally {
    await holder.query('rollback')
    holder.release()
  }
}

interface WrappedKey {
  readonly number: number
  readonly label: string
  readonly master_key: string
  readonly wrapped: Buffer | null
}

/** The part of a dump that keys are in. */
export interface Dump {
  readonly masters: readonly { readonly id: string; readonly share: Buffer }[]
  readonly keys: readonly WrappedKey[]
  readonly tagKey: Buffer
  readonly vault: readonly { readonly id: number; readonly owner: string; readonly token: string }[]
}

export async function dump(on: SecretStage): Promise<Dump> {
  return {
    masters: await on.stored('select id, share from tenantry_private.master_keys'),
    keys: await on.stored(
      `select number, kind || ':' || id || '#' || serial || '#' || version as label, master_key, wrapped
         from tenantry_private.data_keys order by number`,
    ),
    tagKey: (
      await on.stored<{ secret: Buffer }>('select secret from tenantry_private.tag_keys')
    )[0]!.secret,
    vault: await on.stored(`select id, 'user:' || owner_id as owner, token from vault order by id`),
  }
}

/** The data keys of a dump that a share opens, by the second implementation of the format. */
export function opened({ masters, keys }: Dump, application: Buffer): Map<number, Buffer> {
  const found = new Map<number, Buffer>()
  for (const { number, label, master_key: masterKeyId, wrapped } of keys) {
    const master = masters.find(({ id }) => id === masterKeyId)
    if (!wrapped || !master) continue
    try {
      const key = unwrap(wrappingKeys(application, master.share), { label, masterKeyId }, wrapped)
      found.set(number, key)
    } catch (error) {
      if (!/cannot be opened/.test(String(error))) throw error
    }
  }
  return found
}
