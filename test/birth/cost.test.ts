import { loadavg } from 'node:os'
import type pg from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { notesDatabase, type Notes } from '../extension/support/notes.js'
import { declare, library } from '../rollout/support/library.js'

// What the event triggers add to a statement, in the same database, by turns with and without them. Printed, not held to
// the millisecond: the machine is shared.

let notes: Notes
let owner: pg.Client

beforeAll(async () => {
  notes = await notesDatabase()
  owner = await notes.owner.connect()
  await notes.db.admin
    .query(`select tenantry.manage_schema('app'); create schema elsewhere authorization "${notes.owner.name}";
    create table elsewhere.t (id int); alter table elsewhere.t owner to "${notes.owner.name}"`)
})
afterAll(() => notes.db.drop())

/** A statement and what takes it back, as the owner of the tables or as the superuser. */
const pairs: readonly [string, 'owner' | 'admin', string, string][] = [
  [
    'unrelated: create table',
    'owner',
    'create table elsewhere.n (id int primary key)',
    'drop table elsewhere.n',
  ],
  [
    'unrelated: alter table',
    'owner',
    'alter table elsewhere.t add column c int',
    'alter table elsewhere.t drop column c',
  ],
  [
    'unrelated: grant',
    'owner',
    'grant select on elsewhere.t to public',
    'revoke select on elsewhere.t from public',
  ],
  [
    'unrelated: create view',
    'owner',
    'create view elsewhere.v as select 1 as one',
    'drop view elsewhere.v',
  ],
  [
    'unrelated: policy',
    'owner',
    'create policy p on elsewhere.t using (true)',
    'drop policy p on elsewhere.t',
  ],
  [
    'protected: alter table',
    'owner',
    'alter table app.notes alter body set default 1',
    'alter table app.notes alter body drop default',
  ],
  [
    'protected: add column',
    'owner',
    'alter table app.notes add column c int',
    'alter table app.notes drop column c',
  ],
  [
    'protected: grant',
    'owner',
    'grant select on app.notes to tenantry_admin',
    'revoke select on app.notes from tenantry_admin',
  ],
  [
    'protected: invoker view',
    'owner',
    'create view app.v with (security_invoker = true) as select * from app.notes',
    'drop view app.v',
  ],
  [
    'protected: policy',
    'owner',
    'create policy p on app.notes as restrictive using (true)',
    'drop policy p on app.notes',
  ],
  [
    'protected: policy by a superuser',
    'admin',
    'create policy p on app.notes as restrictive using (true)',
    'drop policy p on app.notes',
  ],
]

const median = (values: readonly number[]) =>
  [...values].sort((a, b) => a - b)[values.length >> 1] ?? 0

test('what the event triggers add to a statement', { timeout: 120_000 }, async () => {
  const admin = await notes.db.admin.connect()
  const { rows } = await admin.query<{ name: string }>(
    `select evtname as name from pg_event_trigger where evtname like 'tenantry%'`,
  )
  const watch = (how: string) =>
    admin.query(rows.map(({ name }) => `alter event trigger ${name} ${how}`).join(';'))
  const rounds = Number(process.env['TENANTRY_ROUNDS'] ?? 20)
  const lines: string[] = []
  for (const [name, who, there, back] of pairs) {
    const client = who === 'owner' ? owner : admin
    const took: Record<string, [number[], number[]]> = { off: [[], []], on: [[], []] }
    for (let turn = 0; turn < 4; turn++) {
      const state = turn % 2 === 0 ? 'off' : 'on'
      await watch(state === 'on' ? 'enable always' : 'disable')
      for (let round = 0; round < rounds; round++) {
        for (const [index, statement] of [there, back].entries()) {
          const began = performance.now()
          await client.query(statement)
          if (round > 2) took[state]?.[index]?.push(performance.now() - began)
        }
      }
    }
    const [off, on] = [took['off']!, took['on']!]
    const figure = (index: 0 | 1) =>
      `${median(off[index]).toFixed(2)} + ${(median(on[index]) - median(off[index])).toFixed(2)} ms`
    lines.push(`${name.padEnd(34)} there ${figure(0).padEnd(16)} back ${figure(1)}`)
    expect(on[0].length).toBeGreaterThan(0)
  }
  await watch('enable always')
  admin.release()
  console.log(`PostgreSQL ${notes.db.major}, load ${loadavg()[0]?.toFixed(1)}\n${lines.join('\n')}`)
})

test('what they add to the locks of a rollout', { timeout: 120_000 }, async () => {
  const held = new Map<string, number>()
  for (const state of ['without', 'with', 'without', 'with']) {
    const on = await library()
    await declare(on, 10)
    if (state === 'without') {
      const { rows } = await on.db.admin.query<{ name: string }>(
        `select evtname as name from pg_event_trigger where evtname like 'tenantry%'`,
      )
      await on.db.admin.query(
        rows.map(({ name }) => `alter event trigger ${name} disable`).join(';'),
      )
    }
    await on.to('shelves', 'strict')
    const { rows } = await on.db.admin.query<{ step: string; ms: number }>(
      `select from_state || ' to ' || to_state as step, max(held_ms)::float8 as ms from tenantry.rollout_log
        where relation = 'shelves'::regclass and statement like '(% under one lock)' group by 1 order by 1`,
    )
    expect(rows.length).toBeGreaterThan(2)
    for (const { step, ms } of rows) {
      const name = `${step}, ${state}`
      held.set(name, Math.min(ms, held.get(name) ?? ms))
    }
    await on.drop()
  }
  const lines = [...held].map(([name, ms]) => `${name}: ${ms.toFixed(2)} ms`).sort()
  console.log(`load ${loadavg()[0]?.toFixed(1)}\n${lines.join('\n')}`)
})
