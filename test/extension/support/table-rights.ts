import type pg from 'pg'
import { expect } from 'vitest'
import { outcome } from './stage.js'
import type { Side, TableClass } from './table-classes.js'

/** Rows 1 to 3 belong to the first owner, 4 and 5 to the second. */
export function seedRows(table: TableClass): string {
  const sides: Side[] = table.ownTable ? [0, 1] : [0, 0, 0, 1, 1]
  return sides
    .map((side, index) => {
      const into = { ...table, relation: table.seedInto?.(index + 1) ?? table.relation }
      return insertion(into, index + 1, side, 'seeded', table.derived ? 'default' : 'named')
    })
    .join(';\n')
}

export const rowsOf = (table: TableClass, side: Side) => (table.ownTable ? 1 : side === 0 ? 3 : 2)

/** An insert that names the owner, or leaves it to the default. */
export function insertion(
  table: TableClass,
  n: number,
  side: Side,
  note: string,
  owner: 'named' | 'default' = 'named',
  from: Side = side,
): string {
  const { columns, values } = table.row(n, from)
  const named = owner === 'named'
  const listed = [columns, table.note, named ? table.owner : ''].filter(Boolean).join(', ')
  const given = [values, text(note), named ? text(table.ids[side]) : ''].filter(Boolean).join(', ')
  const overriding = table.overriding ? 'overriding system value' : ''
  return `insert into ${table.relation} (${listed}) ${overriding} values (${given})`
}

/** Everything that a login may and may not do to a table while it works as one side. */
export async function proveRights(client: pg.Client, table: TableClass, side: Side): Promise<void> {
  const other: Side = side === 0 ? 1 : 0
  const mine = rowsOf(table, side)
  const { relation, owner, note } = table
  const does = (statement: string) => outcome(client, statement)
  const own = text(table.ids[side])
  const foreign = text(table.ids[other])

  // read
  expect(await does(`select from ${relation}`)).toBe(`${mine} rows`)
  expect(await does(`select from ${relation} where ${owner} = ${foreign}`)).toBe('0 rows')
  expect(await does(`select from ${relation} for update`)).toBe(`${mine} rows`)
  expect(await does(`copy (select ${note} from ${relation}) to stdout`)).toBe(`${mine} rows`)
  expect(await does(`copy ${relation} (${note}) to stdout`)).toBe(
    `${table.copied?.[side] ?? mine} rows`,
  )
  expect(await does(`copy ${relation} (${note}) from stdin`)).toBe('0A000')

  // update
  expect(await does(`update ${relation} set ${note} = 'changed'`)).toBe(`${mine} rows`)
  expect(await does(`update ${relation} set ${note} = 'x' where ${owner} = ${foreign}`)).toBe(
    '0 rows',
  )
  expect(await does(`update ${relation} set ${owner} = ${owner}`)).toBe(`${mine} rows`)
  expect(await does(`update ${relation} set ${owner} = ${foreign}`)).toBe('42501')
  expect(
    await does(
      `update ${relation} t set ${note} = 'joined' from (values (1)) v (x) where v.x = 1 returning t.${owner}`,
    ),
  ).toBe(`${mine} rows`)

  // insert
  if (!table.ownTable) {
    expect(await does(insertion(table, 20, side, 'defaulted', 'default'))).toBe('1 rows')
    expect(
      await does(`select from ${relation} where ${note} = 'defaulted' and ${owner} = ${own}`),
    ).toBe('1 rows')
    expect(await does(insertion(table, 21, side, 'named'))).toBe('1 rows')
    expect(await does(`${insertion(table, 22, side, 'returned')} returning *`)).toBe('1 rows')
    expect(
      await does(`with w as (${insertion(table, 23, side, 'cte')} returning *) select from w`),
    ).toBe('1 rows')
    await client.query(
      `delete from ${relation} where ${note} in ('defaulted', 'named', 'returned', 'cte')`,
    )
  }
  expect(await does(insertion(table, 24, other, 'foreign'))).toBe('42501')
  expect(
    await does(`with w as (${insertion(table, 25, other, 'foreign')} returning 1) select from w`),
  ).toBe('42501')
  expect(
    await does(
      `with w as (delete from ${relation} where ${owner} = ${foreign} returning 1) select from w`,
    ),
  ).toBe('0 rows')

  if (table.key) await proveUpserts(table, side, does)

  // delete
  expect(await does(`delete from ${relation} where ${owner} = ${foreign}`)).toBe('0 rows')
  expect(await does(`delete from ${relation} t using (values (1)) v (x) where v.x = 1`)).toBe(
    `${mine} rows`,
  )
  expect(await does(`truncate ${relation}`)).toBe('42501')
}

async function proveUpserts(
  table: TableClass,
  side: Side,
  does: (statement: string) => Promise<string>,
): Promise<void> {
  const { relation, note, key } = table
  if (!key) return
  const other: Side = side === 0 ? 1 : 0
  const [ownRow, foreignRow] = side === 0 ? [1, 4] : [4, 1]
  const doUpdate = `on conflict (${key.columns}) do update set ${note} = excluded.${note}`
  const doNothing = `on conflict (${key.columns}) do nothing`
  expect(await does(`${insertion(table, ownRow, side, 'upserted')} ${doUpdate}`)).toBe('1 rows')
  expect(await does(`${insertion(table, ownRow, side, 'ignored')} ${doNothing}`)).toBe('0 rows')
  expect(await does(`select from ${relation} where ${note} = 'upserted'`)).toBe('1 rows')
  // Somebody else's row: neither by claiming it nor by naming its owner. Where the key holds the owner's row of
  // the parent, as in a many-to-many table, that parent is not ours to point at either.
  if (!table.ownTable) {
    expect(['42501', '23503']).toContain(
      await does(`${insertion(table, foreignRow, side, 'stolen', 'named', other)} ${doUpdate}`),
    )
  }
  expect(await does(`${insertion(table, foreignRow, other, 'stolen')} ${doUpdate}`)).toBe('42501')
  expect(await does(`${insertion(table, foreignRow, other, 'stolen')} ${doNothing}`)).toBe('42501')

  const match = key.columns
    .split(', ')
    .map((column) => `t.${column}`)
    .join(', ')
  const merge = (n: number, then: string) =>
    does(
      `merge into ${relation} t using (values (1)) v (x) on (${match}) = (${key.values(n)}) ${then}`,
    )
  const change = `when matched then update set ${note} = 'merged'`
  expect(await merge(ownRow, change)).toBe('1 rows')
  expect(await merge(foreignRow, change)).toBe('0 rows')
  expect(await merge(foreignRow, 'when matched then delete')).toBe('0 rows')
  const { columns, values } = table.row(30, other)
  const overriding = table.overriding ? 'overriding system value' : ''
  const listed = [columns, note, table.owner].filter(Boolean).join(', ')
  const given = [values, `'merged in'`, text(table.ids[other])].filter(Boolean).join(', ')
  expect(
    await merge(30, `when not matched then insert (${listed}) ${overriding} values (${given})`),
  ).toMatch(table.ownTable ? /0 rows|42501/ : /42501/)
}

/** What a session that has said nobody may do. */
export async function proveClosed(client: pg.Client, table: TableClass): Promise<void> {
  const does = (statement: string) => outcome(client, statement)
  expect(await does(`select from ${table.relation}`)).toBe('0 rows')
  expect(await does(`update ${table.relation} set ${table.note} = 'x'`)).toBe('0 rows')
  expect(await does(`delete from ${table.relation}`)).toBe('0 rows')
  expect(await does(insertion(table, 40, 0, 'nobody'))).toBe('42501')
  expect(await does(insertion(table, 40, 0, 'nobody', 'default'))).toMatch(/42501|23514/)
}

const text = (value: string) => `'${value.replaceAll("'", "''")}'`
