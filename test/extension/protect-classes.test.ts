import type pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { tableSnapshot } from './support/table-snapshot.js'
import { outcome, quoted, stage, type Stage } from './support/stage.js'
import {
  derivedClasses,
  kindTables,
  layeredClasses,
  ownedClasses,
} from './support/table-classes.js'
import type { Side, TableClass } from './support/table-classes.js'
import { proveClosed, proveRights, rowsOf, seedRows } from './support/table-rights.js'

const classes = [...ownedClasses, ...derivedClasses, ...layeredClasses]

describe('protect(), by sort of table', () => {
  let on: Stage

  beforeAll(async () => {
    on = await stage()
    await on.setUp.query(kindTables)
  })
  afterAll(() => on.drop())

  describe.each(classes)('$name', (table) => {
    let bound: pg.Client[]

    beforeAll(async () => {
      await on.setUp.query(table.create)
      await on.setUp.query(seedRows(table))
      if (table.ownTable) await on.setUp.query(`select tenantry.sync()`)
    })

    it('is protected, shown beforehand, and protected only once', async () => {
      const before = await tableSnapshot(on.db.admin)
      const shown = await on.protect(`${table.protect}, dry_run => true`)
      expect(await tableSnapshot(on.db.admin)).toEqual(before)
      const done = await on.protect(table.protect)
      expect(shown).toEqual(done)
      const after = await tableSnapshot(on.db.admin)
      expect(after).not.toEqual(before)
      expect(await on.protect(table.protect)).toEqual([])
      expect(await on.protect(`${table.protect}, dry_run => true`)).toEqual([])
      expect(await tableSnapshot(on.db.admin)).toEqual(after)
      const { rows } = await on.db.admin.query<{ rows: number }>(
        `select count(*)::int as rows from ${table.relation}`,
      )
      expect(rows).toEqual([{ rows: rowsOf(table, 0) + rowsOf(table, 1) }])
      bound = [await on.bound(entity(table, 0)), await on.bound(entity(table, 1))]
    })

    it.each([0, 1] as const)(
      'gives owner %i exactly its rows, entered by credential',
      async (side) => {
        await undone(on, entity(table, side), (client) => proveRights(client, table, side))
      },
    )

    it.each([0, 1] as const)('gives owner %i exactly its rows, as a bound role', async (side) => {
      const client = bound[side]!
      await rolledBack(client, () => proveRights(client, table, side))
    })

    it('shows and takes nothing without a context', async () => {
      await on.asNobody((client) => proveClosed(client, table))
    })

    it('shows nothing to the owner of the table', async () => {
      expect((await on.setUp.query(`select from ${table.relation}`)).rowCount).toBe(0)
    })

    if (table.children) {
      it('keeps the tables below it closed', () => closedBelow(on, table))
    }
  })
})

const entity = (table: TableClass, side: Side) => `${table.kind}:${table.ids[side]}` as const

async function undone(
  on: Stage,
  who: `${string}:${string}`,
  work: (client: pg.Client) => Promise<void>,
) {
  const undo = new Error('undo')
  await on
    .as(who, async (client) => {
      await work(client)
      throw undo
    })
    .catch((error: unknown) => {
      if (error !== undo) throw error
    })
}

async function rolledBack(client: pg.Client, work: () => Promise<void>) {
  await client.query('begin')
  try {
    await work()
  } finally {
    await client.query('rollback')
  }
}

async function closedBelow(on: Stage, table: TableClass) {
  for (const child of table.children ?? []) {
    const app = quoted(on.app.name)
    await on.setUp.query(`grant select, insert, update, delete on ${child} to ${app}`)
    await on.as(entity(table, 0), async (client) => {
      expect(await outcome(client, `select from ${child}`)).toBe('0 rows')
      expect(await outcome(client, `update ${child} set ${table.note} = 'x'`)).toBe('0 rows')
      expect(await outcome(client, `delete from ${child}`)).toBe('0 rows')
      expect(
        await outcome(client, `insert into ${child} (id, owner_id) values (99, '${table.ids[0]}')`),
      ).toMatch(/42501|23514/)
    })
    await on.setUp.query(`revoke all on ${child} from ${app}`)
  }
}
