import type pg from 'pg'
import { deriveSigningKey, mintCredential } from '../../../src/credential.js'
import { type ElizaosTruth, elizaosTruth } from '../../fixtures/elizaos/generator.js'
import { elizaosTemplate } from '../../fixtures/elizaos/template.js'
import { type TestDatabase, testDatabase } from '../../support/database.js'
import { fullLength } from '../../support/full-length.js'

/** Somebody who works on somebody's rows, and the way in which they do. */
export interface Caller {
  readonly principal: string
  readonly actor: string
  /** By a credential in each transaction, or by a login role that is bound to the entity. */
  readonly by: 'credential' | 'bound role'
}

/** The protected fixture, everybody in it, and sessions of ordinary logins. */
export interface Stage {
  readonly db: TestDatabase
  readonly truth: ElizaosTruth
  /** Everybody, in every way: people, agents for them, the shared agent for each, bound roles. */
  readonly callers: readonly Caller[]
  /** Runs something as somebody, in a transaction that is rolled back. */
  as<T>(caller: Caller, work: (client: pg.Client) => Promise<T>): Promise<T>
  /** Runs something without a context, in a transaction that is rolled back. */
  asNobody<T>(work: (client: pg.Client) => Promise<T>): Promise<T>
}

const secret = 'the isolation tests’ own secret, long enough'

/** A database with the fixture under protect.sql. */
export async function stage(): Promise<Stage> {
  const db = await testDatabase({ template: elizaosTemplate({ protect: true }) })
  const truth = elizaosTruth({ schema: 'later' })
  const signing = deriveSigningKey(secret)
  await db.admin.query('select tenantry.initialise()')
  await db.admin.query('select tenantry.register_issuer($1, $2)', [signing.keyId, signing.key])
  const app = await (await db.role('app', { allow: 'user' })).connect()
  const bound = new Map<string, pg.Client>()

  return {
    db,
    truth,
    callers: callersOf(truth),
    async as(caller, work) {
      if (caller.by === 'bound role') {
        const client = bound.get(caller.principal) ?? (await bind(db, caller.principal))
        bound.set(caller.principal, client)
        return undone(client, () => work(client))
      }
      const who = caller as Parameters<typeof mintCredential>[1]
      const expiresAt = Math.floor(Date.now() / 1000) + 60
      const credential = mintCredential(signing, who, { audience: db.name, expiresAt })
      return undone(app, async () => {
        await app.query('select tenantry.enter($1)', [credential])
        return work(app)
      })
    },
    asNobody: (work) => undone(app, () => work(app)),
  }
}

async function bind(db: TestDatabase, entity: string): Promise<pg.Client> {
  const role = await db.role(`person_${entity.replaceAll(/[^a-z0-9]/g, '').slice(0, 30)}`)
  await db.admin.query('select tenantry.bind_role($1, $2)', [role.name, entity])
  return role.connect()
}

function callersOf({ identities }: ElizaosTruth): Caller[] {
  const { users, agents, sharedAgent, platform } = identities
  const people = [...users, platform]
  const organizations = [...new Set(people.map((person) => `org:${person.organizationId}`))]
  const directly = [
    ...people.map((person) => person.entity),
    ...agents.map((agent) => agent.entity),
    ...organizations,
  ]
  const caller = (principal: string, actor = principal): Caller => ({
    principal,
    actor,
    by: 'credential',
  })
  return [
    ...directly.map((entity) => caller(entity)),
    ...agents.map((agent) => caller(agent.owner, agent.entity)),
    ...users.map((user) => caller(user.entity, sharedAgent.entity)),
    ...directly.map((entity) => ({ ...caller(entity), by: 'bound role' as const })),
  ]
}

/**
 * For the nth of some tests: everybody in one of their ways, another one in each test, so that each test sees every way and
 * the tests together nearly everybody in each of theirs. At full length everybody comes in every way.
 */
export function inTurn(callers: readonly Caller[], nth: number): readonly Caller[] {
  if (fullLength) return callers
  return [...new Set(callers.map(({ principal }) => principal))].flatMap((principal, position) => {
    const ways = callers.filter((caller) => caller.principal === principal)
    return ways[(nth + position) % ways.length] ?? []
  })
}

async function undone<T>(client: pg.Client, work: () => Promise<T>): Promise<T> {
  await client.query('begin')
  try {
    return await work()
  } finally {
    await client.query('rollback')
  }
}

/** How a caller is called in a failing assertion. */
export function nameOf({ actor, principal, by }: Caller): string {
  return `${actor === principal ? principal : `${actor} for ${principal}`} by ${by}`
}

/** What a statement ends in: its rows, or the SQLSTATE of its error. The transaction goes on. */
export async function attempt<R extends pg.QueryResultRow>(
  client: pg.Client,
  sql: string,
  values: unknown[] = [],
): Promise<{ rows: R[]; code: string }> {
  await client.query('savepoint attempt')
  try {
    const { rows } = await client.query<R>(sql, values)
    return { rows, code: '00000' }
  } catch (error) {
    return { rows: [], code: (error as { code?: string }).code ?? String(error) }
  } finally {
    await client.query('rollback to savepoint attempt')
  }
}
