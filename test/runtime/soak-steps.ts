import type pg from 'pg'
import type { Random } from './random.js'
import { check, COLUMNS, Leak, type Row, type Steps } from './soak-check.js'
import { FAULTS } from './soak-faults.js'
import { agent, user } from './world.js'

export const STEPS: Steps = [
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
  ...FAULTS,
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

export function pick(random: Random): (typeof STEPS)[number] {
  const total = STEPS.reduce((sum, [weight]) => sum + weight, 0)
  let left = random() * total
  return STEPS.find(([weight]) => (left -= weight) < 0) ?? STEPS[0]!
}
