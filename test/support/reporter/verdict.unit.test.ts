import { describe, expect, it } from 'vitest'
import type { Outcome } from './outcome.js'
import { judge, lastLine, slowest } from './verdict.js'

function outcome(name: string, more: Partial<Outcome> = {}): Outcome {
  return { label: `unit ${name}`, name, state: 'passed', reason: '', milliseconds: 1, ...more }
}

describe('the verdict on a run', () => {
  const skipped = outcome('b', { state: 'skipped', reason: 'no engine' })

  it('counts what passed and failed', () => {
    const verdict = judge([outcome('a'), outcome('b', { state: 'failed' })], [])
    expect(lastLine(verdict)).toBe('1 passed, 1 failed, 0 skipped')
  })

  it('accepts a skipped test that is listed', () => {
    const verdict = judge([outcome('a'), skipped], [{ test: 'b', when: 'there is no engine' }])
    expect(verdict).toEqual({ passed: 1, failed: 0, skipped: 1, refused: [] })
  })

  it('counts a skipped test that is not listed as failed', () => {
    const verdict = judge([outcome('a'), skipped], [{ test: 'a', when: 'never' }])
    expect(verdict).toEqual({ passed: 1, failed: 1, skipped: 0, refused: [skipped] })
  })

  it('counts a listed test that is skipped without a reason as failed', () => {
    const silent = outcome('b', { state: 'skipped' })
    const verdict = judge([silent], [{ test: 'b', when: 'there is no engine' }])
    expect(verdict).toEqual({ passed: 0, failed: 1, skipped: 0, refused: [silent] })
  })

  it('puts the slowest first and no more than ten', () => {
    const many = Array.from({ length: 12 }, (_, n) => outcome(`${n}`, { milliseconds: n }))
    const names = slowest(many).map(({ name }) => name)
    expect(names).toEqual(['11', '10', '9', '8', '7', '6', '5', '4', '3', '2'])
  })
})
