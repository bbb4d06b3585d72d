import { SignJWT } from 'jose'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { deriveSigningKey, mintCredential } from '../../src/credential.js'
import { identity, identityOf } from '../../src/identity.js'
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

describe('a credential is accepted', () => {
  it('as the runtime mints it', async () => {
    const signing = deriveSigningKey('a secret of the application, long enough')
    await notes.db.admin.query('select tenantry.register_issuer($1, $2)', [
      signing.keyId,
      signing.key,
    ])
    const who = identityOf(identity('user')(1))
    const options = { audience: notes.db.name, expiresAt: inSeconds(60) }
    await accepts(mintCredential(signing, who, options))
    await notes.db.admin.query('select tenantry.unregister_issuer($1)', [signing.keyId])
    await refuses(mintCredential(signing, who, options), 'TN008', /signature/)
  })

  it('as another library mints it, whatever the order of its header', async () => {
    const minted = (header: { alg: string; kid: string; typ?: string; x?: string }) =>
      new SignJWT({ act: undefined })
        .setProtectedHeader(header)
        .setSubject('user:1')
        .setAudience(notes.db.name)
        .setIssuedAt()
        .setNotBefore('0s')
        .setExpirationTime('1m')
        .sign(issuerKey)
    await accepts(await minted({ alg: 'HS256', kid: keyId }))
    await accepts(
      await minted({ kid: keyId, alg: 'HS256', typ: 'JWT', x: 'unknown fields are ignored' }),
    )
  })

  it('with the audience in a list, a fractional expiry, and clocks that differ by the leeway', async () => {
    const { db } = notes
    await accepts(token(claims(db, 'user:1', { aud: ['other', db.name] })))
    await accepts(token(claims(db, 'user:1', { exp: inSeconds(60) + 0.5 })))
    await accepts(token(claims(db, 'user:1', { exp: inSeconds(-3) })))
    await accepts(token(claims(db, 'user:1', { nbf: inSeconds(3) })))
    await accepts(
      token(claims(db, 'user:1', { nbf: inSeconds(-60), iat: inSeconds(600), jti: 'x' })),
    )
  })

  it('for the configured audience instead of the database’s name', async () => {
    const { admin } = notes.db
    await admin.query(`select tenantry.configure('audience', 'our platform')`)
    expect((await notes.client.query('select tenantry.audience() as aud')).rows).toEqual([
      { aud: 'our platform' },
    ])
    await accepts(token(claims(notes.db, 'user:1', { aud: 'our platform' })))
    await expectRefusal(seenWith(token(claims(notes.db, 'user:1'))), 'TN008', /another database/)
    await admin.query(`select tenantry.configure('audience', null)`)
    await accepts(token(claims(notes.db, 'user:1')))
  })
})

describe('issuers', () => {
  it('limit their credentials in time', async () => {
    const { admin } = notes.db
    const limited = `select tenantry.register_issuer('${keyId}', $1, leeway => $2::interval, max_lifetime => $3::interval)`
    await admin.query(limited, [issuerKey, '0', '1 minute'])
    const at = (exp: number) => token(claims(notes.db, 'user:1', { exp }))
    await accepts(at(inSeconds(50)))
    await expectRefusal(seenWith(at(inSeconds(-2))), 'TN003')
    await expectRefusal(seenWith(at(inSeconds(70))), 'TN008', /max_lifetime/)
    await admin.query(limited, [issuerKey, '5 seconds', '24 hours'])
    await accepts(at(inSeconds(70)))
    for (const [key, leeway, life] of [
      [Buffer.alloc(31), '0', '1 hour'],
      [issuerKey, '-1 second', '1 hour'],
      [issuerKey, '6 minutes', '1 hour'],
      [issuerKey, '0', '0'],
      [issuerKey, '0', '-1 hour'],
      [null, '0', '1 hour'],
    ] as const) {
      await expectRefusal(admin.query(limited, [key, leeway, life]), '22023')
    }
    for (const id of ['', 'a b', 'x'.repeat(65), null, `a"b`]) {
      await expectRefusal(
        admin.query('select tenantry.register_issuer($1, $2)', [id, issuerKey]),
        '22023',
      )
    }
    await expectRefusal(admin.query(`select tenantry.unregister_issuer('nobody')`), '22023')
  })

  it('are replaced and forgotten at once, and stand side by side while keys rotate', async () => {
    const { admin } = notes.db
    const second = Buffer.alloc(32, 7)
    const by = (kid: string, key: Buffer) =>
      token(claims(notes.db, 'user:1'), { header: { alg: 'HS256', typ: 'JWT', kid }, key })
    await admin.query(`select tenantry.register_issuer('second', $1)`, [second])
    await accepts(by(keyId, issuerKey))
    await accepts(by('second', second))
    await refuses(by(keyId, second), 'TN008', /signature/)
    await refuses(by('second', issuerKey), 'TN008', /signature/)
    await admin.query(`select tenantry.register_issuer('second', $1)`, [Buffer.alloc(32, 8)])
    await refuses(by('second', second), 'TN008', /signature/)
    await accepts(by('second', Buffer.alloc(32, 8)))
    await admin.query(`select tenantry.unregister_issuer('second')`)
    await refuses(by('second', Buffer.alloc(32, 8)), 'TN008', /signature/)
  })
})
