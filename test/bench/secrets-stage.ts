import { randomBytes } from 'node:crypto'
import type pg from 'pg'
import type { TestDatabase } from '../support/database/clone.js'
import type { TestServer } from '../support/servers.js'
import { prepared } from './stage.js'

/** A database with secrets, and everybody who measures in it. */
export interface SecretBench {
  readonly db: TestDatabase
  /** The application's share of the master key. */
  readonly share: Buffer
  /** A superuser. */
  readonly admin: pg.Client
  /** The application's login, bound by row-level security. */
  readonly app: pg.Client
  /** Begins a transaction of the application as the owner of the vault, with the key share. */
  enter(): Promise<void>
  end(): Promise<void>
}

export const counts = { owners: 10_000, vault: 10_000, backfill: 200_000, keys: 1_000_000 }

const owner = '6f1c0000-0000-4000-8000-000000000001'

/** `plain` has the columns of `vault` without secrets; `ledger` is filled before it is encrypted. */
const tables = `
  create table users (id uuid primary key);
  insert into users
  select ('6f1c0000-0000-4000-8000-' || lpad(to_hex(n), 12, '0'))::uuid from generate_series(1, ${counts.owners}) n;
  create table vault (
    id uuid primary key default gen_random_uuid(), owner_id uuid not null references users,
    token text, email text);
  create table plain (like vault including all, foreign key (owner_id) references users);
  create index on plain (owner_id, email);
  create table ledger (
    id uuid primary key default gen_random_uuid(), owner_id uuid not null references users, token text not null);
  insert into ledger (owner_id, token)
  select ('6f1c0000-0000-4000-8000-' || lpad(to_hex(1 + n % ${counts.owners}), 12, '0'))::uuid, 'sk-live-' || md5(n::text)
    from generate_series(1, ${counts.backfill}) n`

const declarations = `
  select tenantry.register_kind('user', 'users');
  select tenantry.protect('users', owner_column => 'id');
  select tenantry.protect('vault');
  select tenantry.protect('plain');
  select tenantry.protect('ledger');
  select tenantry.encrypt_column('vault', 'token');
  select tenantry.encrypt_column('vault', 'email', blind_index => true);
  select tenantry.encrypt_column('ledger', 'token')`

const values = (table: string) => `
  insert into ${table} (token, email)
  select 'sk-live-' || md5(n::text), 'person' || n || '@example.org' from generate_series(1, ${counts.vault}) n`

export function prepareSecrets(server: TestServer): Promise<SecretBench> {
  return prepared(server, async ({ db, app, tableOwner, admin, credential }) => {
    const share = randomBytes(32)
    await admin.query('select tenantry.create_master_key($1)', [share])
    await tableOwner.query(tables)
    await tableOwner.query(declarations)

    const enter = async (): Promise<void> => {
      await app.query('begin')
      await app.query('select tenantry.enter($1, $2)', [credential(owner), share])
    }
    await enter()
    await app.query(values('vault'))
    await app.query(values('plain'))
    await app.query('commit')
    await admin.query('vacuum analyze')
    return { db, share, admin, app, enter, end: () => db.drop() }
  })
}
