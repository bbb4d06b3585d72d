import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import pg from 'pg'
import {
  deriveSigningKey,
  tenantry,
  type Tenantry,
  type TenantryOptions,
} from '../../../src/index.js'
import { generate } from '../../../codegen/generate.js'
import { stage, type Stage } from '../../extension/support/stage.js'
import { AgentId, schema, UserId, type Accessors } from '../golden/reach.generated.js'

const folder = join(import.meta.dirname, '..', 'golden')
export const secret = 'a secret of the application, long enough'

/** What the generator makes of reach.sql. */
export const reachGolden = join(folder, 'reach.generated.ts')

export const alice = UserId('6f1c0000-0000-4000-8000-00000000000a')
export const bob = UserId('6f1c0000-0000-4000-8000-00000000000b')
export const charlie = UserId('6f1c0000-0000-4000-8000-00000000000c')
export const bot = AgentId('6f1c0000-0000-4000-a000-00000000000a')

/** Alice is an admin of organisation 1 and has an agent, Bob writes there, Charlie only reads. */
const rows = `
  insert into users values ('${alice}', 'Alice'), ('${bob}', 'Bob'), ('${charlie}', 'Charlie');
  insert into orgs values (1, 'One'), (2, 'Two');
  insert into agents values ('${bot}', '${alice}', 'bot');
  insert into members values (1, '${alice}', 'admin'), (1, '${bob}', 'writer'), (1, '${charlie}', 'viewer');
  insert into posts (owner_id, slug, body, is_public) values
    ('${alice}', 'a', 'of Alice', false), ('${alice}', 'p', 'public', true), ('${bob}', 'b', 'of Bob', false);
  insert into archive.posts values (1, '${alice}', 'archived');
  insert into projects (org_id, name) values (1, 'rocket'), (2, 'other');
  insert into logs (owner_id, line) values ('${alice}', 'logged')`

export interface ReachStage {
  readonly on: Stage
  open(options?: Partial<TenantryOptions>, config?: pg.PoolConfig): Tenantry<Accessors>
  /** Takes back everything that was written. */
  refill(): Promise<void>
  generated(runtime: string): Promise<string>
}

export async function reachStage(): Promise<ReachStage> {
  const on = await stage()
  const owner = pg.escapeIdentifier(on.owner.name)
  const { key, keyId } = deriveSigningKey(secret)
  await on.db.admin.query('select tenantry.register_issuer($1, $2)', [keyId, key])
  await on.db.admin.query(`grant create on database ${pg.escapeIdentifier(on.db.name)} to ${owner}`)
  await on.setUp.query(readFileSync(join(folder, 'reach.sql'), 'utf8'))
  await on.db.admin.query(rows)
  return {
    on,
    open: (options, config) => tenantry(on.app.pool(config), { secret, ...options, schema }),
    async refill() {
      await on.db.admin.query(
        `truncate users, orgs, agents, members, posts, archive.posts, projects, logs restart identity`,
      )
      await on.db.admin.query(rows)
    },
    async generated(runtime) {
      const client = await on.app.connect()
      return generate(client, { schemas: ['public', 'archive'], runtime })
    },
  }
}
