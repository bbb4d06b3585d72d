import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { identityOf } from '../../src/identity.js'
import type { RawClient } from '../../src/runtime/pg-internals.js'
import { contexts, isRefused, type ContextStatement } from '../../src/runtime/contexts.js'

const secret = 'correct horse battery staple, twice over'
const who = identityOf('user:1')

const expiry = ({ values }: ContextStatement): number =>
  JSON.parse(Buffer.from(values[0]!.split('.')[1]!, 'base64url').toString()).exp

beforeEach(() => vi.useFakeTimers({ now: 1_700_000_000_000 }))
afterEach(() => vi.useRealTimers())

describe('entering anew each time', () => {
  const source = () => contexts({ secret, audience: 'app', credentialTtl: 60, contextTtl: 0 })

  it('keeps a credential until ten seconds before its end', () => {
    const { statement } = source()
    const first = statement(who)
    expect(first.text).toBe('select tenantry.enter($1)')
    vi.advanceTimersByTime(49_000)
    expect(statement(identityOf('user:1'))).toBe(first)
    vi.advanceTimersByTime(1_500)
    expect(expiry(statement(who)) - expiry(first)).toBeGreaterThanOrEqual(50)
  })

  it('never mixes identities', () => {
    const { statement } = source()
    const all = [
      identityOf('user:1'),
      identityOf('user:2'),
      identityOf('agent:1', 'user:1'),
      identityOf('user:1', 'agent:1'),
    ].map((one) => statement(one).values[0])
    expect(new Set(all).size).toBe(4)
  })

  it('mints anew after a refusal', () => {
    const { statement, forget } = source()
    const first = statement(who)
    expect(first.kept).toBe(true)
    forget(who)
    expect(statement(who)).not.toBe(first)
  })
})

describe('entering by a pass', () => {
  const source = () => contexts({ secret, audience: 'app', credentialTtl: 60, contextTtl: 120 })

  it('asks for a pass by a credential that outlasts it, then uses the pass', () => {
    const { statement } = source()
    const first = statement(who)
    expect(first.text).toBe('select tenantry_private.enter_for_pass($1, $2)')
    expect(first.values[1]).toBe('120')
    expect(expiry(first)).toBeGreaterThan(1_700_000_000 + 120)
    expect(first.kept).toBe(false)

    first.onValue?.('p1.the-pass')
    const second = statement(who)
    expect(second).toMatchObject({
      text: 'select tenantry.enter($1)',
      values: ['p1.the-pass'],
      kept: true,
    })
    expect(statement(identityOf('user:2')).values[0]).not.toBe('p1.the-pass')
  })

  it('asks again before the pass ends, and after it was refused', () => {
    const { statement, forget } = source()
    statement(who).onValue?.('p1.a')
    vi.advanceTimersByTime(109_000)
    expect(statement(who).values).toEqual(['p1.a'])
    vi.advanceTimersByTime(1_500)
    expect(statement(who).text).toContain('enter_for_pass')
    statement(who).onValue?.('p1.b')
    forget(who)
    expect(statement(who).text).toContain('enter_for_pass')
  })
})

describe('the audience', () => {
  const source = () => contexts({ secret, audience: undefined, credentialTtl: 60, contextTtl: 0 })
  const client = (answer: () => Promise<unknown>): RawClient =>
    ({ query: vi.fn(answer) }) as unknown as RawClient
  const answering = () => client(() => Promise.resolve({ rows: [['app']] }))

  it('is asked once, however many need it at the same time', async () => {
    const { prepare, statement } = source()
    const [first, second] = [answering(), answering()]
    expect(() => statement(who)).toThrow(/not known yet/)
    await Promise.all([prepare(first), prepare(second)])
    expect(first.query).toHaveBeenCalledOnce()
    expect(second.query).not.toHaveBeenCalled()
    expect(statement(who).text).toContain('enter')
  })

  it('is asked again by the next when one connection fails', async () => {
    const { prepare, statement } = source()
    const failing = client(() => Promise.reject(new Error('connection lost')))
    const [lost, asked] = await Promise.allSettled([prepare(failing), prepare(answering())])
    expect(lost.status).toBe('rejected')
    expect(asked.status).toBe('fulfilled')
    expect(statement(who).kept).toBe(true)
  })
})

describe('isRefused', () => {
  it('knows the refusals that another credential may cure', () => {
    const refused = ['TN001', 'TN002', 'TN003', 'TN004', 'TN008', 'TN010', '25P02'].filter((code) =>
      isRefused({ code }),
    )
    expect(refused).toEqual(['TN002', 'TN003', 'TN008'])
    expect(isRefused(undefined)).toBe(false)
  })
})
