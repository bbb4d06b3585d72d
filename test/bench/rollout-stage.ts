import type { SizeName } from '../fixtures/elizaos/generator.js'
import { before, elizaos, type Elizaos } from '../rollout/support/elizaos.js'
import { databaseOn } from '../support/database/clone.js'
import type { TestServer } from '../support/servers.js'

/** The earlier schema with its dirty data, declared and not rolled out yet. */
export interface RolloutBench {
  readonly on: Elizaos
  end(): Promise<void>
}

export async function prepareRollout(server: TestServer, size: SizeName): Promise<RolloutBench> {
  const db = await databaseOn(server, { template: before(size) })
  try {
    const on = await elizaos({ size, db })
    await on.setUp.query(
      `select tenantry.rollout('memories', 'owner_id', 'user', legacy_roles => elizaos.legacy_roles(),
         unchecked_references => '{entity_id, agent_id}', budget => 100000)`,
    )
    await on.db.admin.query('vacuum analyze')
    return { on, end: () => on.drop() }
  } catch (error) {
    await db.drop()
    throw error
  }
}
