import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { deriveSigningKey, mintCredential, type Tenantry } from '../../src/index.js'
import { identityOf } from '../../src/identity.js'
import { caught, createSecretWorld, formsOf, printed, type SecretWorld } from './secret-world.js'
import { EVERY_WAY, user } from './world.js'

// What goes wrong with the key share, or beside it, says so, and says nothing of the share.

let world: SecretWorld
beforeAll(async () => {
  world = await createSecretWorld()
  await world.encrypt()
})
afterAll(() => world.end())

const write = (db: Tenantry, who: number, token: string) =>
  db.as(user(who)).query('insert into vault (id, token) values ($1, $2)', [who, token])

it('is refused with words when it is another secret’s, and nothing is written', async () => {
  const secret = 'another secret, long enough to be one'
  await world.register(secret)
  const db = world.open({ secret })
  for (let n = 0; n < 2; n += 1) {
    const error = await caught(write(db, 1, 'never'))
    expect(error).toMatchObject({
      code: 'TN005',
      message: expect.stringMatching(/share/) as string,
    })
    for (const form of [...formsOf(world.share), 'never']) {
      expect(printed(error) + JSON.stringify(error)).not.toContain(form)
    }
  }
  expect(await world.stored()).toEqual([])
  await write(world.open(), 1, 'of one')
  expect(await world.stored()).toHaveLength(1)
})

describe('a login whose errors list the parameters', () => {
  const secret = 'a secret that nobody registered, long enough'
  const listing = { options: '-c log_parameter_max_length_on_error=-1' }

  it('would show the share in an error of the bare driver', async () => {
    const client = new pg.Client({ ...world.login, ...listing })
    await client.connect()
    const expiresAt = Math.floor(Date.now() / 1000) + 60
    const token = mintCredential(deriveSigningKey(secret), identityOf(user(1)), {
      audience: world.db.name,
      expiresAt,
    })
    const error = await caught(client.query('select tenantry.enter($1, $2)', [token, world.share]))
    await client.end()
    expect(printed(error)).toContain(world.share.toString('hex'))
  })

  it.each(EVERY_WAY)('does not show it in one of the runtime ($name)', async ({ options }) => {
    const db = world.open({ secret, keyShare: true, ...options }, listing)
    const error = await caught(db.as(user(1)).query('select 1'))
    expect(error).toMatchObject({ code: 'TN008' })
    const text = printed(error) + JSON.stringify(error)
    expect(text).not.toMatch(/[0-9a-f]{64}/)
    expect(text).not.toContain('eyJ')
  })
})
