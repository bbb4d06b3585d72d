import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { refusal } from '../extension/support/stage.js'
import { anna, annaId, bert, bertId, library, type Library } from './support/library.js'

// What rows are called: in reports, in quarantine, and by whoever decides them.

let on: Library

beforeAll(async () => {
  on = await library()
})
afterAll(() => on.drop())

describe('keys', () => {
  test('of two columns, in mixed case', async () => {
    await on.setUp.query(`
      create table "Odd Table" ("The Key" text, n int, "By" uuid, primary key (n, "The Key"));
      insert into "Odd Table" select 'k''' || n % 7, n, case when n % 3 > 0 then '${annaId}'::uuid end from generate_series(1, 500) n;
      select tenantry.rollout('"Odd Table"', 'owner_id', 'user', budget => 500);
      select tenantry.rollout_signal('"Odd Table"', 1, 'by', tenantry.rollout_from_column('"Odd Table"', 'By'))`)
    await on.setUp.query(`call tenantry.rollout_to('"Odd Table"', 'verified', 50)`)
    const [{ counts }] = (await on.stored(
      `select counts from tenantry.rollout_status where relation = '"Odd Table"'::regclass`,
    )) as [{ counts: unknown }]
    expect(counts).toMatchObject({ rows: 500, owned: 334, quarantined: 166 })
    expect(
      await on.stored(`select count(*)::int as n from "Odd Table" t join tenantry.rollout_quarantine q
        on q.relation = '"Odd Table"'::regclass and q.key = array[t.n::text, t."The Key"] where t.owner_id is null`),
    ).toEqual([{ n: 166 }])
  })

  test('none: rows are found by where they lie', async () => {
    await on.setUp.query(`
      create table journal (line text, by uuid);
      insert into journal select repeat('x', 200) || n, case when n % 4 > 0 then '${bertId}'::uuid end from generate_series(1, 2000) n;
      select tenantry.rollout('journal', 'owner_id', 'user', budget => 500);
      select tenantry.rollout_signal('journal', 1, 'by', tenantry.rollout_from_column('journal', 'by'))`)
    await on.setUp.query(`call tenantry.rollout_to('journal', 'verified', 100)`)
    const counts = async () =>
      (
        (await on.stored(
          `select counts from tenantry.rollout_status where relation = 'journal'::regclass`,
        )) as [{ counts: unknown }]
      )[0].counts
    expect(await counts()).toMatchObject({ rows: 2000, owned: 1500, quarantined: 500 })
    // Each owner's rows add up; a row is decided by what it was when it was looked at, and by nothing else.
    const owners = await on.setUp.query(
      'select owner, rows, filled from tenantry.rollout_owners($1)',
      ['journal'],
    )
    expect(owners.rows).toEqual([
      { owner: bert, rows: '1500', filled: '1500' },
      { owner: null, rows: '500', filled: '0' },
    ])
    const [{ key }] = (await on.stored(
      `select key from tenantry.rollout_quarantine where relation = 'journal'::regclass order by key limit 1`,
    )) as [{ key: [string, string] }]
    const resolve = (xmin: string) =>
      on.setUp.query(`select tenantry.rollout_resolve('journal', '${anna}', $1, $2) as n`, [
        key[0],
        xmin,
      ])
    expect(await refusal(resolve('3'))).toMatchObject({ code: 'TN011' })
    await on.setUp.query(`update journal set line = line || '!' where ctid = $1::tid`, [key[0]])
    expect(await refusal(resolve(key[1]))).toMatchObject({ code: 'TN011' })
    await on.to('journal', 'transitional')
    await on.to('journal', 'verified')
    const [{ moved }] = (await on.stored(
      `select q.key as moved from tenantry.rollout_quarantine q join journal t on q.key = array[t.ctid::text, t.xmin::text] where t.line like '%!'`,
    )) as [{ moved: [string, string] }]
    expect(moved).not.toEqual(key)
    const decided = await on.setUp.query(
      `select tenantry.rollout_resolve('journal', '${anna}', $1, $2) as n`,
      moved,
    )
    expect(decided.rows).toEqual([{ n: '1' }])
    expect(await on.stored(`select owner_id from journal where line like '%!'`)).toEqual([
      { owner_id: annaId },
    ])
    await on.to('journal', 'transitional')
    // What is written meanwhile waits for the next pass.
    await on.setUp.query(`insert into journal (line, by) values ('late', '${annaId}')`)
    await on.to('journal', 'transitional')
    await on.to('journal', 'verified')
    expect(await counts()).toMatchObject({ rows: 2001, owned: 1502, quarantined: 499, owners: 2 })
    await on.to('journal', 'strict')
    expect(
      await on.as(bert, async (client) => (await client.query('select from journal')).rowCount),
    ).toBe(1500)
  })

  test('of a partitioned table', async () => {
    await on.setUp.query(`
      create table parts (id int primary key, by uuid) partition by range (id);
      create table parts_1 partition of parts for values from (0) to (50);
      create table parts_2 partition of parts for values from (50) to (1000);
      insert into parts select n, '${annaId}' from generate_series(1, 100) n;
      select tenantry.rollout('parts', 'owner_id', 'user');
      select tenantry.rollout_signal('parts', 1, 'by', tenantry.rollout_from_column('parts', 'by'))`)
    await on.to('parts', 'strict')
    expect(
      await on.as(anna, async (client) => (await client.query('select from parts')).rowCount),
    ).toBe(100)
    expect(
      await on.as(bert, async (client) => (await client.query('select from parts')).rowCount),
    ).toBe(0)
    await on.to('parts', 'planned')
    expect(
      await on.stored(`select from pg_class where relname like 'parts%' and relrowsecurity`),
    ).toEqual([])
  })
})
