import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { stage, type Stage } from '../extension/support/stage.js'
import { repositoryRoot } from '../support/repository.js'
import { blocksOf, statementsOf } from './blocks.js'

// Every SQL block of extension/doc/rollout.md is run, in order, as the tables' owner.

const anna = '6f1c0000-0000-4000-8000-000000000001'
const bert = '6f1c0000-0000-4000-8000-000000000002'

let on: Stage
const blocks = blocksOf(join(repositoryRoot, 'extension', 'doc', 'rollout.md'))

/** Runs a block; returns the rows of each of its statements. */
async function run(who: string): Promise<unknown[][]> {
  const results: unknown[][] = []
  // The page calls a login of its own old_app.
  for (const statement of statementsOf(blocks, who)) {
    results.push((await on.setUp.query(statement.replaceAll('old_app', legacy))).rows as unknown[])
  }
  return results
}

let legacy: string

beforeAll(async () => {
  on = await stage()
  legacy = (await on.db.role('old_app')).name
  await on.setUp.query(`
    create table users (id uuid primary key);
    insert into users values ('${anna}'), ('${bert}');
    create table rooms (id int primary key, creator uuid not null references users);
    insert into rooms values (1, '${anna}'), (2, '${bert}');
    create table memories (id int primary key, room_id int references rooms, author text, body text);
    insert into memories values (1, 1, null, 'a'), (2, 1, '${bert}', 'b'), (3, null, null, 'draft'), (4, null, null, 'draft');
    create policy everyone on memories using (true);
    grant select, insert on rooms, memories to "${legacy}"`)
})
afterAll(() => on.drop())

test('every block is run here, or is for a shell', () => {
  const left = blocks.filter((block) => !block.run && block.language !== 'sh')
  expect(left).toEqual([])
  expect(new Set(blocks.map(({ run: who }) => who)).size).toBe(7)
})

test('what is declared changes nothing, and the plan says what it would do', async () => {
  await run('declare')
  const [plan, impact] = await run('look')
  expect(plan).toContainEqual(
    expect.objectContaining({ statement: 'decided by creator', rows: '2' }),
  )
  expect(impact).toContainEqual({
    reader: `role ${legacy}`,
    reads_today: '2',
    keeps: '0',
    loses: '2',
  })
  expect((await on.setUp.query('select * from rooms limit 0')).fields).toHaveLength(2)
})

test('the limits of a backfill', async () => {
  const settings = (await run('brakes')).at(-1)
  expect(settings).toEqual([
    { setting: 'brake_replica_lag', value: '2 seconds', is_default: false },
    { setting: 'brake_wal_rate', value: '50 MB/s', is_default: false },
    { setting: 'brake_transaction_age', value: 'off', is_default: false },
    { setting: 'brake_latency', value: '20 ms', is_default: true },
    { setting: 'brake_wait', value: '10 minutes', is_default: true },
  ])
})

test('the states, and what is left in quarantine', async () => {
  const status = (await run('steps')).at(-1)
  expect(status).toEqual(
    expect.arrayContaining([
      expect.objectContaining({
        relation: 'memories',
        state: 'verified',
        filled: '2',
        quarantined: '2',
      }),
      expect.objectContaining({
        relation: 'rooms',
        state: 'verified',
        filled: '2',
        quarantined: '0',
      }),
    ]),
  )
})

test('what somebody decides, and the last step', async () => {
  const [quarantined, , exempt] = await run('decide')
  expect(quarantined).toMatchObject([{ key: ['3'] }, { key: ['4'] }])
  expect(exempt).toEqual([{ rollout_resolve_where: '1' }])
  const seen = (who: string) =>
    on.as(
      `user:${who}`,
      async (client) => (await client.query('select id from memories order by id')).rows,
    )
  expect(await seen(anna)).toEqual([{ id: 1 }, { id: 3 }])
  expect(await seen(bert)).toEqual([{ id: 2 }])
})

test('back and forth again, with every lock in the log', async () => {
  const log = (await run('back')).at(-1)
  expect(log).toContainEqual(
    expect.objectContaining({
      relation: 'rooms',
      to_state: 'transitional',
      lock: 'ACCESS EXCLUSIVE',
    }),
  )
  const states = await on.setUp.query('select state from tenantry.rollout_status')
  expect(states.rows).toEqual([{ state: 'strict' }, { state: 'strict' }])
})
