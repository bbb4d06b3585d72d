import type pg from 'pg'
import { afterAll, beforeAll, describe, expect } from 'vitest'
import { attack, control } from './support/attack.js'
import { type Town, alice, bob, ids, stateOf, town } from './support/town.js'

describe('what statements tell beside their rows', () => {
  let at: Town
  beforeAll(async () => {
    at = await town()
  })
  afterAll(() => at.drop())

  /** A statement's end and everything said on the way. */
  async function heard(client: pg.Client, sql: string): Promise<string> {
    const said: string[] = []
    const listen = (notice: { message: string | undefined }): void => {
      said.push(notice.message ?? '')
    }
    client.on('notice', listen)
    await client.query('savepoint hearing')
    try {
      const { rows } = await client.query(sql)
      said.push(JSON.stringify(rows))
    } catch (error) {
      const { message, detail, where, hint } = error as pg.DatabaseError
      said.push(message, detail ?? '', where ?? '', hint ?? '')
    }
    await client.query('rollback to savepoint hearing')
    client.off('notice', listen)
    return said.join('\n')
  }

  attack('functions and operators in WHERE that leak what they are given', () =>
    at.as(alice.entity, async (client) => {
      const secret = /bob|4711/
      const statements = [
        'select id from NOTES where town.leak(body)',
        'select id from NOTES where body::integer > 0 or town.leak(body)',
        'select id from NOTES order by town.leak(body)',
        'select town.leak(body) from NOTES',
        'select a.id from NOTES a join NOTES b on town.leak(b.body) and a.id = b.id',
        'select id from NOTES group by id, body having town.leak(body)',
        'select id from NOTES where case when town.leak(body) then true end',
        'select a.id from NOTES a full join NOTES b on a.id = b.id and town.leak(coalesce(a.body, b.body)) = true',
        'update NOTES set amount = 1 where town.leak(body)',
        'delete from NOTES where town.leak(body)',
        'select id from NOTES where not exists (select from NOTES i where not town.leak(i.body))',
        'select id from NOTES where body in (select body from NOTES where town.leak(body))',
        'select id from (select id, body from NOTES offset 0) n where town.leak(body)',
        'with all_ as materialized (select * from NOTES) select id from all_ where town.leak(body)',
        'select id from NOTES where ctid is not null and town.leak(body)',
        'select id from NOTES tablesample bernoulli (100) where town.leak(body)',
        'select id from NOTES where town.leak(body) for update',
        'select id from NOTES, lateral (select town.leak(body) as l) x where l',
      ]
      for (const sql of statements) {
        expect(await heard(client, sql.replaceAll('NOTES', 'town.notes')), sql).not.toMatch(secret)
        // The control: the open copy's foreign rows are heard.
        const open = sql.replaceAll('NOTES', 'town.open_notes')
        if (!/::integer/.test(sql)) control(await heard(client, open), open).toMatch(secret)
      }
    }),
  )

  attack('errors on foreign values', () =>
    at.as(alice.entity, async (client) => {
      // Row 3 is bob's: its amount is zero, its body no number.
      for (const sql of [
        'select id from NOTES where 1 / amount > -1',
        'select id from NOTES where 1 / amount > -1 and owner_id is not null order by 1',
        `select id from NOTES where owner_id = '${bob.id}' and 1 / amount > -1`,
        `select id from NOTES where id = 3 and body::integer = 1`,
        `select id from NOTES where id >= 3 and ('{' || body)::json is not null`,
        `select id from NOTES where id >= 3 and body::uuid is not null`,
        `update NOTES set amount = 1 / amount where id >= 3`,
        `delete from NOTES where id >= 3 and 1 / amount > -1`,
      ]) {
        expect(await stateOf(client, sql.replaceAll('NOTES', 'town.notes')), sql).toBe('00000')
        control(await stateOf(client, sql.replaceAll('NOTES', 'town.open_notes')), sql).toMatch(
          /^22/,
        )
      }
    }),
  )

  attack('rows shown by an error of one’s own', () =>
    at.as(alice.entity, async (client) => {
      const set = 'update NOTES set body = null where id > 2'
      const violate = `update NOTES set body = null`
      expect(await heard(client, violate.replace('NOTES', 'town.notes'))).not.toMatch(/bob|4711/)
      control(await heard(client, set.replace('NOTES', 'town.open_notes'))).toContain(bob.id)
      const refused = await heard(
        client,
        `insert into town.notes (id, slug, body) values (3, 'b1', 'x') on conflict (id) do update set body = 'y'`,
      )
      expect(refused).not.toMatch(/4711|of bob/)
    }),
  )

  attack('making a function, an operator or a cast that leaks', () =>
    at.as(alice.entity, async (client) => {
      for (const sql of [
        `create function leak(text) returns boolean language sql return true`,
        `create function public.leak(text) returns boolean language sql return true`,
        `create function town.leak2(text) returns boolean language sql return true`,
        `create function tenantry.leak(text) returns boolean language sql return true`,
        `create operator public.<<< (function = texteq, leftarg = text, rightarg = text)`,
        `create cast (text as integer) with inout as implicit`,
        `create type public.mine as (x int)`,
        `create domain public.mine as text check (town.leak(value))`,
        `create aggregate public.mine (text) (sfunc = textcat, stype = text)`,
        `create language plpython3u`,
        `alter function town.leak(text) leakproof`,
        `load '/tmp/mine.so'`,
        `create server mine foreign data wrapper nothing`,
      ]) {
        expect(await stateOf(client, sql), sql).toMatch(/^(42501|42704|0A000)$/)
      }
      expect(
        await stateOf(
          client,
          `do $$ begin execute 'create function pg_temp.f() returns int language sql return 1'; end $$`,
        ),
      ).toBe('42501')
    }),
  )

  attack('EXPLAIN', () =>
    at.as(alice.entity, async (client) => {
      const plan = async (sql: string): Promise<string> =>
        (await ids(client, `explain (analyze, costs off, verbose) ${sql}`)).join('\n')
      const read = await plan('select body from town.notes')
      expect(read).toMatch(/Rows Removed by Filter: [1-9]/)
      expect(read).not.toMatch(/4711|of bob|bob/)
      expect(read).not.toContain(bob.id)
      expect(await plan(`select from town.notes where body = 'x'`)).not.toContain(bob.id)
    }),
  )

  attack('counters and statistics of the catalog', () =>
    at.as(alice.entity, async (client) => {
      await at.db.admin.query('analyze town.notes')
      // Sizes and numbers of rows are everybody's to see,
      expect(
        await ids(client, `select reltuples::int from pg_class where oid = 'town.notes'::regclass`),
      ).toEqual(['5'])
      expect(await ids(client, `select pg_relation_size('town.notes') > 0`)).toEqual(['true'])
      // values are not.
      expect(
        await ids(
          client,
          `select count(*) from pg_stats where schemaname = 'town' and tablename = 'notes'`,
        ),
      ).toEqual(['0'])
      expect(await stateOf(client, 'select * from pg_statistic')).toBe('42501')
      expect(await stateOf(client, 'select * from pg_statistic_ext_data')).toBe('42501')
      await at.db.admin.query('analyze town.open_notes')
      expect(
        await ids(
          client,
          `select count(*) > 0 from pg_stats where schemaname = 'town' and tablename = 'open_notes'`,
        ),
      ).toEqual(['true'])
    }),
  )

  attack('the text of statements that others run', async () => {
    const other = await at.connect()
    await other.query('begin')
    await other.query('select tenantry.enter($1)', [at.credential(bob.entity)])
    await at.as(alice.entity, async (client) => {
      const texts = await ids(
        client,
        'select query from pg_stat_activity where usename = current_user',
      )
      // Sessions of one login see one another's texts: literals in them, never bind values.
      expect(texts).toContain('select tenantry.enter($1)')
      expect(texts.join()).not.toMatch(/eyJ/)
      expect(texts.join()).not.toContain(bob.id)
    })
    await other.query('rollback')
  })
})
