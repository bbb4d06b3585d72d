import type pg from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { credential, inTransaction, outcome, refusal } from '../extension/support/stage.js'
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

test('settings of a session change nothing in what is sealed, opened and recognised', async () => {
  const settings = [
    'standard_conforming_strings = off',
    'transform_null_equals = on',
    'quote_all_identifiers = on',
    'array_nulls = off',
    `bytea_output = 'escape'`,
    `datestyle = 'SQL, DMY'`,
    `intervalstyle = 'sql_standard'`,
    `timezone = 'Asia/Kolkata'`,
    'search_path = pg_temp, public',
    `xmloption = 'document'`,
    'extra_float_digits = -15',
    'plan_cache_mode = force_generic_plan',
    'from_collapse_limit = 1',
    `lc_monetary = 'C'`,
    `plpgsql.extra_errors = 'all'`,
    'plpgsql.print_strict_params = on',
    `default_transaction_isolation = 'serializable'`,
    'jit = off',
  ]
  for (const [index, setting] of settings.entries()) {
    // A new session each time: functions are compiled once a session, under the settings of that moment.
    const client = await on.app.connect()
    await client.query(`set ${setting}`)
    const written = `value ${index} é`
    const enter = () =>
      client.query('select tenantry.enter($1, $2)', [credential(on.db.name, anna), share])
    const stored = await inTransaction(client, async () => {
      await enter()
      await client.query(`update public.one set a = $1, raw = $2, doc = $3 where id = 1`, [
        written,
        Buffer.from([0, 92, 255, index]),
        JSON.stringify({ s: written }),
      ])
      const { rows } = await client.query<{ a: string; raw: Buffer; s: string }>(
        `select a, raw, doc ->> 's' as s from tenant.one where id = 1`,
      )
      expect([setting, rows]).toEqual([
        setting,
        [{ a: written, raw: Buffer.from([0, 92, 255, index]), s: written }],
      ])
      return (await client.query<{ a: string }>('select a from public.one where id = 1')).rows[0]!.a
    })
    await client.end()
    await on.holding(anna, async (elsewhere) => {
      // Read and written back, it is kept: neither refused nor sealed again.
      const { rows } = await elsewhere.query<{ a: string; b: string }>(
        `insert into one (id, a) values (1, $1) on conflict (id) do update set a = excluded.a returning a`,
        [stored],
      )
      expect([setting, rows]).toEqual([setting, [{ a: stored }]])
      const shown = await elsewhere.query('select a from tenant.one where id = 1')
      expect([setting, shown.rows]).toEqual([setting, [{ a: written }]])
    })
  }
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
  const seen = await planted(place, [...values, ...renumbered])
  expect(seen).toEqual(
    [...values, ...renumbered].map((value) =>
      value === place.value ? expect.stringMatching(/^value/) : refused,
    ),
  )
})
