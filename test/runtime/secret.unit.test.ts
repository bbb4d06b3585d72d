import { Console } from 'node:console'
import { PassThrough } from 'node:stream'
import { format, inspect } from 'node:util'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ArgumentError, Secret, secret } from '../../src/index.js'
import { insertManyStatement } from '../../src/runtime/insert-many.js'
import { wireValues } from '../../src/runtime/pg-internals.js'

const value = 'sk-live-1'

describe('a Secret', () => {
  const held = secret(value)

  it('gives its value to reveal alone', () => {
    expect(held).toBeInstanceOf(Secret)
    expect(held.reveal()).toBe(value)
    expect(Object.keys(held)).toEqual([])
    expect(Object.getOwnPropertyNames(held)).toEqual([])
  })

  it.each<[string, (it: unknown) => string]>([
    ['String()', (it) => String(it)],
    ['a template', (it) => `${it as string}`],
    ['concatenation', (it) => '' + (it as string)],
    ['toString', (it) => (it as Secret<string>).toString()],
    ['JSON', (it) => JSON.stringify({ it, list: [it] })],
    ['inspect', (it) => inspect(it)],
    ['inspect, all of it', (it) => inspect({ it }, { depth: 9, showHidden: true, getters: true })],
    ['%s', (it) => format('%s', it)],
    ['%o', (it) => format('%o', it)],
    ['%j', (it) => format('%j', it)],
    ['an error', (it) => inspect(new Error(`no use for ${it as string}`, { cause: it }))],
  ])('prints as [secret] by %s', (_, print) => {
    expect(print(value)).toContain(value)
    expect(print(held)).toContain('[secret]')
    expect(print(held)).not.toContain(value)
  })

  it('prints nothing where the custom form is turned off, nor as a number', () => {
    expect(inspect(held, { customInspect: false, showHidden: true })).not.toContain(value)
    expect(Number(secret('5'))).toBeNaN()
  })

  it('prints as [secret] on the console', () => {
    const out = new PassThrough()
    new Console(out).log(held, { held })
    expect(String(out.read())).toBe('[secret] { held: [secret] }\n')
  })
})

describe('equality', () => {
  it('is that of the values, given plain or as a Secret', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' }), (a, b) => {
        expect(secret(a).equals(a)).toBe(true)
        expect(secret(a).equals(secret(a))).toBe(true)
        expect(secret(a).equals(b)).toBe(a === b)
      }),
    )
    fc.assert(
      fc.property(fc.uint8Array(), fc.uint8Array(), (a, b) => {
        expect(secret<Uint8Array>(Buffer.from(a)).equals(a)).toBe(true)
        expect(secret(a).equals(secret(b))).toBe(Buffer.compare(a, b) === 0)
      }),
    )
  })

  it('of JSON is what it says, in any order of keys', () => {
    const stored = secret<unknown>({ b: [1, { d: 1, c: null }], a: 'x' })
    expect(stored.equals({ a: 'x', b: [1, { c: null, d: 1 }] })).toBe(true)
    expect(stored.equals({ a: 'x', b: [{ c: null, d: 1 }, 1] })).toBe(false)
    expect(secret<unknown>({ a: 1 }).equals({ a: 2 })).toBe(false)
  })

  it('takes no text for bytes or JSON of the same look', () => {
    expect(secret<unknown>('{"a":1}').equals({ a: 1 })).toBe(false)
    expect(secret<unknown>('ab').equals(Buffer.from('ab'))).toBe(false)
    expect(secret<unknown>('').equals(undefined)).toBe(false)
    expect(secret<unknown>('null').equals(null)).toBe(false)
  })
})

describe('where a Secret would be stored as what it prints', () => {
  it('is refused as a bind parameter, alone and in an array', () => {
    expect(wireValues([value])).toEqual([value])
    for (const values of [[secret(value)], [[secret(value)]]]) {
      expect(() => wireValues(values)).toThrow(ArgumentError)
      expect(() => wireValues(values)).not.toThrow(value)
    }
  })

  it('is refused by insertMany of the session, also inside JSON', () => {
    expect(insertManyStatement('t', ['a'], [[value]]).values[0]).toContain(value)
    for (const cell of [secret(value), { deep: [secret(value)] }]) {
      expect(() => insertManyStatement('t', ['a'], [[cell]])).toThrow(ArgumentError)
    }
  })
})
