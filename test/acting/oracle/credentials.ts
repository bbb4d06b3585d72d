import { createHmac } from 'node:crypto'
import { deriveSigningKey } from '../../../src/credential.js'

const signing = deriveSigningKey('a secret of the oracle, long enough for anybody')

export const issuer = { keyId: signing.keyId, key: signing.key }

/**
 * A credential for any chain, also one that names somebody twice in a row, which an `Identity` does
 * not: the principal first, then whoever acts for the one before. The outermost `act` is who is there.
 */
export function chained(audience: string, [sub = '', ...actors]: readonly string[]): string {
  const act = actors.reduce<object | undefined>(
    (inner, actor) => ({ sub: actor, ...(inner && { act: inner }) }),
    undefined,
  )
  const expires = Math.floor(Date.now() / 1000) + 600
  const header = encoded({ alg: 'HS256', typ: 'JWT', kid: signing.keyId })
  const claims = encoded({ sub, ...(act && { act }), aud: audience, exp: expires })
  const signature = createHmac('sha256', signing.key).update(`${header}.${claims}`)
  return `${header}.${claims}.${signature.digest('base64url')}`
}

function encoded(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url')
}
