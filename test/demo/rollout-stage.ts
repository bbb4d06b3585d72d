import { randomBytes } from 'node:crypto'
import pg from 'pg'
import { deriveSigningKey } from '../../src/credential.js'
import { databaseOn, type TestDatabase } from '../support/database/clone.js'
import type { TestRole } from '../support/database/role.js'
import { startServer } from '../support/servers.js'

/** An application that has grown without owners, and who works on it. */
export interface RolloutStage {
  readonly db: TestDatabase
  readonly secret: string
  /** Owns the tables and runs the rollout. */
  readonly owner: TestRole
  /** The login that has always read and written everything. */
  readonly legacy: TestRole
  /** The login of the new application. */
  readonly app: TestRole
  /** One of the users. */
  readonly user: string
  end(): Promise<void>
}

export const memories = 60_000

// A memory names its author, or is of whoever made its room. Of every thousand one names somebody who
// never was, and one is in no room and names nobody. `truth` is the demo's own, to compare with.
const schema = `
  create table users (id uuid primary key default gen_random_uuid(), name text not null);
  insert into users (name) select 'user ' || n from generate_series(1, 100) n;
  create table rooms (id int primary key, creator uuid not null references users, name text not null);
  insert into rooms
  select n, (select u.id from users u where u.name = 'user ' || (n % 100 + 1)), 'room ' || n from generate_series(1, 500) n;
  create table memories (
    id bigint primary key generated always as identity, room_id int references rooms, author text, body text not null, made_at timestamptz not null default now());
  create table truth as
  select n::bigint as id, case when n % 1000 = 7 then null when n % 1000 = 3 then null
                               when n % 4 = 0 then a.id else r.creator end as owner
    from generate_series(1, ${String(memories)}) n
    join rooms r on r.id = n % 500 + 1
    join users a on a.name = 'user ' || (n % 37 + 1);
  insert into memories (room_id, author, body)
  select case when n % 1000 <> 7 then n % 500 + 1 end,
         case when n % 1000 = 3 then gen_random_uuid()::text when n % 4 = 0 then (select u.id::text from users u where u.name = 'user ' || (n % 37 + 1)) end,
         'memory ' || n || repeat(' and on', 20)
    from generate_series(1, ${String(memories)}) n order by n;
  create index on memories (room_id);
  analyze`

const declarations = (legacy: string): string => `
  select tenantry.register_kind('user', 'users');
  select tenantry.rollout('rooms', owner_column => 'owner_id', owner_kind => 'user', legacy_roles => array['${legacy}']::name[]);
  select tenantry.rollout_signal('rooms', 1, 'creator', tenantry.rollout_from_column('rooms', 'creator'));
  select tenantry.rollout('memories', owner_column => 'owner_id', owner_kind => 'user', legacy_roles => array['${legacy}']::name[]);
  select tenantry.rollout_signal('memories', 1, 'author', tenantry.rollout_from_column('memories', 'author'));
  select tenantry.rollout_signal('memories', 2, 'room', tenantry.rollout_from_parent('memories', '{room_id}'));`

export async function rolloutStage(say: (line: string) => void): Promise<RolloutStage> {
  const server = await startServer({ major: 18, onProgress: say })
  const db = await databaseOn(server)
  const secret = randomBytes(32).toString('base64url')
  const owner = await db.role('owner', { allow: 'admin', ordinary: false })
  const legacy = await db.role('legacy')
  const app = await db.role('app', { allow: 'user' })
  const { key, keyId } = deriveSigningKey(secret)
  await db.admin.query('select tenantry.register_issuer($1, $2)', [keyId, key])
  await db.admin.query(`grant create on schema public to ${pg.escapeIdentifier(owner.name)}`)
  say(`Making an application with ${String(memories)} memories of 100 users, without owners …`)
  const setUp = await owner.connect()
  await setUp.query(schema)
  await setUp.query(
    `grant select, insert, update, delete on rooms, memories to ${pg.escapeIdentifier(legacy.name)}`,
  )
  await setUp.query(declarations(legacy.name))
  const { rows } = await setUp.query<{ id: string }>(`select id from users where name = 'user 8'`)
  return {
    db,
    secret,
    owner,
    legacy,
    app,
    user: rows[0]?.id ?? '',
    async end() {
      await db.drop()
      await server.stop()
    },
  }
}
