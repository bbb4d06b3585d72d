import { createHash, hkdfSync } from 'node:crypto'
import { decodeProtectedHeader, jwtVerify } from 'jose'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { credentialSource, deriveSigningKey, mintCredential } from '../../src/credential.js'
import { identityOf } from '../../src/identity.js'

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
})

describe('credentialSource', () => {
  beforeEach(() => vi.useFakeTimers({ now: 1_700_000_000_000 }))
  afterEach(() => vi.useRealTimers())

  const expiry = (token: string): number =>
    JSON.parse(Buffer.from(token.split('.')[1]!, 'base64url').toString()).exp

  it('gives the same credential until ten seconds before its end', () => {
    const source = credentialSource(signing, 'app', 60)
    const who = identityOf('user:1')
    const first = source(who)
    vi.advanceTimersByTime(49_000)
    expect(source(identityOf('user:1'))).toBe(first)
    vi.advanceTimersByTime(1_500)
    const second = source(who)
    expect(second).not.toBe(first)
    expect(expiry(second) - expiry(first)).toBeGreaterThanOrEqual(50)
  })

  it('never mixes identities', () => {
    const source = credentialSource(signing, 'app', 60)
    const tokens = [
      source(identityOf('user:1')),
      source(identityOf('user:2')),
      source(identityOf('agent:1', 'user:1')),
      source(identityOf('user:1', 'agent:1')),
    ]
    expect(new Set(tokens).size).toBe(4)
  })

  it('mints anew when the clock was set back', () => {
    const source = credentialSource(signing, 'app', 60)
    const first = source(identityOf('user:1'))
    vi.setSystemTime(1_700_000_000_000 - 3_600_000)
    expect(source(identityOf('user:1'))).not.toBe(first)
  })
})
