import fc from 'fast-check'
import { describe, expect, expectTypeOf, it } from 'vitest'
import { isTenantryError } from '../../src/errors.js'
import {
  anonymous,
  described,
  identity,
  identityKey,
  identityOf,
  parseEntity,
  sameIdentity,
  type Entity,
} from '../../src/identity.js'

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

describe('identityOf', () => {
  const [me, bot, org] = ['user:1', 'agent:1', 'org:1'] as const

  it('names who acts, for whom, and by whom in between', () => {
    expect(identityOf(me)).toEqual({ actor: me, principal: me })
    expect(identityOf(bot, me)).toEqual({ actor: bot, principal: me })
    expect(identityOf(bot, [me])).toEqual({ actor: bot, principal: me })
    expect(identityOf(bot, [me, org])).toEqual({ actor: bot, via: [me], principal: org })
    expect(described(identityOf(bot, [me, org]))).toBe('agent:1 for user:1 for org:1')
    expect(described(identityOf(me))).toBe(me)
  })

  it('leaves out who acts for himself', () => {
    expect(identityOf(me, [])).toEqual(identityOf(me))
    expect(identityOf(me, [me])).toEqual(identityOf(me))
    expect(identityOf(bot, [bot, me, me, org, org])).toEqual(identityOf(bot, [me, org]))
    // not next to himself, so that this is another chain
    expect(identityOf(me, [bot, me])).toEqual({ actor: me, via: [bot], principal: me })
  })

  it('cannot be changed afterwards, nor by the list it was made from', () => {
    const list: Entity[] = [me, org]
    const who = identityOf(bot, list)
    list[0] = 'user:2'
    expect(who.via).toEqual([me])
    expect(() => (who.via as Entity[]).push('user:3')).toThrow(TypeError)
    expect(() => Object.assign(who, { principal: me })).toThrow(TypeError)
  })

  it('has at most five who act, each of them well-formed', () => {
    const links = Array.from({ length: 5 }, (_, index): Entity => `user:${index}`)
    expect(identityOf(bot, links).via).toHaveLength(4)
    invalid(() => identityOf(bot, [...links, org]), /at most 5 who act; this one has 6/)
    const wrong: unknown = 'org'
    invalid(() => identityOf(bot, [me, wrong as Entity, org]), /no colon/)
    invalid(() => identityOf(bot, [undefined as never, org]), /not undefined/)
    invalid(() => identityOf(bot, null as never), /not object/)
  })
})

describe('anonymous', () => {
  it('is one entity', () => {
    expect(anonymous()).toBe('anonymous:anonymous')
    expectTypeOf(anonymous()).toEqualTypeOf<Entity<'anonymous'>>()
  })
})

describe('identityKey', () => {
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

  it('differs for every pair of actor and principal', () => {
    fc.assert(
      fc.property(entity, entity, entity, entity, (a, b, c, d) => {
        const same = a === c && b === d
        return (identityKey(identityOf(a, b)) === identityKey(identityOf(c, d))) === same
      }),
    )
  })

  it('differs for every chain, as sameIdentity does', () => {
    const chain = fc.array(fc.constantFrom<Entity>('a:1', 'a:2', 'b:1'), {
      minLength: 1,
      maxLength: 4,
    })
    const links = (list: readonly Entity[]) =>
      JSON.stringify(list.filter((e, i) => e !== list[i - 1]))
    fc.assert(
      fc.property(chain, chain, (a, b) => {
        const [one, other] = [a, b].map(([actor, ...rest]) => identityOf(actor!, rest))
        const same = links(a) === links(b)
        expect(identityKey(one!) === identityKey(other!)).toBe(same)
        expect(sameIdentity(one!, other!)).toBe(same)
      }),
    )
  })
})
