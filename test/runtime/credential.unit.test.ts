import { createHash, hkdfSync } from 'node:crypto'
import { decodeProtectedHeader, jwtVerify } from 'jose'
import { describe, expect, it } from 'vitest'
import { deriveKeyShare, deriveSigningKey, mintCredential } from '../../src/credential.js'
import { identityOf, type Identity } from '../../src/identity.js'

const SECRET = 'correct horse battery staple, twice over'
const signing = deriveSigningKey(SECRET)

describe('deriveSigningKey', () => {
  it('is HKDF-SHA-256 with the published salt and info', () => {
    const key = Buffer.from(hkdfSync('sha256', SECRET, 'tenantry', 'tenantry/v1/credential', 32))
    expect(signing.key).toEqual(key)
    expect(signing.keyId).toBe(createHash('sha256').update(key).digest('base64url').slice(0, 16))
    expect(signing.key.length).toBe(32)
  })

  it('refuses a secret of fewer than 32 bytes, and counts bytes', () => {
    expect(() => deriveSigningKey('x'.repeat(31))).toThrow(/at least 32 bytes/)
    expect(() => deriveSigningKey(undefined as never)).toThrow(/at least 32 bytes/)
    expect(deriveSigningKey('é'.repeat(16)).key.length).toBe(32)
  })
})

describe('deriveKeyShare', () => {
  it('is HKDF-SHA-256 under a label of its own', () => {
    const share = deriveKeyShare(SECRET)
    expect(share).toEqual(
      Buffer.from(hkdfSync('sha256', SECRET, 'tenantry', 'tenantry/v1/key-share', 32)),
    )
    expect(share).toHaveLength(32)
    expect(share).not.toEqual(signing.key)
    expect(deriveKeyShare('y'.repeat(32))).not.toEqual(share)
  })

  it('refuses a secret of fewer than 32 bytes', () => {
    expect(() => deriveKeyShare('x'.repeat(31))).toThrow(/at least 32 bytes/)
    expect(() => deriveKeyShare(undefined as never)).toThrow(/at least 32 bytes/)
  })
})

describe('mintCredential', () => {
  it('is a JWT that an independent library verifies', async () => {
    const expiresAt = Math.floor(Date.now() / 1000) + 60
    const token = mintCredential(signing, identityOf('user:1'), { audience: 'app', expiresAt })
    const { payload } = await jwtVerify(token, signing.key, { audience: 'app' })
    expect(payload).toEqual({ sub: 'user:1', aud: 'app', exp: expiresAt })
    expect(decodeProtectedHeader(token)).toEqual({ alg: 'HS256', typ: 'JWT', kid: signing.keyId })
    await expect(jwtVerify(token, deriveSigningKey('y'.repeat(32)).key)).rejects.toThrow()
  })

  it('names the actor when it differs from the principal', async () => {
    const expiresAt = Math.floor(Date.now() / 1000) + 60
    const who = identityOf('agent:ü', 'user:1')
    const token = mintCredential(signing, who, { audience: 'app', expiresAt })
    const { payload } = await jwtVerify(token, signing.key)
    expect(payload).toMatchObject({ sub: 'user:1', act: { sub: 'agent:ü' } })
  })

  it('nests the links of a chain, who is there outermost', async () => {
    const expiresAt = Math.floor(Date.now() / 1000) + 60
    const claimed = async (who: Identity) => {
      const token = mintCredential(signing, who, { audience: 'app', expiresAt })
      return (await jwtVerify(token, signing.key)).payload
    }
    expect(await claimed(identityOf('agent:1', ['user:1', 'org:1']))).toEqual({
      sub: 'org:1',
      act: { sub: 'agent:1', act: { sub: 'user:1' } },
      aud: 'app',
      exp: expiresAt,
    })
    expect(await claimed(identityOf('user:1', ['agent:1', 'user:1']))).toMatchObject({
      sub: 'user:1',
      act: { sub: 'user:1', act: { sub: 'agent:1' } },
    })
    expect(await claimed({ actor: 'user:1', via: [], principal: 'user:1' })).not.toHaveProperty(
      'act',
    )
  })
})
