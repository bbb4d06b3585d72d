import { randomUUID } from 'node:crypto'
import { performance } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import type pg from 'pg'
import type { Entity } from '../../../src/identity.js'
import { credential, inTransaction } from '../../extension/support/stage.js'
import type { UserIdentity } from '../../fixtures/elizaos/generator.js'
import { stringToUuid } from '../../fixtures/elizaos/string-to-uuid.js'
import type { Elizaos } from './elizaos.js'

/** A table that is worked on; its rows have an id, and a document in which they are numbered. */
export interface WorkedOn {
  readonly name: string
  readonly document: string
  /** What else is read, beginning at the row $1. */
  readonly around: string
  /** Adds the row $1, a document $2, of the entity $3 with the agent $4 in the room $5. */
  readonly add: string
}

export const memories: WorkedOn = {
  name: 'memories',
  document: 'content',
  around:
    'select * from memories where room_id = (select room_id from memories where id = $1) limit 20',
  add: `insert into memories (id, type, content, entity_id, agent_id, room_id) values ($1, 'messages', $2, $3, $4, $5)`,
}

/** A table without a primary key: its rows are named by their places, and move with every change. */
export const logs: WorkedOn = {
  name: 'logs',
  document: 'body',
  around:
    'select * from logs where created_at > (select min(created_at) from logs where id = $1) limit 20',
  // No place for the agent.
  add: `insert into logs (id, type, body, entity_id, room_id) select $1, 'action', $2, $3, $5 where $4::uuid is not null`,
}

/** Whoever reads and writes a table while it is rolled out. */
export interface Traffic {
  /** Starts so many connections; they work until `stop()`. */
  start(connections: number): Promise<void>
  stop(): Promise<void>
  readonly errors: string[]
  /** Rows that an identity saw and that are somebody else's. */
  readonly foreign: string[]
  readonly latencies: number[]
  /** What was acknowledged: a row's id → the last number written into it, and whose it is. */
  readonly written: ReadonlyMap<string, Written>
}

export interface Written {
  /** Null where nothing tells. */
  readonly owner: string | null
  number: number
}

type Operation = (client: pg.Client, mine: Map<string, Written>, ids: string[]) => Promise<void>

const pauseMilliseconds = 4

/** The application that knows no context: it works on everybody's rows. */
export function legacyTraffic(
  on: Elizaos,
  existing: ReadonlyMap<string, string | null>,
  table = memories,
): Traffic {
  const { users } = on.truth.identities
  return traffic(
    () => on.legacy.connect(),
    [...existing].map(([id, owner]) => ({ id, owner })),
    (errors) => async (client, mine, ids) => {
      const dice = Math.random()
      const id = pick(ids)
      if (dice < 0.3) await add(client, table, mine, ids, pick(users))
      else if (dice < 0.55) await change(client, table, mine, id)
      else if (dice < 0.85) {
        const { rows } = await client.query<{ n: number | null }>(
          `select (${table.document} ->> 'n')::int as n from ${table.name} where id = $1`,
          [id],
        )
        if (rows.length !== 1 || (rows[0]?.n ?? 0) !== mine.get(id)?.number)
          errors.push(`read ${JSON.stringify(rows)} instead of ${mine.get(id)?.number} of ${id}`)
      } else {
        await client.query(table.around, [id])
      }
    },
  )
}

/** The application that enters a context in every transaction; each connection is one person at a time. */
export function contextTraffic(
  on: Elizaos,
  trueOwner: (id: string) => string | null | undefined,
  table = memories,
): Traffic {
  const { users } = on.truth.identities
  const made: Traffic = traffic(
    () => on.app.connect(),
    [],
    () => async (client, mine, ids) => {
      const user = pick(users)
      const dice = Math.random()
      await inTransaction(client, async () => {
        await client.query('select tenantry.enter($1)', [
          credential(on.db.name, user.entity as Entity),
        ])
        if (dice < 0.3) await add(client, table, mine, ids, user)
        else if (dice < 0.5) {
          const mineOf = ids.filter((id) => mine.get(id)?.owner === user.entity)
          if (mineOf.length > 0) await change(client, table, mine, pick(mineOf))
        } else {
          const { rows } = await client.query<{ id: string; owner_id: string }>(
            `select id, owner_id from ${table.name} ${dice < 0.75 ? 'order by created_at desc limit 100' : 'limit 500'}`,
          )
          for (const { id, owner_id } of rows) {
            const owner = trueOwner(id) ?? made.written.get(id)?.owner
            if (owner_id !== user.id || (owner !== undefined && owner !== user.entity))
              made.foreign.push(
                `${user.entity} saw ${id} of ${owner ?? 'nobody known'}, ${owner_id}`,
              )
          }
        }
      })
    },
  )
  return made
}

function traffic(
  connect: () => Promise<pg.Client>,
  existing: readonly { id: string; owner: string | null }[],
  operation: (errors: string[]) => Operation,
): Traffic {
  const errors: string[] = []
  const latencies: number[] = []
  const written = new Map<string, Written>()
  let workers: Promise<void>[] = []
  const clients: pg.Client[] = []
  let stopping = false

  const work = async (client: pg.Client, ownIds: string[]) => {
    const operate = operation(errors)
    while (!stopping) {
      const began = performance.now()
      try {
        await operate(client, written, ownIds)
      } catch (error) {
        errors.push(String(error))
      }
      latencies.push(performance.now() - began)
      await sleep(pauseMilliseconds)
    }
  }
  for (const { id, owner } of existing) written.set(id, { owner, number: 0 })

  return {
    errors,
    foreign: [],
    latencies,
    written,
    async start(connections) {
      stopping = false
      while (clients.length < connections) clients.push(await connect())
      // Each row is written by one connection, which knows what must stand in it.
      const ids = clients.map((_, n) =>
        [...written.keys()].filter((_, i) => i % clients.length === n),
      )
      workers = clients.map((client, n) => work(client, ids[n] ?? []))
    },
    async stop() {
      stopping = true
      await Promise.all(workers)
      workers = []
    },
  }
}

/** The id of a new message to somebody's agent, their entity there, the agent and the room. */
export function messageTo(user: UserIdentity): [id: string, ...from: (string | undefined)[]] {
  const agent = user.agents[0] ?? ''
  return [randomUUID(), user.aliases.get(agent), agent, stringToUuid(`DM-${user.id}:${agent}`)]
}

/** Acknowledged rows that are not there as they were written last, or are somebody else's; and how many rows there are. */
export async function misplaced(
  on: Elizaos,
  table: WorkedOn,
  traffic: readonly Pick<Traffic, 'written'>[],
): Promise<{ wrong: string[]; rows: number }> {
  const { rows } = await on.db.admin.query<{ id: string; owner: string | null; n: number }>(
    `select id, 'user:' || owner_id as owner, coalesce((${table.document} ->> 'n')::int, 0) as n from ${table.name}`,
  )
  const stored = new Map(rows.map((row) => [row.id, row]))
  const wrong: string[] = []
  for (const [id, { owner, number }] of traffic.flatMap(({ written }) => [...written])) {
    const row = stored.get(id)
    if (row?.owner !== owner || row.n !== number)
      wrong.push(`${id}: ${JSON.stringify(row)}, not ${number} of ${owner}`)
  }
  return { wrong, rows: rows.length }
}

async function add(
  client: pg.Client,
  table: WorkedOn,
  mine: Map<string, Written>,
  ids: string[],
  user: UserIdentity,
): Promise<void> {
  const [id, ...from] = messageTo(user)
  const { rowCount } = await client.query(table.add, [id, { n: 0 }, ...from])
  if (rowCount !== 1) throw new Error(`${id} was not written`)
  mine.set(id, { owner: user.entity, number: 0 })
  ids.push(id)
}

async function change(
  client: pg.Client,
  table: WorkedOn,
  mine: Map<string, Written>,
  id: string,
): Promise<void> {
  const row = mine.get(id)
  if (!row) throw new Error(`${id} is not known`)
  const { rowCount } = await client.query(
    `update ${table.name} set ${table.document} = jsonb_set(${table.document}, '{n}', to_jsonb($2::int)) where id = $1`,
    [id, row.number + 1],
  )
  if (rowCount !== 1) throw new Error(`${id} was changed ${rowCount} times`)
  row.number += 1
}

function pick<T>(from: readonly T[]): T {
  return from[Math.floor(Math.random() * from.length)] as T
}

export function percentile(values: readonly number[], part: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0
}
