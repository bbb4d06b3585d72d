import type pg from 'pg'
import type { Session } from '../../src/index.js'
import { check, COLUMNS, type Row, type Steps } from './soak-check.js'
import { agent, user, USERS } from './world.js'

/** Calls that are made to fail, each in its own way. */
export const FAULTS: Steps = [
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
]

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
