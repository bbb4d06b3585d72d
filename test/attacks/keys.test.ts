import type pg from 'pg'
import { afterAll, beforeAll, describe, expect } from 'vitest'
import { attack, control } from './support/attack.js'
import { type Town, bob, ids, state, town } from './support/town.js'

describe('the keys', () => {
  let at: Town
  let client: pg.Client
  beforeAll(async () => {
    at = await town()
    client = await at.connect()
  })
  afterAll(() => at.drop())

  attack('keys shown by debugging settings', async () => {
    const said: string[] = []
    const everything = await at.connect()
    everything.on('notice', (notice) => said.push(JSON.stringify(notice)))
    for (const setting of [
      'client_min_messages = debug5',
      'debug_print_plan = on',
      'debug_print_parse = on',
      'debug_print_rewritten = on',
      'plpgsql.print_strict_params = on',
      `plpgsql.extra_warnings = 'all'`,
      'log_parameter_max_length_on_error = -1',
      'plan_cache_mode = force_custom_plan',
    ]) {
      await state(everything.query(`set ${setting}`))
    }
    const fails = async (sql: string, values: unknown[]): Promise<void> => {
      try {
        const { rows } = await everything.query<Record<string, unknown>>(sql, values)
        said.push(JSON.stringify(rows))
      } catch (error) {
        const { message, detail, hint, where } = error as pg.DatabaseError
        said.push([message, detail, hint, where].join())
      }
    }
    const good = at.credential(bob.entity)
    await everything.query('begin')
    for (const credential of [good, `${good}x`, at.credential('user:x'), 'p1.x', '']) {
      await everything.query('savepoint a')
      await fails('select tenantry.enter($1)', [credential])
      await fails('select * from tenantry.whoami()', [])
      await everything.query('rollback to savepoint a')
      await fails('select tenantry_private.enter_for_pass($1, 60)', [credential])
      await everything.query('rollback to savepoint a')
      await fails('select tenantry.enter_session($1)', [credential])
      await everything.query('rollback to savepoint a')
    }
    await everything.query('rollback')
    const { rows } = await at.db.admin.query<{ secret: Buffer }>(
      'select secret from tenantry_private.signing_keys union all select secret from tenantry_private.issuer_keys',
    )
    expect(rows.length).toBeGreaterThan(1)
    // The control: the settings do print plans, with their constants.
    const before = said.length
    await fails(`select '\\x00112233445566778899'::bytea as canary`, [])
    control(said.slice(before).join()).toContain('constvalue')
    const text = said.join('\n')
    expect(text.length).toBeGreaterThan(1_000)
    for (const { secret } of rows) {
      for (const shape of [
        secret.toString('hex'),
        secret.toString('base64'),
        secret.toString('base64url'),
        secret.toString('latin1'),
        [...secret].map((byte) => (byte > 127 ? byte - 256 : byte)).join(' '),
        [...secret].join(' '),
      ]) {
        expect(text.includes(shape.slice(0, 24))).toBe(false)
      }
    }
    expect(await ids(client, `select 1`)).toEqual(['1'])
  })
})
