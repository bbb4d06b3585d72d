import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { leaked } from '../extension/support/listening.js'
import { inTransaction, refusal } from '../extension/support/stage.js'
import { bertId, share } from './support/stage.js'
import {
  attacked,
  behindEach,
  bertsSecrets,
  entries,
  listener,
  nothingLeaked,
  type Attacked,
  type Listener,
} from './support/attacked.js'

// The least privileged attacker: any SQL, in a session of the application, behind whoever entered, with every setting that
// a user may change. Nothing that it is told holds a key, a share or somebody else's secret.

let at: Attacked
let ears: Listener
let keys: Buffer[]

beforeAll(async () => {
  at = await attacked()
  ears = await listener(at)
  keys = await at.keys()
})
afterAll(() => at.drop())

test('the settings make a careless function show a key, and its caller a foreign secret: the control', async () => {
  await at.db.admin.query(`
    create function public.careless() returns bytea language plpgsql security definer as $$
    declare
      key bytea := (select share from tenantry_private.master_keys);
      sealed bytea;
    begin
      select public.hmac(public.gen_random_bytes(4), key, 'sha256') into sealed;
      return sealed;
    end $$`)
  await behindEach(at, ears, () => ears.run('select public.careless()'))
  expect(leaked(ears.heard, keys)).not.toEqual([])
  await at.db.admin.query('drop function public.careless()')
  expect('["BERTS-TOKEN"]').toMatch(bertsSecrets)
  expect(Buffer.from('BERTS-RAW').toString('hex')).toMatch(bertsSecrets)
  ears.heard.length = 0
})

const statements: readonly (readonly [string, unknown[]?])[] = [
  ['select * from tenant.vault'],
  ['select * from vault'],
  [`select * from tenant.vault where token = 'OWN-TOKEN' and raw is not null`],
  ['explain (analyze, verbose) select * from tenant.vault'],
  ['explain (analyze, verbose) update vault set token = $1', ['x']],
  [`select token::integer from tenant.vault`],
  [`select doc -> 's' -> 's' ->> 0, pin::uuid from tenant.vault`],
  [`select row_to_json(v), convert_from(raw, 'LATIN1') from tenant.vault v`],
  ['update vault set token = $1, raw = $2', ['OWN-NEW', Buffer.from('OWN-RAW')]],
  [`update vault set label = 'bad', token = $1`, ['OWN-CHECK']],
  ['update vault set token = null'],
  ['update vault set pin = $1', ['OWN-too-long']],
  ['update vault set id = 2'],
  ['update vault set id = 3, token = $1', ['OWN-MOVED']],
  ['update vault set owner_id = $1', [bertId]],
  [
    `insert into vault (id, token) values (2, $1) on conflict (id) do update set token = excluded.token`,
    ['x'],
  ],
  [
    `insert into vault (id, token, email) values (9, 'x', (select email from vault limit 1)) returning *`,
  ],
  [
    `insert into vault (id, token) values (10, $1) returning tenantry_private.ring_now('user')`,
    ['x'],
  ],
  ['insert into vault (id, owner_id, token) values (11, $1, $2)', [bertId, 'x']],
  [
    `with w as (insert into vault (id, token) values (12, 'x') returning token) update vault set token = w.token from w`,
  ],
  [`do $$ declare r record; begin select * into strict r from tenant.vault where id = -1; end $$`],
  [
    `do $$ declare r record; s text := (select token from tenant.vault limit 1); begin select id into strict r from vault where token <> s and id < 0; end $$`,
  ],
  [
    `do $$ begin perform token::int from tenant.vault; exception when others then raise log '%', sqlerrm; end $$`,
  ],
  ['select * from tenantry.encrypted_columns'],
  ['select * from tenantry.whoami()'],
  ['select * from pg_stats'],
  [`select * from pg_prepared_statements, pg_cursors`],
  [`select query from pg_stat_activity`],
]

test('reading, writing and failing tell nothing, whoever entered and whatever is printed', async () => {
  await behindEach(at, ears, async () => {
    for (const [text, values] of statements) await ears.run(text, values)
  })
  const everything = ears.heard.join('\n')
  expect(everything.length).toBeGreaterThan(100_000)
  for (const part of ['OWN-TOKEN', 'OWN-DOC', 'parse tree:', 'DEBUG', 'TN005', '42501', '23514'])
    expect([part, everything.includes(part)]).toEqual([part, true])
  nothingLeaked(ears, keys)
})

test('a row that fails is shown as ciphertext, if at all', async () => {
  ears.heard.length = 0
  const failing = [
    `update vault set label = 'bad', token = $1, email = $1 where id = 1`,
    `insert into vault (id, owner_id, label, token, doc) select 20, owner_id, 'bad', $1, jsonb_build_object('s', $1::text) from vault where id = 1`,
    `insert into vault (id, owner_id, token, email) select n, owner_id, 'x', $1 from vault, generate_series(21, 22) n where id = 1`,
  ]
  await behindEach(
    at,
    ears,
    async (who) => {
      if (who !== 'anna') return
      for (const text of failing) {
        const told = await ears.run(text, ['PLAINTEXT'])
        expect(told).toMatch(/23514|23505/)
        expect(told).not.toContain('PLAINTEXT')
      }
    },
    'set client_min_messages = debug5',
  )
  nothingLeaked(ears, keys)
  // PostgreSQL shows whom row-level security binds no rows; whom it does not bind, the row as it would have been stored.
  const admin = await at.db.admin.connect()
  try {
    for (const text of failing) {
      await admin.query('begin')
      await admin.query('select tenantry.bring_key_share($1)', [share])
      const { detail } = await refusal(admin.query(text, ['PLAINTEXT']))
      expect(detail).toMatch(/Failing row contains \(.*tn1:|Key \(email_index\)=\(.x/)
      expect(detail).not.toContain('PLAINTEXT')
      await admin.query('rollback')
    }
  } finally {
    admin.release()
  }
})

test('the index beside a value is the index of that value, whatever is written there', async () => {
  const entry = entries(at)
  await ears.client.query('begin')
  await ears.client.query(entry.anna![0], entry.anna![1])
  const { rows } = await ears.client.query<Record<string, unknown>>(
    'select id, token, email, email_index from vault',
  )
  const right = Buffer.from(rows[0]!.email_index as Buffer).toString('hex')
  const forge = `update vault set email_index = decode('00', 'hex') returning email_index`
  expect(await ears.run(forge)).toBe(`[["${right}"]]`)
  const again = `insert into vault (id, token, email, email_index) values (1, $1, $2, decode('00', 'hex')) returning email_index`
  const values = [rows[0]!.token, rows[0]!.email]
  await ears.run('delete from vault', [], true)
  expect(await ears.run(again, values)).toBe(`[["${right}"]]`)
  await ears.client.query('rollback')
  // Without a share nobody can tell, so that only whoever restores may say.
  await ears.client.query('begin')
  const without = entry['anna without a share']!
  await ears.client.query(without[0], without[1])
  expect(await ears.run(forge)).toBe(`[["${right}"]]`)
  await ears.run('delete from vault', [], true)
  expect(await ears.run(again, values)).toContain('TN005')
  await ears.client.query('rollback')
})

test('members of pg_read_all_data and pg_monitor read no key, also not in what ANALYZE has kept', async () => {
  await at.db.admin.query(`select tenantry.register_issuer('second', $1)`, [Buffer.alloc(32, 0x5a)])
  await at.db.admin.query('analyze')
  const role = await at.db.role('reader')
  await at.db.admin.query(`grant pg_read_all_data, pg_monitor to "${role.name}"`)
  const reader = await role.connect()
  const { rows: tables } = await reader.query<{ name: string }>(
    `select oid::regclass::text as name from pg_class where relnamespace = 'tenantry_private'::regnamespace and relkind in ('r', 'v', 'm')`,
  )
  expect(tables.length).toBeGreaterThan(20)
  const read: string[] = []
  for (const { name } of [...tables, { name: 'pg_stats' }, { name: 'pg_stat_activity' }]) {
    read.push(JSON.stringify((await reader.query(`select t::text from ${name} t`)).rows))
  }
  const statistics = `select starelid::regclass::text as of, s::text from pg_statistic s where starelid::regclass::text`
  read.push(JSON.stringify((await reader.query(`${statistics} like 'tenantry_private.%'`)).rows))
  expect(read.join().length).toBeGreaterThan(5000)
  expect(leaked(read, await at.keys())).toEqual([])
  // The control: statistics of an ordinary table show its values.
  const shown = await reader.query(`${statistics} = 'users'`)
  expect(JSON.stringify(shown.rows)).toContain('Anna')
  await at.db.admin.query(`select tenantry.unregister_issuer('second')`)
})

describe('what is kept in settings', () => {
  const saved = async () =>
    (
      await ears.client.query<Record<string, string>>(
        `select current_setting('tenantry.context') as context, current_setting('tenantry.key_share') as key_share,
                current_setting('tenantry.seal_ring') as seal_ring, current_setting('tenantry.inserting', true) as inserting`,
      )
    ).rows[0]!

  test('is every setting that tenantry makes, and none holds a key', async () => {
    ears.heard.length = 0
    const names = await at.stored<{ name: string }>(
      `select distinct m[1] as name from pg_proc p, regexp_matches(p.prosrc, 'set_config\\(''(tenantry\\.\\w+)''', 'g') m order by 1`,
    )
    expect(names.map(({ name }) => name)).toEqual([
      'tenantry.context',
      'tenantry.glass',
      'tenantry.inserting',
      'tenantry.key_share',
      'tenantry.login',
      'tenantry.seal_ring',
      'tenantry.session',
    ])
    await behindEach(at, ears, async () => {
      await ears.run(`insert into vault (id, token) values (30, 'OWN')`, [], true)
      for (const { name } of names) await ears.run('select current_setting($1, true)', [name])
      await ears.run(`select * from pg_settings where name like 'tenantry%'`)
    })
    expect(ears.heard.join('\n')).toMatch(/w1\.[0-9a-f]{64}/)
    expect(leaked(ears.heard, keys)).toEqual([])
  })

  test('is worth nothing in a later transaction, in another session, or behind somebody without a share', async () => {
    const enter = async (who: string) => {
      const entry = entries(at)[who]!
      await ears.client.query(entry[0], entry[1])
    }
    const kept = await inTransaction(ears.client, async () => {
      await enter('anna')
      await ears.client.query(`update vault set token = 'OWN-TOKEN'`)
      return saved()
    })
    const plant = async (client: Listener['client'], names: string[]) => {
      for (const name of names)
        await client.query('select set_config($1, $2, false)', [`tenantry.${name}`, kept[name]])
    }
    const write = `update vault set token = 'OWN-OTHER' where id = 1`
    await inTransaction(ears.client, async () => {
      await enter('anna without a share')
      expect(await ears.run(write)).toContain('TN005')
      expect(await ears.run('select token from tenant.vault')).toContain('TN005')
      for (const names of [['key_share'], ['seal_ring'], ['key_share', 'seal_ring', 'inserting']]) {
        await plant(ears.client, names)
        expect(await ears.run(write)).toContain('TN005')
        expect(await ears.run('select token from tenant.vault')).toContain('TN005')
      }
    })
    await ears.client.query('reset all')
    const another = await listener(at)
    await inTransaction(another.client, async () => {
      await plant(another.client, ['context', 'key_share', 'seal_ring'])
      expect(await another.run('select token from tenant.vault')).toContain('TN002')
    })
    await another.client.query('reset all')
    await inTransaction(ears.client, async () => {
      await enter('anna')
      expect(await ears.run('select token from tenant.vault')).toBe('[["OWN-TOKEN"]]')
    })
  })
})
