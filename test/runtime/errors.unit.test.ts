import { inspect } from 'node:util'
import { describe, expect, it } from 'vitest'
import {
  AccessError,
  ConstraintError,
  contextError,
  isTenantryError,
  mapAccessorError,
  TenantryError,
} from '../../src/errors.js'

const serverError = (code: string, more: object = {}): Error =>
  Object.assign(new Error('duplicate key value violates unique constraint "users_email_key"'), {
    severity: 'ERROR',
    code,
    detail: 'Key (email)=(victim@example.org) already exists.',
    table: 'users',
    ...more,
  })

describe('mapAccessorError', () => {
  it('gives one and the same error for references and policies', () => {
    const errors = ['23503', '42501', '44000'].map(
      (code) => mapAccessorError(serverError(code, { constraint: 'a_fkey' })) as AccessError,
    )
    for (const error of errors) {
      expect(error).toBeInstanceOf(AccessError)
      expect(error.code).toBe('TN_ACCESS')
      expect(error.hint).toContain('tenantry.whoami()')
      expect({ ...error, message: error.message }).toEqual({
        ...errors[0],
        message: errors[0]!.message,
      })
    }
  })

  it('keeps the name of a unique constraint and nothing of the row', () => {
    const error = mapAccessorError(serverError('23505', { constraint: 'users_email_key' }))
    expect(error).toBeInstanceOf(ConstraintError)
    expect(error).toMatchObject({ code: 'TN_CONSTRAINT', constraint: 'users_email_key' })
    expect((error as Error).cause).toBeUndefined()
    expect(inspect(error, { depth: 9, showHidden: true })).not.toContain('victim')
  })

  it.each(['TN005', 'TN006'])('gives %s in the words of the database, and nothing else', (code) => {
    const error = mapAccessorError(
      Object.assign(serverError(code), {
        message: 'the key share is missing',
        hint: 'Bring it.',
        where: "unnamed portal with parameters: $1 = 'victim'",
      }),
    )
    expect(error).toBeInstanceOf(TenantryError)
    expect(isTenantryError(error, code as 'TN005')).toBe(true)
    expect(error).toMatchObject({ message: 'the key share is missing', hint: 'Bring it.' })
    expect((error as Error).cause).toBeUndefined()
    expect(inspect(error, { depth: 9, showHidden: true })).not.toContain('victim')
  })

  it('passes everything else', () => {
    for (const other of [serverError('22P02'), new Error('socket'), 'text', undefined]) {
      expect(mapAccessorError(other)).toBe(other)
    }
  })
})

describe('contextError', () => {
  it('keeps the SQLSTATE, the words and the hint of the database', () => {
    const cause = Object.assign(new Error('login role is a superuser'), {
      severity: 'ERROR',
      code: 'TN010',
      hint: 'Connect as an ordinary role.',
    })
    const error = contextError(cause)
    expect(isTenantryError(error, 'TN010')).toBe(true)
    expect(error).toMatchObject({ message: cause.message, hint: cause.hint, cause })
  })

  it('does not keep where it came about, which can list credential and share', () => {
    for (const code of ['TN008', 'TN005', '42883', '42501', '57014']) {
      const error = contextError(serverError(code, { where: "with parameters: $2 = '\\x5ec12e7'" }))
      expect(inspect(error, { depth: 9, showHidden: true })).not.toContain('5ec12e7')
    }
  })

  it('says when tenantry is missing or the role was not allowed', () => {
    expect(contextError(serverError('3F000'))).toMatchObject({ code: 'TN_NOT_INSTALLED' })
    expect(contextError(serverError('42883'))).toMatchObject({ code: 'TN_NOT_INSTALLED' })
    expect(contextError(serverError('42501'))).toMatchObject({ code: 'TN_NOT_ALLOWED' })
  })
})

describe('isTenantryError', () => {
  it('tells by class and, if asked, by code', () => {
    const error = new TenantryError('TN_NO_IDENTITY', 'none')
    expect(isTenantryError(error)).toBe(true)
    expect(isTenantryError(error, 'TN_NO_IDENTITY')).toBe(true)
    expect(isTenantryError(error, 'TN_ACCESS')).toBe(false)
    expect(isTenantryError(new Error('TN_NO_IDENTITY'))).toBe(false)
  })
})
