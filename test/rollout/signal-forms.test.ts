import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { refusal } from '../extension/support/stage.js'
import { annaId, bertId, library, type Library } from './support/library.js'

// A signal names a row by its place, which asks no index, or by its key. Both say the same, and neither is taken for the other.

let on: Library

beforeAll(async () => {
  on = await library()
})
afterAll(() => on.drop())

let made = 0
/** A table of forty rows with a key of two columns, every fourth of them nobody's. */
async function table(more = ''): Promise<string> {
  const name = `forms_${++made}`
  await on.setUp.query(`
    create table ${name} (a int, b text, by uuid, primary key (b, a)${more});
    insert into ${name} select n, 'k' || n % 3, case n % 4 when 0 then null when 1 then '${annaId}' else '${bertId}' end::uuid from generate_series(1, 40) n;
    select tenantry.rollout('${name}', 'owner_id', 'user', budget => 100)`)
  return name
}

const declare = (name: string, called: string, query: string, rank = 1) =>
  on.setUp.query(`select tenantry.rollout_signal($1, $2, $3, $4)`, [name, rank, called, query])

/** Rows that have the owner they should have, that have another one, and that have none. */
async function filled(name: string): Promise<unknown> {
  const [row] = await on.stored(
    `select count(*) filter (where owner_id = by)::int as right, count(*) filter (where owner_id <> by)::int as wrong,
            count(*) filter (where owner_id is null)::int as without from ${name}`,
  )
  return row
}
const all = { right: 30, wrong: 0, without: 10 }

describe('a signal of one’s own', () => {
  test.each([
    [
      'by place',
      true,
      (t: string) => `select t.tableoid, t.ctid, t.by from public.${t} t where t.by is not null`,
    ],
    [
      'by key',
      false,
      (t: string) => `select t.b, t.a, t.by from public.${t} t where t.by is not null`,
    ],
    [
      'by key, from another table',
      false,
      (t: string) => `select o.b, o.a, o.by from public.others o where o.b <> '${t}'`,
    ],
  ])('%s fills what it decides, batch for batch', async (_, byPlace, query) => {
    const name = await table()
    await on.setUp.query(`create table if not exists others as select a, b, by from ${name}`)
    await declare(name, 'own', query(name))
    expect(
      await on.stored(
        `select by_place from tenantry_private.rollout_signals where relation = '${name}'::regclass`,
      ),
    ).toEqual([{ by_place: byPlace }])
    await on.setUp.query(`call tenantry.rollout_to($1, 'backfilled', 3)`, [name])
    expect(await filled(name)).toEqual(all)
    expect(
      await on.stored(
        `select count(*)::int as n from tenantry.rollout_quarantine q join ${name} t on q.key = array[t.b, t.a::text]
          where q.relation = '${name}'::regclass and t.owner_id is null`,
      ),
    ).toEqual([{ n: 10 }])
  })

  test('of each form, beside one another', async () => {
    const name = await table()
    await declare(name, 'place', tenantrysPlace(name, 't.a <= 20'))
    await declare(name, 'key', `select t.b, t.a, t.by from public.${name} t where t.a > 20`, 2)
    await on.setUp.query(`call tenantry.rollout_to($1, 'backfilled', 3)`, [name])
    expect(await filled(name)).toEqual(all)
    // A row that is written meanwhile goes the same way.
    await on.setUp.query(
      `insert into ${name} values (10, 'late', '${annaId}'), (30, 'late', '${bertId}'), (11, 'late', null)`,
    )
    expect(await filled(name)).toEqual({ right: 32, wrong: 0, without: 11 })
  })

  test('that yields places of another table decides nothing; its plan says so', async () => {
    const name = await table()
    const other = await table()
    await declare(name, 'mistaken', tenantrysPlace(other, 'true'))
    const plan = await on.setUp.query<{ statement: string; rows: string }>(
      'select statement, rows from tenantry.rollout_plan($1)',
      [name],
    )
    expect(plan.rows).toContainEqual({ statement: 'quarantine: no signal', rows: '40' })
    await on.to(name, 'backfilled')
    expect(await filled(name)).toEqual({ right: 0, wrong: 0, without: 40 })
    // The control: the same query over the table itself.
    await on.to(name, 'prepared')
    await declare(name, 'mistaken', tenantrysPlace(name, 'true'))
    await on.to(name, 'backfilled')
    expect(await filled(name)).toEqual(all)
  })

  test('that could not be tried before its parent was prepared is known for what it is then', async () => {
    const parent = await table()
    const name = await table()
    await declare(
      name,
      'parent',
      `select t.tableoid, t.ctid, p.owner_id from public.${name} t join public.${parent} p on (p.a, p.b) = (t.a, t.b)`,
    )
    const known = `select by_place from tenantry_private.rollout_signals where relation = '${name}'::regclass`
    expect(await on.stored(known)).toEqual([{ by_place: null }])
    await on.to(name, 'prepared')
    await declare(parent, 'by', tenantrysPlace(parent, 'true'))
    await on.to(parent, 'backfilled')
    await on.to(name, 'backfilled')
    expect(await on.stored(known)).toEqual([{ by_place: true }])
    expect(await filled(name)).toEqual(all)
    await on.setUp.query(`
      insert into ${parent} values (1, 'late', '${annaId}');
      insert into ${name} values (1, 'late', '${annaId}')`)
    expect(await filled(name)).toEqual({ ...all, right: 31 })
  })
})

describe('places are not unique', () => {
  test('in a partitioned table: keys are, and ready-made signals yield them', async () => {
    await on.setUp.query(`
      create table split (id int primary key, by uuid) partition by range (id);
      create table split_1 partition of split for values from (0) to (50);
      create table split_2 partition of split for values from (50) to (1000);
      insert into split select n, case when n < 50 then '${annaId}' else '${bertId}' end::uuid from generate_series(1, 99) n;
      select tenantry.rollout('split', 'owner_id', 'user')`)
    expect(
      await refusal(declare('split', 'by', 'select t.tableoid, t.ctid, t.by from public.split t')),
    ).toMatchObject({
      code: 'TN011',
      message: expect.stringContaining('not told apart by their ctid') as string,
      hint: expect.stringContaining('select t.id, t.… from public.split t') as string,
    })
    await on.setUp.query(
      `select tenantry.rollout_signal('split', 1, 'by', tenantry.rollout_from_column('split', 'by'))`,
    )
    await on.setUp.query(`call tenantry.rollout_to('split', 'backfilled', 7)`)
    expect(await filled('split')).toEqual({ right: 99, wrong: 0, without: 0 })
  })

  test('in a table that gets a child on its way: nothing is filled until its signals yield keys', async () => {
    const name = await table()
    await declare(name, 'by', tenantrysPlace(name, 'true'))
    await on.to(name, 'prepared')
    await on.setUp.query(`create table ${name}_child (primary key (b, a)) inherits (${name})`)
    await on.setUp.query(
      `insert into ${name}_child (a, b, by) select a + 100, b, case by when '${annaId}' then '${bertId}' else '${annaId}' end::uuid from only ${name}`,
    )
    expect(await refusal(on.to(name, 'backfilled'))).toMatchObject({
      code: 'TN011',
      message: expect.stringContaining('has got partitions or children since') as string,
      hint: expect.stringContaining('b, a') as string,
    })
    expect(await filled(name)).toMatchObject({ right: 0, wrong: 0 })
    await on.setUp.query(
      `select tenantry.rollout_signal('${name}', 1, 'by', tenantry.rollout_from_column('${name}', 'by'))`,
    )
    await on.to(name, 'backfilled')
    expect(await filled(name)).toMatchObject({ wrong: 0, without: 10 })
  })

  test('and what was under way gives nothing to a child, whose rows lie at the same places', async () => {
    const name = await table()
    await declare(name, 'by', tenantrysPlace(name, 'true'))
    await on.to(name, 'prepared')
    const [{ statement } = { statement: '' }] = await on.stored<{ statement: string }>(
      `select tenantry_private.filling_statement('${name}', 'select t.ctid as k1 from only public.${name} t', false) as statement`,
    )
    await on.setUp.query(`create table ${name}_child () inherits (${name})`)
    await on.setUp.query(`insert into ${name}_child select * from only ${name}`)
    expect(
      await on.stored(`select from ${name}_child c join only ${name} p on p.ctid = c.ctid`),
    ).not.toEqual([])
    await on.setUp.query(statement)
    const owned = (of: string) =>
      on.stored<{ n: number }>(`select count(owner_id)::int as n from only ${of}`)
    expect(await owned(`${name}_child`)).toEqual([{ n: 0 }])
    expect((await owned(name))[0]!.n).toBeGreaterThan(0)
  })

  test('and without a key there is nothing else to go by', async () => {
    await on.setUp.query(`
      create table loose (by uuid);
      create table loose_child () inherits (loose);
      select tenantry.rollout('loose', 'owner_id', 'user')`)
    await on.setUp.query(
      `select tenantry.rollout_signal('loose', 1, 'by', tenantry.rollout_from_column('loose', 'by'))`,
    )
    expect(await refusal(on.to('loose', 'prepared'))).toMatchObject({
      code: 'TN011',
      message: 'public.loose has partitions or children and no primary key',
    })
  })
})

/** What ready-made signals look like, for some rows. */
function tenantrysPlace(name: string, condition: string): string {
  return `select t.tableoid, t.ctid, t.by from public.${name} t where t.by is not null and ${condition}`
}
