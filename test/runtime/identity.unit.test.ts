import fc from 'fast-check'
import { describe, expect, expectTypeOf, it } from 'vitest'
import { isTenantryError } from '../../src/errors.js'
import { identity, identityKey, identityOf, parseEntity, type Entity } from '../../src/identity.js'

const invalid = (fn: () => unknown, words: RegExp): void => {
  expect(fn).toThrow(words)
  try {
    fn()
  } catch (error) {
    expect(isTenantryError(error, 'TN_IDENTITY_INVALID')).toBe(true)
  }
}

describe('identity(kind)', () => {
  it('writes kind:id and types it by kind', () => {
    const user = identity('user')
    expect(user('a1')).toBe('user:a1')
    expect(user(42)).toBe('user:42')
    expect(user(9007199254740993n)).toBe('user:9007199254740993')
    expect(user('a:b')).toBe('user:a:b')
    expectTypeOf(user('x')).toEqualTypeOf<Entity<'user'>>()
    expectTypeOf(user('x')).toEqualTypeOf<`user:${string}`>()
  })

  it.each(['', 'User', '1user', 'us-er', 'user:', `a${'b'.repeat(63)}`, 'ü'])(
    'refuses the kind %j',
    (kind) => invalid(() => identity(kind), /a kind is/),
  )

  it('takes a kind of 63 characters and ids of 200, counted as characters', () => {
    const kind = `a${'_'.repeat(62)}`
    expect(identity(kind)('x')).toBe(`${kind}:x`)
    expect(identity('u')('😀'.repeat(200))).toBe(`u:${'😀'.repeat(200)}`)
    invalid(() => identity('u')('😀'.repeat(201)), /at most 200 characters; this one has 201/)
  })

  it('refuses ids that are empty, broken or not exact', () => {
    const user = identity('user')
    invalid(() => user(''), /must not be empty/)
    invalid(() => user('a\nb'), /control characters/)
    invalid(() => user('a\u001fb'), /control characters/)
    invalid(() => user('a\u0000'), /control characters/)
    invalid(() => user('\ud800'), /well-formed/)
    invalid(() => user(2 ** 53), /safe integer/)
    invalid(() => user(1.5), /safe integer/)
    invalid(() => user(undefined as never), /string, a bigint or a safe integer/)
  })
})

describe('parseEntity', () => {
  it('splits at the first colon', () => {
    expect(parseEntity('org:a:b')).toEqual({ entity: 'org:a:b', kind: 'org', id: 'a:b' })
  })

  it('says what is wrong', () => {
    invalid(() => parseEntity(7), /not number/)
    invalid(() => parseEntity('user'), /no colon/)
    invalid(() => parseEntity(':x'), /a kind is/)
    invalid(() => parseEntity('user:'), /must not be empty/)
  })
})

describe('identityKey', () => {
  it('differs for every pair of actor and principal', () => {
    const entity = fc
      .tuple(fc.constantFrom('user', 'org', 'a'), fc.string({ minLength: 1, maxLength: 8 }))
      .map(([kind, id]) => `${kind}:${id}` as Entity)
      .filter((text) => {
        try {
          return parseEntity(text).entity === text
        } catch {
          return false
        }
      })
    fc.assert(
      fc.property(entity, entity, entity, entity, (a, b, c, d) => {
        const same = a === c && b === d
        return (identityKey(identityOf(a, b)) === identityKey(identityOf(c, d))) === same
      }),
    )
  })
})
