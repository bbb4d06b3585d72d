import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { bert, declare, library, type Library } from '../rollout/support/library.js'
import { cli, type CliResult } from './cli.js'

// The commands in the order in which somebody would use them, on the library of test/rollout.

let on: Library

beforeAll(async () => {
  on = await library()
})
afterAll(() => on.drop())

const rollout = (...args: string[]): Promise<CliResult> =>
  cli(['rollout', ...args], { url: on.owner.url })

/** What a command prints with --json. */
async function asked(...args: string[]): Promise<unknown> {
  const { code, out, err } = await rollout(...args, '--json')
  expect({ code, err }).toEqual({ code: 0, err: '' })
  return JSON.parse(out) as unknown
}

/** The events of `rollout to … --json`. */
const events = ({ out }: CliResult): Record<string, unknown>[] =>
  out
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>)

const stateOf = async (table: string) =>
  (
    await on.stored(`select state from tenantry.rollout_status where relation = $1::regclass`, [
      table,
    ])
  )[0]

describe('before anything is declared', () => {
  it('says what to run', async () => {
    expect(await rollout('status')).toMatchObject({
      code: 0,
      out: expect.stringContaining('select tenantry.rollout(') as string,
    })
    expect(await asked('status')).toEqual([])
    for (const args of [
      ['plan'],
      ['to', 'backfilled'],
      ['impact', 'books'],
      ['quarantine', 'books'],
    ]) {
      expect(await rollout(...args), args.join(' ')).toMatchObject({
        code: 1,
        err: expect.stringMatching(
          /No rollout is declared.*\nHINT: Run: select tenantry\.rollout\(/,
        ) as string,
      })
    }
    expect((await rollout('plan', 'nonsense')).err).toMatch(/42P01: .*nonsense/)
  })

  it('ends with 2 for wrong usage', async () => {
    for (const args of [
      ['to', 'somewhere'],
      ['to', 'strict', '--batch-size', 'many'],
      ['resolve', 'books', '1'],
      ['resolve', 'books', '--owner', bert],
      ['resolve', 'books', '--owner', bert, '--exempt', '1'],
      ['resolve', 'books', '--owner', bert, '--where', 'true', '1'],
      ['impact', '--limit', '0'],
    ]) {
      const { code, err } = await rollout(...args)
      expect(code, args.join(' ')).toBe(2)
      expect(err).toMatch(/error: /)
    }
  })
})

describe('the commands', () => {
  beforeAll(() => declare(on))

  it('plan: what each signal decides, the quarantine, statements and locks, parents first', async () => {
    const plans = (await asked('plan')) as {
      table: string
      state: string
      steps: { state: string; statement: string; rows: number | null; lock: string | null }[]
    }[]
    expect(plans.map(({ table }) => table)).toEqual(['shelves', 'books', 'visits'])
    expect(plans[1]).toMatchObject({ state: 'planned', waits_for: ['shelves'], steps: null })
    expect(plans[0]).toMatchObject({ table: 'shelves', state: 'planned', waits_for: [] })
    expect(plans[0]?.steps).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ statement: 'decided by keeper', rows: 2 }),
        expect.objectContaining({ statement: 'quarantine: no signal', rows: 1 }),
        expect.objectContaining({ state: 'strict', lock: 'ACCESS EXCLUSIVE' }),
      ]),
    )
    const { code, out } = await rollout('plan', 'shelves')
    expect(code).toBe(0)
    expect(out).toMatch(/decided by keeper +│ 2/)
    expect(out).toContain('Next: tenantry rollout to backfilled shelves')
    expect(await stateOf('shelves')).toEqual({ state: 'planned' })
  })

  it('to: refuses a child before its parent, with the command that comes first', async () => {
    const { code, err } = await rollout('to', 'backfilled', 'books')
    expect(code).toBe(1)
    expect(err).toMatch(
      /ERROR TN011: .*shelves.*\nHINT: Parents first: .*rollout_to\('public.shelves'/,
    )
    expect(await stateOf('books')).toEqual({ state: 'prepared' })
  })

  it('to: takes every table to a state, and says what it held', async () => {
    const { code, out, err } = await rollout('to', 'backfilled')
    expect(code).toBe(0)
    const reached = err.split('\n').filter((line) => line.endsWith(': backfilled'))
    expect(reached).toEqual(['shelves: backfilled', 'books: backfilled', 'visits: backfilled'])
    expect(out).toMatch(/^Longest lock: .* on \w+, [\d.]+ ms, /)
    expect(out).toContain('No statement of others waited')
  })

  it('status: a line for each table', async () => {
    const rows = (await asked('status')) as Record<string, unknown>[]
    expect(rows.map(({ table, state }) => [table, state])).toEqual([
      ['books', 'backfilled'],
      ['shelves', 'backfilled'],
      ['visits', 'backfilled'],
    ])
    expect(rows[0]).toMatchObject({ total: 40, filled: 37, quarantined: 3, exempt: 0, brake: null })
    expect((await rollout('status')).out).toMatch(/books +│ backfilled +│ 37 filled +│ 3 /)
  })

  it('impact: who would lose what, the most first', async () => {
    const [books] = (await asked('impact', 'books', '--limit', '2')) as {
      readers: { reader: string; reads_today: number; keeps: number; loses: number }[]
      total: number
    }[]
    expect(books?.total).toBe(3)
    expect(books?.readers).toHaveLength(2)
    expect(books?.readers[0]).toEqual({
      reader: `role ${on.legacy.name}`,
      reads_today: 40,
      keeps: 0,
      loses: 40,
    })
    const loses = books?.readers.map((each) => each.loses) ?? []
    expect([...loses].sort((a, b) => b - a)).toEqual(loses)
    // Whoever loses nothing is counted, and not listed.
    const [all] = (await asked('impact', 'books')) as { readers: { loses: number }[] }[]
    const losing = all?.readers.filter((each) => each.loses > 0).length ?? 0
    const { out } = await rollout('impact', 'books')
    expect(out).toContain(`books: ${String(losing)} of 3 readers would lose rows`)
    expect(out.match(/^│ (role|user)/gm)).toHaveLength(losing)
    const { out: first } = await rollout('impact', 'books', '--limit', '1')
    expect(first.match(/^│ (role|user)/gm)).toHaveLength(1)
    expect(first.includes(`more: --limit ${String(losing)}`)).toBe(losing > 1)
  })

  it('quarantine: rows with what each signal says', async () => {
    await on.setUp.query(`update shelves set keeper = gen_random_uuid() where id = 3`)
    const { total, rows } = (await asked('quarantine', 'books')) as {
      total: number
      rows: Record<string, unknown>[]
    }
    expect(total).toBe(3)
    expect(rows[0]).toMatchObject({
      table: 'books',
      key: ['37'],
      reason: 'no signal',
      candidates: [],
      exempt: false,
      run: 1,
    })
    expect(await asked('quarantine', '--limit', '1')).toMatchObject({ rows: [{}] })
    const { out } = await rollout('quarantine', '--limit', '1')
    expect(out).toMatch(/books +│ 37 +│ no signal/)
    expect(out).toMatch(/… and \d+ more/)
  })

  it('to strict: refuses rows without an owner, and says how to decide them', async () => {
    expect(await rollout('to', 'verified')).toMatchObject({
      code: 0,
      err: expect.stringContaining('visits: verified') as string,
    })
    const refused = await rollout('to', 'strict', 'books', '--json')
    expect(refused.code).toBe(1)
    // visits reads books, and would find them closed
    expect(refused.err).toMatch(/ERROR TN011: .*visits.*\nHINT: Children first: /)
    expect(events(refused).at(-1)).toMatchObject({ event: 'error', code: 'TN011' })
    expect(events(refused).at(-2)).toMatchObject({ event: 'report', waits: [] })
    const unowned = await rollout('to', 'strict')
    expect(unowned.code).toBe(1)
    expect(unowned.err).toMatch(
      /ERROR TN012: 3 rows of public\.books have no owner[\s\S]*\nHINT: See them: /,
    )
    expect(await stateOf('books')).toEqual({ state: 'verified' })
    // visits is allowed rows without an owner, and says so
    expect(unowned.err).toMatch(
      /WARNING: rows of public\.visits have no owner.*\nHINT: Go back to decide them/,
    )
    expect(await stateOf('visits')).toEqual({ state: 'strict' })
  })

  it('resolve: one row, those of a condition, and rows that have no owner', async () => {
    expect(await asked('resolve', 'books', '--owner', bert, '37')).toEqual({
      table: 'books',
      owner: bert,
      rows: 1,
    })
    expect(await rollout('resolve', 'books', '--owner', bert, '1')).toMatchObject({
      code: 1,
      err: expect.stringMatching(/TN011: no row .*\nHINT: List them/) as string,
    })
    expect(await rollout('resolve', 'books', '--owner', 'user:nobody', '38')).toMatchObject({
      code: 1,
      err: expect.stringMatching(/\nHINT: Name an entity/) as string,
    })
    expect(
      await rollout('resolve', 'books', '--owner', bert, '--where', `t.title = 'book 38'`),
    ).toMatchObject({ code: 0, out: `1 rows of books belong to ${bert} now.\n` })
    expect(await rollout('resolve', 'books', '--exempt', '--where', 'true')).toMatchObject({
      code: 0,
      out: '1 rows of books have no owner, on purpose.\n',
    })
    expect((await rollout('quarantine', 'books')).out).toMatch(/39|40/)
    expect((await rollout('quarantine', 'books')).out).toContain('no signal, exempt')
  })

  it('to strict and back, all of them, as lines of JSON', async () => {
    const closed = await rollout('to', 'strict', '--json')
    expect(closed.code).toBe(0)
    const reached = (result: CliResult) =>
      events(result)
        .filter(({ event }) => event === 'reached')
        .map(({ table, state }) => [table, state])
    expect(reached(closed)).toEqual([
      ['visits', 'strict'],
      ['books', 'strict'],
      ['shelves', 'strict'],
    ])
    const report = events(closed).find(({ event }) => event === 'report')
    expect(report).toMatchObject({
      longest_lock: { lock: 'ACCESS EXCLUSIVE', held_ms: expect.any(Number) as number },
      waits: [],
    })
    expect(
      await on.as(bert, async (client) => (await client.query('select from books')).rowCount),
    ).toBeGreaterThan(16)
    expect(
      await on.asNobody(async (client) => (await client.query('select from books')).rowCount),
    ).toBe(0)

    const opened = await rollout('to', 'planned', '--json')
    expect({ code: opened.code, err: opened.err }).toEqual({ code: 0, err: '' })
    expect(reached(opened).slice(0, 3)).toEqual([
      ['shelves', 'verified'],
      ['books', 'verified'],
      ['visits', 'verified'],
    ])
    expect(await stateOf('books')).toEqual({ state: 'planned' })
    const columns = await on.stored(
      `select from pg_attribute where attrelid = 'books'::regclass and attname in ('owner_id', 'tenantry_source') and not attisdropped`,
    )
    expect(columns).toEqual([])
  })
})

it('is for admins, and not for superusers, whom the signals would lend their powers', async () => {
  expect(await cli(['rollout', 'status'], { url: on.app.url })).toMatchObject({
    code: 1,
    err: expect.stringMatching(/no admin[\s\S]*HINT: /) as string,
  })
  expect(await cli(['rollout', 'to', 'prepared', 'books'], { url: on.db.url() })).toMatchObject({
    code: 1,
    err: expect.stringMatching(/TN011: a superuser must not run[\s\S]*HINT: Log in as /) as string,
  })
})
