import type pg from 'pg'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import type { TestRole } from '../support/database.js'
import { corpusBase } from './support/corpus/base.js'
import type { Case } from './support/corpus/case.js'
import { ongoing, subscriptions } from './support/corpus/ongoing.js'
import { roles } from './support/corpus/roles.js'
import { secrets } from './support/corpus/secrets.js'
import { tables } from './support/corpus/tables.js'
import { quoted, refusal, type Finding, type Stage, withoutOthers } from './support/stage.js'

// The corpus: a database that has exactly one finding for each case, which the printed fix ends. check-codes.test.ts sees to it
// that each code has a case.

const cases = [
  ...tables,
  ...roles,
  ...secrets,
  ...ongoing,
  ...subscriptions(inject('server').major),
]

describe('check()', () => {
  let on: Stage
  let extra: TestRole

  beforeAll(async () => {
    on = await corpusBase()
    extra = await on.db.role('extra', { ordinary: false })
  })
  afterAll(() => on.drop())

  const named = (text: string) =>
    text
      .replaceAll("@'extra'", `'${extra.name}'`)
      .replaceAll("@'app'", `'${on.app.name}'`)
      .replaceAll('@app', quoted(on.app.name))
      .replaceAll('@owner', quoted(on.owner.name))
      .replaceAll('@extra', quoted(extra.name))
      .replaceAll('@db', quoted(on.db.name))
  const short = ({ severity, code }: Finding) => `${severity} ${code}`

  it('finds nothing where nothing is open, not even at severity info', async () => {
    expect(await on.check('info')).toEqual([])
  })

  /** Everything in one transaction of the superuser, which is undone. */
  const undone = async (
    work: (client: pg.PoolClient, check: () => Promise<Finding[]>) => Promise<void>,
  ) => {
    const client = await on.db.admin.connect()
    try {
      await client.query('begin')
      await work(client, async () =>
        withoutOthers(
          on.db,
          (await client.query<Finding>(`select * from tenantry.check('info')`)).rows,
        ),
      )
    } finally {
      await client.query('rollback')
      client.release()
    }
  }

  const one = async (
    { given, found, beside = [], object, fill, leaves = [], printed }: Case,
    run: (statements: string) => Promise<unknown>,
    check: () => Promise<Finding[]>,
  ) => {
    await run(named(given))
    const findings = await check()
    expect(findings.map(short).sort()).toEqual([found, ...beside].sort())
    const finding = findings.find((each) => short(each) === found)!
    expect(finding.problem).not.toBe('')
    if (object) expect(finding.object).toMatch(object)
    if (printed) {
      expect(finding.fix).toMatch(printed)
      return
    }
    await run(fill ? finding.fix.replace(fill[0], named(fill[1])) : finding.fix)
    expect((await check()).map(short)).toEqual(leaves)
  }

  it.each(cases.filter(({ undo }) => undo === undefined))('$name', async (each) => {
    await undone((client, check) => one(each, (statements) => client.query(statements), check))
  })

  it.each(cases.filter(({ undo }) => undo !== undefined))('$name', async (each) => {
    // Procedures that commit take no company in a query.
    const run = async (statements: string) => {
      for (const statement of statements.split(/;\s*/).filter(Boolean))
        await (each.by === 'owner' ? on.setUp : on.db.admin).query(statement)
    }
    try {
      await one(each, run, () => on.check('info'))
    } catch (error) {
      await run(each.undo!).catch(() => undefined)
      throw error
    }
    await run(each.undo!)
    expect(await on.check('info')).toEqual([])
  })

  it('shows what is as severe as was asked for', async () => {
    await undone(async (client) => {
      await client.query(`create policy mine on notes using (true); create table orders (id int);
        alter table tasks disable row level security`)
      const codes = async (minimum = '') =>
        (
          await client.query<Finding>(
            `select * from tenantry.check(${minimum}) where code not in ('audit_head', 'server_outdated')`,
          )
        ).rows.map(short)
      const critical = ['critical row_security_off']
      const warning = [...critical, 'warning table_undeclared']
      expect(await codes(`'critical'`)).toEqual(critical)
      expect(await codes()).toEqual(warning)
      expect(await codes(`'warning'`)).toEqual(warning)
      expect(await codes(`'info'`)).toEqual([...warning, 'info policy_foreign'])
    })
    for (const wrong of [`'loud'`, 'null']) {
      const asked = on.db.admin.query(`select tenantry.check(${wrong})`)
      expect(await refusal(asked)).toMatchObject({ code: '22023' })
    }
  })

  it('answers an admin who owns the tables, and nobody else', async () => {
    expect((await on.setUp.query('select * from tenantry.check()')).rows).toEqual([])
    const app = await on.app.connect()
    expect(await refusal(app.query('select * from tenantry.check()'))).toMatchObject({
      code: '42501',
    })
  })
})
