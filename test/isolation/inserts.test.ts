import { randomUUID } from 'node:crypto'
import type pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Caller, type Stage, attempt, inTurn, nameOf, stage } from './support/stage.js'
import { type ProtectedTable, protectedTables } from './support/tables.js'

/** A row of a table as JSON, and the key it has. */
interface Sample {
  readonly key: string
  readonly row: Record<string, unknown>
}

describe('inserting, in every protected table', () => {
  let on: Stage
  let tables: ProtectedTable[]
  let samples: Map<string, Map<string, Sample>>
  beforeAll(async () => {
    on = await stage()
    tables = await protectedTables(on)
    samples = new Map()
    for (const table of tables) samples.set(table.name, await samplesOf(table))
  })
  afterAll(() => on.db.drop())

  /**
   * One row of each owner, read by the superuser: one that points at nothing of somebody else's, since
   * old rows do (a log in another's room), and nobody may write such a row anew.
   */
  async function samplesOf(table: ProtectedTable): Promise<Map<string, Sample>> {
    const strays = table.references.map(
      ({ parent, parentOwner, columns, parentColumns }) =>
        `exists (select from ${parent} p where (${columns}) = (${parentColumns}) and p."${parentOwner}" <> t."${table.owner}")`,
    )
    const { rows } = await on.db.admin.query<Sample>(
      `select ${table.key} as key, to_jsonb(t) as row from ${table.name} t
        where not (${strays.join(' or ') || 'false'}) order by 1`,
    )
    return new Map(rows.map((sample) => [table.owners.get(sample.key) ?? '', sample]))
  }

  /** Inserts a copy of a row with some columns changed; leaves out columns set to undefined. */
  async function insertCopy(
    client: pg.Client,
    table: ProtectedTable,
    sample: Sample,
    changes: Record<string, unknown>,
  ): Promise<{ code: string; owner: unknown }> {
    const row: Record<string, unknown> = { ...sample.row }
    for (const column of table.fresh) if (row[column] !== null) row[column] = randomUUID()
    Object.assign(row, changes)
    const columns = table.columns.filter((column) => row[column] !== undefined)
    const listed = columns.map((column) => `"${column}"`).join(', ')
    const insert = `insert into ${table.name} (${listed})
      select ${listed} from jsonb_populate_record(null::${table.name}, $1)
      returning "${table.owner}"::text as owner`
    if (table.fresh.length === 0) {
      const gone = await client.query(`delete from ${table.name} where ${table.key} = $1`, [
        sample.key,
      ])
      expect(gone.rowCount, `${table.name} ${sample.key}`).toBeGreaterThan(0)
    }
    const { rows, code } = await attempt<{ owner: string }>(client, insert, [JSON.stringify(row)])
    return { code, owner: rows[0]?.owner }
  }

  /** Another owner of the same table. */
  function stranger(table: ProtectedTable, caller: Caller): string {
    const owner = [...new Set(table.owners.values())].find((other) => other !== caller.principal)
    return owner?.slice(owner.indexOf(':') + 1) ?? ''
  }

  async function eachOwnRow(
    nth: number,
    work: (
      client: pg.Client,
      table: ProtectedTable,
      sample: Sample,
      caller: Caller,
    ) => Promise<void>,
  ): Promise<void> {
    const covered = new Set<string>()
    for (const caller of inTurn(on.callers, nth)) {
      for (const table of tables) {
        const sample = samples.get(table.name)?.get(caller.principal)
        if (!sample) continue
        covered.add(table.name)
        await on.as(caller, (client) => work(client, table, sample, caller))
      }
    }
    expect([...covered].sort()).toEqual(tables.map((table) => table.name).sort())
  }

  it('accepts a row of one’s own, its owner named', () =>
    eachOwnRow(0, async (client, table, sample, caller) => {
      const result = await insertCopy(client, table, sample, {})
      // To copy the row of oneself it had to go first, and with it whom a bound role works as.
      const gone = table.owner === 'id' && caller.by === 'bound role'
      expect(result, `${table.name} as ${nameOf(caller)}`).toEqual(
        gone ? { code: '42501' } : { code: '00000', owner: sample.row[table.owner] },
      )
    }))

  it('gives a row to whose data is worked on when its owner is left out', () =>
    eachOwnRow(1, async (client, table, sample, caller) => {
      // In the table of its own kind the owner is the row's own id, which has a default of its own.
      if (table.owner === 'id') return
      const result = await insertCopy(client, table, sample, { [table.owner]: undefined })
      expect(result, `${table.name} as ${nameOf(caller)}`).toEqual({
        code: '00000',
        owner: caller.principal.slice(caller.principal.indexOf(':') + 1),
      })
    }))

  it('refuses the same row with a foreign owner', () =>
    eachOwnRow(2, async (client, table, sample, caller) => {
      const { code } = await insertCopy(client, table, sample, {
        [table.owner]: stranger(table, caller),
      })
      expect(code, `${table.name} as ${nameOf(caller)}`).toBe('42501')
    }))

  it('refuses a row with the owner null, or takes it from the parent', () =>
    eachOwnRow(3, async (client, table, sample, caller) => {
      const { code, owner } = await insertCopy(client, table, sample, { [table.owner]: null })
      const own = caller.principal.slice(caller.principal.indexOf(':') + 1)
      const where = `${table.name} as ${nameOf(caller)}`
      if (code === '00000') expect(owner, where).toBe(own)
      else expect(['42501', '23502'], where).toContain(code)
    }))

  it('refuses to make a row of one’s own a stranger’s', () =>
    eachOwnRow(4, async (client, table, sample, caller) => {
      const { code } = await attempt(
        client,
        `update ${table.name} set "${table.owner}" = $1 where ${table.key} = $2`,
        [stranger(table, caller), sample.key],
      )
      expect(code, `${table.name} as ${nameOf(caller)}`).toBe('42501')
    }))

  it('refuses every row without a context', async () => {
    await on.asNobody(async (client) => {
      for (const table of tables.filter(({ fresh }) => fresh.length > 0)) {
        const sample = [...(samples.get(table.name)?.values() ?? [])][0]
        if (!sample) throw new Error(`no row of ${table.name}`)
        const { code } = await insertCopy(client, table, sample, {})
        expect(code, table.name).toBe('42501')
        const withoutOwner = await insertCopy(client, table, sample, { [table.owner]: undefined })
        expect(['42501', '23502'], table.name).toContain(withoutOwner.code)
      }
    })
  })
})
