import type pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { explain, initPlans, nodes, shape } from './support/plans.js'
import { credential, stage, type Stage } from './support/stage.js'

const ids = [
  '8f14e45f-ceea-167a-5a36-dedd4bea2543',
  'c9f0f895-fb98-ab91-59f5-1fd0297e236d',
] as const
const seventh = `user:${ids[0]}` as const
const eighth = `user:${ids[1]}` as const

/** Each as the application writes it, and as it would have to be written without policies. */
const statements: readonly (readonly [name: string, application: string, byHand: string])[] = [
  [
    'point read',
    'select * from notes where id = 6',
    'select * from notes where id = 6 and owner_id = @',
  ],
  ['count', 'select count(*) from notes', 'select count(*) from notes where owner_id = @'],
  [
    'latest 20',
    'select * from notes order by created_at desc limit 20',
    'select * from notes where owner_id = @ order by created_at desc limit 20',
  ],
  [
    'latest 20 before a time',
    `select * from notes where created_at < '2026-01-01' order by created_at desc limit 20`,
    `select * from notes where owner_id = @ and created_at < '2026-01-01' order by created_at desc limit 20`,
  ],
  [
    'join',
    'select n.body, r.name from notes n join rooms r on r.id = n.room_id order by n.created_at desc limit 20',
    'select n.body, r.name from notes n join rooms r on r.id = n.room_id and r.owner_id = @ where n.owner_id = @ order by n.created_at desc limit 20',
  ],
  [
    'list',
    'select * from notes where id in (6, 1006, 7)',
    'select * from notes where id in (6, 1006, 7) and owner_id = @',
  ],
  [
    'rows by another column',
    `select * from notes where room_id = 6`,
    `select * from notes where room_id = 6 and owner_id = @`,
  ],
  [
    'update by key',
    `update notes set body = 'x' where id = 6`,
    `update notes set body = 'x' where id = 6 and owner_id = @`,
  ],
  [
    'delete by key',
    'delete from notes where id = 6',
    'delete from notes where id = 6 and owner_id = @',
  ],
  [
    'update of all',
    `update notes set body = 'x'`,
    `update notes set body = 'x' where owner_id = @`,
  ],
  [
    'partitions',
    `select count(*) from logs where day = 2`,
    `select count(*) from logs where day = 2 and owner_id = @`,
  ],
]

describe('the plans of a protected table', () => {
  let on: Stage
  const byHand = (text: string) => text.replaceAll('@', `'${ids[0]}'`)

  beforeAll(async () => {
    on = await stage()
    await on.setUp.query(`
      create table users (id uuid primary key);
      insert into users select md5(n::text)::uuid from generate_series(1, 1000) n;
      select tenantry.register_kind('user', 'users');
      create table rooms (id int primary key, owner_id uuid not null references users, name text);
      insert into rooms select n, md5((1 + n % 1000)::text)::uuid, 'room ' || n from generate_series(1, 5000) n;
      create table notes (id int primary key, owner_id uuid not null references users, room_id int not null references rooms,
        created_at timestamptz not null, body text);
      insert into notes select n, md5((1 + n % 1000)::text)::uuid, 1 + (n + 999) % 5000, '2026-06-01'::timestamptz - n * interval '1 minute', repeat('x', 60)
        from generate_series(1, 200000) n;
      create index notes_latest on notes (owner_id, created_at desc);
      create index notes_room on notes (room_id);
      create table logs (day int not null, owner_id uuid not null, body text) partition by list (day);
      create table logs_1 partition of logs for values in (1); create table logs_2 partition of logs for values in (2);
      insert into logs select 1 + n % 2, md5((1 + n / 2 % 1000)::text)::uuid, 'x' from generate_series(1, 20000) n;
      select tenantry.protect('rooms'); select tenantry.protect('notes', 'owner_id'); select tenantry.protect('logs', 'owner_id', 'user')`)
    await on.db.admin.query('vacuum analyze users, rooms, notes, logs')
  }, 240_000)
  afterAll(() => on.drop())

  it.each(statements)(
    '%s: is the plan of the condition written by hand',
    async (_, application, hand) => {
      const expected = shape(await explain(on.db.admin, byHand(hand)))
      const actual = await on.as(seventh, (client) => explain(client, application))
      expect(shape(actual)).toEqual(expected)
      // Not one table is read whole, and the owner is filtered only where the handwritten plan has a key to go by.
      for (const node of nodes(actual)) {
        expect(node['Node Type']).not.toMatch(/Seq Scan/)
        if (node.Filter?.includes('owner_id'))
          expect(node['Index Cond'] ?? node['Recheck Cond']).toMatch(/\b(id|room_id)\b/)
      }
    },
  )

  it('ask who it is once for each table of a statement', async () => {
    await on.as(seventh, async (client) => {
      const analyzed = (text: string) => explain(client, text, ', analyze, timing off, summary off')
      const count = initPlans(await analyzed('select count(*) from notes'))
      expect(count.map((plan) => plan['Actual Loops'])).toEqual([1])
      const join = initPlans(
        await analyzed('select count(*) from notes n join rooms r on r.id = n.room_id'),
      )
      expect(join.map((plan) => plan['Actual Loops'])).toEqual([1, 1])
      for (const plan of initPlans(await analyzed(`update notes set body = 'x'`))) {
        expect(plan['Actual Loops']).toBeLessThanOrEqual(1)
      }
    })
  })

  it('hold for two identities through one prepared plan', async () => {
    const client = await on.app.connect()
    const owners = async (who: typeof seventh | typeof eighth, name: string) => {
      await client.query('begin')
      await client.query('select tenantry.enter($1)', [credential(on.db.name, who)])
      const { rows } = await client.query<{ owner_id: string }>({
        name,
        text: 'select distinct owner_id from notes where id > $1',
        values: [0],
      })
      await client.query('commit')
      return rows.map((row) => row.owner_id)
    }
    for (const mode of ['force_generic_plan', 'force_custom_plan', 'auto']) {
      await client.query(`set plan_cache_mode = ${mode}`)
      for (let round = 0; round < 7; round++) {
        expect(await owners(seventh, mode)).toEqual([ids[0]])
        expect(await owners(eighth, mode)).toEqual([ids[1]])
      }
      const nobody = await client.query({
        name: mode,
        text: 'select distinct owner_id from notes where id > $1',
        values: [0],
      })
      expect(nobody.rows).toEqual([])
    }
    await generic(client)
  })

  it('hold in parallel workers', async () => {
    const force = on.db.major >= 16 ? 'debug_parallel_query' : 'force_parallel_mode'
    for (const who of [seventh, eighth]) {
      await on.as(who, async (client) => {
        await client.query(`set local ${force} = on; set local parallel_setup_cost = 0; set local parallel_tuple_cost = 0;
          set local min_parallel_table_scan_size = 0; set local min_parallel_index_scan_size = 0;
          set local enable_indexscan = off; set local enable_bitmapscan = off; set local enable_indexonlyscan = off`)
        const plan = await explain(
          client,
          'select count(*) from notes',
          ', analyze, timing off, summary off',
        )
        expect(nodes(plan).some((node) => (node['Workers Launched'] ?? 0) > 0)).toBe(true)
        const { rows } = await client.query(
          'select count(*)::int as rows, count(distinct owner_id)::int as owners from notes',
        )
        expect(rows).toEqual([{ rows: 200, owners: 1 }])
      })
    }
    await on.asNobody(async (client) => {
      await client.query(`set local ${force} = on`)
      expect((await client.query('select from notes')).rowCount).toBe(0)
    })
  })

  it('leave partitions out by the application’s own condition', async () => {
    await on.as(seventh, async (client) => {
      const relations = nodes(await explain(client, 'select * from logs where day = 2')).map(
        (node) => node['Relation Name'],
      )
      expect(relations.filter(Boolean)).toEqual(['logs_2'])
      expect((await client.query('select from logs')).rowCount).toBe(20)
    })
  })

  it('leave out the partitions of other owners where the table is divided by owner', async () => {
    await on.setUp
      .query(`create table parts (id int, owner_id uuid not null, primary key (id, owner_id)) partition by hash (owner_id);
      create table parts_0 partition of parts for values with (modulus 4, remainder 0); create table parts_1 partition of parts for values with (modulus 4, remainder 1);
      create table parts_2 partition of parts for values with (modulus 4, remainder 2); create table parts_3 partition of parts for values with (modulus 4, remainder 3);
      insert into parts select n, md5((1 + n % 1000)::text)::uuid from generate_series(1, 4000) n;
      select tenantry.protect('parts', 'owner_id', 'user')`)
    await on.as(seventh, async (client) => {
      const plan = await explain(
        client,
        'select * from parts',
        ', analyze, timing off, summary off',
      )
      const touched = nodes(plan).filter(
        (node) => node['Relation Name']?.startsWith('parts_') && node['Actual Loops'] === 1,
      )
      expect(touched).toHaveLength(1)
      expect((await client.query('select from parts')).rowCount).toBe(4)
    })
  })
})

/** That the plan kept under plan_cache_mode = force_generic_plan really was generic. */
async function generic(client: pg.Client) {
  const { rows } = await client.query<{ generic_plans: number }>(
    `select generic_plans::int from pg_prepared_statements where name = 'force_generic_plan'`,
  )
  expect(rows[0]?.generic_plans).toBeGreaterThan(10)
}
