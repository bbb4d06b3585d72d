import pg from 'pg'
import { identity, tenantry } from '../../src/index.js'
import { table } from '../../src/cli/table.js'
import type { Checks } from './checks.js'
import type { Stage } from './stage.js'

const user = identity('user')
const agent = identity('agent')

interface Viewer {
  readonly title: string
  /** Whose rows it must see: `kind:id`. */
  readonly of: string
  readonly count: (relation: string) => Promise<number>
}

/** What everybody sees in each table, against what is truly theirs. */
export async function whoSeesWhat(stage: Stage, checks: Checks, width: number): Promise<string> {
  const { truth } = stage
  const db = tenantry(new pg.Pool({ connectionString: stage.app.url, max: 4 }), {
    secret: stage.secret,
  })
  const naked = stage.app.pool({ max: 1 })
  const person = stage.person.pool({ max: 1 })
  try {
    const { heavy, ordinary, agents, sharedAgent } = truth.identities
    const own = agents.find(({ owner }) => owner === ordinary.entity)
    if (!own) throw new Error('the ordinary user owns no agent')
    const counted = async (rows: Promise<pg.QueryResult<{ n: string }>>): Promise<number> =>
      Number((await rows).rows[0]?.n)
    const sees = (session: ReturnType<typeof db.as>) => (relation: string) =>
      counted(session.query<{ n: string }>(`select count(*) as n from ${relation}`))
    const viewers: Viewer[] = [
      {
        title: ordinary.name,
        of: ordinary.entity,
        count: sees(db.as(user(ordinary.id))),
      },
      { title: heavy.name, of: heavy.entity, count: sees(db.as(user(heavy.id))) },
      {
        title: `their agent for ${ordinary.name}`,
        of: ordinary.entity,
        count: sees(db.as(agent(own.id), { for: user(ordinary.id) })),
      },
      {
        title: `shared for ${ordinary.name}`,
        of: ordinary.entity,
        count: sees(db.as(agent(sharedAgent.id), { for: user(ordinary.id) })),
      },
      {
        title: `shared for ${heavy.name}`,
        of: heavy.entity,
        count: sees(db.as(agent(sharedAgent.id), { for: user(heavy.id) })),
      },
      {
        title: `${ordinary.name} in psql`,
        of: ordinary.entity,
        count: (relation) => counted(person.query(`select count(*) as n from ${relation}`)),
      },
      {
        title: 'nobody',
        of: 'nobody',
        count: (relation) => counted(naked.query(`select count(*) as n from ${relation}`)),
      },
    ]
    const rows: (string | number)[][] = []
    for (const relation of truth.tables) {
      const counts = truth.counts(relation)
      const shared = truth.shared.includes(relation)
      const { rows: all } = await stage.db.admin.query<{ n: string }>(
        `select count(*) as n from ${relation}`,
      )
      const total = Number(all[0]?.n)
      const cells = await Promise.all(
        viewers.map(async ({ title, of, count }) => {
          const seen = await count(relation)
          const due = shared ? total : (counts.get(of) ?? 0)
          const held = checks.holds(
            `${title} sees ${String(due)} rows of ${relation}`,
            seen === due,
          )
          return held === 'ok' ? String(seen) : `${String(seen)} (${String(due)} due)`
        }),
      )
      rows.push([relation, String(total), ...cells])
    }
    return table(['table', 'rows', ...viewers.map(({ title }) => title)], rows, width)
  } finally {
    await db.end()
  }
}
