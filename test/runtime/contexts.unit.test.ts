import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { deriveKeyShare } from '../../src/credential.js'
import { identityOf } from '../../src/identity.js'
import type { RawClient } from '../../src/runtime/pg-internals.js'
import {
  contexts,
  isRefused,
  type ContextOptions,
  type ContextStatement,
} from '../../src/runtime/contexts.js'

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
      identityOf('agent:1', ['user:2', 'user:1']),
      identityOf('agent:1', ['user:3', 'user:1']),
    ].map((one) => statement(one).values[0])
    expect(new Set(all).size).toBe(all.length)
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

describe('the key share', () => {
  const share = `\\x${deriveKeyShare(secret).toString('hex')}`
  const missing = { code: 'TN005' }

  const source = (more: Partial<ContextOptions> = {}) =>
    contexts({ secret, audience: undefined, credentialTtl: 60, contextTtl: 0, ...more })
  /** A database that answers whether it wants the share. */
  const database = (wants: boolean) => {
    const query = vi.fn((_: { text: string }) => Promise.resolve({ rows: [['app', wants]] }))
    return { client: { query } as unknown as RawClient, query }
  }

  it('is asked about in the same query as the audience, and comes as a parameter', async () => {
    const { client, query } = database(true)
    const from = source()
    expect(from.ready).toBe(false)
    await from.prepare(client)
    expect(query).toHaveBeenCalledOnce()
    expect(query.mock.calls[0]![0].text).toBe(
      'select tenantry.audience(), tenantry.wants_key_share()',
    )
    const { text, values } = from.statement(who)
    expect(text).toBe('select tenantry.enter($1, $2)')
    expect(values[1]).toBe(share)
    expect(from.statement(who).frame().toString('latin1')).toContain(share)
  })

  it('stays at home where the database does not want it, or the application says so', async () => {
    const from = source()
    await from.prepare(database(false).client)
    expect(from.statement(who).values).toHaveLength(1)
    const never = source({ keyShare: false })
    await never.prepare(database(true).client)
    expect(never.statement(who).text).toBe('select tenantry.enter($1)')
    expect(never.statement(who).frame().toString('latin1')).not.toContain(share.slice(2))
  })

  it('needs no question where both are known', () => {
    const from = source({ audience: 'app', keyShare: true })
    expect(from.ready).toBe(true)
    expect(from.statement(who).values[1]).toBe(share)
    expect(source({ audience: 'app' }).ready).toBe(false)
  })

  it('comes with the request for a pass, and with the pass', async () => {
    const from = source({ contextTtl: 120 })
    await from.prepare(database(true).client)
    const first = from.statement(who)
    expect(first.text).toBe('select tenantry_private.enter_for_pass($1, $2, $3)')
    expect(first.values.slice(1)).toEqual(['120', share])
    first.onValue?.('p1.the-pass')
    expect(from.statement(who)).toMatchObject({
      text: 'select tenantry.enter($1, $2)',
      values: ['p1.the-pass', share],
    })
  })

  it('is asked about once more when it turns out to be missing, and comes with the next call', async () => {
    const from = source()
    await from.prepare(database(false).client)
    const without = from.statement(who)
    from.noteError({ code: '23505' })
    expect(from.ready).toBe(true)
    from.noteError(missing)
    expect(from.ready).toBe(false)
    const { client, query } = database(true)
    await from.prepare(client)
    expect(query).toHaveBeenCalledOnce()
    expect(from.statement(who)).not.toBe(without)
    expect(from.statement(who).values[1]).toBe(share)
    // A call that was under way without it tells nothing new.
    from.noteError(missing)
    expect(from.ready).toBe(true)
  })

  it('leaves what is kept alone when the answer is the same', async () => {
    const from = source()
    await from.prepare(database(false).client)
    const kept = from.statement(who)
    from.noteError(missing)
    await from.prepare(database(false).client)
    expect(from.statement(who)).toBe(kept)
  })

  it('is never asked about again where the application decided', async () => {
    for (const keyShare of [true, false]) {
      const from = source({ keyShare })
      await from.prepare(database(true).client)
      from.noteError(missing)
      expect(from.ready).toBe(true)
    }
  })

  it('does not stay away because a pass came back in the meantime', async () => {
    const from = source({ contextTtl: 120 })
    await from.prepare(database(false).client)
    const [early, late] = [from.statement(who), from.statement(who)]
    from.noteError(missing)
    early.onValue?.('p1.early')
    await from.prepare(database(true).client)
    expect(from.statement(who).values).toContain(share)
    late.onValue?.('p1.late')
    expect(from.statement(who).values).toEqual(['p1.late', share])
  })

  it('is not wanted by an installation that knows no secrets', async () => {
    const query = vi.fn(({ text }: { text: string }) =>
      text.includes('wants_key_share')
        ? Promise.reject(unknownFunction())
        : Promise.resolve({ rows: [['app']] }),
    )
    const from = source()
    await from.prepare({ query } as unknown as RawClient)
    expect(from.statement(who).text).toBe('select tenantry.enter($1)')
    const nothing = { query: () => Promise.reject(unknownFunction()) }
    await expect(source().prepare(nothing as unknown as RawClient)).rejects.toMatchObject({
      code: 'TN_NOT_INSTALLED',
    })
  })
})

const unknownFunction = (): Error =>
  Object.assign(new Error('function does not exist'), { severity: 'ERROR', code: '42883' })

describe('isRefused', () => {
  it('knows the refusals that another credential may cure', () => {
    const refused = ['TN001', 'TN002', 'TN003', 'TN004', 'TN008', 'TN010', '25P02'].filter((code) =>
      isRefused({ code }),
    )
    expect(refused).toEqual(['TN002', 'TN003', 'TN008'])
    expect(isRefused(undefined)).toBe(false)
  })
})
