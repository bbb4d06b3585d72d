import type pg from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { outcome, refusal } from '../extension/support/stage.js'
import { plant, sealedValues, type Place } from './support/places.js'
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

const refused = 'TN006 the sealed value cannot be opened'

/** What some places read as, one by one: SQLSTATE and message of the error, or "value". In one statement, for speed. */
async function read(client: pg.Client, places: readonly Place[]): Promise<string[]> {
  const queries = places.map(
    ({ table, column, id }) => `select ${column}::text from tenant.${table} where id = ${id}`,
  )
  await client.query(`
    do $$
    declare
      query text;
      shown text;
      seen  text[] := '{}';
    begin
      foreach query in array array[${queries.map((query) => `'${query}'`).join(', ')}] loop
        begin
          execute query into strict shown;
          seen := seen || 'value'::text;
        exception
          when others then
            seen := seen || (sqlstate || ' ' || sqlerrm);
        end;
      end loop;
      perform set_config('test.seen', to_json(seen)::text, true);
    end $$`)
  const { rows } = await client.query<{ seen: string }>(
    `select current_setting('test.seen') as seen`,
  )
  return JSON.parse(rows[0]!.seen) as string[]
}

/** Plants each value into every place at once, reads them as their owners, and puts back what was there. */
async function planted(places: readonly Place[], values: readonly string[]): Promise<string[][]> {
  const admin = await on.db.admin.connect()
  const ofBert = ({ id }: Place) => id > 10
  const of = { anna: places.filter((place) => !ofBert(place)), bert: places.filter(ofBert) }
  const write = (value: (place: Place) => string) =>
    admin.query(
      `begin; set local session_replication_role = replica; ${places.map((place) => plant(place, value(place))).join('; ')}; commit`,
    )
  const seen: string[][] = []
  try {
    for (const value of values) {
      await write(() => value)
      seen.push([
        ...(await on.holding(anna, (client) => read(client, of.anna))),
        ...(of.bert.length ? await on.holding(bert, (client) => read(client, of.bert)) : []),
      ])
    }
    await write(({ value }) => value)
  } finally {
    admin.release()
  }
  return seen
}

test('every value opens in its own place and in no other: row, column, table, owner, database', async () => {
  const own = await sealedValues(on)
  const foreign = await sealedValues(other)
  expect(own).toHaveLength(32)
  const places = [...own.filter(({ id }) => id < 10), ...own.filter(({ id }) => id > 10)]
  const values = [...own, ...foreign].map(({ value }) => value)
  expect(await planted(places, values)).toEqual(
    values.map((value) => places.map((place) => (place.value === value ? 'value' : refused))),
  )
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

test('what the application writes opens as the plaintext that it is, or is refused: sealed values of other places, too', async () => {
  const own = (await sealedValues(on)).filter(({ value }) => value !== null)
  const foreign = await sealedValues(other)
  const place = own.find(({ id, column, table }) => id === 1 && column === 'b' && table === 'one')!
  const bytes = Buffer.from(place.value.slice(4), 'base64')
  const flips = Array.from({ length: bytes.length }, (_, at) => {
    const flipped = Buffer.from(bytes)
    flipped[at]! ^= 1
    return `tn1:${flipped.toString('base64')}`
  })
  const result = async (client: pg.Client, value: string) => {
    const done = await outcome(client, 'update one set b = $1 where id = 1', [value])
    if (done !== '1 rows') return done
    const { rows } = await client.query<{ b: string }>('select b from tenant.one where id = 1')
    return rows[0]!.b === value ? 'a plaintext' : rows[0]!.b
  }
  const seen = await on.holding(anna, async (client) => {
    const results: Record<string, Set<string>> = {
      own: new Set(),
      foreign: new Set(),
      flips: new Set(),
    }
    for (const { value } of own)
      if (value !== place.value) results.own!.add(await result(client, value))
    for (const { value } of foreign) results.foreign!.add(await result(client, value))
    for (const value of flips) results.flips!.add(await result(client, value))
    return [results, await result(client, place.value)]
  })
  expect(seen).toEqual([
    {
      own: new Set(['TN006']),
      // No value of this database, so a plaintext that looks like one.
      foreign: new Set(['a plaintext']),
      // Where the origin is right still, it is one that was changed.
      flips: new Set(['a plaintext', 'TN006']),
    },
    'same',
  ])
})

test('of two versions of a key each opens its own values only, and the old one none once it is retired', async () => {
  const before = (await sealedValues(on)).filter(({ id }) => id < 10)
  await on.setUp.query('call tenantry.rotate_data_keys($1)', [share])
  const now = (await sealedValues(on)).filter(({ id }) => id < 10)
  expect(now.map(({ value }) => value)).not.toEqual(before.map(({ value }) => value))
  const place = now[0]!
  const old = Buffer.from(before[0]!.value.slice(4), 'base64')
  const fresh = Buffer.from(place.value.slice(4), 'base64')
  // The number of the other version's key, in either direction.
  const renumbered = [
    Buffer.concat([fresh.subarray(0, 1), old.subarray(1, 5), fresh.subarray(5)]),
    Buffer.concat([old.subarray(0, 1), fresh.subarray(1, 5), old.subarray(5)]),
  ].map((bytes) => `tn1:${bytes.toString('base64')}`)
  expect(renumbered[0]).not.toBe(place.value)
  const values = [...before, ...now].map(({ value }) => value)
  expect(await planted([place], [...values, ...renumbered])).toEqual(
    [...values, ...renumbered].map((value) => [value === place.value ? 'value' : refused]),
  )
})
