import type pg from 'pg'
import type { Entity } from '../../../src/identity.js'
import type { TestDatabase } from '../../support/database.js'
import {
  credential,
  inTransaction,
  stage as ordinaryStage,
  type Stage,
} from '../../extension/support/stage.js'

/** The application's share of the master key, in every test below. */
export const share = Buffer.alloc(32, 0xab)

export const anna: Entity = 'user:6f1c0000-0000-4000-8000-00000000000a'
export const bert: Entity = 'user:6f1c0000-0000-4000-8000-00000000000b'
export const annaId = anna.slice(5)
export const bertId = bert.slice(5)

/** Two users, a table of theirs with secrets of every type, and an application login that brings the key share. */
export interface SecretStage extends Stage {
  /** One transaction of the application's login as an entity, with the key share. */
  holding<T>(who: Entity, work: (client: pg.Client) => Promise<T>, using?: Buffer): Promise<T>
  /** What the table itself holds, as a superuser reads it. */
  stored<R extends object = Record<string, unknown>>(query: string): Promise<R[]>
}

export async function secretStage(given?: TestDatabase): Promise<SecretStage> {
  const on = await ordinaryStage(given)
  const { admin } = on.db
  await admin.query('select tenantry.create_master_key($1)', [share])
  await on.setUp.query(`
    create table users (id uuid primary key, name text not null);
    insert into users values ('${annaId}', 'Anna'), ('${bertId}', 'Bert');
    select tenantry.register_kind('user', 'users');
    select tenantry.protect('users', owner_column => 'id')`)
  const client = await on.app.connect()
  return {
    ...on,
    holding: (who, work, using = share) =>
      inTransaction(client, async () => {
        await client.query('select tenantry.enter($1, $2)', [credential(on.db.name, who), using])
        return work(client)
      }),
    async stored<R extends object>(query: string) {
      return (await admin.query<R>(query)).rows
    },
  }
}

/** A table with a secret of each type; `created` before `encrypted`. */
export const vaultTable = `
  create table vault (
    id int primary key,
    owner_id uuid not null references users,
    label text,
    token text not null,
    pin varchar(8),
    note json,
    settings jsonb,
    raw bytea,
    email text
  );
  select tenantry.protect('vault')`

export const encryptVault = `
  select tenantry.encrypt_column('vault', 'token');
  select tenantry.encrypt_column('vault', 'pin');
  select tenantry.encrypt_column('vault', 'note');
  select tenantry.encrypt_column('vault', 'settings', path => '{secrets}');
  select tenantry.encrypt_column('vault', 'settings', path => '{deep,key}');
  select tenantry.encrypt_column('vault', 'raw');
  select tenantry.encrypt_column('vault', 'email', blind_index => true);
  create unique index vault_email on vault (email_index)`
