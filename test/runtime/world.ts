import { randomBytes } from 'node:crypto'
import pg from 'pg'
import {
  deriveSigningKey,
  identity,
  tenantry,
  type Tenantry,
  type TenantryOptions,
} from '../../src/index.js'
import { assertOrdinaryRole, testDatabase, type TestDatabase } from '../support/database.js'

export const user = identity('user')
export const agent = identity('agent')

/** How many users there are; each has an agent of the same id and `NOTES` notes. */
export const USERS = 200
export const NOTES = 5

/** Two hundred users, an agent for each, and their notes, as an application would meet them. */
export interface World {
  readonly db: TestDatabase
  readonly secret: string
  /** Connection settings of the application's login role. */
  readonly login: pg.PoolConfig
  /** A plain pool of the application's login; ended with the world. */
  pool(config?: pg.PoolConfig): pg.Pool
  /** tenantry on a new pool. */
  open(options?: Partial<TenantryOptions>, config?: pg.PoolConfig): Tenantry & { raw: pg.Pool }
  end(): Promise<void>
}

const SCHEMA = `
  create table users  (id bigint primary key);
  create table agents (id bigint primary key, owner_id bigint not null references users);
  create table notes (
    id       bigint generated always as identity primary key,
    owner_id bigint not null references users,
    body     text   not null,
    n        int    not null default 0,
    tags     text[] not null default '{}',
    data     jsonb,
    raw      bytea,
    at       timestamptz not null default now(),
    unique (owner_id, body)
  );
  create table motd (line text not null);
  -- Advances outside of transactions: shows that a statement ran although all was rolled back.
  create sequence probe;
  insert into users  select i    from generate_series(1, ${USERS}) i;
  insert into agents select i, i from generate_series(1, ${USERS}) i;
  insert into notes (owner_id, body)
    select i, 'note ' || j from generate_series(1, ${USERS}) i, generate_series(1, ${NOTES}) j;
  insert into motd values ('hello');
`

const PROTECTION = `
  select tenantry.initialise();
  select tenantry.register_kind('user', 'users');
  select tenantry.register_kind('agent', 'agents',
    owner_column => 'owner_id', owner_kind => 'user', acts_for_owner => true);
  select tenantry.protect('notes', owner_column => 'owner_id', owner_kind => 'user');
  select tenantry.share('motd');
  grant usage, select on sequence probe to tenantry_user;
`

export async function createWorld(): Promise<World> {
  const db = await testDatabase()
  const owner = pg.escapeIdentifier((await db.role('owner')).name)
  const secret = randomBytes(32).toString('base64url')
  const { key, keyId } = deriveSigningKey(secret)

  const admin = await db.admin.connect()
  try {
    await admin.query(`grant create on schema public to ${owner}; set role ${owner}`)
    await admin.query(SCHEMA)
    await admin.query('reset role')
    await admin.query(PROTECTION)
    await admin.query('select tenantry.register_issuer($1, $2)', [keyId, key])
  } finally {
    admin.release()
  }

  const role = await db.role('app', { allow: 'user' })
  // Checked once here and not on every connection: tests count what goes over the wire.
  await assertOrdinaryRole(await role.connect())
  const login: pg.PoolConfig = { connectionString: role.url }
  const pools: pg.Pool[] = []

  const pool = (config: pg.PoolConfig = {}): pg.Pool => {
    const made = new pg.Pool({ ...login, max: 4, ...config })
    made.on('error', () => undefined)
    pools.push(made)
    return made
  }
  return {
    db,
    secret,
    login,
    pool,
    open(options = {}, config = {}) {
      const raw = pool({ pipeline: options.transport === 'pipeline', ...config })
      return Object.assign(tenantry(raw, { secret, ...options }), { raw })
    },
    async end() {
      await Promise.all(pools.filter((one) => !one.ending).map((one) => one.end()))
      await db.drop()
    },
  }
}

/** Every transport, with and without passes and prepared statements. */
export const EVERY_WAY: readonly { name: string; options: Partial<TenantryOptions> }[] = [
  { name: 'sync', options: { transport: 'sync' } },
  { name: 'sync, by pass', options: { transport: 'sync', contextTtl: 60 } },
  { name: 'sync, prepared', options: { transport: 'sync', preparedStatements: true } },
  {
    name: 'sync, prepared, by pass',
    options: { transport: 'sync', preparedStatements: true, contextTtl: 60 },
  },
  { name: 'pipeline', options: { transport: 'pipeline' } },
  { name: 'pipeline, by pass', options: { transport: 'pipeline', contextTtl: 60 } },
  { name: 'awaited', options: { transport: 'awaited' } },
  { name: 'awaited, by pass', options: { transport: 'awaited', contextTtl: 60 } },
]

/** What an error gives away by its `code`, for tests that expect one. */
export async function codeOf(promise: Promise<unknown>): Promise<string | undefined> {
  try {
    await promise
  } catch (error) {
    return (error as { code?: string }).code ?? String(error)
  }
  return undefined
}
