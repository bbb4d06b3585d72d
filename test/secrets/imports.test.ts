import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { refusal } from '../extension/support/stage.js'
import { anna, annaId, secretStage, share, type SecretStage } from './support/stage.js'

// A supplied function opens what the application had encrypted, for as long as the column is being encrypted. It is that very
// function, whatever it is called meanwhile, and no other.

let on: SecretStage
beforeAll(async () => {
  on = await secretStage()
})
afterAll(() => on.drop())

beforeEach(async () => {
  await on.db.admin.query(`
    drop table if exists letters, heard; select tenantry.sync();
    drop schema if exists lib, library cascade;
    create schema lib authorization "${on.owner.name}"; grant usage on schema lib to tenantry_owner`)
  await on.setUp.query(`
    create table letters (id int primary key, owner_id uuid not null references users, body text);
    select tenantry.protect('letters');
    create function lib.opened(value text) returns text language sql security definer set search_path = pg_catalog, pg_temp as 'select reverse(value)';
    grant execute on function lib.opened(text) to tenantry_owner`)
  await on.db.admin.query(`insert into letters values (1, '${annaId}', 'olleh')`)
})

const declare = `select tenantry.encrypt_column('letters', 'body', import_with => 'lib.opened(text)')`
const encrypt = (step: string) =>
  on.setUp.query(
    `call tenantry.encrypt_existing('letters', 'body', to_step => '${step}', key_share => $1)`,
    [share],
  )
const importing = async () =>
  (
    await on.db.admin.query<{ name: string }>(
      `select proname as name from pg_proc where pronamespace = 'tenantry_private'::regnamespace and proname ~ '^import_[0-9a-f]{32}$'`,
    )
  ).rowCount
const read = () =>
  on.holding(
    anna,
    async (client) => (await client.query('select body from tenant.letters')).rows as unknown,
  )

test('renamed, moved and in a renamed schema it still opens them, until the column is sealed', async () => {
  await on.setUp.query(declare)
  await on.setUp.query('alter function lib.opened(text) rename to opener')
  await encrypt('filled')
  expect(await read()).toEqual([{ body: 'hello' }])
  await on.db.admin.query(
    `alter schema lib rename to library; create schema lib authorization "${on.owner.name}"`,
  )
  await on.setUp.query('alter function library.opener(text) set schema lib')
  await encrypt('verified')
  expect(await importing()).toBe(1)
  await encrypt('switched')
  await encrypt('sealed')
  expect(await read()).toEqual([{ body: 'hello' }])
  expect(await importing()).toBe(0)
  await on.setUp.query('drop function lib.opener(text)')
})

test('it cannot be dropped, and another in its place is not called', async () => {
  await on.setUp.query(declare)
  expect(await refusal(on.setUp.query('drop function lib.opened(text)'))).toMatchObject({
    code: '2BP01',
  })
  // What runs as whoever calls it would run as tenantry_owner.
  await on.setUp.query(`
    alter function lib.opened(text) rename to mine;
    create function lib.opened(value text) returns text language sql as 'select current_user::text'`)
  await encrypt('filled')
  expect(await read()).toEqual([{ body: 'hello' }])
})

test('it is not called any more where its author lets it run as its caller', async () => {
  await on.setUp.query(`${declare}; create table heard (who text); grant insert on heard to public`)
  const listening = (security: string) =>
    on.setUp
      .query(`create or replace function lib.opened(value text) returns text language plpgsql security ${security}
      set search_path = pg_catalog, pg_temp as 'begin insert into public.heard values (current_user); return reverse(value); end'`)
  await listening('invoker')
  expect(await refusal(encrypt('filled'))).toMatchObject({
    code: 'TN011',
    message: expect.stringContaining('no longer runs as its author') as string,
  })
  expect(await on.stored('select who from heard')).toEqual([])
  // The control: as its author it does run, and the column goes on from where it was.
  await listening('definer')
  await encrypt('filled')
  expect(await on.stored('select distinct who from heard')).toEqual([{ who: on.owner.name }])
  expect(await read()).toEqual([{ body: 'hello' }])
})

test('dropped with what hangs on it, nothing is guessed, and the column can go back', async () => {
  await on.setUp.query(declare)
  await on.setUp.query(`
    drop function lib.opened(text) cascade;
    create function lib.opened(value text) returns text language sql as 'select current_user::text'`)
  expect(await refusal(encrypt('filled'))).toMatchObject({ code: '42883' })
  await encrypt('plain')
  expect(await on.stored('select body from letters')).toEqual([{ body: 'olleh' }])
  expect(await importing()).toBe(0)
})

test('one that does not run as its author, or that tenantry may not call, is refused, by whichever half', async () => {
  const asked = async (change: string, undo: string) => {
    await on.db.admin.query(change)
    const refused = await refusal(on.setUp.query(declare))
    await on.db.admin.query(undo)
    return refused
  }
  const why = { code: 'TN011', message: /cannot open what the application had encrypted/ }
  for (const [change, undo] of [
    [
      'alter function lib.opened(text) security invoker',
      'alter function lib.opened(text) security definer',
    ],
    [
      'revoke usage on schema lib from tenantry_owner',
      'grant usage on schema lib to tenantry_owner',
    ],
    [
      'revoke execute on function lib.opened(text) from public, tenantry_owner',
      'grant execute on function lib.opened(text) to tenantry_owner',
    ],
  ] as const)
    expect(await asked(change, undo), change).toMatchObject({
      code: why.code,
      message: expect.stringMatching(why.message) as string,
    })
  await on.setUp.query(
    `create function lib.who(value text) returns text language sql as 'select current_user::text'`,
  )
  const half = await refusal(
    on.setUp.query(`
      select tenantry_private.record_encrypted_column(
        jsonb_populate_record(null::tenantry_private.encrypted_columns,
          '{"relation": "letters", "column_name": "body", "path": [], "data_type": "text", "state": "added", "audited": false}'),
        'lib.who(text)')`),
  )
  expect(half).toMatchObject({
    code: 'TN011',
    message: expect.stringMatching(why.message) as string,
  })
  expect(await importing()).toBe(0)
})

test('goes with its table, and with a column that is planned only', async () => {
  await on.setUp.query(declare.replace(`lib.opened(text)'`, `lib.opened(text)', dry_run => true`))
  expect(await importing()).toBe(0)
  await on.setUp.query(declare)
  expect(await importing()).toBe(1)
  await on.setUp.query('drop table letters')
  expect(await importing()).toBe(0)
})
