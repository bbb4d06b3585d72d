import { afterAll, beforeAll, expect, test } from 'vitest'
import { refusal } from '../extension/support/stage.js'
import { annaId, secretStage, share, type SecretStage } from './support/stage.js'

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

const residue = async (column: string): Promise<Record<string, number>> => {
  const client = await on.db.admin.connect()
  try {
    await client.query('begin')
    await client.query('select tenantry.bring_key_share($1)', [share])
    const { rows } = await client.query<Residue>(
      'select place, hits from tenantry.residue($1, $2)',
      ['letters', column],
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

const encrypt = async (step: string) => {
  for (const column of ['body', 'big'])
    await on.setUp.query('call tenantry.encrypt_existing($1, $2, to_step => $3, key_share => $4)', [
      'letters',
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
