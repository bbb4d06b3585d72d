import { count, desc, eq } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/node-postgres'
import { jsonb, pgTable, timestamp, uuid, text } from 'drizzle-orm/pg-core'
import { Kysely, PostgresDialect } from 'kysely'
import pg from 'pg'
import { identity, tenantry } from '../../src/index.js'
import { table } from '../../src/cli/table.js'
import type { Checks } from './checks.js'
import type { Stage } from './stage.js'

// An application's own schema and queries. Nothing in them knows of owners.

const rooms = pgTable('rooms', { id: uuid('id').primaryKey(), name: text('name') })
const memories = pgTable('memories', {
  id: uuid('id').primaryKey(),
  roomId: uuid('room_id'),
  ownerId: uuid('owner_id'),
  content: jsonb('content'),
  createdAt: timestamp('created_at'),
})

interface Tables {
  memories: { id: string; room_id: string | null; owner_id: string; created_at: Date }
  rooms: { id: string; name: string | null }
}

/** Runs the application's own Drizzle and Kysely queries for two users through one pool. */
export async function unchangedQueries(
  stage: Stage,
  checks: Checks,
  width: number,
): Promise<string> {
  const { ordinary, heavy } = stage.truth.identities
  const db = tenantry(new pg.Pool({ connectionString: stage.app.url, max: 4 }), {
    secret: stage.secret,
  })
  const naive = stage.unbound.pool({ max: 1 })
  const user = identity('user')
  const drizzled = drizzle(db.pool)
  const kysely = new Kysely<Tables>({ dialect: new PostgresDialect({ pool: db.pool }) })
  const queries: [
    string,
    (pool: 'drizzle' | 'kysely') => PromiseLike<{ owner: string | null }[]>,
  ][] = [
    [
      'Drizzle: latest 20',
      () =>
        drizzled
          .select({ owner: memories.ownerId })
          .from(memories)
          .orderBy(desc(memories.createdAt))
          .limit(20),
    ],
    [
      'Drizzle: memories with their rooms',
      () =>
        drizzled
          .select({ owner: memories.ownerId, n: count() })
          .from(memories)
          .innerJoin(rooms, eq(rooms.id, memories.roomId))
          .groupBy(memories.ownerId),
    ],
    [
      'Kysely: latest 20',
      () =>
        kysely
          .selectFrom('memories')
          .select('owner_id as owner')
          .orderBy('created_at', 'desc')
          .limit(20)
          .execute(),
    ],
    [
      'Kysely: memories with their rooms',
      () =>
        kysely
          .selectFrom('memories')
          .innerJoin('rooms', 'rooms.id', 'memories.room_id')
          .select('memories.owner_id as owner')
          .distinct()
          .execute(),
    ],
  ]
  try {
    const { rows: open } = await naive.query<{ owners: string }>(
      'select count(distinct owner_id) as owners from (select owner_id from memories order by created_at desc limit 20) latest',
    )
    const rows: string[][] = []
    for (const [name, run] of queries) {
      const cells = await Promise.all(
        [ordinary, heavy].map(async (person) => {
          const found = await db.run(user(person.id), () => run('drizzle'))
          const owners = new Set(found.map(({ owner }) => owner))
          const only = owners.size === 1 && owners.has(person.id)
          const held = checks.holds(
            `${name} returns rows of ${person.name} alone`,
            found.length > 0 && only,
          )
          return `${String(found.length)} rows, ${held === 'ok' ? 'all their own' : `owners: ${[...owners].join(', ')}`}`
        }),
      )
      rows.push([name, ...cells])
    }
    const leak = `The same "latest 20" without isolation shows rows of ${open[0]?.owners ?? '?'} owners.`
    return `${table(['query', ordinary.name, heavy.name], rows, width)}${leak}\n`
  } finally {
    await db.end()
  }
}
