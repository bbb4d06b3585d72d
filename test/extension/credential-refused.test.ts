import { createHmac } from 'node:crypto'
import { afterAll, beforeAll, describe, it } from 'vitest'
import { credentialChecks, type CredentialChecks } from './support/credential-checks.js'
import { expectRefusal } from './support/refusal.js'
import {
  claims,
  inSeconds,
  issuerKey,
  keyId,
  notesDatabase,
  token,
  type Notes,
} from './support/notes.js'

let notes: Notes
let accepts: CredentialChecks['accepts']
let refuses: CredentialChecks['refuses']
let seenWith: CredentialChecks['seenWith']
beforeAll(async () => {
  notes = await notesDatabase()
  ;({ accepts, refuses, seenWith } = credentialChecks(notes))
})
afterAll(async () => {
  await notes.db.drop()
})

describe('a credential is refused', () => {
  it('when it is not by a registered key', async () => {
    const good = token(claims(notes.db, 'user:1'))
    const [header = '', body = '', signature = ''] = good.split('.')
    const other = token(claims(notes.db, 'user:2')).split('.')
    await refuses(
      token(claims(notes.db, 'user:1'), { key: Buffer.alloc(32) }),
      'TN008',
      /signature/,
    )
    await refuses([header, other[1], signature].join('.'), 'TN008', /signature/)
    await refuses([header, body, 'A'.repeat(43)].join('.'), 'TN008', /signature/)
    await refuses([header, body, signature.slice(0, 42)].join('.'), 'TN008')
    await refuses([header, body, ''].join('.'), 'TN008')
    await refuses(`${good}=`, 'TN008')
    await refuses(`${good}\n`, 'TN008')
    await refuses(` ${good}`, 'TN008')
    for (let at = header.length + 1; at < good.length; at += 7) {
      if (good[at] === '.') continue
      const flipped = good.slice(0, at) + (good[at] === 'A' ? 'Q' : 'A') + good.slice(at + 1)
      await expectRefusal(seenWith(flipped), 'TN008')
    }
  })

  it('whatever algorithm its header wishes for', async () => {
    const body = claims(notes.db, 'user:1')
    const kid = keyId
    const unsigned = (alg: string) => {
      const [header, text] = token(body, { header: { alg, kid } }).split('.')
      return `${header}.${text}.`
    }
    await refuses(unsigned('none'), 'TN008')
    await refuses(unsigned('HS256'), 'TN008')
    for (const alg of [
      'none',
      'None',
      'HS512',
      'hs256',
      'RS256',
      'ES256',
      '',
      null,
      256,
      ['HS256'],
    ]) {
      await refuses(token(body, { header: { alg, typ: 'JWT', kid } }), 'TN008', /algorithm/)
    }
    await refuses(token(body, { header: { typ: 'JWT', kid } }), 'TN008', /algorithm/)
    await refuses(token(body, { header: { alg: 'HS512', kid }, hash: 'sha512' }), 'TN008')
    await refuses(
      token(body, { header: { alg: 'HS256', kid, crit: ['exp'] } }),
      'TN008',
      /critical/,
    )
  })

  it('when its header names no key that is registered, or is no header', async () => {
    const body = claims(notes.db, 'user:1')
    for (const kid of [
      'other',
      '',
      null,
      7,
      keyId.toUpperCase(),
      `${keyId} `,
      `' or true --`,
      undefined,
    ]) {
      await refuses(token(body, { header: { alg: 'HS256', kid } }), 'TN008', /signature/)
    }
    for (const header of ['no json', '[]', '"HS256"', 'null', '{"alg":"HS256"', '\u00ff\u00fe']) {
      await refuses(token(body, { header }), 'TN008', /header|algorithm/)
    }
    await refuses(token(body, { header: '['.repeat(5_000) }), 'TN008')
    await refuses(token(body, { header: `{"alg":"HS256","kid":"\\u0000"}` }), 'TN008')
  })

  it('when it is for another audience', async () => {
    const { db } = notes
    for (const aud of [
      'other',
      '',
      `${db.name} `,
      db.name.toUpperCase(),
      ['other'],
      [],
      [[db.name]],
      { [db.name]: 1 },
      7,
      null,
      true,
    ]) {
      await refuses(token(claims(db, 'user:1', { aud })), 'TN008', /another database/)
    }
    await refuses(token({ sub: 'user:1', exp: inSeconds(60) }), 'TN008', /another database/)
  })

  it('when its time has passed, has not come, or is not stated', async () => {
    const { db } = notes
    for (const exp of [inSeconds(-7), 0, -1e300, inSeconds(-100_000)]) {
      await refuses(token(claims(db, 'user:1', { exp })), 'TN003', /expired/)
    }
    for (const exp of [inSeconds(86_400 + 60), 1e300, 1e308]) {
      await refuses(token(claims(db, 'user:1', { exp })), 'TN008', /max_lifetime/)
    }
    for (const exp of [undefined, null, 'tomorrow', `${inSeconds(60)}`, {}, true]) {
      await refuses(token(claims(db, 'user:1', { exp })), 'TN008', /when it expires/)
    }
    for (const nbf of [inSeconds(10), 'now', null, 1e300]) {
      await refuses(token(claims(db, 'user:1', { nbf })), 'TN008', /not valid yet/)
    }
  })

  it('when it names nobody', async () => {
    const { db } = notes
    const subjects = [
      '',
      'user',
      'User:1',
      ':1',
      'user:',
      '1:user',
      'user 1',
      'user:\u0001',
      'user:1\n',
      `user:${'1'.repeat(201)}`,
      1,
      {},
      ['user:1'],
      null,
      undefined,
      true,
    ]
    for (const sub of subjects) {
      await refuses(token(claims(db, 'user:1', { sub })), 'TN008', /kind:id/)
      if (sub !== undefined)
        await refuses(token(claims(db, 'user:1', { act: { sub } })), 'TN008', /kind:id/)
    }
    await refuses(token(claims(db, 'user:1', { act: {} })), 'TN008', /kind:id/)
    for (const act of ['user:1', ['user:1'], null, 7, false]) {
      await refuses(token(claims(db, 'user:1', { act })), 'TN008', /actor/)
    }
  })

  it('when its claims are no claims', async () => {
    for (const text of [
      '',
      'no json',
      '[]',
      '"user:1"',
      'null',
      '7',
      '{"sub":',
      '{"sub":"user:\\u0000"}',
      '{"sub":"\\ud800"}',
    ]) {
      await refuses(token(text), 'TN008')
    }
    await refuses(token('['.repeat(5_000)), 'TN008')
    const [header] = token({}).split('.')
    const invalid = `${header}.${Buffer.from([0xff, 0xfe, 0x7b]).toString('base64url')}`
    await refuses(
      `${invalid}.${createHmac('sha256', issuerKey).update(invalid).digest('base64url')}`,
      'TN008',
      /JSON/,
    )
  })

  it('when it is none', async () => {
    await refuses('', 'TN008', /none/)
    await refuses(null, 'TN008', /none/)
    const junk = String.fromCharCode(
      ...Array.from({ length: 2_000 }, (_, i) => 1 + ((i * 7919) % 0xd7ff)),
    )
    const million = 'a'.repeat(1_000_000)
    const random = [
      junk,
      '.',
      '..',
      '...',
      'a.b.c',
      'p1.',
      'p1',
      'p1..',
      `p1.${junk}`,
      `p1.${'0'.repeat(64)}.`,
      `p1.${'0'.repeat(64)}.${junk}`,
      `c1.${'0'.repeat(64)}.x`,
    ]
    for (const credential of [
      ...random,
      million,
      `${million}.${million}.${million}`,
      `p1.${million}`,
      '.'.repeat(1_000_000),
    ]) {
      await refuses(credential, 'TN008')
    }
    const long = token(claims(notes.db, 'user:1', { padding: 'x'.repeat(8_000) }))
    await refuses(long, 'TN008', /longer than 8192/)
    await accepts(token(claims(notes.db, 'user:1', { padding: 'x'.repeat(5_000) })))
  })
})
