import type pg from 'pg'
import type { TestDatabase } from '../support/database/clone.js'
import type { TestServer } from '../support/servers.js'
import { prepared } from './stage.js'

/** People who are members of ever more rooms, and what was said in them. */
export interface ReachBench {
  readonly db: TestDatabase
  /** The application's login. */
  readonly app: pg.Client
  /** A superuser, whom row-level security does not bind: for the forms that were not chosen. */
  readonly admin: pg.Client
  /** Begins a transaction of the application as the member of that many rooms. */
  enter(rooms: number): Promise<void>
  end(): Promise<void>
}

/** How many rooms the person of each measurement is a member of. */
export const reached = [1, 10, 100, 1_000, 5_000, 100_000] as const
const rows = 1_000_000

const userId = (n: number) => `6f1c0000-0000-4000-8000-${n.toString(16).padStart(12, '0')}`
export const memberOf = (rooms: number) => userId(0x900000 + rooms)

const uuid = (space: string, n: string) =>
  `('6f1c0000-0000-4000-${space}-' || lpad(to_hex(${n}), 12, '0'))::uuid`

const tables = `
  create table users (id uuid primary key);
  insert into users select ${uuid('8000', 'n')} from generate_series(1, 10000) n;
  insert into users values ${reached.map((n) => `('${memberOf(n)}')`).join(', ')};
  create table rooms (id uuid primary key, owner_id uuid not null references users);
  insert into rooms select ${uuid('a000', 'n')}, ${uuid('8000', '1 + n % 10000')} from generate_series(1, 110000) n;
  create table participants (room_id uuid not null, user_id uuid not null, primary key (room_id, user_id));
  ${reached
    .map(
      (n) =>
        `insert into participants select ${uuid('a000', `1 + (m * ${Math.floor(110_000 / n)}) % 110000`)}, '${memberOf(n)}' from generate_series(1, ${n}) m on conflict do nothing;`,
    )
    .join('\n  ')}
  create table memories (
    id bigint generated always as identity primary key, owner_id uuid not null references users,
    room_id uuid references rooms, body text not null, created_at timestamptz not null);
  insert into memories (owner_id, room_id, body, created_at)
  select ${uuid('8000', '1 + n % 10000')}, ${uuid('a000', '1 + (n::bigint * 7919 % 110000)::int')}, 'said ' || n,
         '2026-01-01'::timestamptz + n * interval '1 second'
    from generate_series(1, ${rows}) n;
  create index on memories (owner_id, created_at desc);
  create index on memories (room_id, created_at desc);
  create index on memories (created_at desc)`

const declarations = `
  select tenantry.register_kind('user', 'users');
  select tenantry.register_kind('room', 'rooms', owner_column => 'owner_id', owner_kind => 'user');
  select tenantry.register_membership('participants', member_column => 'user_id', member_kind => 'user',
    container_column => 'room_id', container_kind => 'room', roles => '["select"]');
  select tenantry.protect('rooms', owner_column => 'owner_id', owner_kind => 'user');
  select tenantry.protect('memories', owner_column => 'owner_id', owner_kind => 'user', shared_by => '{"room_id": "room"}')`

export function prepareReach(server: TestServer): Promise<ReachBench> {
  return prepared(server, async ({ db, app, tableOwner, admin, credential }) => {
    await tableOwner.query(tables)
    await tableOwner.query(declarations)
    await admin.query('vacuum analyze')
    const enter = async (rooms: number): Promise<void> => {
      await app.query('begin')
      await app.query('select tenantry.enter($1)', [credential(memberOf(rooms))])
    }
    return { db, app, admin, enter, end: () => db.drop() }
  })
}
