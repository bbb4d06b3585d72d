import { Kysely, PostgresDialect, type PostgresPool } from 'kysely'
import type { GeneratedSchema } from './schema.js'

/** What a session offers here: a pg-compatible pool, or inside a transaction its one client. */
export interface KyselySession {
  readonly client: PgClient | PgPool
}

type Query = (text: string, values: unknown[]) => Promise<unknown>

interface PgPool {
  connect(): Promise<PgClient & { release(): void }>
}

interface PgClient {
  query: Query
}

/**
 * Kysely on one identity: `kyselyFor(db.as(user(id)), schema).selectFrom('memories')…`. Tables of
 * the default schema are called by their bare names and sent with their schema.
 *
 * Nothing has to be destroyed: the connections stay the runtime's. This module is the only one
 * that needs Kysely, an optional peer dependency.
 */
export function kyselyFor<DB>(
  session: KyselySession,
  schema: GeneratedSchema<object, DB>,
): Kysely<DB> {
  const pool: PostgresPool = {
    connect: async () => connection(await checkOut(session.client)),
    end: () => Promise.resolve(),
  }
  const kysely = new Kysely<DB>({ dialect: new PostgresDialect({ pool }) })
  return kysely.withSchema(schema.defaultSchema)
}

/** What `withKysely` adds to a session. */
export interface KyselyAccess<DB> {
  /** Kysely on this identity; inside a transaction, in it. */
  readonly kysely: Kysely<DB>
}

/**
 * Puts Kysely on every session beside the accessors:
 * `tenantry(pool, { secret, schema: withKysely(schema) })`, then `db.as(user(id)).kysely`.
 */
export function withKysely<A extends object, DB>(
  schema: GeneratedSchema<A, DB>,
): GeneratedSchema<A & KyselyAccess<DB>, DB> {
  const kysely = {
    get(this: KyselySession) {
      return kyselyFor(this, schema)
    },
  }
  return {
    ...schema,
    bind: (execute) => Object.create(schema.bind(execute), { kysely }) as A & KyselyAccess<DB>,
  }
}

type Connection = Awaited<ReturnType<PostgresPool['connect']>>

function connection(client: PgClient & { release(): void }): Connection {
  return {
    query: ((text: string, values: unknown[]) => client.query(text, values)) as never,
    release: () => client.release(),
  }
}

/** Inside a transaction there is one client, and it is not Kysely's to give back. */
function checkOut(client: PgClient | PgPool): Promise<PgClient & { release(): void }> {
  if ('release' in client) {
    const query: Query = (text, values) => (client as PgClient).query(text, values)
    return Promise.resolve({ query, release: () => undefined })
  }
  return (client as PgPool).connect()
}
