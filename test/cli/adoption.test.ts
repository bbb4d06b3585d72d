import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { identity, tenantry } from '../../src/index.js'
import { startShop as startAfter } from '../fixtures/shop/app/after.js'
import { startShop as startBefore } from '../fixtures/shop/app/before.js'
import * as forgetful from '../fixtures/shop/app/queries/forgetful.js'
import type { Shop } from '../fixtures/shop/app/shop.js'
import { shopFolder } from '../fixtures/shop/load.js'
import { steps } from '../fixtures/shop/scenario.js'
import { accountIds, exemptTables, owners, sharedTables } from '../fixtures/shop/truth.js'
import { adoptShop, type Adopted } from './adopted.js'
import { cli } from './cli.js'
import { changedLines } from './changed-lines.js'
import { comparable, only, owned, sorted } from './compare.js'

const account = identity('account')

let shop: Adopted

beforeAll(async () => {
  shop = await adoptShop()
  vi.stubEnv('TENANTRY_SECRET', shop.secret)
})

afterAll(async () => {
  vi.unstubAllEnvs()
  await shop.drop()
})

describe('the survey', () => {
  it('proposes something for each of the forty tables and leaves two open', () => {
    expect(shop.surveyed).toContain(
      '40 tables: 17 owned, 8 by parent, 6 many-to-many, 6 shared, 1 exempt, 2 undecided.',
    )
    for (const table of [...Object.keys(owners), ...sharedTables, ...exemptTables]) {
      const name = /[A-Z]/.test(table) ? `public."${table}"` : `public.${table}`
      expect(shop.surveyed, name).toMatch(
        new RegExp(
          `^-- ${name} \\([0-9,]+ rows, [0-9]+ kB\\): (owned|by parent|many-to-many|shared|exempt|undecided);`,
          'm',
        ),
      )
    }
    expect(shop.surveyed.match(/^-- undecided: .*$/gm)).toEqual([
      '-- undecided: public.stockMovements',
      '-- undecided: public.feature_flags',
    ])
  })

  it('names what a person must know', () => {
    const flat = shop.surveyed.replaceAll(/\n--\s+/g, ' ')
    expect(flat).toContain(`${shop.owner.name} can log in and owns tables`)
    expect(flat).toContain('permissive policy articles_everybody: it cannot widen')
    expect(flat).toContain('restrictive policy articles_hide_deleted narrows further')
    expect(flat).toContain('trigger orders_record writes audit_log, daily_sales')
    expect(flat).toContain('is_public rows are seen by their owner only')
    expect(flat).toContain('no index begins with account_id: one is created')
    expect(flat).toContain('it has no primary key')
    expect(flat).toContain(
      'locks: ACCESS EXCLUSIVE on public.order_items, SHARE ROW EXCLUSIVE on public.orders',
    )
  })

  it('refuses to be applied before everything is decided, and says which lines are in question', async () => {
    const file = join(shop.folder, 'unedited.sql')
    writeFileSync(file, shop.surveyed)
    const { code, err } = await cli(['apply', file], { url: shop.unprotected.url() })
    expect(code).toBe(1)
    expect(err).toContain('2 tables are undecided: public.stockMovements, public.feature_flags')
    expect(err).toContain('HINT:')
  })

  it('finds everything declared once it was applied', async () => {
    const again = await cli(['survey', '--runtime-login', shop.runtime.name], {
      url: shop.db.url(),
    })
    expect(again.err).toContain('40 tables: 40 declared already')
    const file = join(shop.folder, 'again.sql')
    writeFileSync(file, again.out)
    const second = await cli(['apply', file], { url: shop.db.url() })
    expect(second).toMatchObject({ code: 0, err: '' })
    expect(second.out).toContain('40 as declared already, 0 refused')
  })
})

describe('apply and check', () => {
  it('carried everything out', () => {
    expect(shop.applied.err).toBe('')
    expect(shop.applied.out).toContain('0 refused, 0 left')
    expect(shop.applied.code).toBe(0)
  })

  it('leaves nothing open', async () => {
    expect(await cli(['check', '--json'], { url: shop.db.url() })).toEqual({
      code: 0,
      out: '[]\n',
      err: '',
    })
  })

  it('found the login of the application fit, and that of the owner not', async () => {
    const fit = await cli(['status', '--application', '--url', shop.runtime.url])
    expect(fit).toMatchObject({ code: 0, err: '' })
    const unfit = await cli(['status', '--application', '--url', shop.owner.url])
    expect(unfit.code).toBe(1)
    expect(unfit.out.replaceAll(/│\n│\s*│|\s+/g, ' ')).toContain('it owns 43 tables')
  })
})

describe('every account', () => {
  it('sees exactly its own rows of every table, and all rows of the shared ones', async () => {
    const pool = shop.runtime.pool()
    const runtimeDb = tenantry(pool, { secret: shop.secret })
    for (const id of accountIds) {
      const session = runtimeDb.as(account(id))
      for (const [table, rows] of shop.truth) {
        const columns = Object.keys(rows[0]?.row ?? {})
        const { rows: seen } = await session.query<{ row: Record<string, unknown> }>(
          `select to_jsonb(t) as row from public."${table}" t`,
        )
        const expected = rows
          .filter((each) => each.owner === id)
          // The shop's own restrictive policy goes on hiding deleted articles.
          .filter((each) => table !== 'articles' || each.row['deleted_at'] === null)
          .map(({ row, owner: belongsTo }) => owned(table, row, belongsTo))
        expect(
          sorted(seen.map(({ row }) => only(columns, row))),
          `${table} of account ${id}`,
        ).toEqual(sorted(expected))
      }
      for (const table of sharedTables) {
        const all = await shop.db.admin.query(`select count(*)::int as n from ${table}`)
        const seen = await session.query(`select count(*)::int as n from ${table}`)
        expect(seen.rows, table).toEqual(all.rows)
      }
    }
    // Positive control: the tables are not simply empty, and nobody sees anything without a context.
    expect(shop.truth.get('orders')?.length).toBe(132)
    const bare = await pool.query('select count(*)::int as n from orders')
    expect(bare.rows).toEqual([{ n: 0 }])
    await runtimeDb.end()
  })
})

describe('the application', () => {
  it('changes at most ten lines, those of the survey’s file included', () => {
    const application = changedLines(
      readFileSync(join(shopFolder, 'app/before.ts'), 'utf8'),
      readFileSync(join(shopFolder, 'app/after.ts'), 'utf8'),
    )
    expect(application).toEqual({ added: 5, removed: 4 })
    const file = changedLines(shop.surveyed, shop.edited)
    expect(file).toEqual({ added: 3, removed: 3 })
    expect(Math.max(application.added, application.removed) + file.added).toBeLessThanOrEqual(10)
  })

  it('gets the same answers from all its queries as before, as an ordinary login', async () => {
    const before = startBefore(shop.unprotectedOwner.url)
    const after = startAfter(shop.runtime.url)
    try {
      for (const accountId of [1, 2, 3]) {
        for (const [name, work] of steps) {
          const expected = comparable(await before.handle({ accountId }, work))
          const actual = comparable(await after.handle({ accountId }, work))
          expect(actual, `${name} of account ${accountId}`).toEqual(expected)
        }
      }
    } finally {
      await before.stop()
      await after.stop()
    }
  })

  it('gives requests of several accounts at once each their own answers', async () => {
    const after = startAfter(shop.runtime.url)
    const reading = steps.filter(([name]) =>
      ['listProducts, first page', 'listCustomers', 'salesByDay', 'totalsView'].includes(name),
    )
    const ask = async (accountId: number) => {
      const answers: unknown[] = []
      for (const [, work] of reading) answers.push(await after.handle({ accountId }, work))
      return JSON.stringify(answers)
    }
    try {
      const alone = [await ask(1), await ask(2), await ask(3)]
      expect(new Set(alone).size).toBe(3)
      const together = await Promise.all(
        Array.from({ length: 30 }, (_, index) => ask(1 + (index % 3))),
      )
      for (const [index, answer] of together.entries()) expect(answer).toBe(alone[index % 3])
    } finally {
      await after.stop()
    }
  })

  it('leaks without protection where a query forgot its condition, and not with it', async () => {
    const before = startBefore(shop.unprotectedOwner.url)
    const after = startAfter(shop.runtime.url)
    const queries: [string, (shop: Shop) => Promise<{ accountId: number }[]>][] = [
      ['searchCustomers', async (shop) => forgetful.searchCustomers(shop, 'Customer 1 %')],
      ['newestOrders', async (shop) => forgetful.newestOrders(shop)],
      ['hideEverything', async (shop) => forgetful.hideEverything(shop)],
    ]
    try {
      for (const [name, query] of queries) {
        const leaked = await before.handle({ accountId: 2 }, query)
        expect(new Set(leaked.map((row) => row.accountId)), name).toEqual(new Set([1, 2, 3]))
        const kept = await after.handle({ accountId: 2 }, query)
        expect(new Set(kept.map((row) => row.accountId)), name).toEqual(new Set([2]))
      }
      const foreign = async (shop: Shop) => forgetful.orderById(shop, 1)
      expect(await before.handle({ accountId: 2 }, foreign)).toEqual([{ accountId: 1 }])
      expect(await after.handle({ accountId: 2 }, foreign)).toEqual([])
      const sums: ((shop: Shop) => Promise<unknown>)[] = [
        forgetful.refundSum,
        forgetful.sessionCount,
        forgetful.eventCount,
      ]
      for (const sum of sums) {
        const whole = Number(await before.handle({ accountId: 1 }, sum))
        let parts = 0
        for (const accountId of accountIds) parts += Number(await after.handle({ accountId }, sum))
        expect(parts, sum.name).toBe(whole)
      }
    } finally {
      await before.stop()
      await after.stop()
    }
  })
})

describe('an account', () => {
  it('cannot write to another, by any of the forms the ORM uses', async () => {
    const runtimeDb = tenantry(new pg.Pool({ connectionString: shop.runtime.url }), {
      secret: shop.secret,
    })
    const session = runtimeDb.as(account(2))
    try {
      const refused = { code: '42501' }
      await expect(
        session.query(`insert into tags (account_id, name) values (1, 'mine')`),
      ).rejects.toMatchObject(refused)
      await expect(session.query('update tags set account_id = 1')).rejects.toMatchObject(refused)
      const foreignProduct = shop.truth.get('products')?.find((each) => each.owner === 1)?.row['id']
      const ownTag = shop.truth.get('tags')?.find((each) => each.owner === 2)?.row['id']
      await expect(
        session.query('insert into product_tags (product_id, tag_id) values ($1, $2)', [
          foreignProduct,
          ownTag,
        ]),
      ).rejects.toThrow()
      const deleted = await session.query('delete from orders where account_id = 1')
      expect(deleted.rowCount).toBe(0)
      const untouched = await shop.db.admin.query(
        `select count(*)::int as n from tags where name = 'mine'`,
      )
      expect(untouched.rows).toEqual([{ n: 0 }])
    } finally {
      await runtimeDb.end()
    }
  })
})
