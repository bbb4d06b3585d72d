import type pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { inTransaction, outcome, refusal } from '../extension/support/stage.js'
import { anna, bert, nursery, type Nursery } from './support/nursery.js'

// What protects a table: its owner, who is no admin, may not take it away; an admin may, and that is recorded.

let on: Nursery
/** The table's owner, who is no admin. */
let made: pg.Client

beforeAll(async () => {
  on = await nursery()
  made = on.made
  await made.query(`
    create table app.notes (id int primary key, owner_id uuid not null references app.users, body text);
    create table app.logs (id int, owner_id uuid not null, body text) partition by range (id);
    create table app.logs_1 partition of app.logs for values from (0) to (100);
    create view app.harmless as select id from app.users;
    create table app.harmed (id int primary key, owner_id uuid not null);
    create function app.nothing() returns trigger language plpgsql as 'begin return null; end'`)
  await on.db.admin.query(`
    create role heir_${on.db.name} login;
    grant heir_${on.db.name} to "${on.stranger.name}";
    grant usage, create on schema app to heir_${on.db.name}`)
})
afterAll(async () => {
  await on.db.admin.query(`drop owned by heir_${on.db.name}; drop role heir_${on.db.name}`)
  await on.drop()
})

const weakening: [string, string][] = [
  ['row-level security off', 'alter table app.notes disable row level security'],
  ['FORCE off', 'alter table app.notes no force row level security'],
  ['a partition opened', 'alter table app.logs_1 disable row level security'],
  ['a policy dropped', 'drop policy tenantry_select on app.notes'],
  ['a floor dropped', 'drop policy tenantry_select_floor on app.notes'],
  ['a floor renamed', 'alter policy tenantry_select_floor on app.notes rename to mine'],
  ['a policy altered', 'alter policy tenantry_select on app.notes using (true)'],
  ['a policy renamed', 'alter policy tenantry_select on app.notes rename to mine'],
  ['a permissive policy added', 'create policy mine on app.notes using (true)'],
  ['a trigger dropped', 'drop trigger tenantry_owner_kept on app.notes'],
  ['a trigger off', 'alter table app.notes disable trigger tenantry_owner_kept'],
  ['all triggers off', 'alter table app.notes disable trigger user'],
  ['a trigger off below', 'alter table app.logs_1 disable trigger tenantry_owner_kept'],
  ['a trigger renamed', 'alter trigger tenantry_owner_kept on app.notes rename to mine'],
  [
    'a trigger replaced',
    'create or replace trigger tenantry_owner_kept after update of owner_id on app.notes for each row execute function app.nothing()',
  ],
  ['TRUNCATE for the group', 'grant truncate on app.notes to tenantry_user'],
  ['REFERENCES for everybody', 'grant references on app.notes to public'],
  ['REFERENCES on a column', 'grant references (id) on app.notes to tenantry_user'],
  [
    'REFERENCES on a column, by a statement put together',
    "do E'begin grant references \\x28id\\x29 on app.notes to tenantry_user; end'",
  ],
  ['a way into a partition', 'grant select on app.logs_1 to tenantry_user'],
  ['a policy that opens a partition', 'create policy mine on app.logs_1 using (true)'],
  ['a view that reads as its owner', 'create view app.window as select * from app.notes'],
  [
    'a view that is made to read as its owner',
    'create or replace rule "_RETURN" as on select to app.harmless do instead select owner_id as id from app.notes',
  ],
  [
    'a rule that reads as its owner',
    'create rule mine as on update to app.harmed do also select * from app.notes',
  ],
  ['a rule on the table itself', 'create rule mine as on insert to app.notes do also select 1'],
]

describe('whoever owns a table and is no admin', () => {
  test.each(weakening)('%s: is refused, and nothing changes', async (_, statement) => {
    const refused = await refusal(made.query(statement))
    expect(refused).toMatchObject({ code: '42501' })
    expect(refused.message).toMatch(/protected by tenantry|would read .* as its owner/)
    expect(refused.hint).toMatch(/tenantry\.|security_invoker/)
    expect(await findings('critical')).toEqual([])
  })

  test('another owner: is refused', async () => {
    expect(
      await refusal(made.query(`alter table app.notes owner to heir_${on.db.name}`)),
    ).toMatchObject({ code: '42501', message: expect.stringMatching(/belongs to heir/) as string })
  })

  test.each([
    [
      'the table itself',
      'create table app.naive (id int primary key, owner_id uuid not null)',
      'app.naive',
    ],
    [
      'what it is a partition of',
      'create table app.logs_2 partition of app.logs for values from (100) to (200)',
      'app.logs',
    ],
  ])('not even in the transaction that something was born in: %s', async (_, birth, weakened) => {
    for (const what of ['disable row level security', 'no force row level security']) {
      const born = inTransaction(made, async () => {
        await made.query(birth)
        await made.query(`alter table ${weakened} ${what}`)
      })
      expect(await refusal(born)).toMatchObject({ code: '42501' })
    }
    const { rows } = await on.db.admin.query(
      `select to_regclass('app.naive') as naive, to_regclass('app.logs_2') as logs`,
    )
    expect(rows).toEqual([{ naive: null, logs: null }])
  })

  test('everything else goes on: columns, indexes, restrictive policies, invoker views, grants that are bound, the table itself', async () => {
    await made.query(`
      alter table app.notes add column title text, add column extra int;
      alter table app.notes rename column body to words;
      alter table app.notes alter column extra type bigint;
      alter table app.notes drop column extra;
      create index on app.notes (title);
      create policy fewer on app.notes as restrictive for select to tenantry_user using (words is distinct from 'hidden');
      create view app.pane with (security_invoker = true) as select id, words from app.notes;
      grant select on app.pane to tenantry_user;
      create table app.brief (id int primary key, owner_id uuid not null);
      drop table app.brief`)
    await on.as(anna, async (client) => {
      await client.query(`insert into app.notes (id, words) values (1, 'seen'), (2, 'hidden')`)
      expect((await client.query('select id from app.notes')).rows).toEqual([{ id: 1 }])
      expect((await client.query('select id from app.pane')).rows).toEqual([{ id: 1 }])
      expect((await client.query('select id, words from reach.notes')).rows).toHaveLength(2)
    })
    expect(await findings()).toEqual([])
  })

  test('renames and moves are followed at once', async () => {
    await on.db.admin.query(
      `create schema annex authorization "${on.stranger.name}"; grant usage on schema annex to tenantry_user, tenantry_reach`,
    )
    await made.query(`
      alter table app.notes rename column owner_id to belongs_to;
      alter table app.notes rename to memos;
      alter table app.memos set schema annex`)
    expect(await on.declared('annex.memos')).toMatchObject({ owner_column: 'belongs_to' })
    await on.as(anna, async (client) => {
      expect(await outcome(client, `insert into annex.memos (id, words) values (3, 'more')`)).toBe(
        '1 rows',
      )
      expect(await outcome(client, 'select from reach.memos')).toBe('3 rows')
    })
    expect(await on.as(bert, (client) => outcome(client, 'select from annex.memos'))).toBe('0 rows')
    expect(await findings()).toEqual([])
    await made.query(
      'alter table annex.memos set schema app; alter table app.memos rename to notes; alter table app.notes rename column belongs_to to owner_id',
    )
  })

  test('without the event triggers all of it would have worked', async () => {
    const { rows } = await on.db.admin.query<{ name: string }>(
      `select evtname as name from pg_event_trigger where evtname like 'tenantry\\_%' and evtenabled = 'A' order by 1`,
    )
    expect(rows.map(({ name }) => name)).toEqual([
      'tenantry_after_alter',
      'tenantry_after_ddl',
      'tenantry_after_drop',
      'tenantry_before_alter',
    ])
    const names = rows.map(({ name }) => name)
    for (const [what, statement] of weakening) {
      await on.db.admin.query(names.map((name) => `alter event trigger ${name} disable`).join('; '))
      await made.query('begin')
      try {
        await made.query(statement)
      } catch (error) {
        throw new Error(`${what}: ${String(error)}`, { cause: error })
      } finally {
        await made.query('rollback')
        await on.db.admin.query(
          names.map((name) => `alter event trigger ${name} enable always`).join('; '),
        )
      }
    }
  })
})

describe('an admin', () => {
  test.each(weakening.filter(([what]) => what !== 'a way into a partition'))(
    '%s: is let through, recorded, found by check(), and put right by sync()',
    async (what, statement) => {
      const before = await audits()
      await on.db.admin.query(statement)
      const made = (await audits()).slice(before.length)
      expect(made, what).toHaveLength(1)
      expect(made[0]).toMatchObject({ action: 'weaken' })
      if (what.startsWith('a view')) {
        // which nobody may read yet
        expect((await on.check()).map(({ code }) => code)).not.toContain('view_runs_as_owner')
        await on.db.admin.query(`drop view ${/app\.(window|harmless)/.exec(statement)?.[0]}`)
        return
      }
      if (what !== 'a permissive policy added') expect(await findings(), what).not.toEqual([])
      await on.db.admin.query('select tenantry.sync()')
      // What is mine stays until somebody takes it away.
      await on.db.admin
        .query(`drop policy if exists mine on app.notes; drop policy if exists mine on app.logs_1;
        drop rule if exists mine on app.notes; drop rule if exists mine on app.harmed; drop trigger if exists mine on app.notes`)
      expect(await findings(), what).toEqual([])
      expect(
        (await audits()).slice(before.length + 1).filter(({ action }) => action === 'weaken'),
      ).toEqual([])
    },
  )

  test('tenantry’s own changes are no weakening', async () => {
    const before = await audits()
    await on.db.admin.query(`
      select tenantry.protect('app.notes', unchecked_references => '{owner_id}');
      select tenantry.protect('app.notes', unchecked_references => '{}');
      select tenantry.sync()`)
    expect(
      (await audits()).slice(before.length).filter(({ action }) => action === 'weaken'),
    ).toEqual([])
  })
})

/** All findings but that of the table that was there before the schema was managed. */
async function findings(minimum: 'critical' | 'warning' = 'warning') {
  return (await on.check(minimum)).filter(({ object }) => object !== 'app.old')
}

async function audits(): Promise<{ action: string; detail: unknown }[]> {
  const { rows } = await on.db.admin.query<{ action: string; detail: unknown }>(
    'select action, detail from tenantry.audit order by id',
  )
  return rows
}
