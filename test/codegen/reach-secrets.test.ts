import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { Secret } from '../../src/index.js'
import {
  anna,
  bert,
  caught,
  full,
  revealed,
  secretAccessors,
  type SecretAccessors,
} from './support/secrets.js'

let on: SecretAccessors

beforeAll(async () => {
  on = await secretAccessors()
})
beforeEach(() => on.refill())
afterAll(() => on.drop())

/** Bert gets some of what Anna may, and not decrypt. */
const delegated = (...privileges: string[]) =>
  on.as(anna).query('select tenantry.delegate($1, $2)', [on.user(bert), privileges])

const secretsOf = async () =>
  revealed(await on.as(anna).vault.findById(1, { select: ['id', 'label', 'token', 'pin'] }))

describe('secrets on the reach path', () => {
  it('are left out of rows, of their owner and of others', async () => {
    expect(await on.as(anna).reach.vault.findMany()).toEqual([
      { id: 1, owner_id: anna, label: null },
    ])
    await delegated('select')
    expect(await on.as(bert).reach.vault.findMany({ orderBy: ['id'] })).toEqual([
      { id: 1, owner_id: anna, label: null },
      { id: 2, owner_id: bert, label: null },
    ])
    // positive control
    expect(await secretsOf()).toMatchObject({ token: full.token, pin: full.pin })
  })

  it('are neither selected nor searched for, whatever the compiler was told', async () => {
    const { vault } = on.as(bert).reach
    for (const work of [
      vault.findMany({ select: ['token'] as never }),
      vault.insert({ id: 3, token: 'x' }, { select: ['token'] as never }),
      vault.findMany({ where: { email: full.email } as never }),
      vault.findMany({ where: { email: { in: [full.email] } } as never }),
      vault.findMany({ orderBy: ['token'] as never }),
      vault.upsert({ id: 3, token: 'x' }, { onConflict: 'vault_email' as never }),
    ]) {
      expect(await caught(work)).toMatchObject({ code: 'TN_ARGUMENT' })
    }
    expect(await on.as(bert).vault.count({ where: { email: full.email } })).toBe(1)
    const absent = { where: { pin: null } as never }
    expect(await vault.count(absent)).toBe(1)
  })

  it('are sealed for the owner of the row by whoever writes them', async () => {
    await delegated('select', 'insert', 'update')
    const { vault } = on.as(bert).reach
    const row = await vault.insert({ id: 5, owner_id: anna, token: new Secret('by Bert') })
    expect(row).toEqual({ id: 5, owner_id: anna, label: null })
    const read = await on.as(anna).vault.findById(5, { select: ['token'] })
    expect(revealed(read)).toEqual({ token: 'by Bert' })

    await vault.updateById(1, { token: 'changed', label: 'by Bert' })
    expect(await secretsOf()).toEqual({ id: 1, label: 'by Bert', token: 'changed', pin: full.pin })
    await vault.upsert({ id: 1, token: 'upserted' })
    expect(await secretsOf()).toMatchObject({ token: 'upserted', label: 'by Bert' })
    // He wrote them, and does not read them.
    const acting = on.open().as(on.user(bert), { for: on.user(anna) }).vault
    expect(revealed(await acting.findById(1, { select: ['id', 'token'] }))).toEqual({
      id: 1,
      token: null,
    })
  })

  it('are not in errors of those who write them', async () => {
    const error = await caught(
      on.as(bert).reach.vault.insert({ id: 1, token: 'a secret of Bert', pin: '123456789' }),
    )
    expect(error).toBeInstanceOf(Error)
    expect(JSON.stringify(error) + String(error)).not.toMatch(/a secret of Bert|123456789/)
  })
})
