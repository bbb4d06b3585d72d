import { describe, expect, it } from 'vitest'
import { readStatement } from '../../src/runtime/statement.js'

const kinds = (texts: readonly string[]): string[] => texts.map((text) => readStatement(text).kind)

describe('readStatement', () => {
  it('leaves ordinary statements alone', () => {
    const texts = [
      'select 1',
      'insert into t values (1)',
      'with a as (select 1) select * from a',
      '',
      '   ',
      '-- only a comment',
      "update t set a = 'begin'",
      'savepoint a',
      'release savepoint a',
      'rollback to savepoint a',
      'ROLLBACK TRANSACTION TO a',
      'set local statement_timeout = 5',
      'set role none',
      'analyze t',
      'explain select 1',
      'prepare p as select 1',
      'declare c cursor for select 1',
      'declare c cursor without hold for select 1',
      "declare c cursor for select 'with hold'",
      'delete from t',
      'do $$begin end$$',
      'call p()',
      'selectbegin',
      'beginning',
    ]
    expect(kinds(texts)).toEqual(texts.map(() => 'query'))
  })

  it.each([
    ['begin', 'begin', 'BEGIN'],
    ['BEGIN;', 'begin', 'BEGIN'],
    [' ;; begin work ; ', 'begin', 'BEGIN'],
    ['/* a /* nested */ comment */ begin -- so\n transaction', 'begin', 'BEGIN'],
    ['start transaction', 'start transaction', 'START'],
    [
      'begin isolation level SERIALIZABLE, read only,deferrable',
      'begin isolation level serializable, read only,deferrable',
      'BEGIN',
    ],
    [
      'START TRANSACTION\n  ISOLATION LEVEL REPEATABLE READ READ WRITE NOT DEFERRABLE;',
      'start transaction isolation level repeatable read read write not deferrable',
      'START',
    ],
    [
      'begin transaction isolation level read committed',
      'begin isolation level read committed',
      'BEGIN',
    ],
  ])('knows %j as the beginning of a transaction', (text, begin, tag) => {
    expect(readStatement(text)).toEqual({ kind: 'begin', text: begin, tag })
  })

  it('knows every way to end one', () => {
    expect(
      kinds(['commit', 'COMMIT;', 'end', 'commit work', 'end transaction', 'commit and no chain']),
    ).toEqual(Array(6).fill('commit'))
    expect(kinds(['rollback', 'abort;', 'ROLLBACK WORK', 'rollback and no chain'])).toEqual(
      Array(4).fill('rollback'),
    )
  })

  it('knows set transaction', () => {
    expect(readStatement('SET TRANSACTION ISOLATION LEVEL SERIALIZABLE;')).toEqual({
      kind: 'set transaction',
      modes: 'isolation level serializable',
    })
  })

  it.each([
    'begin; select 1',
    'begin;commit',
    'commit; drop table t',
    'rollback; select 1',
    'begin isolation level chaos',
    'commit and chain',
    'ROLLBACK AND CHAIN',
    'end /**/ and chain',
    "prepare transaction 'x'",
    "commit prepared 'x'",
    "rollback prepared 'x'",
    'set session authorization postgres',
    "SET SESSION SESSION AUTHORIZATION 'x'",
    'set local session authorization x',
    'reset session authorization',
    'discard all',
    'DISCARD TEMP',
    'declare c cursor with hold for select 1',
    'DECLARE "c d" BINARY INSENSITIVE NO SCROLL CURSOR /* */ WITH\nHOLD FOR select 1',
    'declare "for" cursor with hold for select 1',
  ])('refuses %j and says why', (text) => {
    const statement = readStatement(text)
    expect(statement).toMatchObject({
      kind: 'refused',
      reason: expect.stringMatching(/\w{3,} \w+/),
    })
  })
})
