import type pg from 'pg'
import type { Session, Tenantry } from '../../src/index.js'
import { agent, NOTES, user, USERS } from './world.js'

export interface Row {
  owner: number
  body: string
}
const COLUMNS = 'owner_id::int as owner, body'

/** Everything one call saw, checked at once: only the identity's rows, and all five of its own. */
export function check(id: number, rows: readonly Row[], complete: boolean): void {
  const foreign = rows.filter((row) => row.owner !== id)
  if (foreign.length > 0) throw new Leak(`user ${id} saw ${JSON.stringify(foreign.slice(0, 3))}`)
  const base = rows.filter((row) => row.body.startsWith('note ')).length
  if (complete && base !== NOTES) throw new Leak(`user ${id} saw ${base} of its ${NOTES} notes`)
}

export class Leak extends Error {}

export type Random = () => number
export interface Step {
  /** Plain connections of the same pool, without any identity. */
  raw: pg.Pool
  admin: pg.Pool
  id: number
  session: Session
  db: Tenantry
  random: Random
}

/** What a call may be, with how often per thousand. The injected faults end in an error by design. */
export const STEPS: readonly (readonly [
  weight: number,
  name: string,
  run: (step: Step) => Promise<void>,
])[] = [
  [
    250,
    'select',
    async ({ id, session }) => {
      check(
        id,
        (await session.query<Row & pg.QueryResultRow>(`select ${COLUMNS} from notes`)).rows,
        true,
      )
    },
  ],
  [
    200,
    'select through db.pool',
    async ({ id, db }) => {
      const { rows } = await db.run(user(id), () =>
        db.pool.query<Row & pg.QueryResultRow>(`select ${COLUMNS} from notes where n >= $1`, [0]),
      )
      check(id, rows, true)
    },
  ],
  [
    100,
    'named select',
    async ({ id, session }) => {
      const { rows } = await session.query<Row & pg.QueryResultRow>({
        name: 'by_n',
        text: `select ${COLUMNS} from notes where n >= $1`,
        values: [0],
      })
      check(id, rows, true)
    },
  ],
  [
    80,
    'agent for its user',
    async ({ id, db }) => {
      const session = db.as(agent(id), { for: user(id) })
      check(
        id,
        (await session.query<Row & pg.QueryResultRow>(`select ${COLUMNS} from notes`)).rows,
        true,
      )
    },
  ],
  [
    80,
    'update',
    async ({ id, session }) => {
      const { rows } = await session.query<Row & pg.QueryResultRow>(
        `update notes set n = n + 1 returning ${COLUMNS}`,
      )
      check(id, rows, true)
    },
  ],
  [
    50,
    'insert and delete',
    async ({ id, session, random }) => {
      const body = `extra ${random()}`
      const { rows } = await session.query<Row & pg.QueryResultRow>(
        `insert into notes (body) values ($1) returning ${COLUMNS}`,
        [body],
      )
      check(id, rows, false)
      await session.query('delete from notes where body = $1', [body])
    },
  ],
  [
    60,
    'transaction',
    async ({ id, session, random }) => {
      await session.transaction(async (tx) => {
        check(
          id,
          (await tx.query<Row & pg.QueryResultRow>(`select ${COLUMNS} from notes`)).rows,
          true,
        )
        await tx.transaction((inner) => inner.query('update notes set n = 0'))
        check(
          id,
          (await tx.query<Row & pg.QueryResultRow>(`select ${COLUMNS} from notes`)).rows,
          true,
        )
        if (random() < 0.3) throw new Expected()
      })
    },
  ],
  [
    50,
    'begin … commit by text',
    async ({ id, session, random }) => {
      const client = await session.client.connect()
      try {
        await client.query('begin')
        const { rows } = await client.query<Row>(`select ${COLUMNS} from notes`)
        check(id, rows, true)
        await client.query(random() < 0.5 ? 'commit' : 'rollback')
      } finally {
        client.release()
      }
    },
  ],
  [30, 'error: division', ({ session }) => fails(session.query('select 1 / 0 from notes'))],
  [
    20,
    'error: foreign row',
    ({ id, session }) =>
      fails(
        session.query('insert into notes (owner_id, body) values ($1, $2)', [
          (id % USERS) + 1,
          'x',
        ]),
      ),
  ],
  [
    20,
    'error: in a transaction',
    ({ session }) =>
      fails(
        session.transaction(async (tx) => {
          await tx.query('update notes set n = n + 1')
          await tx.query('select 1 / 0')
        }),
      ),
  ],
  [
    10,
    'error: a stranger',
    ({ id, db }) =>
      fails(db.as(agent(id), { for: user((id % USERS) + 1) }).query('select * from notes')),
  ],
  [
    10,
    'planted setting',
    async ({ session }) => {
      await session.query("select set_config('TimeZone', 'Asia/Tokyo', false)")
    },
  ],
  [
    5,
    'left without ending',
    async ({ id, session }) => {
      const client = await session.client.connect()
      await client.query('begin')
      check(
        id,
        (await client.query<Row>(`select ${COLUMNS} from notes for share skip locked`)).rows,
        false,
      )
      client.release()
    },
  ],
  [
    5,
    'statement_timeout',
    ({ session }) =>
      fails(
        session.transaction(async (tx) => {
          await tx.query("set local statement_timeout = '5ms'")
          await tx.query('select pg_sleep(1) from notes')
        }),
      ),
  ],
  [
    5,
    'query_timeout',
    ({ session }) =>
      fails(
        session.query({
          text: 'select pg_sleep(1) from notes',
          query_timeout: 10,
        } as pg.QueryConfig),
      ),
  ],
  [5, 'cancelled', ({ session, admin }) => fails(interrupted(session, admin, 'pg_cancel_backend'))],
  [
    5,
    'terminated',
    ({ session, admin }) => fails(interrupted(session, admin, 'pg_terminate_backend')),
  ],
  [
    5,
    'connection broken',
    async ({ session }) => {
      const client = await session.client.connect()
      await client.query('begin')
      const lost = client.query('select pg_sleep(1) from notes')
      setTimeout(() => client.connection.stream.destroy(), 5)
      await fails(lost)
      client.release()
    },
  ],
  [
    40,
    'nobody',
    async ({ raw }) => {
      const { rows } = await raw.query<{ seen: number; context: string; zone: string }>(NOBODY)
      const [left] = rows
      if (left!.seen !== 0 || left!.context !== '' || left!.zone === 'Asia/Tokyo') {
        throw new Leak(`a connection was left with ${JSON.stringify(left)}`)
      }
    },
  ],
]

export const NOBODY = `
  select (select count(*)::int from notes)                      as seen,
         coalesce(current_setting('tenantry.context', true), '') as context,
         current_setting('TimeZone')                             as zone`

export class Expected extends Error {}

async function fails(call: Promise<unknown>): Promise<void> {
  const failed = await call.then(
    () => false,
    () => true,
  )
  if (!failed) throw new Error('an injected fault had no effect')
}

async function interrupted(session: Session, admin: pg.Pool, how: string): Promise<void> {
  await session.transaction(async (tx) => {
    const { rows } = await tx.query<{ pid: number }>('select pg_backend_pid() as pid')
    const sleeping = tx.query('select pg_sleep(2) from notes')
    // Only while it sleeps: an earlier cancel would find nothing to stop, a later one somebody else.
    const timer = setInterval(() => {
      void admin.query(
        `select ${how}(pid) from pg_stat_activity where pid = $1 and wait_event = 'PgSleep'`,
        [rows[0]!.pid],
      )
    }, 10)
    await sleeping.finally(() => clearInterval(timer))
  })
}

/** mulberry32: a seed is enough to see the same calls again, if not in the same interleaving. */
export function randomFrom(seed: number): Random {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}

export function pick(random: Random): (typeof STEPS)[number] {
  const total = STEPS.reduce((sum, [weight]) => sum + weight, 0)
  let left = random() * total
  return STEPS.find(([weight]) => (left -= weight) < 0) ?? STEPS[0]!
}
