import { afterAll, beforeAll, expect, test } from 'vitest'
import { refusal } from '../extension/support/stage.js'
import { anna, annaId, secretStage, share, type SecretStage } from './support/stage.js'

// What encryption leaves behind is found, and gone after the last step.

let on: SecretStage

beforeAll(async () => {
  on = await secretStage()
  await on.setUp
    .query(`create table letters (id int primary key, owner_id uuid not null references users, body text, big text);
    select tenantry.protect('letters'); alter table letters alter column big set storage external`)
  await on.db.admin.query(
    `insert into letters select n, '${annaId}', 'plaintext number ' || n % 5, 'large ' || n || repeat('-', 5000) from generate_series(1, 50) n; analyze letters`,
  )
  await on.setUp.query(
    `select tenantry.encrypt_column('letters', 'body'); select tenantry.encrypt_column('letters', 'big')`,
  )
})
afterAll(() => on.drop())

interface Residue {
  readonly place: string
  readonly hits: string | null
}

const residue = async (column: string, of = 'letters'): Promise<Record<string, number>> => {
  const client = await on.db.admin.connect()
  try {
    await client.query('begin')
    await client.query('select tenantry.bring_key_share($1)', [share])
    const { rows } = await client.query<Residue>(
      'select place, hits from tenantry.residue($1, $2)',
      [of, column],
    )
    await client.query('commit')
    return Object.fromEntries(
      rows
        .filter(({ hits }) => hits !== null)
        .map(({ place, hits }) => [place.replace(/pg_toast_\d+/, 'pg_toast'), Number(hits)]),
    )
  } finally {
    client.release(true)
  }
}

const encrypt = async (step: string, of = 'letters') => {
  for (const column of ['body', 'big'])
    await on.setUp.query('call tenantry.encrypt_existing($1, $2, to_step => $3, key_share => $4)', [
      of,
      column,
      step,
      share,
    ])
  await on.db.admin.query('checkpoint')
}

test('before the last step it is found in the table, its TOAST and the statistics; after it nowhere', async () => {
  await encrypt('switched')
  const [body, big] = [await residue('body'), await residue('big')]
  expect(body['sample']).toBe(50)
  expect(body['table public.letters'] ?? body['table letters']).toBeGreaterThan(0)
  expect(body['statistics']).toBeGreaterThan(0)
  expect(body['column body_plain']).toBe(50)
  expect(Object.entries(big).find(([place]) => place.startsWith('TOAST'))?.[1]).toBeGreaterThan(0)

  await encrypt('sealed')
  for (const column of ['body', 'big']) {
    const { sample, ...places } = await residue(column)
    expect(sample).toBe(50)
    expect(Object.keys(places).length).toBeGreaterThan(3)
    expect(Object.values(places).filter((found) => found > 0)).toEqual([])
  }
})

test('nor is it in partitions, at any depth, each with its own columns and indexes', async () => {
  await on.setUp
    .query(`create table notes (id int, owner_id uuid not null references users, body text, big text, primary key (id))
      partition by range (id);
    create table notes_low partition of notes for values from (0) to (20);
    create table "Notes. mid" (big text, gone int, body text, id int not null, owner_id uuid not null);
    alter table "Notes. mid" drop column gone;
    alter table notes attach partition "Notes. mid" for values from (20) to (40);
    create table notes_high partition of notes for values from (40) to (100) partition by range (id);
    create table notes_high_1 partition of notes_high for values from (40) to (100);
    select tenantry.protect('notes')`)
  await on.db.admin.query(`alter table notes_low alter column big set storage external;
    insert into notes select n, '${annaId}', 'plaintext number ' || n, 'large ' || n || repeat('-', 5000) from generate_series(1, 60) n;
    analyze notes`)
  await on.setUp.query(
    `select tenantry.encrypt_column('notes', 'body'); select tenantry.encrypt_column('notes', 'big')`,
  )
  await encrypt('switched', 'notes')
  const before = await residue('body', 'notes')
  for (const part of ['notes_low', '"Notes. mid"', 'notes_high_1'])
    expect(before[`table ${part}`] ?? before[`table public.${part}`]).toBeGreaterThan(0)
  await encrypt('sealed', 'notes')
  for (const column of ['body', 'big']) {
    const { sample, ...places } = await residue(column, 'notes')
    expect(sample).toBe(60)
    expect(Object.keys(places).length).toBeGreaterThan(10)
    expect(Object.values(places).filter((found) => found > 0)).toEqual([])
  }
  const { rows } = await on.db.admin.query(
    `select from pg_stats where tablename like any (array['notes%', 'Notes%']) and coalesce(most_common_vals::text, '') || coalesce(histogram_bounds::text, '') like '%plaintext%'`,
  )
  expect(rows).toEqual([])
  expect(
    await on.holding(anna, (client) =>
      client
        .query(`select body from tenant.notes where id in (7, 27, 47) order by id`)
        .then(({ rows }) => rows),
    ),
  ).toEqual([7, 27, 47].map((n) => ({ body: `plaintext number ${n}` })))
  expect(await on.check()).toEqual([])
})

test('it says what it cannot look at, and for whom it is not', async () => {
  const client = await on.db.admin.connect()
  await client.query('begin')
  await client.query('select tenantry.bring_key_share($1)', [share])
  const { rows } = await client.query<{ place: string; finding: string }>(
    `select * from tenantry.residue('letters', 'body')`,
  )
  client.release(true)
  expect(rows.find(({ place }) => place === 'WAL')?.finding).toMatch(
    /oldest file here is of 20\d\d/,
  )
  expect(rows.map(({ place }) => place)).toEqual(
    expect.arrayContaining(['compressed values', 'backups and standbys']),
  )
  expect(JSON.stringify(rows)).not.toContain('plaintext number')
  expect(
    (await refusal(on.setUp.query(`select * from tenantry.residue('letters', 'body')`))).code,
  ).toBe('42501')
  expect(
    (await refusal(on.db.admin.query(`select * from tenantry.residue('letters', 'body')`))).code,
  ).toBe('TN005')
})
