import type pg from 'pg'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { credential, outcome, refusal } from '../extension/support/stage.js'
import {
  anna,
  annaId,
  bert,
  bertId,
  secretStage,
  share,
  type SecretStage,
} from './support/stage.js'

// A filled, live table is encrypted in steps by its ordinary owner, each of which can be undone until the scrub.

let on: SecretStage

beforeAll(async () => {
  on = await secretStage()
})

afterAll(() => on.drop())

const table = `
  create table letters (
    id int, part text, owner_id uuid not null references users, body text not null, pin varchar(10), doc jsonb, js json, raw bytea,
    mail text, primary key (id, part));
  select tenantry.protect('letters');
  create table ledger (id int primary key, owner_id uuid not null references users, letter_id int);
  select tenantry.protect('ledger')`

type Chosen = readonly (readonly [column: string, path: string, blind: boolean])[]

/** One column of each type. Every step changes the table, so most tests take two of them. */
const columns: Chosen = [
  ['body', '{}', false],
  ['pin', '{}', false],
  ['doc', '{keys}', false],
  ['js', '{}', false],
  ['raw', '{}', false],
  ['mail', '{}', true],
]

const count = 60

beforeEach(async () => {
  await on.db.admin.query('drop table if exists letters, ledger cascade; select tenantry.sync()')
  await on.setUp.query(table)
  await on.db.admin.query(
    `insert into letters
     select n, 'a', case n % 2 when 0 then '${annaId}' else '${bertId}' end::uuid, 'body ' || n, 'pin ' || n,
            jsonb_build_object('keys', jsonb_build_object('k', n), 'theme', 'dark'), json_build_object('n', n),
            decode(lpad(to_hex(n), 4, '0'), 'hex'), 'm' || n || '@x'
       from generate_series(1, ${count}) n`,
  )
})

const few: Chosen = [columns[0]!, columns.at(-1)!]

const start = async (client: Pick<pg.ClientBase, 'query'>, chosen: Chosen = few) => {
  for (const [column, path, blind] of chosen) {
    await client.query('select * from tenantry.encrypt_column($1, $2, $3, $4)', [
      'letters',
      column,
      path,
      blind,
    ])
  }
}

const move = async (to: string, chosen: Chosen = few, batch = 7) => {
  for (const [column, path] of chosen) {
    await on.setUp.query('call tenantry.encrypt_existing($1, $2, $3, $4, $5, $6)', [
      'letters',
      column,
      path,
      to,
      share,
      batch,
    ])
  }
}

const readable = () =>
  on.holding(
    anna,
    async (client) =>
      (
        await client.query(
          'select id, body, pin, doc, js, raw, mail from tenant.letters order by id',
        )
      ).rows as Record<string, unknown>[],
  )

const plainRow = (n: number) => ({
  id: n,
  body: `body ${n}`,
  pin: `pin ${n}`,
  doc: { keys: { k: n }, theme: 'dark' },
  js: { n },
  raw: Buffer.from([0, n]),
  mail: `m${n}@x`,
})

const annas = Array.from({ length: count / 2 }, (_, i) => plainRow(2 * (i + 1)))

const clear: Record<string, string> = {
  body: `body like 'body%'`,
  pin: `pin like 'pin%'`,
  doc: `doc::text like '%"k"%'`,
  js: `js::text like '%"n"%'`,
  raw: 'length(raw) < 10',
  mail: `mail like 'm%'`,
}
const inClear = async (chosen: Chosen = few) =>
  (
    await on.stored<{ n: number }>(
      `select count(*)::int as n from letters where ${chosen.map(([column]) => clear[column]).join(' or ')}`,
    )
  )[0]!.n

/** Asks again until there is a row. */
const until = async (ask: () => Promise<{ rowCount: number | null }>) => {
  for (let tries = 0; tries < 2000; tries += 1) if ((await ask()).rowCount) return
  throw new Error('it did not come about')
}

const policies = async () =>
  await on.stored(`select polname from pg_policy where polname = 'tenantry_engine'
    union all select grantee::text from information_schema.role_table_grants where grantee = 'tenantry_engine'`)

describe.each([
  ['dual', few],
  ['filled', few],
  ['verified', few],
  ['switched', columns],
  ['sealed', few],
] as const)('up to %s', (step, chosen) => {
  test('every value is readable through the view, and can be read plain again where nothing is scrubbed', async () => {
    await start(on.setUp, chosen)
    expect(await readable()).toEqual(annas)
    await move(step, chosen)
    expect(await readable()).toEqual(annas)
    if (step !== 'dual') expect(await inClear(chosen)).toBe(0)
    expect(await policies()).toEqual([])
    await on.holding(anna, async (client) => {
      await client.query(`update letters set body = 'body new' where id = 2`)
      await client.query(
        `insert into letters (id, part, body, mail) values (1000, 'b', 'body late', 'late@x')`,
      )
    })
    const now = await readable()
    expect(now[0]).toMatchObject({ id: 2, body: 'body new', mail: 'm2@x' })
    expect(now.at(-1)).toMatchObject({ id: 1000, body: 'body late', mail: 'late@x' })

    await move('plain', chosen)
    const [first] = await on.stored(`select * from letters where id = 2`)
    expect(first).toMatchObject({
      body: 'body new',
      pin: 'pin 2',
      mail: 'm2@x',
      doc: { keys: { k: 2 }, theme: 'dark' },
    })
    expect(await on.stored(`select from letters`)).toHaveLength(count + 1)
    expect((await on.stored(`select body from letters where id = 1000`))[0]).toEqual({
      body: 'body late',
    })
    expect(
      await on.stored(
        `select attname from pg_attribute where attrelid = 'letters'::regclass and attnum > 0 and not attisdropped order by attnum`,
      ),
    ).toEqual(
      ['id', 'part', 'owner_id', 'body', 'pin', 'doc', 'js', 'raw', 'mail'].map((attname) => ({
        attname,
      })),
    )
    expect(
      await on.holding(anna, (client) =>
        outcome(client, `update letters set pin = '12345678901' where id = 2`),
      ),
    ).toBe('22001')
    expect(await on.check()).toEqual([])
  })
})

describe('on the way', () => {
  beforeEach(() => start(on.setUp))
  test('check() says that plaintexts are there still, and with which command they go', async () => {
    const findings = await on.check()
    expect(new Set(findings.map(({ code }) => code))).toEqual(new Set(['plaintext_copies']))
    expect(findings).toHaveLength(few.length)
    await move('sealed')
    expect(await on.check()).toEqual([])
  })

  test('the rewriting waits for what may still see the copies; interrupted, it is said, and done by the next call', async () => {
    await move('switched')
    const runner = await on.owner.connect()
    const { rows } = await runner.query<{ pid: number }>('select pg_backend_pid() as pid')
    const holder = await on.db.admin.connect()
    await holder.query('begin')
    await holder.query('select pg_current_xact_id()')
    const ended = refusal(
      runner.query(`call tenantry.encrypt_existing('letters', 'body', to_step => 'sealed')`),
    )
    await until(() =>
      on.db.admin.query(`select from pg_stat_activity where pid = $1 and wait_event = 'PgSleep'`, [
        rows[0]!.pid,
      ]),
    )
    await on.db.admin.query('select pg_cancel_backend($1)', [rows[0]!.pid])
    expect((await ended).code).toBe('57014')
    await runner.end()
    await holder.query('commit')
    holder.release()
    expect(await on.check()).toContainEqual(
      expect.objectContaining({
        code: 'job_open',
        problem: expect.stringContaining('has not been rewritten since') as string,
        fix: expect.stringContaining(`'sealed'`) as string,
      }),
    )
    expect(await policies()).toEqual([])
    await move('sealed')
    expect(await on.check()).toEqual([])
  })

  test('a difference between a value and its copy is found, and goes no further', async () => {
    await move('filled')
    await on.db.admin.query(`begin; set local session_replication_role = replica;
      update letters set body_plain = 'something else' where id = 4; commit`)
    const refused = await refusal(move('verified'))
    expect(refused).toMatchObject({
      code: 'TN011',
      message: expect.stringMatching(/^1 values of .*letters\.body/) as string,
    })
    expect(
      await on.stored(`select state from tenantry.encrypted_columns where column_name = 'body'`),
    ).toEqual([{ state: 'filled' }])
  })

  test('an interrupted batch goes on where it was, and a second runner is told who is at it', async () => {
    await on.setUp.query(
      `call tenantry.encrypt_existing('letters', 'body', to_step => 'dual', key_share => $1)`,
      [share],
    )
    const runner = await on.owner.connect()
    const { rows } = await runner.query<{ pid: number }>('select pg_backend_pid() as pid')
    const observer = await on.db.admin.connect()
    runner.on('error', () => undefined)
    const running = runner.query(
      `call tenantry.encrypt_existing('letters', 'body', to_step => 'filled', key_share => $1, batch_size => 1)`,
      [share],
    )
    const ended = refusal(running)
    // Once it has begun, it is held at one of the last rows: by the server, which is in time for that.
    await observer.query('begin')
    await observer.query(`do $$ begin
      for try in 1 .. 20000 loop
        exit when exists (select from tenantry_private.engine_jobs);
        perform pg_sleep(0.001);
      end loop;
      perform from letters where id = 59 for update;
    end $$`)
    await until(() =>
      observer.query(`select from pg_stat_activity where pid = $1 and wait_event_type = 'Lock'`, [
        rows[0]!.pid,
      ]),
    )
    const second = await refusal(
      on.setUp.query(
        `call tenantry.encrypt_existing('letters', 'body', to_step => 'filled', key_share => $1)`,
        [share],
      ),
    )
    expect(second).toMatchObject({
      code: '55P03',
      message: expect.stringContaining(String(rows[0]!.pid)) as string,
    })
    await observer.query('select pg_terminate_backend($1)', [rows[0]!.pid])
    expect((await ended).code).toBe('57P01')
    await observer.query('rollback')
    observer.release()
    const jobs = await on.stored<{ done: string }>('select done from tenantry_private.engine_jobs')
    expect(Number(jobs[0]!.done)).toBeGreaterThan(0)
    expect((await on.check('info')).map(({ code }) => code)).toContain('job_open')
    await on.setUp.query(
      `call tenantry.encrypt_existing('letters', 'body', to_step => 'switched', key_share => $1, batch_size => 7)`,
      [share],
    )
    expect((await readable()).map(({ body }) => body)).toEqual(annas.map(({ body }) => body))
    expect(await policies()).toEqual([])
  })

  test('a live application reads and writes meanwhile', async () => {
    let stop = false
    const written = new Map<number, string>()
    const live = async (who: typeof anna, parity: number) => {
      const client = await on.app.connect()
      let calls = 0
      while (!stop) {
        const id = 2 * Math.floor(1 + Math.random() * (count / 2)) - parity
        const value = `body live ${calls++}`
        await client.query('begin')
        await client.query('select tenantry.enter($1, $2)', [credential(on.db.name, who), share])
        await client.query('update letters set body = $1 where id = $2', [value, id])
        const { rows } = await client.query<{ body: string }>(
          'select body from tenant.letters where id = $1',
          [id],
        )
        await client.query('commit')
        expect(rows).toEqual([{ body: value }])
        written.set(id, value)
      }
      return calls
    }
    const running = [live(anna, 0), live(bert, 1)]
    try {
      await move('sealed', few, 5)
    } finally {
      stop = true
    }
    expect(Math.min(...(await Promise.all(running)))).toBeGreaterThan(5)
    for (const row of await readable()) {
      expect(row.body).toBe(written.get(row.id as number) ?? `body ${row.id as number}`)
    }
    expect(await inClear()).toBe(0)
  })

  test('triggers of the application are refused, not fired', async () => {
    await on.setUp
      .query(`create function touch() returns trigger language plpgsql as 'begin new.pin := null; return new; end';
      create trigger touch before update on letters for each row execute function touch()`)
    const refused = await refusal(move('filled'))
    expect(refused).toMatchObject({
      code: 'TN011',
      hint: expect.stringContaining('disable trigger user') as string,
    })
    expect((await readable())[0]).toMatchObject({ pin: 'pin 2' })
    await on.setUp.query('drop trigger touch on letters')
    await move('filled')
  })
})

test('values that the application had encrypted are imported by a supplied function, never guessed', async () => {
  await on.setUp.query(`create extension if not exists pgcrypto`).catch(() => undefined)
  await on.setUp.query(`
    create function opened_before(value text) returns text language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
    begin
      if value !~ '^[0-9a-f]{32}:' then
        return value;
      end if;
      return convert_from(decrypt_iv(decode(split_part(value, ':', 2), 'hex'), sha256('salt'), decode(split_part(value, ':', 1), 'hex'), 'aes-cbc'), 'UTF8');
    end $$;
    grant execute on function opened_before(text) to tenantry_owner`)
  await on.db.admin
    .query(`update letters set body = encode(iv, 'hex') || ':' || encode(encrypt_iv(convert_to(body, 'UTF8'), sha256('salt'), iv, 'aes-cbc'), 'hex')
    from (select decode(repeat('0f', 16), 'hex') as iv) i where letters.id <= 50`)
  const before = await on.stored('select id, body from letters order by id')
  await on.setUp.query(
    `select tenantry.encrypt_column('letters', 'body', import_with => 'opened_before(text)')`,
  )
  await on.setUp.query(
    `call tenantry.encrypt_existing('letters', 'body', to_step => 'verified', key_share => $1)`,
    [share],
  )
  const seen = await on.holding(
    anna,
    async (client) => (await client.query('select id, body from tenant.letters order by id')).rows,
  )
  expect(seen).toEqual(annas.map(({ id, body }) => ({ id, body })))
  await on.setUp.query(
    `call tenantry.encrypt_existing('letters', 'body', to_step => 'plain', key_share => $1)`,
    [share],
  )
  expect(await on.stored('select id, body from letters order by id')).toEqual(before)

  await on.setUp.query(`select tenantry.encrypt_column('letters', 'body')`)
  await on.setUp.query(`call tenantry.encrypt_existing('letters', 'body', key_share => $1)`, [
    share,
  ])
  const kept = await on.holding(
    anna,
    async (client) => (await client.query('select id, body from tenant.letters order by id')).rows,
  )
  expect(kept).toEqual(before.filter((row) => (row.id as number) % 2 === 0))
})
