import { createHmac, generateKeyPairSync, randomBytes, sign } from 'node:crypto'
import type pg from 'pg'
import { afterAll, beforeAll, describe, expect } from 'vitest'
import { attack, control } from './support/attack.js'
import { type Town, alice, bob, signing, state, town } from './support/town.js'

const part = (value: unknown): string =>
  Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url')

describe('credentials', () => {
  let at: Town
  let client: pg.Client
  let header: Record<string, unknown>
  let claims: Record<string, unknown>
  beforeAll(async () => {
    at = await town()
    client = await at.connect()
    header = { alg: 'HS256', typ: 'JWT', kid: signing.keyId }
    claims = { sub: bob.entity, aud: at.db.name, exp: seconds(60) }
  })
  afterAll(() => at.drop())

  const seconds = (from: number): number => Math.floor(Date.now() / 1000) + from

  function token(head: unknown, body: unknown, key: string | Buffer = signing.key): string {
    const signed = `${part(head)}.${part(body)}`
    return `${signed}.${createHmac('sha256', key).update(signed).digest('base64url')}`
  }

  const ends = (credential: unknown): Promise<string> =>
    state(client.query('select tenantry.enter($1)', [credential]))

  attack('a token without a signature, or with another algorithm', async () => {
    control(await ends(token(header, claims))).toBe('00000')
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
    for (const alg of [
      'none',
      'None',
      'HS512',
      'hs256',
      'RS256',
      'ES256',
      '',
      null,
      undefined,
      256,
    ]) {
      const head = { ...header, alg }
      expect(await ends(token(head, claims)), `${alg} signed`).toBe('TN008')
      expect(await ends(`${part(head)}.${part(claims)}.`), `${alg} unsigned`).toBe('TN008')
      const rsa = sign('sha256', Buffer.from(`${part(head)}.${part(claims)}`), privateKey)
      expect(await ends(`${part(head)}.${part(claims)}.${rsa.toString('base64url')}`)).toBe('TN008')
    }
    expect(await ends(token({ ...header, crit: ['exp'] }, claims))).toBe('TN008')
    expect(await ends(token({ ...header, b64: false, crit: ['b64'] }, claims))).toBe('TN008')
    // Another spelling of the right header is a header all the same.
    expect(await ends(token({ kid: signing.keyId, typ: 'JWT', alg: 'HS256' }, claims))).toBe(
      '00000',
    )
  })

  attack('a token by another key', async () => {
    for (const key of ['', 'x', signing.keyId, randomBytes(32), signing.key.subarray(1)]) {
      expect(await ends(token(header, claims, key))).toBe('TN008')
    }
    for (const kid of [
      '',
      'other',
      null,
      undefined,
      1,
      `${signing.keyId} `,
      "' or true --",
      '%',
      '../../dev/null',
    ]) {
      expect(await ends(token({ ...header, kid }, claims)), `kid ${kid}`).toBe('TN008')
    }
    const [head, body, signature] = token(header, claims).split('.')
    const other = part({ ...claims, sub: alice.entity })
    expect(await ends(`${head}.${other}.${signature}`)).toBe('TN008')
    expect(await ends(`${head}.${body}.${signature?.toUpperCase()}`)).toBe('TN008')
    expect(await ends(`${head}.${body}.${signature?.slice(0, -1)}`)).toBe('TN008')
    expect(await ends(`${head}.${body}.${signature}=`)).toBe('TN008')
  })

  attack('a token for another database', async () => {
    for (const aud of [
      'postgres',
      '',
      null,
      undefined,
      [],
      ['postgres'],
      {},
      { [at.db.name]: 1 },
      1,
      at.db.name.toUpperCase(),
    ]) {
      expect(await ends(token(header, { ...claims, aud })), JSON.stringify(aud)).toBe('TN008')
    }
    control(await ends(token(header, { ...claims, aud: ['postgres', at.db.name] }))).toBe('00000')
  })

  attack('a token that has expired, never expires, or is not valid yet', async () => {
    expect(await ends(token(header, { ...claims, exp: seconds(-60) }))).toBe('TN003')
    for (const exp of [undefined, null, 'tomorrow', String(seconds(60)), [], true]) {
      expect(await ends(token(header, { ...claims, exp })), `exp ${exp}`).toBe('TN008')
    }
    for (const exp of [seconds(60 * 86_400), Number.MAX_SAFE_INTEGER, 1e300]) {
      expect(await ends(token(header, { ...claims, exp })), `exp ${exp}`).toMatch(
        /^(TN008|22\d\d\d)$/,
      )
    }
    expect(await ends(token(header, { ...claims, exp: -1e300 }))).toMatch(/^(TN003|22\d\d\d)$/)
    expect(await ends(token(header, { ...claims, nbf: seconds(60) }))).toBe('TN008')
    expect(await ends(token(header, { ...claims, nbf: 'now' }))).toBe('TN008')
    control(await ends(token(header, { ...claims, nbf: seconds(-60) }))).toBe('00000')
  })

  attack('a token whose claims are no entities', async () => {
    for (const sub of [
      undefined,
      null,
      '',
      'user',
      'user:',
      ':x',
      'User:x',
      1,
      {},
      [bob.entity],
      `user:${'x'.repeat(300)}`,
      'user:\x1f',
      `${bob.entity}\n`,
    ]) {
      expect(await ends(token(header, { ...claims, sub })), JSON.stringify(sub)).toMatch(
        /^(TN008|TN009)$/,
      )
    }
    for (const act of [
      null,
      'x',
      {},
      [],
      { sub: 1 },
      { act: { sub: bob.entity } },
      { sub: bob.entity, act: [] },
    ]) {
      expect(await ends(token(header, { ...claims, act })), JSON.stringify(act)).toBe('TN008')
    }
    let deep: Record<string, unknown> = { sub: bob.entity }
    for (let level = 0; level < 20; level++) deep = { sub: bob.entity, act: deep }
    expect(await ends(token(header, { ...claims, act: deep }))).toBe('TN008')
  })

  attack('garbage, and a megabyte of it', async () => {
    const garbage = [
      '',
      '.',
      '..',
      '...',
      'a.b.c',
      '{}',
      'null',
      'p1.',
      'c1.',
      's1.',
      '\u{1F600}.\u{1F600}.\u{1F600}',
      `${part('{')}.${part(claims)}.x`,
      `${part('[]')}.${part('[]')}.${part('')}`,
      `${part('\\u0000')}.x.x`,
      `${part('"\\u0000"')}.x.x`,
      `${part(Buffer.from([0xff, 0xfe]).toString('latin1'))}.x.x`,
      'x'.repeat(1_000_000),
      `${'x'.repeat(500_000)}.${'y'.repeat(500_000)}.z`,
      '.'.repeat(1_000_000),
      token(header, { ...claims, pad: 'x'.repeat(1_000_000) }),
      token(header, '['.repeat(4_000)),
      token(header, 'not json'),
      token(header, '"text"'),
      token(header, '[]'),
      token(header, 'null'),
      `${part('['.repeat(5_000))}.x.x`,
    ]
    for (const text of garbage) {
      const started = performance.now()
      expect(await ends(text), text.slice(0, 40)).toMatch(/^(TN008|54001)$/)
      expect(performance.now() - started, text.slice(0, 40)).toBeLessThan(2_000)
    }
    expect(await ends(null)).toBe('TN008')
    expect(await ends(token(header, claims)), 'the session goes on').toBe('00000')
  })
})
