import type pg from 'pg'
import { createHmac } from 'node:crypto'
import { testDatabase, type TestDatabase, type TestRole } from '../../support/database.js'

/** The issuer's key of every test below. */
export const issuerKey = Buffer.from('0123456789abcdef0123456789abcdef')
export const keyId = 'issuer'

/** Two users with a note each, an owner of the tables who is bound by row security. */
export async function makeNotes(admin: pg.Pool, owner: TestRole): Promise<void> {
  await admin.query(`
    create schema app authorization "${owner.name}";
    set role "${owner.name}";
    create table app.users (id int primary key, name text not null);
    create table app.notes (
      id bigserial primary key,
      owner_id int not null references app.users on delete cascade,
      body text
    );
    create table app.pages (id int primary key, note_id bigint not null references app.notes, text text);
    create table app.countries (code text primary key);
    insert into app.users values (1, 'one'), (2, 'two');
    insert into app.notes (owner_id, body) values (1, 'note of one'), (2, 'note of two');
    insert into app.pages values (1, 1, 'page of one'), (2, 2, 'page of two');
    insert into app.countries values ('at'), ('pt');
    reset role`)
}

/** Registers kind `user`, protects notes and pages and shares countries. */
export async function protectNotes(admin: pg.Pool): Promise<void> {
  await admin.query(`
    select tenantry.register_kind('user', 'app.users');
    select tenantry.protect('app.users', owner_column => 'id');
    select tenantry.protect('app.notes');
    select tenantry.protect('app.pages', owner_from => '{note_id}');
    select tenantry.share('app.countries');
    select tenantry.register_issuer('${keyId}', '\\x${issuerKey.toString('hex')}')`)
}

/** A token whose header, claims and signature are the caller's to break. */
export function token(
  claims: object | string,
  {
    header = { alg: 'HS256', typ: 'JWT', kid: keyId },
    key = issuerKey,
    hash = 'sha256',
  }: TokenParts = {},
): string {
  const text = (part: object | string) => (typeof part === 'string' ? part : JSON.stringify(part))
  const signed = [header, claims]
    .map((part) => Buffer.from(text(part)).toString('base64url'))
    .join('.')
  return `${signed}.${createHmac(hash, key).update(signed).digest('base64url')}`
}

export interface TokenParts {
  readonly header?: object | string
  readonly key?: Buffer
  readonly hash?: string
}

/** Seconds from now, as tokens state them. */
export function inSeconds(seconds: number): number {
  return Math.floor(Date.now() / 1000) + seconds
}

/** Claims that `db` accepts, for `sub` and everything in `more`. */
export function claims(db: TestDatabase, sub: string, more: object = {}): object {
  return { sub, aud: db.name, exp: inSeconds(60), ...more }
}

/** Runs `work` in a transaction that has entered with `credential`. */
export async function entered<T>(
  client: pg.ClientBase,
  credential: string,
  work: () => Promise<T>,
): Promise<T> {
  await client.query('begin')
  try {
    await client.query('select tenantry.enter($1)', [credential])
    return await work()
  } finally {
    await client.query('rollback')
  }
}

/** A database with protected notes of two users, and a login of the application. */
export interface Notes {
  readonly db: TestDatabase
  readonly owner: TestRole
  readonly app: TestRole
  /** A connection of the application's login. */
  readonly client: pg.Client
}

export async function notesDatabase(
  open: (options: object) => Promise<TestDatabase> = testDatabase,
): Promise<Notes> {
  const db = await open({})
  const owner = await db.role('owner', { ordinary: false })
  await makeNotes(db.admin, owner)
  await protectNotes(db.admin)
  const app = await db.role('app', { allow: 'user' })
  return { db, owner, app, client: await app.connect() }
}
