import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { deriveSigningKey } from '../../src/credential.js'
import { SignJWT } from 'jose'
import { actingStage, alice, bob, bot, type ActingStage } from '../acting/support/stage.js'
import { secret, sqlState } from '../extension/support/stage.js'
import { repositoryRoot } from '../support/repository.js'
import { blocksOf } from './blocks.js'

const block =
  blocksOf(join(repositoryRoot, 'extension', 'doc', 'postgrest.md')).find((b) => b.run === 'dba')
    ?.text ?? ''

let on: ActingStage
beforeAll(async () => {
  on = await actingStage()
  await on.db.admin.query(block)
})
afterAll(() => on.drop())

const { key, keyId } = deriveSigningKey(secret)
const token = (claims: Record<string, unknown>) =>
  new SignJWT(claims)
    .setProtectedHeader({ alg: 'HS256', kid: keyId })
    .setAudience(on.db.name)
    .setExpirationTime('1m')
    .sign(key)

/** What PostgREST does for a request, statement by statement. */
async function request(
  query: string,
  headers: Record<string, string>,
  claims: object = {},
): Promise<unknown[]> {
  const client = await on.app.connect()
  await client.query('begin')
  try {
    await client.query(
      `select set_config('role', $1, true), set_config('request.jwt.claims', $2, true), set_config('request.headers', $3, true)`,
      [on.app.name, JSON.stringify(claims), JSON.stringify(headers)],
    )
    await client.query('select api.enter_from_request()')
    return (await client.query<{ body: string }>(query)).rows.map(({ body }) => body)
  } finally {
    await client.query('rollback')
    await client.end()
  }
}

describe('the recipe for PostgREST', () => {
  const query = 'select body from memories order by body'

  it('enters by the token of the request', async () => {
    expect(
      await request(query, { authorization: `Bearer ${await token({ sub: alice })}` }),
    ).toEqual(['a alone', 'a in 1'])
    expect(
      await request(query, {
        authorization: `bearer ${await token({ sub: alice, act: { sub: bot } })}`,
      }),
    ).toHaveLength(2)
    expect(
      await request('select body from reach.memories order by body', {
        authorization: `Bearer ${await token({ sub: bob })}`,
      }),
    ).toHaveLength(4)
  })

  it('does not believe what the settings say', async () => {
    expect(await request(query, {}, { sub: alice })).toEqual([])
    expect(
      await request(
        query,
        { authorization: `Bearer ${await token({ sub: bob })}` },
        { sub: alice },
      ),
    ).toEqual(['b in 1', 'b in 2'])
    await expect(
      request(query, { authorization: 'Bearer eyJhbGciOiJub25lIn0.e30.' }),
    ).rejects.toSatisfy((e) => sqlState(e) === 'TN008')
  })
})
