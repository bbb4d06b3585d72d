import pg from 'pg'
import { deriveSigningKey, identity, mintCredential, tenantry } from '../../src/index.js'
import { table } from '../../src/cli/table.js'
import type { Checks } from './checks.js'
import type { Stage } from './stage.js'

const user = identity('user')

interface Attack {
  readonly name: string
  /** Returns what came of it: rows of the victim that were seen, or the refusal. */
  readonly attempt: () => Promise<string>
  readonly refused: (outcome: string) => boolean
}

/** Five ways to another user's rows, and how each ends. */
export async function fiveAttacks(stage: Stage, checks: Checks, width: number): Promise<string> {
  const { ordinary: mallory, heavy: victim } = stage.truth.identities
  const db = tenantry(new pg.Pool({ connectionString: stage.app.url, max: 2 }), {
    secret: stage.secret,
  })
  const me = db.as(user(mallory.id))
  const raw = stage.app.pool({ max: 1 })
  const credential = mintCredential(
    deriveSigningKey('a secret that mallory made up for this occasion'),
    { principal: user(victim.id), actor: user(victim.id) },
    { audience: stage.db.name, expiresAt: Math.floor(Date.now() / 1000) + 60 },
  )
  const victims = async (rows: Promise<{ rows: { n: string }[] }>): Promise<string> =>
    `${(await rows).rows[0]?.n ?? '0'} rows of ${victim.name}`
  const none = (outcome: string): boolean => outcome.startsWith('0 rows')
  const attacks: Attack[] = [
    {
      name: 'injected SQL: … or true',
      attempt: () =>
        victims(
          me.query(
            `select count(*) as n from memories where owner_id = '${victim.id}' and (id is null or true)`,
          ) as never,
        ),
      refused: none,
    },
    {
      name: 'injected SQL: enters as somebody else with a made-up credential',
      attempt: () => said(() => me.query(`select tenantry.enter('${credential}')`)),
      refused: (outcome) => outcome.startsWith('TN008'),
    },
    {
      name: 'plants a context that was signed in an earlier transaction',
      attempt: async () => {
        const stolen = await me.query<{ context: string }>(
          `select current_setting('tenantry.context') as context`,
        )
        await raw.query(`select set_config('tenantry.context', $1, false)`, [
          stolen.rows[0]?.context,
        ])
        const outcome = await said(() => raw.query('select count(*) from memories'))
        await raw.query('discard all')
        return outcome
      },
      refused: (outcome) => outcome.startsWith('TN002'),
    },
    {
      name: 'gives a row of their own to somebody else',
      attempt: () => said(() => me.query(`update memories set owner_id = '${victim.id}'`)),
      refused: (outcome) => outcome.startsWith('42501'),
    },
    {
      name: 'forgets to say who is asking',
      attempt: () => victims(raw.query('select count(*) as n from memories')),
      refused: none,
    },
  ]
  try {
    // What is refused to mallory works for its owner: the refusals are about who asks.
    const allowed = await db.as(user(victim.id)).query('select 1 from memories limit 1')
    checks.holds(`${victim.name} sees their own rows`, allowed.rows.length === 1)
    const rows: string[][] = []
    for (const { name, attempt, refused } of attacks) {
      const outcome = await attempt()
      rows.push([
        name,
        outcome,
        checks.holds(`refused: ${name}`, refused(outcome)) === 'ok' ? 'refused' : 'SUCCEEDED',
      ])
    }
    return table(['attack', 'what came of it', ''], rows, width)
  } finally {
    await db.end()
  }
}

async function said(run: () => Promise<unknown>): Promise<string> {
  try {
    await run()
    return 'nothing stopped it'
  } catch (error) {
    const { code, message } = error as { code?: string; message: string }
    return `${code ?? ''} ${message}`
  }
}
