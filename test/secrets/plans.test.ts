import type pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { planOf } from '../bench/plans.js'
import { anna, annaId, bert, secretStage, type SecretStage } from './support/stage.js'

// What the decrypting view does to plans: nothing but the columns that are asked for.

let on: SecretStage

/** A table with three secrets, and the same without any. */
const tables = `
  create table rooms (id int primary key, owner_id uuid not null references users, name text);
  create table letters (
    id int primary key, owner_id uuid not null references users, room_id int not null references rooms,
    written_at timestamptz not null, label text, token text, pin text, note jsonb);
  create index letters_latest on letters (owner_id, written_at);
  create index letters_room on letters (room_id);
  create table bare_letters (like letters including all, foreign key (owner_id) references users, foreign key (room_id) references rooms);
  alter index bare_letters_owner_id_written_at_idx rename to bare_letters_latest;
  alter index bare_letters_room_id_idx rename to bare_letters_room;
  select tenantry.protect('rooms', owner_column => 'owner_id', owner_kind => 'user');
  select tenantry.protect('letters', owner_column => 'owner_id', owner_kind => 'user');
  select tenantry.protect('bare_letters', owner_column => 'owner_id', owner_kind => 'user');
  select tenantry.encrypt_column('letters', 'token');
  select tenantry.encrypt_column('letters', 'pin');
  select tenantry.encrypt_column('letters', 'note')`

const fill = (from: number) => `
  insert into rooms (id, name) select ${from} + n, 'room ' || n from generate_series(0, 999) n;
  insert into letters (id, room_id, written_at, label, token, pin, note)
  select ${from} + n, ${from} + n % 1000, timestamptz '2026-01-01' + n * interval '1 minute', 'letter ' || n, 'token ' || n, 'pin ' || n, to_jsonb(n)
    from generate_series(0, 1999) n;
  insert into bare_letters (id, room_id, written_at, label, token, pin, note)
  select ${from} + n, ${from} + n % 1000, timestamptz '2026-01-01' + n * interval '1 minute', 'letter ' || n, 'token ' || n, 'pin ' || n, to_jsonb(n)
    from generate_series(0, 1999) n`

beforeAll(async () => {
  on = await secretStage()
  await on.setUp.query(tables)
  await on.holding(anna, (client) => client.query(fill(0)))
  await on.holding(bert, (client) => client.query(fill(10_000)))
  // Whether an index alone is read depends on pages that are known to be visible to all, which an old snapshot delays.
  for (let tries = 0; tries < 100; tries += 1) {
    await on.db.admin.query('vacuum analyze rooms, letters, bare_letters')
    const [seen] = await on.stored<{ all: boolean }>(
      `select bool_and(relallvisible = relpages) as all from pg_class where relname in ('rooms', 'letters', 'bare_letters')`,
    )
    if (seen?.all) return
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  throw new Error('pages stay invisible to some')
})

afterAll(() => on.drop())

interface Node {
  readonly 'Node Type': string
  readonly 'Parent Relationship'?: string
  readonly 'Workers Launched'?: number
  readonly 'Actual Loops': number
  readonly Output?: readonly string[]
  readonly Plans?: readonly Node[]
}

/** Every node of an executed statement's plan. */
async function executed(client: pg.Client, query: string): Promise<Node[]> {
  const { rows } = await client.query<{ 'QUERY PLAN': [{ Plan: Node }] }>(
    `explain (analyze, verbose, costs off, timing off, summary off, format json) ${query}`,
  )
  const flat = (node: Node): Node[] => [node, ...(node.Plans ?? []).flatMap(flat)]
  return flat(rows[0]!['QUERY PLAN'][0].Plan)
}

const rings = (nodes: readonly Node[]) =>
  nodes.filter(({ Output = [] }) => Output.some((text) => /^tenantry_private\.ring\(/.test(text)))

const types = (nodes: readonly Node[]) => nodes.map((node) => node['Node Type'])

const queries = {
  'the latest twenty': 'select id, label from LETTERS order by written_at desc limit 20',
  'one row by its key': 'select id, label from LETTERS where id = 7',
  'a join': 'select l.id, r.name from LETTERS l join rooms r on r.id = l.room_id where l.id < 5',
  'the letters of a room':
    'select l.id, r.name from rooms r join LETTERS l on l.room_id = r.id where r.id = 3 order by l.written_at limit 5',
  'a count': `select count(*) from LETTERS where written_at < '2026-01-01 01:00Z'`,
} as const
const withSecrets = (query: string) =>
  query.replace(/select (l\.)?id/, 'select $1token, $1pin, $1id')

/** Without aliases, and without the step in which secrets are opened behind the sort. */
const bare = (shape: string) =>
  shape
    .split('\n')
    .map((line) => line.trim().replaceAll(/\b[a-z]\.|bare_/g, ''))
    .filter((line) => line !== 'Result')

describe('a plan', () => {
  test.each(Object.entries(queries))(
    'of %s is the table’s own through the view',
    async (_, query) => {
      const shapes = await on.holding(anna, async (client) => {
        const shape = async (text: string, relation: string) =>
          bare((await planOf(client, text.replace('LETTERS', relation), [])).shape)
        const found = {
          base: await shape(query, 'letters'),
          view: await shape(query, 'tenant.letters'),
          opened: await shape(withSecrets(query), 'tenant.letters'),
          sealed: await shape(withSecrets(query), 'letters'),
        }
        // Sealed values take more pages, which alone may decide between an index and a scan or a bitmap.
        await client.query('set local enable_seqscan = off')
        await client.query('set local enable_bitmapscan = off')
        return {
          ...found,
          encrypted: await shape(query, 'letters'),
          never: await shape(query, 'bare_letters'),
        }
      })
      expect(shapes.view).toEqual(shapes.base)
      expect(shapes.opened).toEqual(shapes.sealed)
      expect(shapes.encrypted).toEqual(shapes.never)
    },
  )

  test('with ORDER BY and LIMIT reads the index in order, without a sort', async () => {
    const nodes = await on.holding(anna, (client) =>
      executed(client, 'select token from tenant.letters order by written_at desc limit 20'),
    )
    const scan = nodes.find((node) => node['Node Type'] === 'Index Scan') as Node &
      Record<string, unknown>
    expect(types(nodes)).not.toContain('Sort')
    expect(scan).toMatchObject({ 'Index Name': 'letters_latest', 'Actual Rows': 20 })
  })

  test('of a join of few rows keeps its nested loop', async () => {
    const nodes = await on.holding(anna, (client) =>
      executed(
        client,
        'select l.token, r.name from tenant.letters l join rooms r on r.id = l.room_id where l.id < 5',
      ),
    )
    expect(types(nodes)).toContain('Nested Loop')
  })
})

describe('the keys of a statement', () => {
  test('are unwrapped once for each secret column, however many rows', async () => {
    const nodes = await on.holding(anna, (client) =>
      executed(client, 'select token, pin, note from tenant.letters'),
    )
    expect(rings(nodes).map((node) => [node['Parent Relationship'], node['Actual Loops']])).toEqual(
      [
        ['InitPlan', 1],
        ['InitPlan', 1],
        ['InitPlan', 1],
      ],
    )
  })

  test('are left alone where no secret is selected', async () => {
    const found = await on.holding(anna, async (client) => ({
      others: rings(await executed(client, 'select id, label, written_at from tenant.letters')),
      counted: rings(await executed(client, 'select count(*) from tenant.letters')),
      one: rings(await executed(client, 'select id, token from tenant.letters')),
    }))
    expect(found).toMatchObject({ others: [], counted: [], one: [{ 'Actual Loops': 1 }] })
    // Without a share nothing could be opened, so nothing was.
    const { rows } = await on.as(anna, (client) =>
      client.query('select id, label from tenant.letters limit 3'),
    )
    expect(rows).toHaveLength(3)
  })

  test('are left alone where no row has a secret to show', async () => {
    const nodes = await on.holding(anna, async (client) => {
      await client.query(`insert into letters (id, room_id, written_at) values (9000, 1, now())`)
      const found = await executed(client, 'select token from tenant.letters where id = 9000')
      await client.query('delete from letters where id = 9000')
      return found
    })
    expect(rings(nodes)).toMatchObject([{ 'Actual Loops': 0 }])
  })

  test('outlast new signing keys in a session that has opened values before', async () => {
    const read = () =>
      on.holding(
        anna,
        async (client) =>
          (await client.query('select token from tenant.letters where id = 7')).rows,
      )
    expect(await read()).toEqual([{ token: 'token 7' }])
    await on.db.admin.query('select tenantry.initialise(true)')
    expect(await read()).toEqual([{ token: 'token 7' }])
  })
})

describe('a parallel plan', () => {
  const force = async (client: pg.Client): Promise<void> => {
    const { rows } = await client.query<{ name: string }>(
      `select name from pg_settings where name in ('debug_parallel_query', 'force_parallel_mode')`,
    )
    for (const setting of [
      `${rows[0]!.name} = on`,
      'min_parallel_table_scan_size = 0',
      'parallel_setup_cost = 0',
      'parallel_tuple_cost = 0',
      'max_parallel_workers_per_gather = 2',
      'enable_indexscan = off',
      'enable_bitmapscan = off',
    ]) {
      await client.query(`set local ${setting}`)
    }
  }
  const query =
    'select count(token) as tokens, max(pin) as pin, sum((note)::int) as notes from tenant.letters'

  test('opens the same values in its workers', async () => {
    const [alone, together, nodes] = await on.holding(anna, async (client) => {
      const before = (await client.query(query)).rows
      await force(client)
      return [before, (await client.query(query)).rows, await executed(client, query)] as const
    })
    expect(together).toEqual(alone)
    expect(alone).toEqual([{ tokens: '2000', pin: 'pin 999', notes: String((1999 * 2000) / 2) }])
    const gather = nodes.find((node) => /^Gather/.test(node['Node Type']))
    expect(gather?.['Workers Launched']).toBeGreaterThan(0)
    expect(rings(nodes).map((node) => node['Actual Loops'])).toEqual([1, 1, 1])
  })

  test('writes secrets, too', async () => {
    const rows = await on.holding(anna, async (client) => {
      await force(client)
      await client.query(`update letters set token = 'new' where id = 1`)
      return (
        await client.query(
          'select id, owner_id, token from tenant.letters where id < 2 order by id',
        )
      ).rows
    })
    expect(rows).toEqual([
      { id: 0, owner_id: annaId, token: 'token 0' },
      { id: 1, owner_id: annaId, token: 'new' },
    ])
  })
})
