import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type pg from 'pg'
import { chatty, leaked } from './support/listening.js'
import { expectRefusal } from './support/refusal.js'
import { claims, inSeconds, issuerKey, notesDatabase, token, type Notes } from './support/notes.js'

let notes: Notes
let attacker: pg.Client
let heard: string[]
let signingKey: Buffer
beforeAll(async () => {
  notes = await notesDatabase()
  const { db } = notes
  // Nobody but the superuser of this test reads the key; it is what the attacker must not hear.
  const { rows } = await db.admin.query<{ secret: Buffer }>(
    'select secret from tenantry_private.signing_keys',
  )
  signingKey = rows[0]?.secret ?? Buffer.alloc(0)
  expect(signingKey).toHaveLength(32)
  await db.admin.query(
    `select tenantry.register_entity('bot:1'); select tenantry.register_service('bot:1', 'user')`,
  )
  const role = await db.role('attacker')
  await db.admin.query('select tenantry.bind_role($1, $2, person => true)', [role.name, 'user:2'])
  attacker = await role.connect()
  heard = []
  const hear = (message: object) =>
    heard.push(JSON.stringify(message, Object.getOwnPropertyNames(message)))
  attacker.on('notice', hear)
  await attacker.query(chatty)
})
afterAll(async () => {
  await notes.db.drop()
})

/** Runs statements as the attacker, and listens to results and errors as well as to notices. */
async function listen(text: string, values: unknown[] = []): Promise<void> {
  try {
    const { rows } = await attacker.query(text, values)
    heard.push(JSON.stringify(rows))
  } catch (error) {
    heard.push(JSON.stringify(error, Object.getOwnPropertyNames(error)))
  }
}

describe('the settings of a session', () => {
  it('make a careless definer function show its keys: the control', async () => {
    await notes.db.admin.query(`
      create function public.careless() returns bytea language plpgsql security definer as $$
      declare
        key bytea := (select secret from tenantry_private.signing_keys);
        sealed bytea;
      begin
        select public.hmac(public.gen_random_bytes(4), key, 'sha256') into sealed;
        return sealed;
      end $$`)
    heard = []
    await listen('select public.careless()')
    expect(leaked(heard, [signingKey])).not.toEqual([])
    await notes.db.admin.query('drop function public.careless()')
    heard = []
  })

  it('do not make tenantry show its own, whatever is called and however it ends', async () => {
    const good = token(claims(notes.db, 'user:1'))
    const served = token(claims(notes.db, 'user:1', { act: { sub: 'bot:1' } }))
    const bad = [
      `${good.slice(0, -4)}AAAA`,
      token(claims(notes.db, 'user:1', { aud: 'x' })),
      token(claims(notes.db, 'user:1', { exp: inSeconds(-100) })),
      token(claims(notes.db, 'user:99')),
      token(claims(notes.db, 'user:2', { act: { sub: 'user:1' } })),
      token(claims(notes.db, 'user:1'), { header: { alg: 'HS512', kid: 'issuer' } }),
      token('no json'),
      `p1.${'0'.repeat(64)}.x`,
      '',
    ]
    for (const credential of [good, served, ...bad]) {
      for (const call of [
        'select tenantry.enter($1)',
        'select tenantry_private.enter_for_pass($1, 60)',
        'select tenantry_private.enter_for_pass($1, 0)',
        'select tenantry.enter_session($1)',
      ]) {
        await attacker.query('begin')
        await listen(call, [credential])
        await listen(`select * from tenantry.whoami()`)
        await listen(`select tenantry.principal('user'), tenantry.actor(), tenantry.may('select')`)
        await listen('select * from app.notes')
        await listen('insert into app.notes (id, body) values (500, $1)', ['x'])
        await listen(`update app.notes set body = 'y'`)
        await attacker.query('rollback')
        await listen('select tenantry.leave()')
      }
    }
    for (const setting of ['tenantry.context', 'tenantry.session']) {
      await attacker.query('begin')
      await attacker.query(`select set_config($1, $2, true)`, [
        setting,
        `${setting === 'tenantry.context' ? 'c1' : 's1'}.${'0'.repeat(64)}.x`,
      ])
      await listen(`select tenantry.principal('user')`)
      await attacker.query('rollback')
    }
    await listen('select tenantry.audience(), tenantry.version()')
    const everything = heard.join('\n')
    expect(everything.length).toBeGreaterThan(100_000)
    for (const part of ['note of one', 'DEBUG', 'parse tree:', 'TN008', 'TN004']) {
      expect([part, everything.includes(part)]).toEqual([part, true])
    }
    expect(leaked(heard, [signingKey, issuerKey])).toEqual([])
  })

  it('do not show an admin’s new keys either', async () => {
    const dba = await notes.db.role('dba', { allow: 'admin' })
    attacker = await dba.connect()
    heard = []
    attacker.on('notice', (message) =>
      heard.push(JSON.stringify(message, Object.getOwnPropertyNames(message))),
    )
    await attacker.query(chatty)
    await listen('select tenantry.initialise(rotate => true)')
    await listen(`select tenantry.assume('user:1')`)
    await listen('select * from tenantry.issuers')
    await listen('select * from tenantry.check()')
    await listen(`select tenantry.unregister_issuer('nobody')`)
    const { rows } = await notes.db.admin.query<{ secret: Buffer }>(
      'select secret from tenantry_private.signing_keys',
    )
    const renewed = rows[0]?.secret ?? Buffer.alloc(0)
    expect(renewed.equals(signingKey)).toBe(false)
    expect(heard.join('\n').length).toBeGreaterThan(1_000)
    expect(leaked(heard, [renewed, signingKey, issuerKey])).toEqual([])
  })
})

describe('other settings of a session', () => {
  it('change nothing in what is verified', async () => {
    const { client, db } = notes
    const settings = [
      `standard_conforming_strings = off`,
      `transform_null_equals = on`,
      `quote_all_identifiers = on`,
      `array_nulls = off`,
      `bytea_output = 'escape'`,
      `datestyle = 'SQL, DMY'`,
      `intervalstyle = 'sql_standard'`,
      `timezone = 'Asia/Kolkata'`,
      `search_path = pg_temp, app`,
      `row_security = off`,
      `default_transaction_read_only = on`,
      `statement_timeout = '10s'`,
      `xmloption = 'document'`,
      `extra_float_digits = -15`,
      `client_encoding = 'LATIN1'`,
      `session_replication_role = default`,
      `enable_seqscan = off`,
      `plan_cache_mode = force_generic_plan`,
      `from_collapse_limit = 1`,
      `lc_monetary = 'C'`,
    ]
    for (const setting of settings) {
      if (setting.startsWith('session_replication')) {
        await expectRefusal(client.query(`set ${setting}`), '42501')
        continue
      }
      await client.query(`set ${setting}`)
      await client.query('begin')
      await client.query('select tenantry.enter($1)', [token(claims(db, 'user:1'))])
      expect([setting, (await client.query('select body from app.notes')).rows]).toEqual([
        setting,
        [{ body: 'note of one' }],
      ])
      expect((await client.query('select principal from tenantry.whoami()')).rows).toEqual([
        { principal: 'user:1' },
      ])
      await client.query('rollback')
      await client.query('begin')
      await expectRefusal(
        client.query('select tenantry.enter($1)', [
          `${token(claims(db, 'user:1')).slice(0, -4)}AAAA`,
        ]),
        'TN008',
      )
      await client.query('rollback')
      await client.query('reset all')
    }
    await client.query('begin')
    await client.query(`set local default_transaction_isolation = 'serializable'`)
    await client.query('rollback')
  })
})
