import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type pg from 'pg'
import { deriveSigningKey, mintCredential } from '../../../src/credential.js'
import { type Entity, type Identity, identityOf } from '../../../src/identity.js'
import { type TestDatabase, type TestRole, testDatabase } from '../../support/database.js'

/** What stands behind town.sql: `rooms`, where people meet in rooms.sql. */
export type Quarter = 'rooms'

const file = (name: string): string => readFileSync(new URL(`${name}.sql`, import.meta.url), 'utf8')
const secret = `a secret of the attacked town ${randomBytes(8).toString('hex')}`
const id = (end: string): string => `00000000-0000-4000-8000-${end.padStart(12, '0')}`

/** Who lives there: alice is attacked or attacks, bob has what is wanted, carol owns the service. */
export const alice = { id: id('a'), entity: `user:${id('a')}`, notes: ['1', '2'] }
export const bob = { id: id('b'), entity: `user:${id('b')}`, notes: ['3', '4'] }
export const agentOfAlice = `agent:${id('aa')}`
export const agentOfBob = `agent:${id('bb')}`
export const service = `agent:${id('ee')}`

export const signing = deriveSigningKey(secret)

/** A protected database and the login of an application, which is what attackers mostly have. */
export interface Town {
  readonly db: TestDatabase
  readonly app: TestRole
  /** A connection of the application's login. */
  connect(): Promise<pg.Client>
  credential(principal: string, actor?: string, lifetime?: number): string
  /** A credential that names every link, the principal first. */
  chained(chain: readonly string[], lifetime?: number): string
  /** A credential for another database. */
  credentialFor(audience: string, principal: string): string
  /** A transaction as somebody, rolled back afterwards unless `keep` is set. */
  as<T>(principal: string, work: (client: pg.Client) => Promise<T>, keep?: boolean): Promise<T>
  drop(): Promise<void>
}

export async function town(quarter?: Quarter): Promise<Town> {
  const text = file('town') + (quarter ? file(quarter) : '')
  const db = await testDatabase({
    template: {
      name: ['attacked', quarter].filter(Boolean).join('_'),
      sql: [text],
      build: async (admin) => {
        await admin.query(`do $$ begin create role attacks_owner nologin;
          exception when duplicate_object or unique_violation then null; end $$`)
        await admin.query(text)
      },
    },
  })
  const app = await db.role('app', { allow: 'user' })
  await db.admin.query(`grant all on town.open_notes, town.naive_notes to "${app.name}"`)
  await db.admin.query('select tenantry.initialise(true)')
  await db.admin.query('select tenantry.register_issuer($1, $2)', [signing.keyId, signing.key])
  const session = await app.connect()
  const mint = (audience: string, who: Identity, lifetime: number): string => {
    const expiresAt = Math.floor(Date.now() / 1000) + lifetime
    return mintCredential(signing, who, { audience, expiresAt })
  }
  // Not by identityOf(), which takes only what can be an entity.
  const pair = (principal: string, actor: string) => ({ principal, actor }) as Identity
  const credential: Town['credential'] = (principal, actor = principal, lifetime = 60) =>
    mint(db.name, pair(principal, actor), lifetime)

  return {
    db,
    app,
    credential,
    chained(chain, lifetime = 60) {
      const [actor, ...actsFor] = [...chain].reverse() as [Entity, ...Entity[]]
      return mint(db.name, identityOf(actor, actsFor), lifetime)
    },
    credentialFor: (audience, principal) => mint(audience, pair(principal, principal), 60),
    connect: () => app.connect(),
    async as(principal, work, keep = false) {
      await session.query('begin')
      try {
        await enter(session, credential(principal))
        return await work(session)
      } finally {
        await session.query(keep ? 'commit' : 'rollback')
      }
    },
    drop: () => db.drop(),
  }
}

export async function enter(client: pg.ClientBase, credential: string): Promise<void> {
  await client.query('select tenantry.enter($1)', [credential])
}

/** The ids that a query returns as its first column, as texts. */
export async function ids(
  client: Pick<pg.ClientBase, 'query'>,
  sql = 'select id from town.notes order by 1',
  values: unknown[] = [],
): Promise<string[]> {
  const { rows } = await client.query<unknown[]>({ text: sql, values, rowMode: 'array' })
  return rows.map((row) => String(row[0]))
}

/** The SQLSTATE that a statement ends in, '00000' if it succeeds. */
export async function state(work: Promise<unknown>): Promise<string> {
  try {
    await work
    return '00000'
  } catch (error) {
    return (error as { code?: string }).code ?? String(error)
  }
}

/** As `state`, inside a transaction that goes on. */
export async function stateOf(
  client: Pick<pg.ClientBase, 'query'>,
  sql: string,
  values: unknown[] = [],
): Promise<string> {
  await client.query('savepoint attempt')
  const result = await state(client.query(sql, values))
  await client.query('rollback to savepoint attempt')
  return result
}
