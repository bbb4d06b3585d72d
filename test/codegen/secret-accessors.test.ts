import { inspect } from 'node:util'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { AccessError, ArgumentError, identity, Secret, secret as conceal } from '../../src/index.js'
import {
  anna,
  bert,
  full,
  names,
  revealed,
  secretAccessors,
  type SecretAccessors,
} from './support/secrets.js'

// Secrets are read where they are named, and searched by what their blind indexes know.

let on: SecretAccessors

beforeAll(async () => {
  on = await secretAccessors()
  await on.on.db.admin.query(`
    select tenantry.register_entity('bot:1');
    select tenantry.register_service('bot:1', 'user')`)
})
afterAll(() => on.drop())
beforeEach(() => on.refill())

describe('reading', () => {
  it('opens what is named, of every type, and leaves the rest alone', async () => {
    const { vault } = on.as(anna)
    expect(await vault.findMany()).toEqual([{ id: 1, owner_id: anna, label: null }])
    const row = await vault.findById(1, { select: ['id', ...names] })
    for (const name of names) expect(row?.[name]).toBeInstanceOf(Secret)
    expect(revealed(row)).toEqual(full)
    expect(inspect(row, { depth: 9, showHidden: true })).not.toMatch(/sk-1|anna@x|1234/)
    expect(JSON.parse(JSON.stringify(row))).toEqual({
      id: 1,
      ...Object.fromEntries(names.map((name) => [name, '[secret]'])),
    })
  })

  it('gives null for NULL, and nothing of others', async () => {
    const row = await on.as(bert).vault.findById(2, { select: [...names] })
    expect(revealed(row)).toMatchObject({ token: 'of Bert', pin: null, raw: null, settings: {} })
    expect(await on.as(bert).vault.findById(1, { select: ['token'] })).toBeNull()
    expect(await on.as(bert).vault.findMany({ select: ['token'] })).toHaveLength(1)
  })

  it('gives null without the privilege decrypt, and refuses to write that null back', async () => {
    const bot = on.open().as(identity('bot')('1'), { for: on.user(anna) })
    expect(await bot.vault.findMany({ select: ['id', 'token', 'note'] })).toEqual([
      { id: 1, token: null, note: null },
    ])
    await expect(bot.vault.updateById(1, { pin: null })).rejects.toThrow(AccessError)
    expect(await bot.vault.updateById(1, { token: 'by the bot' }, { select: ['token'] })).toEqual({
      token: null,
    })
    expect(revealed(await on.as(anna).vault.findById(1, { select: ['token', 'pin'] }))).toEqual({
      token: 'by the bot',
      pin: '1234',
    })
    expect(await on.as(anna).vault.updateById(1, { pin: null }, { select: ['pin'] })).toEqual({
      pin: null,
    })
  })

  it('is recorded where the column is audited, and only there', async () => {
    const readings = async () =>
      (
        await on.on.db.admin.query<{ column_name: string }>(
          'select column_name from tenantry.secret_readings',
        )
      ).rows.length
    const before = await readings()
    await on.as(anna).vault.findMany({ select: ['token', 'settings'] })
    expect(await readings()).toBe(before)
    await on.as(anna).vault.findMany({ select: ['note', 'token'] })
    await on.as(anna).vault.updateById(1, { label: 'x' }, { select: ['note'] })
    expect(await readings()).toBe(before + 2)
  })
})

describe('filtering', () => {
  it('finds by blind index and by null, own rows alone', async () => {
    const { vault } = on.as(anna)
    expect(await vault.findMany({ where: { email: 'anna@x' }, select: ['id'] })).toEqual([
      { id: 1 },
    ])
    expect(await vault.count({ where: { email: conceal('anna@x') } })).toBe(1)
    expect(await vault.count({ where: { email: 'Anna@x' } })).toBe(0)
    expect(await vault.count({ where: { email: { not: null }, pin: { not: null } } })).toBe(1)
    expect(await vault.count({ where: { pin: null } })).toBe(0)
    expect(await vault.delete({ where: { email: 'anna@x' } })).toBe(1)
    expect(await on.as(bert).vault.count({ where: { email: 'anna@x' } })).toBe(1)
  })

  it('raises, before anything is sent, what does not compile', async () => {
    const far = on.tapped.as(on.user(anna))
    await far.vault.count({ where: { email: 'anna@x' } })
    on.tap.reset()
    for (const options of [
      { where: { token: 'sk-1' } },
      { where: { token: conceal('sk-1') } },
      { where: { token: { in: ['sk-1'] } } },
      { where: { pin: { gte: '0' } } },
      { where: { email: { in: ['anna@x'] } } },
      { where: { email: { lt: 'b' } } },
      { where: { email: { not: 'b' } } },
      { where: { whole: 'a JSON string' } },
      { where: { raw: Buffer.alloc(1) } },
      { where: { email_index: Buffer.alloc(32) } },
      { orderBy: ['token'] },
      { orderBy: ['-email'] },
      { select: ['email_index'] },
    ]) {
      await expect(far.vault.findMany(options as never)).rejects.toThrow(ArgumentError)
    }
    const { where } = { where: { token: 'sk-1' } as never }
    await expect(far.vault.update({ where, set: { label: 'x' } })).rejects.toThrow(ArgumentError)
    await expect(far.vault.delete({ where })).rejects.toThrow(ArgumentError)
    await expect(far.vault.count({ where })).rejects.toThrow(ArgumentError)
    expect(on.tap.count.sent).toBe('')
  })
})
