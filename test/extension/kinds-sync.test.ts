import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { pipeline } from 'node:stream/promises'
import { Readable } from 'node:stream'
import type pg from 'pg'
import { from as copyFrom } from 'pg-copy-streams'
import { testDatabase, type TestDatabase, type TestRole } from '../support/database.js'
import { entitiesOf, living, serialOf } from './support/kinds.js'
import { expectRefusal } from './support/refusal.js'

let db: TestDatabase
let owner: TestRole
let app: TestRole
let client: pg.Client
beforeAll(async () => {
  db = await testDatabase()
  owner = await db.role('owner', { ordinary: false })
  app = await db.role('app', { allow: 'user' })
  await db.admin.query(`
    create schema app authorization "${owner.name}"; set role "${owner.name}";
    create table app.users (id int primary key, name text);
    create table app.bots (id text unique, owner_id int, name text, extra json);
    create table app.devices (id bigint, region text, owner_id int, primary key (region, id)) partition by list (region);
    create table app.devices_eu partition of app.devices for values in ('eu');
    create table app.devices_us partition of app.devices for values in ('us') partition by range (id);
    create table app.devices_us_1 partition of app.devices_us for values from (0) to (1000);
    insert into app.users values (1, 'one'), (2, 'two');
    insert into app.bots values ('a', 1), ('b', 2), (null, 1);
    insert into app.devices values (10, 'eu', 1), (20, 'us', 2)`)
  await db.admin.query('reset role')
  client = await owner.connect()
  await db.admin.query(`select tenantry.register_kind('user', 'app.users')`)
})
afterAll(async () => {
  await db.drop()
})

const register = `select tenantry.register_kind('bot', 'app.bots', owner_column => 'owner_id', owner_kind => 'user') as changed`
const bot = (id: string, userId: number | null, alive = true) => ({
  id,
  owner: userId === null ? null : `user:${userId}`,
  alive,
})

describe('a registered table', () => {
  it('is read when it is registered', async () => {
    expect((await db.admin.query(register)).rows).toEqual([{ changed: '2' }])
    expect(await entitiesOf(db.admin, 'bot')).toEqual([bot('a', 1), bot('b', 2)])
    expect((await db.admin.query(register)).rows).toEqual([{ changed: '0' }])
  })

  it('is followed by INSERT, UPDATE and DELETE of its owner, who knows nothing of tenantry', async () => {
    await client.query(`insert into app.bots values ('c', 1), ('d', null)`)
    expect(await entitiesOf(db.admin, 'bot')).toEqual([
      bot('a', 1),
      bot('b', 2),
      bot('c', 1),
      bot('d', null),
    ])
    await client.query(`update app.bots set owner_id = 2 where id = 'd'`)
    await client.query(`update app.bots set owner_id = null where id = 'c'`)
    await client.query(`update app.bots set name = 'x'`)
    expect(await entitiesOf(db.admin, 'bot')).toEqual([
      bot('a', 1),
      bot('b', 2),
      bot('c', null),
      bot('d', 2),
    ])
    const before = await serialOf(db.admin, 'bot:d')
    await client.query(`update app.bots set id = 'e' where id = 'd'`)
    expect(await entitiesOf(db.admin, 'bot')).toEqual([
      bot('a', 1),
      bot('b', 2),
      bot('c', null),
      bot('d', 2, false),
      bot('e', 2),
    ])
    expect(await serialOf(db.admin, 'bot:e')).not.toBe(before)
    await client.query(`delete from app.bots where id in ('c', 'e')`)
    expect(await living(db.admin, 'bot')).toEqual(['a', 'b'])
    await client.query(`insert into app.bots values ('f', 1) on conflict (id) do nothing`)
    await client.query(
      `insert into app.bots values ('f', 2) on conflict (id) do update set owner_id = excluded.owner_id`,
    )
    expect((await entitiesOf(db.admin, 'bot')).at(-1)).toEqual(bot('f', 2))
    await client.query(`update app.bots set id = null where id = 'f'`)
    await client.query(`update app.bots set id = 'g' where id is null and owner_id = 2`)
    expect(await living(db.admin, 'bot')).toEqual(['a', 'b', 'g'])
    await client.query(`delete from app.bots where id = 'g'`)
  })

  it('is followed only as far as the transaction is', async () => {
    await client.query(
      `begin; insert into app.bots values ('h', 1); delete from app.bots where id = 'a'`,
    )
    expect(await living(client, 'bot').catch((error: pg.DatabaseError) => error.code)).toBe('42501')
    await client.query('rollback')
    expect(await living(db.admin, 'bot')).toEqual(['a', 'b'])
  })

  it('is followed by COPY and TRUNCATE', async () => {
    const rows = Readable.from(['h\t1\n', 'i\t2\n'])
    await pipeline(rows, client.query(copyFrom('copy app.bots (id, owner_id) from stdin')))
    expect(await living(db.admin, 'bot')).toEqual(['a', 'b', 'h', 'i'])
    await client.query('truncate app.bots')
    expect(await living(db.admin, 'bot')).toEqual([])
    await client.query(`insert into app.bots values ('a', 1), ('b', 2)`)
    expect(await living(db.admin, 'bot')).toEqual(['a', 'b'])
  })

  it('is followed also where triggers are off for replicas', async () => {
    const superuser = await db.admin.connect()
    await superuser.query(
      `set session_replication_role = replica; insert into app.bots values ('r', 1); delete from app.bots where id = 'b'`,
    )
    superuser.release(true)
    expect(await living(db.admin, 'bot')).toEqual(['a', 'r'])
    await client.query(`delete from app.bots where id = 'r'; insert into app.bots values ('b', 2)`)
  })

  it('may hold whatever else it likes in its rows', async () => {
    await client.query(
      `insert into app.bots values ('j', 1, repeat('x', 100000), '{"a": "\\u0000", "a": [1e400]}')`,
    )
    expect(await living(db.admin, 'bot')).toEqual(['a', 'b', 'j'])
    await client.query(`delete from app.bots where id = 'j'`)
  })

  it('takes only ids that can be written as kind:id', async () => {
    for (const id of ['', 'tab\t', 'line\n', '\u0001', '\u007f', 'x'.repeat(201)]) {
      await expectRefusal(
        client.query('insert into app.bots (id) values ($1)', [id]),
        '22023',
        /control characters/,
      )
    }
    const odd = [
      ' ',
      'a b',
      'ü',
      '漢字',
      ':',
      'x:y',
      '"',
      `'`,
      '\\',
      '%',
      '/',
      '\u00a0',
      '\u200b',
      'x'.repeat(200),
      '😀'.repeat(200),
    ]
    for (const id of odd) await client.query('insert into app.bots (id) values ($1)', [id])
    expect((await living(db.admin, 'bot')).filter((id) => odd.includes(id))).toHaveLength(
      odd.length,
    )
    await client.query('delete from app.bots where owner_id is null')
    expect(await living(db.admin, 'bot')).toEqual(['a', 'b'])
  })

  it('gives an id that is used again a new life, without what the old one was given', async () => {
    await db.admin.query(`select tenantry.register_service('bot:a', 'user')`)
    await db.admin.query('select tenantry.bind_role($1, $2)', [app.name, 'bot:b'])
    const session = await app.connect()
    const who = async () =>
      (await session.query<{ actor: string | null }>('select actor from tenantry.whoami()')).rows[0]
        ?.actor
    const served = `select tenantry_private.link_privileges('bot:a', 'user:2') as bits`
    expect([await who(), (await db.admin.query(served)).rows]).toEqual(['bot:b', [{ bits: 15 }]])
    const before = [await serialOf(db.admin, 'bot:a'), await serialOf(db.admin, 'bot:b')]
    await client.query(`delete from app.bots where id in ('a', 'b')`)
    expect([await who(), (await db.admin.query(served)).rows]).toEqual([null, [{ bits: null }]])
    await client.query(`insert into app.bots values ('a', 1), ('b', 2)`)
    expect([await who(), (await db.admin.query(served)).rows]).toEqual([null, [{ bits: 0 }]])
    expect([await serialOf(db.admin, 'bot:a'), await serialOf(db.admin, 'bot:b')]).not.toEqual(
      before,
    )
    await db.admin.query(`select tenantry.register_service('bot:a', 'user')`)
    expect((await db.admin.query(served)).rows).toEqual([{ bits: 15 }])
    await db.admin.query(
      `select tenantry.unregister_service('bot:a', 'user'); select tenantry.unbind_role('${app.name}')`,
    )
  })
})

describe('a partitioned table', () => {
  it('is followed through every way into it', async () => {
    await db.admin.query(
      `select tenantry.register_kind('device', 'app.devices', owner_column => 'owner_id', owner_kind => 'user')`,
    )
    expect(await living(db.admin, 'device')).toEqual(['10', '20'])
    await client.query(
      `insert into app.devices values (11, 'eu', 1); insert into app.devices_eu values (12, 'eu', 1); insert into app.devices_us_1 values (21, 'us', 2)`,
    )
    expect(await living(db.admin, 'device')).toEqual(['10', '11', '12', '20', '21'])
    await client.query(
      `delete from app.devices_eu where id = 12; update app.devices_us_1 set owner_id = 1 where id = 21`,
    )
    expect((await entitiesOf(db.admin, 'device')).filter(({ alive }) => alive)).toEqual([
      bot('10', 1),
      bot('11', 1),
      bot('20', 2),
      bot('21', 1),
    ])
    await client.query(
      `create table app.devices_asia partition of app.devices for values in ('asia'); insert into app.devices_asia values (30, 'asia', 1)`,
    )
    expect(await living(db.admin, 'device')).toContain('30')
  })

  it('leaves a row that moves to another partition its life', async () => {
    await db.admin.query(`select tenantry.register_service('device:10', 'user')`)
    const before = await serialOf(db.admin, 'device:10')
    await client.query(`update app.devices set region = 'us', owner_id = 2 where id = 10`)
    expect(
      (await client.query('select tableoid::regclass::text as home from app.devices where id = 10'))
        .rows,
    ).toEqual([{ home: 'app.devices_us_1' }])
    expect(await serialOf(db.admin, 'device:10')).toBe(before)
    expect((await entitiesOf(db.admin, 'device'))[0]).toEqual(bot('10', 2))
    expect(
      (
        await db.admin.query(
          `select tenantry_private.link_privileges('device:10', 'user:1') as bits`,
        )
      ).rows,
    ).toEqual([{ bits: 15 }])
  })

  it('is emptied by TRUNCATE, and read anew by sync() after what no trigger sees', async () => {
    await client.query('truncate app.devices_eu')
    await client.query('alter table app.devices detach partition app.devices_asia')
    expect(await living(db.admin, 'device')).toEqual(['10', '11', '20', '21', '30'])
    await db.admin.query('select * from tenantry.sync()')
    expect(await living(db.admin, 'device')).toEqual(['10', '20', '21'])
    await client.query('truncate app.devices')
    expect(await living(db.admin, 'device')).toEqual([])
  })
})

describe('many rows', () => {
  it('are read in a few seconds', async () => {
    await client.query('create table app.many (id uuid primary key)')
    await client.query(
      'insert into app.many select gen_random_uuid() from generate_series(1, 100000)',
    )
    const start = performance.now()
    expect(
      (await db.admin.query(`select tenantry.register_kind('many', 'app.many') as n`)).rows,
    ).toEqual([{ n: '100000' }])
    const seconds = (performance.now() - start) / 1000
    console.log(`PostgreSQL ${db.major}: 100,000 entities read in ${seconds.toFixed(1)} s`)
    expect(seconds).toBeLessThan(30)
    await client.query('delete from app.many where id in (select id from app.many limit 1000)')
    expect(
      (await db.admin.query(`select tenantry.register_kind('many', 'app.many') as n`)).rows,
    ).toEqual([{ n: '0' }])
    expect(await living(db.admin, 'many')).toHaveLength(99_000)
  })
})
