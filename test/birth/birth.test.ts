import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { outcome, refusal } from '../extension/support/stage.js'
import { anna, annaId, bert, bertId, nursery, type Nursery } from './support/nursery.js'

// Tables that somebody creates in a managed schema who knows nothing of tenantry.

let on: Nursery

beforeAll(async () => {
  on = await nursery()
})
afterAll(() => on.drop())

const closed = { enabled: true, forced: false, policies: 0, open: false }
const covered = { enabled: true, forced: true, policies: 0, open: false }

/** What Anna and Bert read of a table after Anna has written a row into it. */
async function reads(table: string, columns: string, values: string): Promise<unknown> {
  await on.as(anna, (client) =>
    client.query(`insert into ${table} (${columns}) values (${values})`),
  )
  const rows = (client: { query: (text: string) => Promise<{ rowCount: number | null }> }) =>
    client.query(`select from ${table}`).then(({ rowCount }) => rowCount)
  return { anna: await on.as(anna, rows), bert: await on.as(bert, rows) }
}

describe('a table with the owner column of its schema', () => {
  test.each([
    [
      'create table',
      `create table app.notes (id int primary key, owner_id uuid not null, body text)`,
    ],
    [
      'with a reference',
      `create table app.tagged (id int primary key, owner_id uuid references app.users, body text)`,
    ],
    [
      'partitioned',
      `create table app.notes_p (id int, owner_id uuid not null, body text) partition by range (id)`,
    ],
  ])('%s: is protected', async (_, statement) => {
    await on.made.query(statement)
    const [, name = ''] = /create table (\S+)/.exec(statement) ?? []
    expect(await on.declared(name)).toMatchObject({
      class: 'owned',
      owner_column: 'owner_id',
      owner_kind: 'user',
    })
    expect(await on.state(name)).toMatchObject({ enabled: true, forced: true, open: true })
    if (name === 'app.notes_p') {
      await on.made.query(
        `create table app.notes_p1 partition of app.notes_p for values from (0) to (100)`,
      )
      expect(await on.state('app.notes_p1')).toEqual(covered)
    }
    expect(await reads(name, 'id, body', `1, 'mine'`)).toEqual({ anna: 1, bert: 0 })
    const reach = await on.as(anna, (client) => client.query(`select from reach.${name.slice(4)}`))
    expect(reach.rowCount).toBe(1)
  })

  test('by CTAS and SELECT INTO: the reason is said where rows have no owner, and nothing is left', async () => {
    await on.made.query(`create table app.copied as select 1 as id, '${annaId}'::uuid as owner_id`)
    expect(await on.declared('app.copied')).toMatchObject({ class: 'owned' })
    await on.made.query(`select 1 as id, '${annaId}'::uuid as owner_id into app.selected`)
    expect(await on.declared('app.selected')).toMatchObject({ class: 'owned' })
    const refused = await refusal(
      on.made.query(`create table app.orphans as select 1 as id, null::uuid as owner_id`),
    )
    expect(refused.message).toMatch(/contains null values|owner/)
    const { rows } = await on.db.admin.query(`select to_regclass('app.orphans') as there`)
    expect(rows).toEqual([{ there: null }])
  })

  test('of another type is closed instead', async () => {
    await on.made.query('create table app.numbered (id int primary key, owner_id int)')
    expect(await on.declared('app.numbered')).toBeUndefined()
    expect(await on.state('app.numbered')).toEqual(closed)
  })

  test('moves in by SET SCHEMA', async () => {
    await on.db.admin.query(`create schema lab authorization "${on.stranger.name}"`)
    await on.made.query(
      'create table lab.late (id int primary key, owner_id uuid not null, body text, at date)',
    )
    expect(await on.state('lab.late')).toMatchObject({ enabled: false })
    await on.made.query('alter table lab.late set schema app')
    expect(await on.declared('app.late')).toMatchObject({ class: 'owned' })
    expect(await reads('app.late', 'id, body', `1, 'mine'`)).toEqual({ anna: 1, bert: 0 })
  })
})

describe('a table whose rows nobody can tell the owner of', () => {
  test('is closed, and its creator goes on with it', async () => {
    await on.db.admin.query(
      `alter default privileges for role "${on.stranger.name}" in schema app grant select, insert on tables to tenantry_user`,
    )
    await on.made.query(`create table app.lists (id int primary key, title text)`)
    await on.made.query(`insert into app.lists values (1, 'seed')`)
    expect((await on.made.query('select from app.lists')).rowCount).toBe(1)
    expect(await on.state('app.lists')).toEqual(closed)
    expect(await on.as(anna, (client) => outcome(client, 'select from app.lists'))).toBe('42501')
    const finding = (await on.check()).find(({ object }) => object === 'app.lists')
    expect(finding).toMatchObject({ code: 'table_undeclared', severity: 'warning' })
    expect(finding?.fix).toMatch(/^select (\* from )?tenantry\./)
  })

  test('no column is added to it', async () => {
    const { rows } = await on.db.admin.query(
      `select attname from pg_attribute where attrelid = 'app.lists'::regclass and attnum > 0`,
    )
    expect(rows).toEqual([{ attname: 'id' }, { attname: 'title' }])
  })

  test('materialized views and foreign tables get no grants either', async () => {
    await on.db.admin.query(`
      create extension if not exists file_fdw; create server files foreign data wrapper file_fdw;
      grant usage on foreign server files to "${on.stranger.name}";
      grant pg_read_server_files to "${on.stranger.name}"`)
    await on.made.query(
      'create materialized view app.counted as select count(*) as n from app.lists',
    )
    await on.made.query(
      `create foreign table app.outside (line text) server files options (filename '/dev/null')`,
    )
    for (const name of ['app.counted', 'app.outside'])
      expect((await on.state(name)).open, name).toBe(false)
  })

  test('what was there before stays as it was', async () => {
    await on.setUp.query('alter table app.old add column body text')
    expect(await on.state('app.old')).toEqual({
      enabled: false,
      forced: false,
      policies: 0,
      open: true,
    })
  })

  test('a temporary table is nobody’s business', async () => {
    await on.db.admin.query(`grant temporary on database "${on.db.name}" to "${on.stranger.name}"`)
    await on.made.query('create temp table scratch (id int, owner_id uuid)')
    await on.made.query('drop table scratch')
  })
})

describe('what hangs below a protected table', () => {
  test('a partition may be made first, closed, and be attached then', async () => {
    await on.made.query('create table app.notes_p2 (like app.notes_p including all)')
    expect(await on.state('app.notes_p2')).toEqual(closed)
    await on.made.query(
      `insert into app.notes_p2 values (250, '${bertId}', 'seed');
       alter table app.notes_p attach partition app.notes_p2 for values from (200) to (300)`,
    )
    expect(await on.state('app.notes_p2')).toEqual(covered)
    expect(
      await on.as(bert, async (client) => (await client.query('select id from app.notes_p')).rows),
    ).toEqual([{ id: 250 }])
    expect(await on.as(bert, (client) => outcome(client, 'select from app.notes_p2'))).toBe('42501')
  })

  test('a partition that is attached, and an inheritance child, are covered', async () => {
    await on.made.query(`
      create table app.loose (id int, owner_id uuid not null, body text);
      create table app.tree (id int, owner_id uuid not null)`)
    await on.db.admin.query(`create schema if not exists attic authorization "${on.stranger.name}"`)
    await on.made.query(`
      create table attic.part (id int, owner_id uuid not null, body text);
      alter table app.notes_p attach partition attic.part for values from (100) to (200);
      create table attic.child (extra text) inherits (app.tree);
      create table attic.adopted (id int, owner_id uuid not null);
      alter table attic.adopted inherit app.tree`)
    for (const name of ['attic.part', 'attic.child', 'attic.adopted'])
      expect(await on.state(name), name).toEqual(covered)
  })
})

describe('rules', () => {
  test('come before the owner column of the schema; several that match close', async () => {
    await on.setUp.query(`
      select tenantry.register_rule('app', '%\\_mail', owner_column => 'receiver', owner_kind => 'user');
      select tenantry.register_rule('app', '%\\_line', owner_from => '{order_id}');
      select tenantry.register_rule('app', 'big\\_%', owner_column => 'owner_id', owner_kind => 'user')`)
    await on.made.query(`
      create table app.in_mail (id int primary key, receiver uuid not null, owner_id uuid);
      create table app.big_mail (id int primary key, receiver uuid not null, owner_id uuid);
      create table app.orders (id int primary key, owner_id uuid not null);
      create table app.order_line (id int primary key, order_id int not null references app.orders)`)
    expect(await on.declared('app.in_mail')).toMatchObject({ owner_column: 'receiver' })
    expect(await on.declared('app.big_mail')).toBeUndefined()
    expect(await on.state('app.big_mail')).toEqual(closed)
    expect(await on.declared('app.order_line')).toMatchObject({
      class: 'by_parent',
      owner_from: '{order_id}',
    })
    await on.as(anna, async (client) => {
      await client.query(`insert into app.orders (id) values (1)`)
      await client.query(`insert into app.order_line (id, order_id) values (1, 1)`)
    })
    expect(
      await on.as(
        bert,
        async (client) => (await client.query('select from app.order_line')).rowCount,
      ),
    ).toBe(0)
    expect(
      await on.as(bert, (client) =>
        outcome(client, 'insert into app.order_line (id, order_id) values (2, 1)'),
      ),
    ).toMatch(/42501|23503/)
  })

  test('of which several are for one name close the table, and say that', async () => {
    await on.setUp.query(
      `select tenantry.register_rule('app', 'x\\_mail', owner_from => '{order_id}')`,
    )
    const said: string[] = []
    on.made.on('notice', ({ message }) => void said.push(message ?? ''))
    await on.made.query('create table app.x_mail (id int primary key, receiver uuid)')
    expect(said.join()).toContain(
      'app.x_mail is closed to the application, because several rules are for its name',
    )
    expect(await on.state('app.x_mail')).toEqual(closed)
    await on.setUp.query(
      `drop table app.x_mail; select tenantry.unregister_rule('app', 'x\\_mail')`,
    )
  })

  test('that cannot be carried out stop the statement with the reason', async () => {
    const refused = await refusal(on.made.query('create table app.no_mail (id int primary key)'))
    expect(refused).toMatchObject({
      code: 'TN011',
      message: expect.stringMatching(/has no column receiver/) as string,
    })
    expect((await on.db.admin.query(`select to_regclass('app.no_mail') as there`)).rows).toEqual([
      { there: null },
    ])
  })

  test('that would fill rows do not run the owner’s code as a superuser', async () => {
    const evil = `create function lab.told(int) returns boolean language plpgsql immutable as
      $$ begin execute 'alter role "${on.stranger.name}" superuser'; return true; exception when others then return true; end $$`
    await on.made.query(`${evil};
      create table lab.late_line (id int primary key, order_id int not null references app.orders check (lab.told(order_id)));
      insert into lab.late_line values (1, 1)`)
    const move = 'alter table lab.late_line set schema app'
    expect(await refusal(on.db.admin.query(move))).toMatchObject({
      code: 'TN011',
      message: expect.stringMatching(/superuser's powers/) as string,
    })
    await on.made.query(move)
    expect(await on.declared('app.late_line')).toMatchObject({ class: 'by_parent' })
    const { rows } = await on.db.admin.query('select rolsuper from pg_roles where rolname = $1', [
      on.stranger.name,
    ])
    expect(rows).toEqual([{ rolsuper: false }])
  })

  test.each([
    [
      `select tenantry.register_rule('nowhere', 'x', owner_column => 'a', owner_kind => 'user')`,
      /not managed/,
    ],
    [
      `select tenantry.register_rule('app', '', owner_column => 'a', owner_kind => 'user')`,
      /needs a pattern/,
    ],
    [`select tenantry.register_rule('app', 'x')`, /says whose the rows are/],
    [
      `select tenantry.register_rule('app', 'x', owner_column => 'a', owner_kind => 'ghost')`,
      /not registered/,
    ],
    [`select tenantry.unregister_rule('app', 'x')`, /has no rule/],
    [`select tenantry.manage_schema('app', owner_column => 'owner_id')`, /belong together/],
    [
      `select tenantry.manage_schema('app', owner_column => 'owner_id', owner_kind => 'ghost')`,
      /not registered/,
    ],
  ])('%s is refused', async (call, why) => {
    const refused = await refusal(on.setUp.query(call))
    expect(refused).toMatchObject({ code: 'TN011', message: expect.stringMatching(why) as string })
    expect(refused.hint).not.toBe('')
  })

  test('are for admins', async () => {
    for (const call of [
      `select tenantry.register_rule('app', 'x', owner_column => 'a', owner_kind => 'user')`,
      `select tenantry.manage_schema('app')`,
    ])
      expect(await refusal(on.made.query(call))).toMatchObject({ code: '42501' })
  })

  test('are taken back', async () => {
    await on.setUp.query(`select tenantry.unregister_rule('app', '%\\_mail')`)
    await on.made.query('create table app.no_mail (id int primary key)')
    expect(await on.state('app.no_mail')).toEqual(closed)
    expect(await on.audited('app')).toContain('unregister_rule')
  })
})

describe('all of it', () => {
  test('is as check() wants it, and nothing that was born was recorded as weakened', async () => {
    const { rows } = await on.db.admin.query(`select * from tenantry.audit where action = 'weaken'`)
    expect(rows).toEqual([])
    const findings = await on.check('warning')
    expect(findings.filter(({ code }) => !['table_undeclared'].includes(code))).toEqual([])
  })
})
