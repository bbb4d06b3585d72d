import type pg from 'pg'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { ArgumentError, ConstraintError, ZeroRowsError } from '../../src/index.js'
import type { TestDatabase } from '../support/database.js'
import { OrgId, schema, UserId, type Accessors } from './golden/tenantry.generated.js'
import { goldenDatabase } from './support/golden.js'
import { plainExecutor, type RecordedExecutor } from './support/plain-executor.js'

/** What accessors send and return, on tables without an owner: the driver alone is behind them. */
describe('accessors', () => {
  let db: TestDatabase
  let client: pg.Client
  let executor: RecordedExecutor
  let tables: Accessors

  beforeAll(async () => {
    db = await goldenDatabase()
    client = await (await db.role('app', { allow: 'user' })).connect()
    executor = plainExecutor(client)
    tables = schema.bind(executor)
  })
  afterAll(() => db.drop())

  beforeEach(async () => {
    await client.query('delete from public.samples; delete from public.transaction')
    await tables.samples.insertMany([
      { id: 1, a_text: 'one', a_bigint: 10, ints: [1], a_mood: 'sad' },
      { id: 2, a_text: 'two', a_bigint: 20, ints: [2, 2], a_mood: 'ok' },
      { id: 3, a_text: null, a_bigint: '9007199254740993', ints: [1], a_mood: 'happy' },
      { id: 4, a_text: 'two', a_bigint: 40n, a_jsonb: { a: 1 } },
    ])
    executor.sent.length = 0
  })

  const ids = async (where: Parameters<Accessors['samples']['findMany']>[0]) =>
    (await tables.samples.findMany({ ...where, select: ['id'] })).map(({ id }) => id).sort()

  describe('reads', () => {
    it('filters by equality, sets, ranges and null', async () => {
      expect(await ids({ where: { a_text: 'two' } })).toEqual([2, 4])
      expect(await ids({ where: { a_text: 'two', id: { gt: 2 } } })).toEqual([4])
      expect(await ids({ where: { id: { gte: 2, lt: 4 } } })).toEqual([2, 3])
      expect(await ids({ where: { id: { in: [1, 4, 99] } } })).toEqual([1, 4])
      expect(await ids({ where: { id: { in: [] } } })).toEqual([])
      expect(await ids({ where: { a_text: null } })).toEqual([3])
      expect(await ids({ where: { a_text: { not: null } } })).toEqual([1, 2, 4])
      expect(await ids({ where: { a_jsonb: { not: null } } })).toEqual([4])
      expect(await ids({ where: { a_bigint: 9007199254740993n } })).toEqual([3])
      expect(await ids({ where: { a_mood: { gte: 'ok' } } })).toEqual([2, 3])
      expect(await ids({ where: { ints: [1] } })).toEqual([1, 3])
      expect(await ids({ where: { ints: { in: [[2, 2], [9]] } } })).toEqual([2])
      expect(await ids({ where: { ints: { in: [] } } })).toEqual([])
      expect(await ids({ where: {} })).toEqual([1, 2, 3, 4])
    })

    it('orders, limits and skips', async () => {
      const rows = await tables.samples.findMany({
        orderBy: ['-a_text', 'id'],
        where: { a_text: { not: null } },
        limit: 2,
        offset: 1,
        select: ['id', 'a_text'],
      })
      expect(rows).toEqual([
        { id: 4, a_text: 'two' },
        { id: 1, a_text: 'one' },
      ])
    })

    it('finds the first, one by id, or null', async () => {
      expect(await tables.samples.findFirst({ orderBy: ['-id'], select: ['id'] })).toEqual({
        id: 4,
      })
      expect(await tables.samples.findFirst({ where: { id: 99 } })).toBeNull()
      expect((await tables.samples.findById(2))?.a_text).toBe('two')
      expect(await tables.samples.findById(99)).toBeNull()
    })

    it('counts', async () => {
      expect(await tables.samples.count()).toBe(4)
      expect(await tables.samples.count({ where: { a_text: 'two' } })).toBe(2)
    })

    it('names schema, table and columns in full, and sends values apart from the text', async () => {
      const hostile = `'; drop table public.samples; --`
      await tables.samples.findMany({ where: { a_text: hostile }, select: ['id'], limit: 1 })
      expect(executor.sent).toEqual([
        {
          text: 'select t."id" from "public"."samples" as t where t."a_text" = $1 limit $2',
          values: [hostile, 1],
        },
      ])
    })
  })

  describe('writes', () => {
    it('inserts and returns the row as stored, with its defaults', async () => {
      const row = await tables.events.insert({ at: new Date('2026-05-01T00:00:00Z'), kind: 'made' })
      expect(row).toMatchObject({ at: new Date('2026-05-01T00:00:00Z'), kind: 'made' })
      expect(row.id).toMatch(/^\d+$/)
      await tables.events.deleteById({ id: row.id, at: row.at })
    })

    it('inserts rows that name different columns, keeping the defaults of the others', async () => {
      const rows = await tables.samples.insertMany(
        [{ id: 10, a_note: 'given' }, { id: 11 }, { id: 12, a_required_jsonb: [1] }],
        { select: ['id', 'a_note', 'a_required_jsonb'] },
      )
      expect(rows).toEqual([
        { id: 10, a_note: 'given', a_required_jsonb: {} },
        { id: 11, a_note: '', a_required_jsonb: {} },
        { id: 12, a_note: '', a_required_jsonb: [1] },
      ])
      expect(executor.sent).toHaveLength(1)
      expect(await tables.samples.insertMany([])).toEqual([])
    })

    it('splits what one statement cannot carry, and keeps it one transaction', async () => {
      const rows = Array.from({ length: 33_000 }, (_, index) => ({ id: 1000 + index, a_text: 'x' }))
      const stored = await tables.samples.insertMany(rows, { select: ['id'] })
      expect(stored.map(({ id }) => id)).toEqual(rows.map(({ id }) => id))
      const sent = executor.sent.map(({ text }) => text.slice(0, 6))
      expect(sent).toEqual(['begin', 'insert', 'insert', 'commit'])
      expect(executor.sent[1]?.values).toHaveLength(65_534)
    })

    it('stores none of many when one fails', async () => {
      const rows = Array.from({ length: 33_000 }, (_, index) => ({ id: 1000 + index, a_text: 'x' }))
      rows[32_999]!.id = 1000
      await expect(tables.samples.insertMany(rows)).rejects.toThrow(ConstraintError)
      expect(await tables.samples.count()).toBe(4)
    })

    it('inserts where nothing may be read back', async () => {
      expect(await tables.audit_trail.insert({ what: 'happened' })).toEqual({})
      const { rows } = await db.admin.query('select what from public.audit_trail')
      expect(rows).toEqual([{ what: 'happened' }])
    })

    it('updates by filter, by id, and everything only when asked to', async () => {
      expect(
        await tables.samples.update({ where: { a_text: 'two' }, set: { a_smallint: 5 } }),
      ).toBe(2)
      expect(
        await tables.samples.updateById(1, { a_smallint: null }, { select: ['id', 'a_smallint'] }),
      ).toEqual({ id: 1, a_smallint: null })
      expect(await tables.samples.update({ all: true, set: { a_note: 'all' } })).toBe(4)
      expect(await tables.samples.count({ where: { a_note: 'all' } })).toBe(4)
    })

    it('upserts on the primary key', async () => {
      const select = ['id', 'a_text', 'a_note'] as const
      const upsert = (values: { id: number; a_text?: string; a_note?: string }) =>
        tables.samples.upsert(values, { select })
      expect(await upsert({ id: 1, a_text: 'new' })).toEqual({ id: 1, a_text: 'new', a_note: '' })
      expect(await upsert({ id: 7, a_text: 'seven' })).toMatchObject({ id: 7, a_text: 'seven' })
      expect(await upsert({ id: 7 })).toMatchObject({ id: 7, a_text: 'seven' })
      expect(
        await tables.samples.upsert(
          { id: 7, a_text: 'kept out', a_note: 'taken' },
          { update: ['a_note'], select },
        ),
      ).toEqual({ id: 7, a_text: 'seven', a_note: 'taken' })
    })

    it('upserts on a unique key where there is no primary key', async () => {
      const onConflict = 'settings_key_key'
      const upsert = (value: number[]) =>
        tables.settings.upsert({ key: 'sizes', value }, { onConflict })
      expect(await upsert([1])).toEqual({ key: 'sizes', value: [1] })
      expect(await upsert([2])).toEqual({ key: 'sizes', value: [2] })
      expect(await tables.settings.delete({ all: true })).toBe(1)
    })

    it('upserts where nothing of an existing row may change', async () => {
      const org = await db.admin.query<{ id: string }>(
        `insert into public.orgs (name) values ('One') returning id`,
      )
      const user = await db.admin.query<{ id: string }>(
        `insert into public.users (email) values ('a@b') returning id`,
      )
      const member = { org_id: OrgId(org.rows[0]!.id), user_id: UserId(user.rows[0]!.id) }
      const first = await tables.members.upsert(member)
      expect(first).toEqual({ ...member, role: 'member', joined_at: new Date(2026, 0, 1) })
      expect(await tables.members.upsert(member)).toEqual(first)
    })

    it('deletes by filter, by id, and everything only when asked to', async () => {
      expect(await tables.samples.delete({ where: { a_text: 'two' } })).toBe(2)
      await tables.samples.deleteById(1)
      expect(await tables.samples.delete({ all: true })).toBe(1)
    })

    it('says so when the one row is not there', async () => {
      const missing = { code: 'TN_ZERO_ROWS', message: /samples\.\w+ById touched no row/ }
      for (const call of [
        () => tables.samples.updateById(99, { a_text: 'x' }),
        () => tables.samples.deleteById(99),
      ]) {
        const error: unknown = await call().catch((thrown: unknown) => thrown)
        expect(error).toBeInstanceOf(ZeroRowsError)
        expect(error).toMatchObject({ code: missing.code })
        expect((error as Error).message).toMatch(missing.message)
      }
    })
  })

  it('works on hostile and reserved names', async () => {
    const row = { id: 1, select: 'a', 'Weird "name"': `b'"` }
    expect(await tables.transaction_table.insert(row)).toEqual(row)
    const where = { 'Weird "name"': `b'"`, select: { not: null } } as const
    const orderBy = ['-select', 'Weird "name"'] as const
    expect(await tables.transaction_table.findMany({ where, orderBy })).toEqual([row])
  })

  describe('refuses, before anything is sent, what TypeScript would not let pass', () => {
    type Loose = Record<string, (...args: unknown[]) => Promise<unknown>>
    const attempts: [string, (samples: Loose) => Promise<unknown>][] = [
      ['unknown column in where', (t) => t['findMany']!({ where: { nope: 1 } })],
      ['prototype member as column', (t) => t['findMany']!({ where: { constructor: 1 } })],
      ['unknown operator', (t) => t['findMany']!({ where: { id: { like: '%' } } })],
      ['undefined in where', (t) => t['findMany']!({ where: { id: undefined } })],
      ['undefined operand', (t) => t['findMany']!({ where: { id: { gt: undefined } } })],
      ['null operand', (t) => t['findMany']!({ where: { id: { gt: null } } })],
      ['empty operators', (t) => t['findMany']!({ where: { id: {} } })],
      ['not a value', (t) => t['findMany']!({ where: { id: { not: 1 } } })],
      ['in without array', (t) => t['findMany']!({ where: { id: { in: '1' } } })],
      ['null in in', (t) => t['findMany']!({ where: { id: { in: [null] } } })],
      ['equality of json', (t) => t['findMany']!({ where: { a_json: 'x' } })],
      ['where as text', (t) => t['findMany']!({ where: '1 = 1' })],
      ['injection by orderBy', (t) => t['findMany']!({ orderBy: ['id; drop table samples'] })],
      ['orderBy as text', (t) => t['findMany']!({ orderBy: 'id' })],
      ['negative limit', (t) => t['findMany']!({ limit: -1 })],
      ['limit as text', (t) => t['findMany']!({ limit: '1; select 1' })],
      ['fractional offset', (t) => t['findMany']!({ offset: 0.5 })],
      ['unknown selection', (t) => t['findMany']!({ select: ['nope'] })],
      ['empty selection', (t) => t['findMany']!({ select: [] })],
      ['no id', (t) => t['findById']!(undefined)],
      ['operator as id', (t) => t['findById']!({ gt: 0 })],
      ['null id', (t) => t['deleteById']!(null)],
      ['unknown column in insert', (t) => t['insert']!({ id: 5, nope: 1 })],
      ['insert of nothing at all', (t) => t['insert']!(null)],
      ['insertMany of one row', (t) => t['insertMany']!({ id: 5 })],
      ['value without JSON form', (t) => t['insert']!({ id: 5, a_json: () => 1 })],
      ['update without filter', (t) => t['update']!({ set: { a_text: 'x' } })],
      ['update with empty filter', (t) => t['update']!({ where: {}, set: { a_text: 'x' } })],
      ['update of nothing', (t) => t['update']!({ all: true, set: {} })],
      ['update with filter and all', (t) => t['update']!({ all: true, where: {}, set: { id: 1 } })],
      ['delete without argument', (t) => t['delete']!()],
      ['delete with empty filter', (t) => t['delete']!({ where: {} })],
      ['delete with all: 1', (t) => t['delete']!({ all: 1 })],
      ['upsert on unknown key', (t) => t['upsert']!({ id: 1 }, { onConflict: 'nope' })],
    ]

    it.each(attempts)('%s', async (_, attempt) => {
      await expect(attempt(tables.samples as unknown as Loose)).rejects.toThrow(ArgumentError)
      expect(executor.sent).toEqual([])
    })

    it('columns the application may not read or write', async () => {
      const members = tables.members as unknown as Loose
      await expect(members['findMany']!({ select: ['salary'] })).rejects.toThrow(ArgumentError)
      await expect(members['update']!({ all: true, set: { org_id: 1 } })).rejects.toThrow(
        ArgumentError,
      )
      await expect(members['insert']!({ org_id: 1, user_id: 'x', role: 'admin' })).rejects.toThrow(
        ArgumentError,
      )
      await expect(members['findById']!({ org_id: '1' })).rejects.toThrow(ArgumentError)
    })
  })
})
