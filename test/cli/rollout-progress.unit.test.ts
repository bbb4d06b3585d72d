import { setTimeout as sleep } from 'node:timers/promises'
import type pg from 'pg'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { Event, Progress } from '../../src/cli/rollout/events.js'
import { listener } from '../../src/cli/rollout/listeners.js'
import { observed } from '../../src/cli/rollout/observer.js'

// How fast, how long still, and what of it is shown.

interface Seen {
  readonly done: number
  readonly total: number
  readonly brake: string | null
}

/** What is told while somebody works for a while; seen: what the server would say so many seconds after the beginning. */
async function progressOf(
  work: Progress['work'],
  milliseconds: number,
  seen: (seconds: number) => Seen | undefined,
): Promise<Progress[]> {
  const began = performance.now()
  const client = {
    query: () => {
      const row = seen((performance.now() - began) / 1000)
      return Promise.resolve({ rows: row ? [row] : [] })
    },
  }
  const told: Progress[] = []
  const to = { tell: (event: Event) => void told.push(event as Progress), end: () => undefined }
  const subject = { table: 'letters', work, pid: 1 }
  await observed(client as unknown as pg.Client, to, subject, () => sleep(milliseconds))
  return told
}

describe.concurrent('what the observer works out', () => {
  it('the rate since it looks, and the time that is left at it', async () => {
    // Resumed: half of it had been done before.
    const told = await progressOf('backfill', 1400, (seconds) => ({
      done: 50_000 + 10_000 * seconds,
      total: 100_000,
      brake: null,
    }))
    expect(told.length).toBeGreaterThan(2)
    expect(told[0]).toMatchObject({ event: 'progress', table: 'letters', work: 'backfill' })
    // The first look is what the others are compared with.
    expect(told[0]).toMatchObject({ rate: null, eta: null })
    for (const { done, rate, eta } of told.slice(1)) expect(eta).toBe((100_000 - done) / rate!)
    const last = told.at(-1)!
    expect(last.rate).toBeGreaterThan(9_500)
    expect(last.rate).toBeLessThan(10_500)
    // It takes five seconds in all.
    const left = (100_000 - last.done) / 10_000
    expect(left).toBeLessThan(4)
    expect(Math.abs(last.eta! - left)).toBeLessThan(0.05 * left)
  })

  it('no time that is left before a hundredth is done, and no rate where nothing is', async () => {
    const early = await progressOf('backfill', 1100, (seconds) => ({
      done: 10 * seconds,
      total: 100_000,
      brake: null,
    }))
    expect(early.at(-1)?.rate).toBeGreaterThan(0)
    expect(early.map(({ eta }) => eta)).toEqual(early.map(() => null))
    const brake = 'a replica is behind'
    const held = await progressOf('backfill', 1100, () => ({ done: 5000, total: 10_000, brake }))
    expect(held.at(-1)).toEqual({
      event: 'progress',
      table: 'letters',
      work: 'backfill',
      done: 5000,
      total: 10_000,
      rate: null,
      eta: null,
      brake,
    })
  })

  it('nothing before there is something to look at, and an index by its phase', async () => {
    expect(await progressOf('backfill', 600, () => undefined)).toEqual([])
    const phases = await progressOf('index', 1700, (seconds) => ({
      done: 1000 * (seconds < 0.9 ? 10 + seconds : seconds - 0.9),
      total: 12_000,
      brake: null,
    }))
    const last = phases.at(-1)
    expect(last?.done).toBeLessThan(1000)
    expect(last?.rate).toBeGreaterThan(900)
    expect(last?.rate).toBeLessThan(1100)
  })
})

describe('what is shown of it', () => {
  beforeEach(() => vi.useFakeTimers())
  afterEach(() => vi.useRealTimers())

  const progress: Progress = {
    event: 'progress',
    table: 'letters',
    work: 'backfill',
    done: 800,
    total: 2000,
    rate: 511.7,
    eta: 2.3,
    brake: null,
  }

  function shown(interactive: boolean) {
    let written = ''
    const io = {
      out: (text: string) => void (written += text),
      err: (text: string) => void (written += text),
      input: process.stdin,
      env: {},
      columns: 130,
      interactive,
    }
    return { ...listener(io, false), screen: () => screenAfter(written) }
  }

  it('to a person a bar that moves below the lines, with rate, time and what it waits for', () => {
    const { tell, end, screen } = shown(true)
    const later = (): string[] => {
      vi.advanceTimersByTime(200)
      return screen().map((line) => line.replace(/=+-*/, '=-'))
    }
    tell(progress)
    expect(later()).toEqual(['letters, backfill =- 40 %, 800 of 2000, 512 rows/s, 3 s left'])
    expect(screen()[0]).toMatch(/ ={16}-{24} /)
    const held = 'letters, backfill =- 75 %, 1500 of 2000, waits: a replica is behind'
    tell({ ...progress, done: 1500, rate: null, eta: null, brake: 'a replica is behind' })
    expect(later()).toEqual([held])
    tell({ event: 'notice', message: 'letters: waits' })
    expect(later()).toEqual(['letters: waits', held])
    // What comes last is not lost, and the bar makes room for the next one.
    tell({ event: 'notice', message: 'letters: backfilled' })
    tell({ event: 'reached', table: 'letters', state: 'backfilled', ms: 1 })
    expect(screen()).toEqual(['letters: waits', 'letters: backfilled'])
    tell({ event: 'index', table: 'letters', statement: 'create index' })
    tell({ ...progress, work: 'index', done: 7, total: 28 })
    expect(later().slice(2)).toEqual([
      'letters: create index',
      'letters, index =- 25 %, 7 of 28, 512 blocks/s, 3 s left',
    ])
    tell({ event: 'report', longest_lock: null, waits: [] })
    end()
    const ended = screen()
    expect(ended.slice(0, 3)).toEqual([
      'letters: waits',
      'letters: backfilled',
      'letters: create index',
    ])
    expect(ended.join('\n')).not.toContain('%')
    expect(later()).toEqual(ended)
  })

  it('into a log a line every three seconds', () => {
    const { tell, screen } = shown(false)
    tell(progress)
    expect(screen()).toEqual([])
    vi.advanceTimersByTime(3000)
    tell(progress)
    tell({ ...progress, done: 801 })
    vi.advanceTimersByTime(3000)
    tell({ ...progress, done: 1000, brake: 'a replica is behind' })
    tell({ event: 'notice', message: 'letters: backfilled' })
    expect(screen()).toEqual([
      'letters, backfill: 40 %, 800 of 2000, 512 rows/s, 3 s left',
      'letters, backfill: 50 %, 1000 of 2000, 512 rows/s, 3 s left, waits: a replica is behind',
      'letters: backfilled',
    ])
  })
})

/** What a terminal shows of it: as much of one as a bar needs. */
function screenAfter(written: string): string[] {
  const lines = ['']
  let [x, y] = [0, 0]
  const count = (text: string | undefined) => Number(text === '' ? 1 : text)
  // eslint-disable-next-line no-control-regex -- terminals are controlled by them
  for (const [token, by, command] of written.matchAll(/\u001b\[(\??\d*)([A-Za-z])|[^\u001b]/g)) {
    const line = lines[y] ?? ''
    if (token === '\n') [x, y] = [0, y + 1]
    else if (command === undefined) {
      lines[y] = line.slice(0, x).padEnd(x) + token + line.slice(x + 1)
      x += 1
    } else if (command === 'G') x = count(by) - 1
    else if (command === 'A') y -= count(by)
    else if (command === 'K') lines[y] = by === '2' ? '' : line.slice(0, x)
    else if (command === 'J') lines.splice(y, lines.length, line.slice(0, x))
    else if (!'hl'.includes(command)) throw new Error(`what does ${JSON.stringify(token)} do?`)
  }
  const last = lines.findLastIndex((line) => line !== undefined && line !== '')
  return Array.from({ length: last + 1 }, (_, n) => lines[n] ?? '')
}
