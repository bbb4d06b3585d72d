import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type pg from 'pg'
import { connectionState } from '../../src/runtime/connection.js'
import { contexts } from '../../src/runtime/contexts.js'
import type { RawClient } from '../../src/runtime/pg-internals.js'
import type { Transport } from '../../src/runtime/transport.js'
import { awaitedTransport } from '../../src/runtime/transport-awaited.js'
import { pipelineTransport } from '../../src/runtime/transport-pipeline.js'
import { syncTransport } from '../../src/runtime/transport-sync.js'
import { isTenantryError } from '../../src/errors.js'
import { identityOf, type Identity } from '../../src/identity.js'
import { agent, codeOf, createWorld, EVERY_WAY, user, type World } from './world.js'

let world: World
beforeAll(async () => {
  world = await createWorld()
})
afterAll(() => world.end())

/** How often a statement that advances the probe has run, rolled back or not. */
async function probed(): Promise<number> {
  const { rows } = await world.db.admin.query<{ n: string; called: boolean }>(
    'select last_value as n, is_called as called from probe',
  )
  return rows[0]!.called ? Number(rows[0]!.n) : 0
}

const PROBE = "select nextval('probe')"

describe.each(EVERY_WAY)('$name: no query runs without its context', ({ options }) => {
  it('but it runs with it', async () => {
    const before = await probed()
    await world.open(options).as(user(1)).query(PROBE)
    expect(await probed()).toBe(before + 1)
  })

  it.each([
    [
      'a secret the database does not know',
      { secret: 'another secret of at least 32 bytes' },
      user(1),
      undefined,
      'TN008',
    ],
    ['another audience', { audience: 'elsewhere' }, user(1), undefined, 'TN008'],
    ['an actor that may not act for the principal', {}, agent(1), user(2), 'TN004'],
    ['an entity that does not exist', {}, user(100_000), undefined, 'TN009'],
  ] as const)('%s', async (_, wrong, actor, principal, code) => {
    const db = world.open({ ...options, ...wrong })
    const before = await probed()
    const session = db.as(actor, { for: principal })

    const error: unknown = await session.query(PROBE).catch((caught: unknown) => caught)
    expect(isTenantryError(error, code)).toBe(true)
    expect((error as { hint?: string }).hint).toBeTruthy()
    expect(await codeOf(session.client.query(PROBE))).toBe(code)
    expect(await codeOf(session.transaction((tx) => tx.query(PROBE)))).toBe(code)

    const client = await session.client.connect()
    await client.query('begin')
    expect(await codeOf(client.query(PROBE))).toBe(code)
    expect(await codeOf(client.query(PROBE))).toMatch(/25P02|TN_TRANSACTION_FAILED/)
    await client.query('rollback')
    expect(await codeOf(client.query(PROBE))).toBe(code)
    client.release()

    expect(await probed()).toBe(before)
  })
})

describe.each([
  { name: 'sync', transport: syncTransport(false), pipeline: false },
  { name: 'sync on a pipelined client', transport: syncTransport(false), pipeline: true },
  { name: 'awaited', transport: awaitedTransport, pipeline: false },
  { name: 'pipeline', transport: pipelineTransport, pipeline: true },
])('$name: when BEGIN itself fails', ({ name, transport, pipeline }) => {
  it('the call fails, and no protected row was shown', async () => {
    const pool = world.pool({ pipeline, max: 1 })
    const client = (await pool.connect()) as unknown as RawClient
    const before = await probed()
    const outcome = await runOn(transport, client, identityOf(user(1)), {
      begin: 'begin isolation level nonsense',
      text: `${PROBE}, (select count(*)::int from notes) as visible`,
    })
    expect(outcome).toMatchObject({ error: { code: '42601' }, contextFailed: true })
    expect(outcome.result).toBeUndefined()
    // With a Sync for each statement the server goes on after an error: it ran, without a context.
    expect(await probed()).toBe(name === 'pipeline' ? before + 1 : before)
    ;(client as unknown as pg.PoolClient).release(true)
  })
})

function runOn(
  transport: Transport,
  client: RawClient,
  who: Identity,
  { begin, text }: { begin: string; text: string },
): Promise<{ error: unknown; result: unknown; contextFailed: boolean | undefined }> {
  const { statement } = contexts({
    secret: world.secret,
    audience: world.db.name,
    credentialTtl: 60,
    contextTtl: 0,
  })
  return new Promise((resolve) => {
    transport(
      {
        client,
        state: connectionState(client),
        spec: { text },
        opening: { context: statement(who), begin },
      },
      (error, result, contextFailed) => resolve({ error, result, contextFailed }),
    )
  })
}

describe('sessions the database refuses', () => {
  it.each([
    ['a superuser', 'superuser'],
    ['a role with BYPASSRLS', 'bypassrls'],
    ['a role that was not allowed', undefined],
  ])('%s: the error says which role to use', async (name, attribute) => {
    const role = await world.db.role(name.replaceAll(' ', '_'), {
      ...(attribute ? { allow: 'user' } : {}),
      ordinary: false,
    })
    // Given later: tenantry.allow() would not have such a role.
    if (attribute) await world.db.admin.query(`alter role "${role.name}" ${attribute}`)
    const db = world.open({}, { connectionString: role.url })
    const error: unknown = await db
      .as(user(1))
      .query('select 1')
      .catch((caught: unknown) => caught)
    expect(isTenantryError(error)).toBe(true)
    expect(['TN010', 'TN_NOT_ALLOWED']).toContain((error as { code: string }).code)
    expect((error as { hint?: string }).hint).toMatch(/tenantry\.allow\(/)
  })

  it('and a database without tenantry', async () => {
    const { testDatabase } = await import('../support/database.js')
    const empty = await testDatabase({ empty: true })
    const role = await empty.role('app')
    const db = world.open({}, { connectionString: role.url })
    expect(await codeOf(db.as(user(1)).query('select 1'))).toBe('TN_NOT_INSTALLED')
    const known = world.open({ audience: empty.name }, { connectionString: role.url })
    expect(await codeOf(known.as(user(1)).query('select 1'))).toBe('TN_NOT_INSTALLED')
    await Promise.all([db.end(), known.end()])
    await empty.drop()
  })
})
