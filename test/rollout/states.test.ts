import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { tableSnapshot } from '../extension/support/table-snapshot.js'
import { states } from '../../src/cli/rollout/states.js'
import { declare, library, type Library } from './support/library.js'

// Each state is left and come back to, and the catalog is compared object by object.

let on: Library

beforeAll(async () => {
  on = await library()
})

afterAll(() => on.drop())

/** What the catalog says; privileges in an order of their own, and without the number of the run in the filling trigger. */
async function picture(): Promise<string[]> {
  const lines = await tableSnapshot(on.db.admin)
  return lines.map((line) =>
    line
      .replace(/ acl \{([^}]*)\}/, (_, acl: string) => ` acl {${acl.split(',').sort().join(',')}}`)
      .replace(/^(trigger \S+tenantry_rollout_fill .*) \S+$/, '$1'),
  )
}

const numbers = () =>
  on.stored<{ rows: number; checksum: string }>(
    `select count(*)::int as rows, sum(hashtextextended(to_jsonb(b)::text, 0)) as checksum
       from (select id, shelf_id, donor, title, changed, details from books) b`,
  )

describe('from planned to strict and back', () => {
  const at = new Map<string, string[]>()
  test('each state is reached, nothing but owners changes, and the rows add up', async () => {
    at.set('planned', await picture())
    const before = await numbers()
    await declare(on, 4)
    expect(await picture()).toEqual(at.get('planned'))
    await on.to('shelves', 'backfilled')
    for (const state of states.slice(1)) {
      if (state === 'strict') await on.to('visits', 'strict')
      await on.to('books', state)
      const [status] = await on.stored(
        `select state from tenantry.rollout_status where relation = 'books'::regclass`,
      )
      expect(status).toEqual({ state })
      expect(await numbers(), state).toEqual(before)
      if (state === 'verified') await on.to('visits', 'verified')
      at.set(state, await picture())
    }
    const [{ counts }] = (await on.stored(
      `select counts from tenantry.rollout_status where relation = 'books'::regclass`,
    )) as [{ counts: Record<string, unknown> }]
    expect(counts).toMatchObject({
      rows: 40,
      owned: 37,
      quarantined: 3,
      exempt: 0,
      sources: { donor: 8, shelf: 29 },
      unknown_owners: [],
    })
  })

  test('rows without an owner stay behind, noted, and seen by nobody', async () => {
    expect(await on.check()).toContainEqual(
      expect.objectContaining({ code: 'rows_unowned', object: 'public.books' }),
    )
    const left = await on.stored(`select key, reason from tenantry.rollout_quarantine
      where relation = 'books'::regclass order by key[1]::int`)
    expect(left).toEqual(['37', '38', '39'].map((key) => ({ key: [key], reason: 'no signal' })))
  })

  test('going back restores each state, object by object', async () => {
    for (const state of [...states].reverse().slice(1)) {
      await on.to('books', state)
      if (state === 'verified') await on.to('visits', 'verified')
      if (state === 'transitional' || state === 'planned')
        await on.to('visits', state === 'planned' ? 'planned' : 'transitional')
      if (state === 'planned') await on.to('shelves', 'planned')
      const books = (lines: string[]) => lines.filter((line) => /\bbooks\b/.test(line))
      expect(books(await picture()), state).toEqual(books(at.get(state)!))
    }
    expect(await picture()).toEqual(at.get('planned'))
  })

  test('and forth again', async () => {
    await on.to('shelves', 'backfilled')
    await on.to('books', 'verified')
    const [{ counts }] = (await on.stored(
      `select counts from tenantry.rollout_status where relation = 'books'::regclass`,
    )) as [{ counts: Record<string, unknown> }]
    expect(counts).toMatchObject({ rows: 40, owned: 37, quarantined: 3 })
  })

  test('what a rollout does is no weakening', async () => {
    expect(
      await on.stored(`select object, detail from tenantry.audit where action = 'weaken'`),
    ).toEqual([])
  })
})
