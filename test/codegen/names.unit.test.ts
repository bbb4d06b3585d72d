import fc from 'fast-check'
import pg from 'pg'
import ts from 'typescript'
import { describe, expect, it } from 'vitest'
import {
  assignProperties,
  camelCase,
  IdentifierPool,
  isSessionName,
  pascalCase,
} from '../../codegen/names.js'
import { quote } from '../../src/accessors/identifier.js'
import { tenantry } from '../../src/index.js'

describe('names', () => {
  it.each([
    ['user_characters', 'UserCharacters'],
    ['entityId', 'EntityId'],
    ['a"b\nc', 'ABC'],
    ['2024_orders', 'T2024Orders'],
    ['"', 'T'],
    ['größe_λ', 'GrößeΛ'],
  ])('pascalCase(%j) is %s', (name, wanted) => {
    expect(pascalCase(name)).toBe(wanted)
  })

  it.each([
    ['created_at', 'createdAt'],
    ['createdAt', 'createdAt'],
    ['_private_', '_private_'],
    ['a__b', 'aB'],
    ['a_b_c', 'aBC'],
    ['x_1', 'x1'],
  ])('camelCase(%j) is %s', (name, wanted) => {
    expect(camelCase(name)).toBe(wanted)
  })

  it('are identifiers whatever the table is called', () => {
    // a letter whose capital is younger than TypeScript's tables
    expect(isIdentifier(pascalCase('\ua7d3 '))).toBe(true)
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', minLength: 1 }), (name) => {
        const text = new IdentifierPool([]).take(pascalCase(name))
        expect(isIdentifier(text)).toBe(true)
      }),
    )
  })

  it('are given once, whole stems with all their suffixes', () => {
    const pool = new IdentifierPool(['Taken'])
    expect(pool.take('Taken')).toBe('Taken2')
    expect(pool.take('class')).toBe('class2')
    expect(pool.take('UserRow')).toBe('UserRow')
    expect(pool.takeStem('User', ['Row', 'Insert'])).toBe('User2')
    expect(pool.take('User2Insert')).toBe('User2Insert2')
  })

  it('stay when another would become the same by conversion', () => {
    const names = ['created_at', 'createdAt', 'created__at']
    expect(Object.fromEntries(assignProperties(names, camelCase))).toEqual({
      created_at: 'createdAt2',
      createdAt: 'createdAt',
      created__at: 'createdAt3',
    })
  })

  it('never share a property', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.stringMatching(/^[ab_A]{1,5}$/)), (names) => {
        const properties = [...assignProperties(names, camelCase).values()]
        expect(new Set(properties).size).toBe(names.length)
      }),
    )
  })

  it('leave the members of a session alone', () => {
    const session = tenantry(new pg.Pool(), { secret: 'x'.repeat(32) }).as('user:1')
    const members = Object.keys(session)
    expect(members).toContain('transaction')
    expect(members.filter((name) => !isSessionName(name))).toEqual([])
  })

  it('are quoted so that nothing ends the quotation', () => {
    expect(quote('a"; drop table b; --')).toBe('"a""; drop table b; --"')
  })
})

function isIdentifier(text: string): boolean {
  const scanner = ts.createScanner(ts.ScriptTarget.ES2022, false)
  scanner.setText(text)
  return scanner.scan() === ts.SyntaxKind.Identifier && scanner.getTokenEnd() === text.length
}
