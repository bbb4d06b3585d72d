import { inspect } from 'node:util'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { ArgumentError, secret as conceal, TenantryError } from '../../src/index.js'
import {
  anna,
  bert,
  caught,
  full,
  names,
  revealed,
  secretAccessors,
  type SecretAccessors,
} from './support/secrets.js'

// Secrets are written plain, come back opened in the same round trip, and stay out of errors.

let on: SecretAccessors

beforeAll(async () => {
  on = await secretAccessors()
})
afterAll(() => on.drop())
beforeEach(() => on.refill())

describe('writing', () => {
  const stored = async (id: number) =>
    (
      await on.on.db.admin.query<Record<string, unknown>>(
        `select token, pin, email, note, settings, whole, raw, email_index from vault where id = $1`,
        [id],
      )
    ).rows[0]!

  it('seals, plain or Secret alike', async () => {
    const { vault } = on.as(anna)
    await vault.insertMany([
      { ...full, id: 3, email: null },
      {
        id: 4,
        token: conceal('sk-1'),
        pin: conceal('1234'),
        note: conceal(full.note),
        settings: conceal(full.settings),
        whole: conceal('a JSON string'),
        raw: conceal(full.raw),
      },
    ])
    const rows = await vault.findMany({ where: { id: { gt: 2 } }, select: [...names] })
    expect(rows.map(revealed)).toEqual(
      Array(2).fill({ ...full, id: undefined, email: null }) as unknown[],
    )
    // A sealed value is random bytes, in which a short plaintext may occur: its form is asked, too.
    const sealed = expect.stringMatching(/^tn1:[A-Za-z0-9+/]{80,}={0,2}$/) as string
    for (const row of [await stored(3), await stored(4)]) {
      expect(row).toEqual({
        token: sealed,
        pin: sealed,
        email: null,
        email_index: null,
        note: sealed,
        settings: { theme: 'dark', secrets: sealed, deep: { key: sealed, open: true } },
        whole: sealed,
        raw: expect.any(Buffer) as Buffer,
      })
      expect((row.raw as Buffer).length).toBeGreaterThan(full.raw.length + 40)
      expect((row.raw as Buffer).includes(full.raw)).toBe(false)
      expect(inspect(row, { depth: 9 })).not.toMatch(/sk-1|a JSON string|\ba: 1\b/)
    }
  })

  it('gives back what it stored, opened, in one statement and one round trip', async () => {
    const near = on.tapped.as(on.user(anna))
    await near.vault.count()
    on.tap.reset()
    const made = await near.vault.upsert(
      { id: 5, token: 'first', email: 'five@x' },
      { select: ['id', 'token', 'email'] },
    )
    expect(revealed(made)).toEqual({ id: 5, token: 'first', email: 'five@x' })
    expect(on.tap.count).toMatchObject({ flights: 1, sent: 'PBEPBDES' })
    const landed = await near.vault.upsert(
      { id: 6, token: 'second', email: 'five@x' },
      { onConflict: 'vault_email', update: ['token'], select: ['id', 'token', 'email'] },
    )
    expect(revealed(landed)).toEqual({ id: 5, token: 'second', email: 'five@x' })
    expect(on.tap.count).toMatchObject({ flights: 2 })
    expect(on.tap.words.parsed).toContain('on conflict ("owner_id", "email_index") do update')
    expect(on.tap.words.parsed).toContain(`tenantry_private.ring_now('user')`)
    on.tap.reset()
    await near.vault.findMany({ select: ['token', 'pin'] })
    expect(on.tap.count).toMatchObject({ flights: 1 })
    expect(on.tap.words.parsed).toContain(`(select tenantry_private.ring('user'))`)
    expect(await on.as(bert).vault.count({ where: { email: 'anna@x' } })).toBe(1)
  })

  it('keeps the blind index in step, by whatever call', async () => {
    const { vault } = on.as(anna)
    const found = async (email: string) =>
      (await vault.findMany({ where: { email }, select: ['id'] })).map(({ id }) => id)
    await vault.updateById(1, { email: 'new@x' })
    expect([await found('new@x'), await found('anna@x')]).toEqual([[1], []])
    await vault.upsert({ id: 1, token: 'x', email: conceal('newer@x') })
    expect([await found('newer@x'), await found('new@x')]).toEqual([[1], []])
    await vault.update({ where: { email: 'newer@x' }, set: { email: null } })
    expect(await found('newer@x')).toEqual([])
    expect((await stored(1)).email_index).toBeNull()
  })

  it('keeps an empty text, and refuses a second row with the same secret', async () => {
    const { vault } = on.as(anna)
    const empty = await vault.insert({ id: 7, token: '', pin: '' }, { select: ['token', 'pin'] })
    expect(revealed(empty)).toEqual({ token: '', pin: '' })
    await expect(vault.insert({ id: 8, token: 'x', email: 'anna@x' })).rejects.toMatchObject({
      code: 'TN_CONSTRAINT',
      constraint: 'vault_email',
    })
    await vault.insert({ id: 8, token: 'x', email: 'anna2@x' })
  })

  it('refuses a Secret where it would not stay one', async () => {
    const { vault } = on.as(anna)
    for (const call of [
      () => vault.updateById(1, { label: conceal('x') as never }),
      () => vault.findMany({ where: { label: conceal('x') as never } }),
      () => vault.updateById(1, { settings: { a: [conceal('x')] } as never }),
      () => on.as(anna).query('update vault set label = $1', [conceal('x')]),
      () => on.as(anna).insertMany('vault', ['id', 'token'], [[9, conceal('x')]]),
    ]) {
      await expect(call()).rejects.toThrow(ArgumentError)
    }
    await vault.updateById(1, { label: conceal('x').reveal() })
    await on.as(anna).insertMany('vault', ['id', 'token'], [[9, 'x']])
    expect(revealed(await vault.findById(9, { select: ['token'] }))).toEqual({ token: 'x' })
  })
})

describe('errors', () => {
  it('say that the share is missing or a value was refused, and quote nothing', async () => {
    const none = on.open({ keyShare: false })
    const { vault } = none.as(on.user(anna))
    for (const call of [
      () => vault.findMany({ select: ['token'] }),
      () => vault.findMany({ where: { email: 'anna@x' } }),
      () => vault.insert({ id: 9, token: 'never' }),
      () => vault.updateById(1, { token: 'never' }),
    ]) {
      const error = await caught(call())
      expect(error).toBeInstanceOf(TenantryError)
      expect(error).toMatchObject({ code: 'TN005', hint: expect.stringMatching(/./) as string })
      expect((error as Error).cause).toBeUndefined()
      expect(inspect(error, { depth: 9 })).not.toMatch(/never|anna@x/)
    }
    expect(await vault.findMany()).toHaveLength(1)

    await on.on.db.admin.query(
      `set session_replication_role = replica;
       update vault set token = (select token from vault where id = 2) where id = 1;
       reset session_replication_role`,
    )
    const refused = await caught(on.as(anna).vault.findMany({ select: ['token'] }))
    expect(refused).toBeInstanceOf(TenantryError)
    expect(refused).toMatchObject({ code: 'TN006', hint: expect.stringMatching(/./) as string })
    expect((refused as Error).cause).toBeUndefined()
    expect(await on.as(anna).vault.findMany({ select: ['pin'] })).toHaveLength(1)
    expect(await on.as(bert).vault.findMany({ select: ['token'] })).toHaveLength(1)
  })

  it('do not list what was given, though the session has the server list it', async () => {
    const listing = { options: '-c log_parameter_max_length_on_error=-1' }
    const session = on.open({}, listing).as(on.user(anna))
    const bare = await caught(
      session.query('insert into vault (id, token) values (1, $1)', ['plain-9']),
    )
    expect(inspect(bare)).toContain('plain-9')
    for (const call of [
      () => session.vault.insert({ id: 9, token: 'plain-9', pin: 'longer than eight' }),
      () => session.vault.insert({ id: 'x' as never, token: 'plain-9' }),
      () => session.vault.updateById(1, { settings: { secrets: 'plain-9\u0000' } }),
      () => session.vault.insert({ id: 1, token: 'plain-9' }),
    ]) {
      const error = await caught(call())
      expect(error).toBeInstanceOf(Error)
      expect(inspect(error, { depth: 9, showHidden: true })).not.toContain('plain-9')
    }
  })
})
