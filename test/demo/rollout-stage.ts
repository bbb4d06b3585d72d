import { databaseOn } from '../support/database/clone.js'
import { startServer } from '../support/servers.js'
import { before, elizaos, type Elizaos } from '../rollout/support/elizaos.js'
import type { UserIdentity } from '../fixtures/elizaos/generator.js'

/** elizaOS before it knew owners, dirty as years of releases left it, and who works on it. */
export interface RolloutStage extends Elizaos {
  /** One of the users, with a few memories. */
  readonly user: UserIdentity
  /** Memories there are at the beginning. */
  readonly memories: number
  /** Tables with rows that nobody has decided. */
  undecided(): Promise<string[]>
  end(): Promise<void>
}

export async function rolloutStage(say: (line: string) => void): Promise<RolloutStage> {
  const server = await startServer({ major: 18, onProgress: say })
  say('Loading the earlier schema of elizaOS: 200 users and what they left, without owners …')
  const db = await databaseOn(server, { template: before('demo') })
  const on = await elizaos({ size: 'demo', db })
  const user = on.truth.identities.users.find(({ memories }) => memories > 10 && memories < 500)
  if (!user) throw new Error('nobody has some memories and not many')
  const { rows } = await db.admin.query<{ n: number }>('select count(*)::int as n from memories')
  return {
    ...on,
    user,
    memories: rows[0]?.n ?? 0,
    async undecided() {
      const { rows: left } = await db.admin.query<{ name: string }>(
        `select relation::text as name from tenantry.rollout_status where quarantined > 0 order by 1`,
      )
      return left.map(({ name }) => name)
    },
    async end() {
      await on.drop()
      await server.stop()
    },
  }
}
