import type pg from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { outcome, refusal } from '../extension/support/stage.js'
import { anna, bert, secretStage, share, type SecretStage } from './support/stage.js'

// A sealed value opens in one place. Each is planted into every other by a superuser whom no trigger stops, and read as the
// application.

let on: SecretStage
let other: SecretStage

const tables = `
  create table one (id int primary key, owner_id uuid not null references users, a text, b text, raw bytea, doc jsonb);
  create table two (id int primary key, owner_id uuid not null references users, a text, b text, raw bytea, doc jsonb)`

const set = async (stage: SecretStage) => {
  await stage.setUp.query(tables)
  for (const table of ['one', 'two']) {
    await stage.setUp.query(`select tenantry.protect('${table}');
      select tenantry.encrypt_column('${table}', 'a'); select tenantry.encrypt_column('${table}', 'b');
      select tenantry.encrypt_column('${table}', 'raw'); select tenantry.encrypt_column('${table}', 'doc', '{s}')`)
  }
  for (const [who, base] of [
    [anna, 0],
    [bert, 10],
  ] as const) {
    await stage.holding(who, async (client) => {
      for (const table of ['one', 'two']) {
        await client.query(
          `insert into ${table} select n + ${base}, tenantry.principal('user')::uuid, 'same', 'same', 'same', '{"s": "same"}' from generate_series(1, 2) n`,
        )
      }
    })
  }
}

beforeAll(async () => {
  on = await secretStage()
  other = await secretStage()
  await set(on)
  await set(other)
})
afterAll(async () => {
  await on.drop()
  await other.drop()
})

interface Place {
  readonly table: string
  readonly id: number
  readonly column: string
  /** As text, whatever the column. */
  readonly value: string
}

const sealedValues = (stage: SecretStage) =>
  stage.stored<Place>(
    ['one', 'two']
      .map(
        (table) => `
    select '${table}' as table, id, c.column, c.value from ${table},
      lateral (values ('a', a), ('b', b), ('raw', 'tn1:' || translate(encode(raw, 'base64'), E'\\n', '')), ('doc', doc ->> 's')) as c ("column", value)`,
      )
      .join(' union all ') + ' order by 1, 2, 3',
  )

const plant = (place: Place, value: string): string => {
  const literal = `'${value}'`
  const assigned =
    place.column === 'raw'
      ? `raw = decode(substr(${literal}, 5), 'base64')`
      : place.column === 'doc'
        ? `doc = jsonb_set(doc, '{s}', to_jsonb(${literal}::text))`
        : `${place.column} = ${literal}`
  return `update ${place.table} set ${assigned} where id = ${place.id}`
}

/** What each planted value reads as: the SQLSTATE and message of the error, or the value. */
async function read(client: pg.Client, place: Place): Promise<string> {
  await client.query('savepoint s')
  try {
    const { rows } = await client.query<{ v: unknown }>(
      `select ${place.column} as v from tenant.${place.table} where id = ${place.id}`,
    )
    return `value ${JSON.stringify(rows[0]?.v)}`
  } catch (error) {
    const { code, message } = error as pg.DatabaseError
    return `${code} ${message}`
  } finally {
    await client.query('rollback to savepoint s')
  }
}

const refused = 'TN006 the sealed value cannot be opened'

const planted = async (place: Place, values: readonly string[]): Promise<string[]> => {
  const admin = await on.db.admin.connect()
  const owner = place.id > 10 ? bert : anna
  const seen: string[] = []
  try {
    for (const value of values) {
      await admin.query(
        `begin; set local session_replication_role = replica; ${plant(place, value)}; commit`,
      )
      seen.push(await on.holding(owner, (client) => read(client, place)))
    }
    await admin.query(
      `begin; set local session_replication_role = replica; ${plant(place, place.value)}; commit`,
    )
  } finally {
    admin.release()
  }
  return seen
}

test('every value opens in its own place and in no other: row, column, table, owner, database', async () => {
  const own = await sealedValues(on)
  const foreign = await sealedValues(other)
  expect(own).toHaveLength(32)
  const places = own.filter(({ id }) => id === 1 || id === 11)
  for (const place of places) {
    const seen = await planted(
      place,
      [...own, ...foreign].map(({ value }) => value),
    )
    const expected = [
      ...own.map(({ value }) => (value === place.value ? 'value' : refused)),
      ...foreign.map(() => refused),
    ]
    expect(seen.map((text) => (text.startsWith('value') ? 'value' : text))).toEqual(expected)
  }
})

test('truncated at any length and flipped in any bit, it is refused', async () => {
  const [place] = await sealedValues(on)
  const bytes = Buffer.from(place!.value.slice(4), 'base64')
  const text = (changed: Buffer) => `tn1:${changed.toString('base64')}`
  const changed = [
    ...Array.from({ length: bytes.length }, (_, length) => text(bytes.subarray(0, length))),
    ...Array.from({ length: bytes.length * 8 }, (_, bit) => {
      const flipped = Buffer.from(bytes)
      flipped[bit >> 3]! ^= 1 << (bit & 7)
      return text(flipped)
    }),
    place!.value.slice(0, -1),
    `${place!.value}=`,
    ` ${place!.value}`,
    place!.value.replace('tn1:', 'tn2:'),
    '',
    'plain',
  ]
  const seen = await on.holding(anna, async (client) => {
    const [column] = await on.stored<{ opens: string }>(
      `select opens from tenantry.encrypted_columns where table_name = 'one' and column_name = 'a'`,
    )
    const opens = column!.opens.replaceAll('$ring$', `(select tenantry_private.ring('user'))`)
    const outcomes = new Set<string>()
    for (const value of [...changed, place!.value]) {
      await client.query('savepoint s')
      const result = await client
        .query(
          `select ${opens} as v from (select ${place!.id} as id, o.owner_id, $1::text as a from one o where o.id = ${place!.id}) t`,
          [value],
        )
        .then(
          ({ rows }: pg.QueryResult<{ v: string }>) => `value ${rows[0]!.v}`,
          (error: pg.DatabaseError) => `${error.code} ${error.message}`,
        )
      await client.query('rollback to savepoint s')
      outcomes.add(`${value === place!.value ? 'control' : 'changed'}: ${result}`)
    }
    return [...outcomes].sort()
  })
  expect(seen).toEqual([`changed: ${refused}`, 'control: value same'])
})

test('under session_replication_role = replica sealed values stay, and a plaintext is sealed or refused, never stored', async () => {
  const admin = await on.db.admin.connect()
  try {
    const [place] = await sealedValues(on)
    await admin.query('begin; set local session_replication_role = replica')
    await admin.query(plant(place!, place!.value))
    expect((await sealedValues(on))[0]!.value).toBe(place!.value)
    const refusal_ = await refusal(
      admin.query(
        `insert into one (id, owner_id, a) select 99, owner_id, 'PLAIN' from one limit 1`,
      ),
    )
    expect(refusal_.code).toBe('TN005')
    await admin.query('rollback')
    await admin.query('begin; set local session_replication_role = replica')
    await admin.query('select tenantry.bring_key_share($1)', [share])
    await admin.query(
      `insert into one (id, owner_id, a) select 99, owner_id, 'PLAIN' from one where id = 1`,
    )
    await admin.query('commit')
    expect(await on.stored(`select id from one where a like '%PLAIN%'`)).toEqual([])
    expect(
      await on.holding(
        anna,
        async (client) => (await client.query('select a from tenant.one where id = 99')).rows,
      ),
    ).toEqual([{ a: 'PLAIN' }])
  } finally {
    admin.release()
  }
})

test('any operator on a sealed column but null tests finds nothing or raises', async () => {
  const seen = await on.holding(anna, async (client) => [
    (await client.query(`select from one where a = 'same'`)).rowCount,
    (await client.query(`select from one where a like 'sa%'`)).rowCount,
    (await client.query(`select from tenant.one where a = 'same'`)).rowCount,
    await outcome(
      client,
      `select tenantry.blind_index((select column_id from tenantry.encrypted_columns where table_name = 'one' and column_name = 'a'), 'same')`,
    ),
  ])
  expect(seen).toEqual([0, 0, 2, 'TN011'])
})
