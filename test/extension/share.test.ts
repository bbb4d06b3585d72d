import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { TestRole } from '../support/database.js'
import { outcome, quoted, refusal, stage, type Planned, type Stage } from './support/stage.js'
import { anna, bert, kindTables } from './support/table-classes.js'
import { registrySnapshot, tableSnapshot } from './support/table-snapshot.js'

describe('tables that are not isolated, and who sees them all', () => {
  let on: Stage
  let writer: TestRole

  beforeAll(async () => {
    on = await stage()
    await on.setUp.query(`${kindTables}
      create table countries (code text primary key); insert into countries values ('fr'), ('de');
      create table versions (n int);
      create table notes (id int generated always as identity primary key, owner_id uuid not null references users, body text);
      insert into notes (owner_id, body) select id, name from users;
      select tenantry.protect('notes')`)
    writer = await on.db.role('writer', { allow: 'user' })
  })
  afterAll(() => on.drop())

  const share = async (call: string) =>
    (await on.setUp.query<Planned>(`select * from tenantry.share(${call})`)).rows

  it('share(): everybody reads, the writers write, once more changes nothing', async () => {
    const before = await tableSnapshot(on.db.admin)
    const call = `'countries', array['${writer.name}']`
    const shown = await share(`${call}, dry_run => true`)
    expect(await tableSnapshot(on.db.admin)).toEqual(before)
    expect(await share(call)).toEqual(shown)
    const shared = [await tableSnapshot(on.db.admin), await registrySnapshot(on.db.admin)]
    expect(await share(call)).toEqual([])
    expect(await share(`'countries'`)).toEqual([])
    expect([await tableSnapshot(on.db.admin), await registrySnapshot(on.db.admin)]).toEqual(shared)

    for (const who of [anna, bert]) {
      await on.as(who, async (client) => {
        expect(await outcome(client, 'select from countries')).toBe('2 rows')
        for (const write of [
          `insert into countries values ('it')`,
          `update countries set code = 'x'`,
          'delete from countries',
          'truncate countries',
        ]) {
          expect(await outcome(client, write)).toBe('42501')
        }
      })
    }
    const client = await writer.connect()
    await client.query('begin')
    expect(await outcome(client, `insert into countries values ('it')`)).toBe('1 rows')
    expect(await outcome(client, `update countries set code = 'es' where code = 'it'`)).toBe(
      '1 rows',
    )
    expect(await outcome(client, `delete from countries where code = 'es'`)).toBe('1 rows')
    expect(await outcome(client, 'truncate countries')).toBe('42501')
    await client.query('rollback')
  })

  it('share() with other writers takes the right from those it no longer names', async () => {
    await share(`'countries', '{}'`)
    const client = await writer.connect()
    await client.query('begin')
    expect(await outcome(client, 'select from countries')).toBe('2 rows')
    expect(await outcome(client, `insert into countries values ('it')`)).toBe('42501')
    await client.query('rollback')
    await share(`'countries', array['${writer.name}']`)
  })

  it('unshare() takes everything back, also from a writer that is gone', async () => {
    const doomed = `doomed_${on.db.name}`
    await on.db.admin.query(`create role ${doomed}`)
    await share(`'countries', array['${writer.name}', '${doomed}']`)
    await on.db.admin.query(`revoke all on countries from ${doomed}; drop role ${doomed}`)
    const codes = async () =>
      (await on.check()).filter(({ object }) => object === 'public.countries')
    expect(await codes()).toEqual([])
    await on.db.admin.query('select tenantry.sync()')
    await on.setUp.query(`select * from tenantry.unshare('countries')`)
    await on.as(anna, async (client) =>
      expect(await outcome(client, 'select from countries')).toBe('42501'),
    )
    const client = await writer.connect()
    await client.query('begin')
    expect(await outcome(client, 'delete from countries')).toBe('42501')
    await client.query('rollback')
    expect(await refusal(on.setUp.query(`select tenantry.unshare('countries')`))).toMatchObject({
      code: 'TN011',
    })
  })

  it('share() refuses, with the next command', async () => {
    await on.setUp.query(
      'create table own_policies (id int); alter table own_policies enable row level security',
    )
    const refused = async (call: string) => refusal(share(call))
    expect(await refused(`'notes'`)).toMatchObject({
      code: 'TN011',
      hint: expect.stringContaining('tenantry.unprotect'),
    })
    expect(await refused(`'own_policies'`)).toMatchObject({
      code: 'TN011',
      hint: expect.stringContaining('disable row level security;'),
    })
    expect(await refused(`'countries', '{nobody_here}'`)).toMatchObject({
      code: 'TN011',
      message: 'there is no role nobody_here',
    })
    expect(await refused(`'countries', '{tenantry_user}'`)).toMatchObject({ code: 'TN011' })
    expect(await refused('null')).toMatchObject({ code: 'TN011' })
    await on.setUp.query('drop table own_policies')
  })

  it('exempt() says why and changes nothing; unexempt() takes it back', async () => {
    const before = await tableSnapshot(on.db.admin)
    await on.setUp.query(`select tenantry.exempt('versions', 'says which migrations ran')`)
    await on.setUp.query(`select tenantry.exempt('versions', 'another reason')`)
    expect(await tableSnapshot(on.db.admin)).toEqual(before)
    const { rows } = await on.db.admin.query(
      `select class, reason from tenantry.tables where table_name = 'versions'`,
    )
    expect(rows).toEqual([{ class: 'exempt', reason: 'another reason' }])
    await on.as(anna, async (client) =>
      expect(await outcome(client, 'select from versions')).toBe('42501'),
    )
    for (const [target, reason] of [
      ['versions', ' '],
      ['versions', null],
      ['notes', 'x'],
      [null, 'x'],
    ]) {
      const refused = refusal(on.setUp.query('select tenantry.exempt($1, $2)', [target, reason]))
      expect(await refused).toMatchObject({ code: 'TN011', hint: expect.stringMatching(/\w/) })
    }
    expect((await on.check()).filter(({ object }) => object === 'public.versions')).toEqual([])
    await on.setUp.query(`select tenantry.unexempt('versions')`)
    expect((await on.check()).filter(({ object }) => object === 'public.versions')).toHaveLength(1)
    expect(await refusal(on.setUp.query(`select tenantry.unexempt('versions')`))).toMatchObject({
      code: 'TN011',
    })
  })

  it('manage_schema(): its migration role sees every row by a policy of its own, the application’s login cannot be one', async () => {
    const migration = await on.db.role('migration', { ordinary: false })
    const before = await tableSnapshot(on.db.admin)
    const manage = (role: string) =>
      on.db.admin.query(`select * from tenantry.manage_schema('public', $1)`, [role])
    expect(await refusal(manage(on.app.name))).toMatchObject({
      code: 'TN011',
      message: expect.stringContaining(on.app.name),
    })
    expect(await refusal(manage('nobody_here'))).toMatchObject({
      code: 'TN011',
      hint: expect.stringContaining('create role nobody_here login;'),
    })
    await manage(migration.name)
    await on.db.admin.query(
      `grant select, insert, update, delete on notes to ${quoted(migration.name)}; grant usage on schema public to ${quoted(migration.name)}`,
    )
    const client = await migration.connect()
    await client.query('begin')
    expect(await outcome(client, 'select from notes')).toBe('2 rows')
    expect(await outcome(client, `insert into notes (owner_id) select owner_id from notes`)).toBe(
      '2 rows',
    )
    expect(await outcome(client, `update notes set body = 'migrated'`)).toBe('4 rows')
    await client.query('rollback')
    await on.as(anna, async (app) => {
      expect(await outcome(app, 'select from notes')).toBe('1 rows')
      expect(await outcome(app, `set local role ${quoted(migration.name)}`)).toBe('42501')
    })
    // A table protected from now on has the policy too.
    await on.setUp.query(
      `create table later (id int, owner_id uuid references users); select tenantry.protect('later')`,
    )
    const { rows } = await on.db.admin.query(
      `select polrelid::regclass::text as t from pg_policy where polname = 'tenantry_migration' order by 1`,
    )
    expect(rows).toEqual([{ t: 'later' }, { t: 'notes' }])
    // What a call does not name stays as it was told before; an empty name takes back.
    const told = async (call: string) => {
      await on.db.admin.query(`select tenantry.manage_schema('public'${call})`)
      const { rows: schemas } = await on.db.admin.query<Record<string, unknown>>(
        `select migration_role, owner_column, owner_kind from tenantry.schemas where schema_name = 'public'`,
      )
      return Object.values(schemas[0] ?? {})
    }
    const { name } = migration
    const column = [`owner_id`, 'user']
    expect(await told(`, owner_column => 'owner_id', owner_kind => 'user'`)).toEqual([
      name,
      ...column,
    ])
    expect(await told('')).toEqual([name, ...column])
    expect(await told(`, owner_column => ''`)).toEqual([name, null, null])
    expect(await told(`, owner_column => 'owner_id', owner_kind => 'user'`)).toContain('user')
    expect(await told(`, migration_role => ''`)).toEqual([null, ...column])
    expect(await told(`, '${name}', ''`)).toEqual([name, null, null])
    await on.setUp.query(`select tenantry.unprotect('later'); drop table later`)
    await on.db.admin.query(
      `select tenantry.unmanage_schema('public'); revoke all on notes from ${quoted(migration.name)}; revoke usage on schema public from ${quoted(migration.name)}`,
    )
    expect(await tableSnapshot(on.db.admin)).toEqual(before)
    expect(
      await refusal(on.db.admin.query(`select tenantry.unmanage_schema('public')`)),
    ).toMatchObject({ code: 'TN011' })
    expect(
      await refusal(on.db.admin.query(`select tenantry.manage_schema('pg_catalog')`)),
    ).toMatchObject({ code: 'TN011' })
  })
})
