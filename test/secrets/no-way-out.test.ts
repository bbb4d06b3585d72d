import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { chatty, leaked } from '../extension/support/listening.js'
import { inTransaction, refusal } from '../extension/support/stage.js'
import { anna, bertId, share } from './support/stage.js'
import { attacked, entries, listener, type Attacked, type Listener } from './support/attacked.js'

// The least privileged attacker: any SQL, in a session of the application, behind whoever entered, with every setting that
// a user may change. Nothing that it is told holds a key, a share or somebody else's secret.

let at: Attacked
let ears: Listener
let keys: Buffer[]
let foreign: RegExp

beforeAll(async () => {
  at = await attacked()
  ears = await listener(at)
  keys = await at.keys()
  foreign = new RegExp(`BERTS|${Buffer.from('BERTS').toString('hex')}|66 69 82 84 83`)
})
afterAll(() => at.drop())

const nothingLeaked = () => {
  expect(leaked(ears.heard, keys)).toEqual([])
  expect(foreign.exec(ears.heard.join('\n'))?.[0]).toBeUndefined()
}

/** In a transaction that ends without a trace, behind each way in. */
async function behindEach(
  work: (who: string) => Promise<unknown>,
  settings = chatty,
): Promise<void> {
  for (const [who, entry] of Object.entries(entries(at))) {
    await ears.client.query('begin')
    if (entry) await ears.client.query(entry[0], entry[1])
    // The statement that enters is not the attacker's: settings come behind it.
    await ears.client.query(settings)
    await work(who)
    await ears.client.query('rollback')
  }
}

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
  await behindEach(() => ears.run('select public.careless()'))
  expect(leaked(ears.heard, keys)).not.toEqual([])
  await at.db.admin.query('drop function public.careless()')
  expect('["BERTS-TOKEN"]').toMatch(foreign)
  expect(Buffer.from('BERTS-RAW').toString('hex')).toMatch(foreign)
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
  await behindEach(async () => {
    for (const [text, values] of statements) await ears.run(text, values)
  })
  const everything = ears.heard.join('\n')
  expect(everything.length).toBeGreaterThan(100_000)
  for (const part of ['OWN-TOKEN', 'OWN-DOC', 'parse tree:', 'DEBUG', 'TN005', '42501', '23514'])
    expect([part, everything.includes(part)]).toEqual([part, true])
  nothingLeaked()
})

test('a row that fails is shown as ciphertext, if at all', async () => {
  ears.heard.length = 0
  const failing = [
    `update vault set label = 'bad', token = $1, email = $1 where id = 1`,
    `insert into vault (id, owner_id, label, token, doc) select 20, owner_id, 'bad', $1, jsonb_build_object('s', $1::text) from vault where id = 1`,
    `insert into vault (id, owner_id, token, email) select n, owner_id, 'x', $1 from vault, generate_series(21, 22) n where id = 1`,
  ]
  await behindEach(async (who) => {
    if (who !== 'anna') return
    for (const text of failing) {
      const told = await ears.run(text, ['PLAINTEXT'])
      expect(told).toMatch(/23514|23505/)
      expect(told).not.toContain('PLAINTEXT')
    }
  }, 'set client_min_messages = debug5')
  nothingLeaked()
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

interface Routine {
  readonly call: string
  readonly name: string
  readonly types: string[]
}

const callable = async (schema: string) =>
  (
    await ears.client.query<Routine>(
      `select p.oid::regproc::text as call, p.proname as name,
              array(select format_type(t, null) from unnest(p.proargtypes::oid[]) t) as types
         from pg_proc p
        where p.pronamespace = $1::regnamespace and has_function_privilege(p.oid, 'execute') and p.prorettype <> 'trigger'::regtype
        order by 2, 3`,
      [schema],
    )
  ).rows

test('only functions that give sealed things, or open one’s own, are the application’s to call', async () => {
  const names = new Set((await callable('tenantry_private')).map(({ name }) => name))
  expect([...names].sort()).toEqual([
    'audited_ring',
    'encrypted_listing',
    'enter_for_pass',
    'open_bytea',
    'open_text',
    'part',
    'ring',
    'ring_now',
    'shaped',
  ])
})

describe('with arguments that nobody meant', () => {
  test('every function that the application may call keeps its keys', async () => {
    ears.heard.length = 0
    const routines = [...(await callable('tenantry_private')), ...(await callable('tenantry'))]
    expect(routines.length).toBeGreaterThan(20)
    const columns = await at.stored<{ column_id: string }>(
      'select column_id from tenantry.encrypted_columns order by column_name',
    )
    const pk = Buffer.from('00000001000000040000000200000001'.slice(0, 24), 'hex')
    let calls = 0
    await behindEach(async (who) => {
      await ears.run(`update vault set token = 'OWN-AGAIN'`, [], true)
      const { rows: own } = await ears.client.query<Record<string, string>>(
        `select current_setting('tenantry.seal_ring', true) as seal, current_setting('tenantry.key_share', true) as share`,
      )
      const ring = await ears.run(`select tenantry_private.ring('user')`)
      const seal = own[0]!.seal ?? ''
      const values: Record<string, unknown[]> = {
        text: [
          ring.startsWith('[["r1') ? (JSON.parse(ring) as [[string]])[0][0] : null,
          at.loot.token,
          'user',
          `user:${bertId}`,
          null,
          '',
          at.loot.ring,
          seal.replace(/^w1/, 'r1'),
          own[0]!.share,
          at.loot.keyShare,
          at.loot.context,
          'r1.\u00fc\u001f',
          'x'.repeat(300),
        ],
        bytea: [at.loot.raw, pk, null, Buffer.alloc(0), Buffer.alloc(32)],
        uuid: [...columns.map(({ column_id }) => column_id), null],
        boolean: [true, null, false],
        integer: [60, null, -1, 2147483647],
        regclass: ['vault', 'tenantry_private.master_keys', null],
        'tenantry.entity': [`user:${bertId}`, null, ''],
      }
      for (const { call, types } of routines) {
        const choices = types.map((type) => values[type] ?? [null])
        const all = choices.reduce((product, { length }) => product * length, 1)
        // A step that has no factor in common with the lengths comes by every value of every argument.
        const step = Math.max(1, Math.floor(all / (who === 'anna' ? 150 : 25))) | 1
        for (let number = 0; number < all; number += step) {
          let rest = number
          const args = choices.map((choice) => {
            const value = choice[rest % choice.length]
            rest = Math.floor(rest / choice.length)
            return value
          })
          const shape = types.map((type, index) => `$${index + 1}::${type}`).join(', ')
          await ears.run(`select * from ${call}(${shape})`, args)
          calls += 1
        }
      }
    }, 'set client_min_messages = log; set debug_print_plan = on; set plpgsql.print_strict_params = on')
    expect(calls).toBeGreaterThan(1000)
    expect(ears.heard.join('\n')).toContain('TN006')
    nothingLeaked()
  })

  test('what belongs to somebody else does not open with one’s own ring, nor with theirs', async () => {
    const opens = (
      await at.stored<{ opens: string }>(
        `select opens from tenantry.encrypted_columns where column_name = 'token'`,
      )
    )[0]!.opens.replaceAll('$ring$', 'x.ring')
    const open = (id: number, owner: string, token: string, ring: string) =>
      ears.run(
        `select ${opens} from (select $1::int as id, $2::uuid as owner_id, $3::text as token) t,
           (select coalesce($4, tenantry_private.ring('user')) as ring) x`,
        [id, owner, token, ring === 'own' ? null : ring],
      )
    await behindEach(async (who) => {
      if (who !== 'anna') return
      const { rows } = await ears.client.query<{ token: string }>('select token from vault')
      expect(await open(1, anna.slice(5), rows[0]!.token, 'own')).toBe('[["OWN-TOKEN"]]') // the control
      for (const [id, owner] of [
        [2, bertId],
        [1, anna.slice(5)],
      ] as const) {
        for (const ring of ['own', at.loot.ring, at.loot.sealRing.replace(/^w1/, 'r1')]) {
          expect(await open(id, owner, at.loot.token, ring)).toContain('TN006')
        }
      }
    }, 'select 1')
    nothingLeaked()
  })
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
      'tenantry.inserting',
      'tenantry.key_share',
      'tenantry.login',
      'tenantry.seal_ring',
      'tenantry.session',
    ])
    await behindEach(async () => {
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
