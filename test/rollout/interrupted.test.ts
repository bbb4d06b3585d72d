import { afterAll, beforeAll, expect, test } from 'vitest'
import { refusal } from '../extension/support/stage.js'
import { counted, everything, letters } from './support/letters.js'
import { annaId, bertId, library, type Library } from './support/library.js'

// What comes between the batches of a backfill: changes of rows, of the table and of its signals, and errors.

let on: Library

beforeAll(async () => {
  on = await library()
})
afterAll(() => on.drop())

const fill = (name: string) => `call tenantry.rollout_to('${name}', 'backfilled', 100)`

/** Runs something while a backfill waits for a row, which somebody has changed and not committed. */
async function amid(name: string, change: string, work: () => Promise<unknown>): Promise<void> {
  const application = await on.legacy.connect()
  await application.query('begin')
  await application.query(change)
  const runner = await on.owner.connect()
  const { rows } = await runner.query<{ pid: number }>('select pg_backend_pid() as pid')
  const running = refusal(runner.query(fill(name)))
  await expect
    .poll(
      () => on.stored(`select wait_event_type from pg_stat_activity where pid = ${rows[0]!.pid}`),
      { interval: 5, timeout: 10_000 },
    )
    .toEqual([{ wait_event_type: 'Lock' }])
  await work()
  await application.query('commit')
  // All are filled, and an index is missing, which the command line builds.
  expect(await running).toMatchObject({ code: 'TN012' })
  await runner.end()
  await application.end()
}

test.each([
  ['named by its place', ''],
  ['named by its key', 'select id, sender from %s'],
])(
  'a row %s that changes while a batch waits for it is not given to who it belonged to',
  async (_, signal) => {
    const name = await letters(on, { signal })
    await amid(name, `update ${name} set sender = null where id = 2`, () => Promise.resolve())
    expect(
      await on.stored(`select id, owner_id::text from ${name} where id in (1, 2) order by id`),
    ).toEqual([
      { id: 1, owner_id: annaId },
      { id: 2, owner_id: null },
    ])
    expect(await counted(on, name)).toMatchObject({ right: 2999, wrong: 0, quarantined: 1001 })
  },
)

test('a signal that changes meanwhile decides from then on', async () => {
  const name = await letters(on)
  await amid(name, `update ${name} set body = body where id = 2`, async () => {
    await on.setUp.query(
      `select tenantry.rollout_signal('${name}', 1, 'sender', tenantry.rollout_from_constant('${name}', 'user:${annaId}', 'true'))`,
    )
  })
  const [{ annas, berts } = { annas: 0, berts: 0 }] = await on.stored<{
    annas: number
    berts: number
  }>(
    `select count(*) filter (where owner_id = '${annaId}')::int as annas, count(*) filter (where owner_id = '${bertId}')::int as berts from ${name}`,
  )
  expect(annas + berts).toBe(4000)
  expect(berts).toBeLessThan(400)
})

test('a table that is renamed meanwhile is the same, and one that takes its name is not filled', async () => {
  const name = await letters(on, { signal: 'select id, sender from %s' })
  // Between two batches, while the backfill waits because of an old transaction.
  await on.db.admin.query(`grant pg_read_all_stats to "${on.owner.name}"`)
  await on.db.admin.query(`select tenantry.configure('brake_transaction_age', '100 ms')`)
  const old = await on.legacy.connect()
  await old.query('begin; select')
  const runner = await on.owner.connect()
  const running = refusal(runner.query(fill(name)))
  const brake = () =>
    on.stored<{ waits: boolean }>(
      `select brake is not null as waits from tenantry.rollout_status where relation = '${name}'::regclass`,
    )
  await expect.poll(brake, { timeout: 10_000 }).toEqual([{ waits: true }])
  await on.setUp.query(`
    alter table ${name} rename to ${name}_old;
    create table ${name} (id int primary key, sender uuid, owner_id uuid, tenantry_source smallint);
    insert into ${name} select id, sender from ${name}_old;
    select tenantry.rollout_signal('${name}_old', 1, 'sender', 'select id, sender from public.${name}_old')`)
  await on.db.admin.query(`select tenantry.configure('brake_transaction_age', null)`)
  expect(await running).toMatchObject({ code: 'TN012' })
  await old.query('rollback')
  await Promise.all([old.end(), runner.end()])
  expect(await on.stored(`select count(owner_id)::int as filled from ${name}`)).toEqual([
    { filled: 0 },
  ])
  expect(await counted(on, `${name}_old`)).toEqual(everything)
})

test('what only COMMIT would find ends the batch before it, and leaves the table to the next runner', async () => {
  await on.setUp.query(
    `create table accounts (id uuid primary key); insert into accounts values ('${bertId}')`,
  )
  const name = await letters(on, {
    owner: 'uuid references accounts deferrable initially deferred',
  })
  const first = await on.owner.connect()
  expect((await refusal(first.query(fill(name)))).code).toBe('23503')
  expect((await refusal(on.setUp.query(fill(name)))).code).toBe('23503')
  await on.setUp.query(`insert into accounts values ('${annaId}')`)
  const second = await on.owner.connect()
  expect((await refusal(second.query(fill(name)))).code).toBe('TN012')
  expect(await counted(on, name)).toEqual(everything)
  await first.end()
  await second.end()
})

test('operators and types that lie before those of pg_catalog are not used', async () => {
  const name = await letters(on)
  await on.db.admin.query(`
    create schema before;
    grant usage on schema before to public;
    create table public.used (what text);
    grant insert on public.used to public;
    create function before.equal(pg_catalog.text, pg_catalog.text) returns boolean language plpgsql as
      $$ begin insert into public.used values ('='); return pg_catalog.texteq($1, $2); end $$;
    create operator before.= (leftarg = pg_catalog.text, rightarg = pg_catalog.text, function = before.equal);
    create function before.passes(what pg_catalog.text) returns boolean language plpgsql as
      $$ begin insert into public.used values (what); return true; end $$;
    create domain before.text as pg_catalog.text check (before.passes('text'));
    create domain before.float8 as pg_catalog.float8 check (before.passes('float8'));
    create domain before.timestamptz as pg_catalog.timestamptz check (before.passes('timestamptz'));
    create domain before.pg_lsn as pg_catalog.pg_lsn check (before.passes('pg_lsn'))`)
  const session = await on.owner.connect()
  await session.query('set search_path = before, pg_catalog, public')
  // They are what the names mean there.
  await session.query(`select 'a'::text where 'a'::pg_catalog.text = 'a'::pg_catalog.text`)
  const used = () =>
    on.stored<{ what: string }>('select distinct what from public.used order by what')
  expect(await used()).toEqual([{ what: '=' }, { what: 'text' }])
  await on.db.admin.query('truncate public.used')
  expect((await refusal(session.query(fill(`public.${name}`)))).code).toBe('TN012')
  await session.query(`call tenantry.rollout_to('public.${name}', 'planned')`)
  await session.end()
  expect(await used()).toEqual([])
})
