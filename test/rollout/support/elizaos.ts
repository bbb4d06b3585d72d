import type pg from 'pg'
import type { Stage } from '../../extension/support/stage.js'
import { stage } from '../../extension/support/stage.js'
import {
  type ElizaosTruth,
  elizaosTruth,
  fixtureFile,
  type SizeName,
} from '../../fixtures/elizaos/generator.js'
import { giveTo } from '../../fixtures/elizaos/table-owner.js'
import { tables as fixtureTables } from '../../fixtures/elizaos/tables/index.js'
import { elizaosTemplate } from '../../fixtures/elizaos/template.js'
import {
  type Template,
  type TestDatabase,
  testDatabase,
  type TestRole,
} from '../../support/database.js'

/** One table of the earlier schema and what it is called after rename.sql. */
export interface RolledOut {
  readonly name: string
  /** Its name in the truth about the earlier schema. */
  readonly before: string
  readonly ownerColumn: string
  readonly ownerKind: 'user' | 'org' | 'agent'
  /** The expression that gives a row's key in the truth. */
  readonly key: string
}

/** elizaOS's earlier schema under its later names, declared and not rolled out yet. */
export interface Elizaos extends Stage {
  /** The login of the application that knows no context. */
  readonly legacy: TestRole
  readonly truth: ElizaosTruth
  to(table: string, state: string): Promise<void>
}

const ownerColumns: Record<string, [string, RolledOut['ownerKind']]> = {
  organizations: ['id', 'org'],
  users: ['id', 'user'],
  owners: ['id', 'user'],
  user_characters: ['user_id', 'user'],
  cache: ['agent_id', 'agent'],
}

const later = elizaosTruth({ schema: 'later' })

/** Every table, those that others take owners from first; they close the other way round. */
export const rolledOut: readonly RolledOut[] = fixtureTables
  .map((table) => {
    const name = table.before === 'owners' ? 'owners' : table.later
    const [ownerColumn, ownerKind] = ownerColumns[name] ?? ['owner_id', 'user']
    const key = later.keyExpression(table.later)
    return { name, before: table.before, ownerColumn, ownerKind, key }
  })
  // Whose a server is its agents tell.
  .sort((one, other) => position(one.name) - position(other.name))

function position(name: string): number {
  const names = fixtureTables.map((table) => (table.before === 'owners' ? 'owners' : table.later))
  return name === 'message_server_agents'
    ? names.indexOf('message_servers') - 0.5
    : names.indexOf(name)
}

export async function elizaos(
  options: { size?: SizeName; db?: TestDatabase } = {},
): Promise<Elizaos> {
  const { size = 'tiny' } = options
  const on = await stage(options.db ?? (await testDatabase({ template: before(size) })))
  const legacy = await on.db.role('legacy')
  await declareElizaos(on.db, on.setUp, on.owner, legacy)
  return {
    ...on,
    legacy,
    truth: elizaosTruth({ schema: 'before', size }),
    to: (table, state) => rollOut(on.setUp, table, state),
  }
}

/** The fixture as it was, in a database with tenantry. */
export function before(size: SizeName): Template {
  return elizaosTemplate({ schema: 'before', size })
}

/** Gives the tables to their ordinary owner, who renames them and declares the rollouts. */
export async function declareElizaos(
  db: TestDatabase,
  client: pg.Client,
  owner: TestRole,
  legacy: TestRole,
): Promise<void> {
  const admin = await db.admin.connect()
  try {
    await giveTo(admin, 'before', owner.name)
    await admin.query(`
      grant create on database "${db.name}" to "${owner.name}";
      grant usage on schema todo to "${legacy.name}";
      grant select, insert, update, delete on all tables in schema public, todo to "${legacy.name}"`)
  } finally {
    admin.release()
  }
  for (const file of ['string-to-uuid.sql', 'rename.sql']) await client.query(fixtureFile(file))
  await client.query(`set elizaos.legacy_roles = '${legacy.name}'`)
  await client.query(fixtureFile('rollout.sql'))
}

/** Takes a table to a state, and builds the index that no procedure can build beside it, as the command line does. */
export async function rollOut(
  client: pg.Client,
  table: string,
  state: string,
  batch = 5000,
): Promise<void> {
  const call = () => client.query('call tenantry.rollout_to($1, $2, $3)', [table, state, batch])
  try {
    await call()
  } catch (error) {
    const [, statements = ''] =
      /run: ((?:drop|create) index .*?); and then/.exec((error as pg.DatabaseError).hint ?? '') ??
      []
    if (statements === '') throw error
    for (const statement of statements.split('; ')) await client.query(statement)
    await call()
  }
}
