import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { nursery, type Nursery } from './support/nursery.js'

// Schemas are managed, and tables known in them, by names. Renames are followed; another schema of the name is another one.

let on: Nursery
beforeAll(async () => {
  on = await nursery()
  await on.db.admin.query(
    `grant create on database "${on.db.name}" to "${on.stranger.name}";
     alter default privileges for role "${on.stranger.name}" grant select on tables to tenantry_user`,
  )
})
afterAll(() => on.drop())

/** How many tests have made schemas, so that each has its own. */
let count = 0
let one: string
let two: string
beforeEach(() => {
  count += 1
  one = `one_${count}`
  two = `two_${count}`
})

const admin = (statements: string) => on.db.admin.query(statements)
const managed = async () =>
  (
    await on.db.admin.query<{ schema_name: string }>(
      `select schema_name from tenantry.schemas where schema_name <> 'app' order by 1`,
    )
  ).rows.map(({ schema_name }) => schema_name)
const rules = async () =>
  (await on.db.admin.query('select schema_name, pattern from tenantry.rules order by 1')).rows
const noted = async () =>
  (await on.db.admin.query('select from tenantry_private.altered_schemas')).rowCount
const missing = async () => (await on.check()).filter(({ code }) => code === 'schema_missing')
/** What is made as somebody who knows nothing of tenantry is open unless it was closed. */
const isOpen = async (table: string) => (await on.state(table)).open

/** A managed schema of the stranger's with a table that was there before, which stays as it is. */
async function make(name: string): Promise<void> {
  await on.made.query(`create schema ${name}; create table ${name}.before (id int)`)
  await admin(`select tenantry.manage_schema('${name}', owner_column => 'owner_id', owner_kind => 'user');
    select tenantry.register_rule('${name}', '%\\_mail', owner_column => 'receiver', owner_kind => 'user')`)
}

describe('a renamed schema', () => {
  test('is managed with its rules, and what was known in it is known', async () => {
    await make(one)
    await on.made.query(`alter schema ${one} rename to ${two}`)
    expect(await managed()).toEqual([two])
    expect(await rules()).toEqual([{ schema_name: two, pattern: '%\\_mail' }])
    await on.made.query(`
      alter table ${two}.before add column more int;
      create table ${two}.born (id int primary key, owner_id uuid);
      create table ${two}.in_mail (id int primary key, receiver uuid)`)
    expect(await isOpen(`${two}.before`), 'no birth').toBe(true)
    expect(await on.declared(`${two}.born`)).toMatchObject({ owner_column: 'owner_id' })
    expect(await on.declared(`${two}.in_mail`)).toMatchObject({ owner_column: 'receiver' })
    await on.made.query(`create schema ${one}; create table ${one}.free (id int)`)
    expect(await isOpen(`${one}.free`), 'the control: nobody manages the old name').toBe(true)
    // Moving in under the name that it was known under is a birth.
    await on.made.query(`alter table ${one}.free set schema ${two}`)
    expect(await isOpen(`${two}.free`)).toBe(false)
    expect(await noted()).toBe(0)
    await admin(`drop schema ${one}, ${two} cascade; select tenantry.unmanage_schema('${two}')`)
  })

  test('takes the place of one that is gone', async () => {
    await make(one)
    await make(two)
    await admin(`drop schema ${two} cascade`)
    expect(await missing()).toMatchObject([{ severity: 'warning', object: two }])
    await on.made.query(`alter schema ${one} rename to ${two}`)
    expect(await managed()).toEqual([two])
    expect(await missing()).toEqual([])
    await admin(`drop schema ${two} cascade; select tenantry.unmanage_schema('${two}')`)
  })

  test('is not, where the rename is taken back', async () => {
    await make(one)
    await on.made.query(`begin; alter schema ${one} rename to ${two}; rollback`)
    expect(await managed()).toEqual([one])
    await on.made.query(`
      begin; savepoint s; alter schema ${one} rename to ${two}; rollback to s;
      alter schema ${one} rename to other; alter schema other rename to ${two}; commit`)
    expect(await managed()).toEqual([two])
    expect(await noted()).toBe(0)
    await admin(`drop schema ${two} cascade; select tenantry.unmanage_schema('${two}')`)
  })

  test('that nobody manages is followed, too: what was known there is new elsewhere under the old name', async () => {
    await make(one)
    await admin(`create table public.shelf (id int primary key, owner_id uuid not null);
      alter table public.shelf owner to "${on.stranger.name}"; create schema ${two} authorization "${on.stranger.name}"`)
    await on.made.query(`alter table public.shelf set schema ${two}`)
    await admin(`select tenantry.protect('${two}.shelf', owner_column => 'owner_id', owner_kind => 'user');
      select tenantry.unprotect('${two}.shelf')`)
    await admin(`grant select on ${two}.shelf to tenantry_user`)
    await on.made.query(
      `alter schema ${two} rename to was_${two}; alter schema ${one} rename to ${two}`,
    )
    await on.made.query(`alter table was_${two}.shelf set schema ${two}`)
    expect(await on.declared(`${two}.shelf`)).toMatchObject({ owner_column: 'owner_id' })
    await admin(`drop schema was_${two}, ${two} cascade; select tenantry.unmanage_schema('${two}')`)
  })

  test('and another that an event trigger of others renames behind it', async () => {
    await make(one)
    await make(two)
    await admin(`
      create function public.behind() returns event_trigger language plpgsql as $$
      begin
        if to_regnamespace('${two}') is not null then alter schema ${two} rename to behind_${two}; end if;
      end $$;
      create event trigger a_first on ddl_command_end when tag in ('ALTER SCHEMA') execute function public.behind()`)
    try {
      await admin(`alter schema ${one} rename to renamed_${one}`)
    } finally {
      await admin('drop event trigger a_first; drop function public.behind()')
    }
    expect(await managed()).toEqual([`behind_${two}`, `renamed_${one}`])
    expect(await noted()).toBe(0)
    for (const name of await managed())
      await admin(`drop schema ${name} cascade; select tenantry.unmanage_schema('${name}')`)
  })
})

describe('another schema of the same name', () => {
  test('made by whoever, is managed, and knows nothing of what was known in the one that was dropped', async () => {
    await make(one)
    await on.made.query(`create schema ${two}; alter table ${one}.before set schema ${two}`)
    await admin(`drop schema ${one} cascade`)
    await on.made.query(`create schema ${one} create table ${one}.inside (id int)`)
    expect(await isOpen(`${one}.inside`)).toBe(false)
    expect(await isOpen(`${two}.before`)).toBe(true)
    await on.made.query(`alter table ${two}.before set schema ${one}`)
    expect(await isOpen(`${one}.before`)).toBe(false)
    await on.made.query(`create table ${one}.born (id int primary key, owner_id uuid)`)
    expect(await on.declared(`${one}.born`)).toMatchObject({ class: 'owned' })
    await admin(`drop schema ${one}, ${two} cascade; select tenantry.unmanage_schema('${one}')`)
  })
})

describe('without event triggers', () => {
  test('check() names the managed schema that is not there; what it prints, and the new name, settle it', async () => {
    await make(one)
    await admin(
      'alter event trigger tenantry_before_alter disable; alter event trigger tenantry_after_ddl disable',
    )
    await on.made.query(`alter schema ${one} rename to ${two}`)
    const found = await missing()
    expect(found).toMatchObject([{ severity: 'warning', object: one }])
    await admin(
      `select tenantry.manage_schema('${two}', owner_column => 'owner_id', owner_kind => 'user')`,
    )
    await admin(found[0]!.fix)
    await admin(
      'alter event trigger tenantry_before_alter enable always; alter event trigger tenantry_after_ddl enable always',
    )
    expect(await missing()).toEqual([])
    expect(await managed()).toEqual([two])
    await on.made.query(
      `alter table ${two}.before add column more int; create table ${two}.born (id int)`,
    )
    expect([await isOpen(`${two}.before`), await isOpen(`${two}.born`)]).toEqual([true, false])
    await admin(`drop schema ${two} cascade; select tenantry.unmanage_schema('${two}')`)
  })
})
