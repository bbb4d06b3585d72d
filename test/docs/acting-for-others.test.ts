import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import pg from 'pg'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { deriveSigningKey } from '../../src/credential.js'
import { acme, actingStage, alice, type ActingStage } from '../acting/support/stage.js'
import { secret } from '../extension/support/stage.js'
import { repositoryRoot } from '../support/repository.js'
import { blocksOf } from './blocks.js'

const blocks = blocksOf(join(repositoryRoot, 'extension', 'doc', 'acting-for-others.md'))
const textOf = (run: string) => blocks.find((block) => block.run === run)?.text ?? ''
const folder = join(repositoryRoot, '.cache', `acting-${process.pid}`)

let on: ActingStage
beforeAll(async () => {
  on = await actingStage()
  mkdirSync(folder, { recursive: true })
})
afterAll(async () => {
  vi.unstubAllEnvs()
  rmSync(folder, { recursive: true, force: true })
  await on.drop()
})

test('every block is run', () => {
  expect(blocks.map((block) => block.run)).toEqual(['mint', 'enter'])
})

test('a person in psql works for an organisation', async () => {
  expect(acme).toBe('org:1')
  const { keyId, key } = deriveSigningKey(secret)
  await on.db.admin.query('select tenantry.register_issuer($1, $2)', [keyId, key])
  vi.stubEnv('TENANTRY_SECRET', secret)
  const { rows: audience } = await on.db.admin.query<{ audience: string }>(
    'select tenantry.audience()',
  )
  writeFileSync(
    join(folder, 'mint.ts'),
    [
      textOf('mint')
        .replace(`'tenantry'`, JSON.stringify(join(repositoryRoot, 'src', 'index.js')))
        .replace(`'shop'`, JSON.stringify(audience[0]?.audience))
        .replace('actor: alice', `actor: ${JSON.stringify(alice)}`),
      'export { credential }',
    ].join('\n'),
  )
  const { credential } = (await import(join(folder, 'mint.ts'))) as { credential: string }
  const person = await on.db.role('person')
  await on.db.admin.query('select tenantry.bind_role($1, $2, person => true)', [person.name, alice])
  const psql = await person.connect()
  const names = async () =>
    (await psql.query<{ name: string }>('select name from projects')).rows.map(({ name }) => name)
  expect(await names()).toEqual([])
  await psql.query(textOf('enter').replace(`:'credential'`, pg.escapeLiteral(credential)))
  expect(await names()).toEqual(['rocket'])
  await psql.query('select tenantry.leave()')
  expect(await names()).toEqual([])
  await psql.end()
})
