import type pg from 'pg'
import type { Finding } from '../../../src/cli/check/finding.js'
import { deriveSigningKey, mintCredential } from '../../../src/credential.js'
import { identityOf, type Entity, type Identity } from '../../../src/identity.js'
import { testDatabase, type TestDatabase, type TestRole } from '../../support/database.js'

export type { Finding }

export interface Planned {
  readonly step: number
  readonly statement: string
  readonly lock: string | null
}

/**
 * A database with an ordinary owner of the tables, who is a tenantry admin, and an application login
 * that enters by credentials. Everything is set up as the owner, everything proved as the application.
 */
export interface Stage {
  readonly db: TestDatabase
  readonly owner: TestRole
  readonly app: TestRole
  /** The owner's connection. */
  readonly setUp: pg.Client
  /** One transaction of the application's login as an entity. */
  as<T>(who: Entity, work: (client: pg.Client) => Promise<T>): Promise<T>
  /** One transaction of the application's login without a context. */
  asNobody<T>(work: (client: pg.Client) => Promise<T>): Promise<T>
  /** A connection of a login role of its own that is bound to an entity. */
  bound(who: Entity): Promise<pg.Client>
  protect(call: string): Promise<Planned[]>
  /** All findings but audit_head, and what the server of this run lacks. */
  check(minimum?: 'critical' | 'warning' | 'info'): Promise<Finding[]>
  drop(): Promise<void>
}

/** What the issuer of every stage is made from. */
export const secret = 'a secret of the tests, long enough for anybody'

export async function stage(given?: TestDatabase): Promise<Stage> {
  const db = given ?? (await testDatabase())
  const owner = await db.role('owner', { allow: 'admin', ordinary: false })
  const app = await db.role('app', { allow: 'user' })
  await db.admin.query(`grant create, usage on schema public to ${quoted(owner.name)}`)
  const { key, keyId } = deriveSigningKey(secret)
  await db.admin.query('select tenantry.register_issuer($1, $2)', [keyId, key])
  const setUp = await owner.connect()
  const session = await app.connect()
  let persons = 0

  return {
    db,
    owner,
    app,
    setUp,
    as: (who, work) =>
      inTransaction(session, async () => {
        await session.query('select tenantry.enter($1)', [credential(db.name, who)])
        return work(session)
      }),
    asNobody: (work) => inTransaction(session, () => work(session)),
    async bound(who) {
      const role = await db.role(`person${++persons}`)
      await db.admin.query('select tenantry.bind_role($1, $2)', [role.name, who])
      return role.connect()
    },
    async protect(call) {
      const { rows } = await setUp.query<Planned>(`select * from tenantry.protect(${call})`)
      return rows
    },
    async check(minimum = 'warning') {
      const { rows } = await db.admin.query<Finding>('select * from tenantry.check($1)', [minimum])
      return withoutOthers(db, rows)
    },
    drop: () => db.drop(),
  }
}

/**
 * Findings without what is always there or another test's: where something was set up the audit has a head, whatever else
 * there is to find; and a superuser that another test makes meanwhile may connect here, too.
 */
export function withoutOthers(db: TestDatabase, findings: readonly Finding[]): Finding[] {
  const foreign = ({ code, object }: Finding) =>
    code === 'login_of_another_database' &&
    /_[0-9a-f]{8}_[0-9a-f]{8}"?$/.test(object) &&
    !object.includes(db.name.replace(/^test_/, ''))
  return findings.filter(
    (found) => found.code !== 'audit_head' && found.code !== 'server_outdated' && !foreign(found),
  )
}

/** A credential of a principal that acts for itself. */
export function credential(audience: string, who: Entity): string {
  return credentialOf(audience, identityOf(who))
}

export function credentialOf(audience: string, who: Identity): string {
  const expiresAt = Math.floor(Date.now() / 1000) + 60
  return mintCredential(deriveSigningKey(secret), who, { audience, expiresAt })
}

/** Statements that the event triggers do not see, as where there are none: for superusers, in one query. */
export function unwatched(statements: string): string {
  const names = ['before_alter', 'after_alter', 'after_drop', 'after_ddl']
  const all = (what: string) =>
    names.map((name) => `alter event trigger tenantry_${name} ${what}`).join('; ')
  return `${all('disable')}; ${statements}; ${all('enable always')}`
}

export async function inTransaction<T>(
  client: pg.Client,
  work: () => Promise<T>,
  ending: 'commit' | 'rollback' = 'commit',
): Promise<T> {
  await client.query('begin')
  try {
    const result = await work()
    await client.query(ending)
    return result
  } catch (error) {
    await client.query('rollback')
    throw error
  }
}

/** What a statement does, as a text to compare: the number of rows, or the SQLSTATE of its error. */
export async function outcome(
  client: Pick<pg.ClientBase, 'query'>,
  statement: string,
  values: unknown[] = [],
): Promise<string> {
  await client.query('savepoint before_outcome')
  try {
    const { rowCount } = await client.query(statement, values)
    await client.query('release savepoint before_outcome')
    return `${rowCount ?? 0} rows`
  } catch (error) {
    await client.query('rollback to savepoint before_outcome')
    return sqlState(error)
  }
}

export interface Refusal {
  readonly code: string
  readonly message: string
  readonly hint: string
  readonly detail: string | undefined
}

/** The error that a promise must end in. */
export async function refusal(work: Promise<unknown>): Promise<Refusal> {
  try {
    await work
  } catch (error) {
    const { message, hint = '', detail } = error as pg.DatabaseError
    return { code: sqlState(error), message, hint, detail }
  }
  throw new Error('nothing was refused')
}

export function sqlState(error: unknown): string {
  const { code } = error as { code?: string }
  if (code === undefined) throw error
  return code
}

export function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}

export function literal(text: string): string {
  return `E'${text.replaceAll('\\', '\\\\').replaceAll("'", "''")}'`
}
