import type pg from 'pg'
import { afterAll, beforeAll, describe, expect } from 'vitest'
import { attack, control } from './support/attack.js'
import { type Town, alice, bob, ids, stateOf, town } from './support/town.js'

describe('writing what is somebody else’s', () => {
  let at: Town
  beforeAll(async () => {
    at = await town()
  })
  afterAll(() => at.drop())

  /** What a statement does to the open copy, which is the control, and to the protected table. */
  async function both(
    client: pg.Client,
    sql: string,
    values: unknown[] = [],
  ): Promise<{ open: string; protected: string }> {
    return {
      open: await does(client, sql, 'open_notes', values),
      protected: await does(client, sql, 'notes', values),
    }
  }

  async function does(
    client: pg.Client,
    sql: string,
    table: string,
    values: unknown[],
  ): Promise<string> {
    await client.query('savepoint writing')
    try {
      const { rowCount } = await client.query(sql.replaceAll('NOTES', `town.${table}`), values)
      return `${rowCount ?? 0} rows`
    } catch (error) {
      return (error as { code?: string }).code ?? String(error)
    } finally {
      await client.query('rollback to savepoint writing')
    }
  }

  attack('inserting a row for a foreign owner', () =>
    at.as(alice.entity, async (client) => {
      const insert = `insert into NOTES (owner_id, slug, body) values ($1, 'new', 'x')`
      expect(await both(client, insert, [bob.id])).toEqual({ open: '1 rows', protected: '42501' })
      expect(await both(client, insert, [alice.id])).toEqual({
        open: '1 rows',
        protected: '1 rows',
      })
      const returning = `${insert} returning owner_id`
      expect(await both(client, returning, [bob.id])).toEqual({
        open: '1 rows',
        protected: '42501',
      })
      const many = `insert into NOTES (owner_id, slug, body)
        select o, o::text, 'x' from unnest(array[$1, $2]::uuid[]) as o`
      expect(await both(client, many, [alice.id, bob.id])).toEqual({
        open: '2 rows',
        protected: '42501',
      })
    }),
  )

  attack('giving a row to somebody else, or taking one', () =>
    at.as(alice.entity, async (client) => {
      const give = `update NOTES set owner_id = $1 where id = 1`
      expect(await both(client, give, [bob.id])).toEqual({ open: '1 rows', protected: '42501' })
      const take = `update NOTES set owner_id = $1 where id = 3`
      expect(await both(client, take, [alice.id])).toEqual({ open: '1 rows', protected: '0 rows' })
      const orphan = `update NOTES set owner_id = null where id = 1`
      expect(await both(client, orphan)).toEqual({ open: '23502', protected: '42501' })
      const plain = `update NOTES set body = 'mine' where id in (1, 3)`
      expect(await both(client, plain)).toEqual({ open: '2 rows', protected: '1 rows' })
    }),
  )

  attack('a row of an inheritance child taken over by whoever may change it', async () => {
    const given = await at.as(
      alice.entity,
      (client) => ids(client, `select tenantry.delegate('${bob.entity}', '{select,update}')`),
      true,
    )
    await at.db.admin.query('delete from only town.memos')
    const take = `update reach.memos set owner_id = '${bob.id}' where id = 1`
    const write = `update reach.memos set body = 'of alice, by bob' where id = 1`
    await at.as(bob.entity, async (client) => {
      expect(await stateOf(client, write)).toBe('00000')
      expect(await stateOf(client, take)).toBe('42501')
    })
    expect(await ids(at.db.admin, 'select code from tenantry.check()')).toEqual([])
    // The control: the trigger of the table itself does not fire there.
    await at.db.admin.query('drop trigger tenantry_owner_kept on town.memos_old')
    await at.as(bob.entity, async (client) => control(await stateOf(client, take)).toBe('00000'))
    expect(await ids(at.db.admin, 'select code from tenantry.check()')).toEqual(['owner_unguarded'])
    await at.db.admin.query('select tenantry.sync()')
    await at.as(bob.entity, async (client) => expect(await stateOf(client, take)).toBe('42501'))
    await at.as(alice.entity, (client) => client.query('select tenantry.revoke($1)', given), true)
  })

  attack('deleting a foreign row', () =>
    at.as(alice.entity, async (client) => {
      for (const sql of [
        'delete from NOTES where id = 3',
        'delete from NOTES where id = 3 returning body',
        `delete from NOTES n using NOTES other where n.id = other.id and other.id = 3`,
        `delete from NOTES where body like 'of bob%'`,
      ]) {
        const { open, protected: shut } = await both(client, sql)
        expect(open, sql).not.toBe('0 rows')
        expect(shut, sql).toBe('0 rows')
      }
    }),
  )

  attack('an upsert that lands on a foreign row', () =>
    at.as(alice.entity, async (client) => {
      const upsert = (target: string, owner: string): string =>
        `insert into NOTES (id, owner_id, slug, body) values (3, '${owner}', 'b1', 'taken')
         on conflict (${target}) do update set body = excluded.body, owner_id = excluded.owner_id returning body`
      expect(await both(client, upsert('id', alice.id))).toEqual({
        open: '1 rows',
        protected: '42501',
      })
      const bySlug = upsert('slug', alice.id).replace('(3,', '(300,')
      expect(await both(client, bySlug)).toEqual({ open: '1 rows', protected: '42501' })
      const foreign = upsert('id', bob.id)
      expect(await both(client, foreign)).toEqual({ open: '1 rows', protected: '42501' })
      const own = upsert('id', alice.id).replace("(3, '", "(1, '").replace("'b1'", "'a1'")
      expect(await both(client, own)).toEqual({ open: '1 rows', protected: '1 rows' })
    }),
  )

  attack('MERGE into foreign rows', () =>
    at.as(alice.entity, async (client) => {
      const source = `(values (3, '${alice.id}'::uuid, 'b1')) as s (id, owner_id, slug)`
      const merge = `merge into NOTES n using ${source} on n.id = s.id`
      for (const [action, shut] of [
        [`when matched then update set body = 'taken'`, '0 rows'],
        [`when matched then delete`, '0 rows'],
        [
          `when not matched then insert (id, owner_id, slug, body) values (300, '${bob.id}', 'z', 'z')`,
          '42501',
        ],
      ] as const) {
        const { protected: found } = await both(client, `${merge} ${action}`)
        expect(found, action).toBe(shut)
      }
      // The control: the same MERGE finds the row in the open copy, and one's own in the protected table.
      control(
        await both(client, `${merge} when matched then update set body = 'taken'`),
      ).toMatchObject({
        open: '1 rows',
      })
      const own = merge.replace('(3,', '(1,')
      expect(await both(client, `${own} when matched then update set body = 'mine'`)).toEqual({
        open: '1 rows',
        protected: '1 rows',
      })
      const give = `${own} when matched then update set owner_id = '${bob.id}'`
      expect(await both(client, give)).toEqual({ open: '1 rows', protected: '42501' })
    }),
  )

  attack('writing inside a CTE', () =>
    at.as(alice.entity, async (client) => {
      for (const [sql, shut] of [
        [
          `with gone as (delete from NOTES where id in (1, 3) returning body) select body from gone`,
          '1 rows',
        ],
        [
          `with taken as (update NOTES set body = 'x' returning id) select id from taken where id >= 3`,
          '0 rows',
        ],
        [
          `with made as (insert into NOTES (owner_id, slug, body) values ('${bob.id}', 'n', 'x') returning id)
          select id from made`,
          '42501',
        ],
        [
          `with gone as (delete from NOTES where id = 1 returning slug)
          insert into NOTES (owner_id, slug, body) select '${bob.id}', slug || 'x', 'x' from gone`,
          '42501',
        ],
      ] as const) {
        const { open, protected: found } = await both(client, sql)
        expect(open, sql).toMatch(/^[1-9]/)
        expect(found, sql).toBe(shut)
      }
    }),
  )

  attack('COPY', () =>
    at.as(alice.entity, async (client) => {
      expect(await both(client, 'copy NOTES to stdout')).toEqual({
        open: '5 rows',
        protected: '2 rows',
      })
      expect(await both(client, 'copy (table NOTES) to stdout')).toEqual({
        open: '5 rows',
        protected: '2 rows',
      })
      expect((await both(client, 'copy NOTES from stdin')).protected).toBe('0A000')
      for (const way of [
        `to '/tmp/stolen'`,
        `from '/etc/passwd'`,
        `to program 'cat'`,
        `from program 'id'`,
      ]) {
        expect((await both(client, `copy NOTES ${way}`)).protected, way).toMatch(/^(42501|0A000)$/)
      }
    }),
  )

  attack('carrying rows away into a table of one’s own', () =>
    at.as(alice.entity, async (client) => {
      for (const sql of [
        'create table mine as select * from NOTES',
        'create table town.mine as select * from NOTES',
        'create temp table mine as select * from NOTES',
        'select * into mine from NOTES',
        'select * into temp mine from NOTES',
        'create materialized view mine as select * from NOTES',
        'create view mine as select * from NOTES',
        'create temp view mine as select * from NOTES',
        'create schema mine',
        'create unlogged table mine (like NOTES)',
        'create function mine() returns void language sql return null',
        'create function pg_temp.mine() returns void language sql return null',
        'create foreign table mine (id bigint) server nowhere',
      ]) {
        expect((await both(client, sql)).protected, sql).toMatch(/^(42501|3F000)$/)
      }
      expect(await stateOf(client, 'select * from town.notes')).toBe('00000')
      expect(
        await ids(client, `select has_database_privilege(current_database(), 'temp')`),
      ).toEqual(['false'])
    }),
  )

  attack('a row that is locked for a foreign owner', () =>
    at.as(alice.entity, async (client) => {
      expect(await both(client, 'select from NOTES where id = 3 for update nowait')).toEqual({
        open: '1 rows',
        protected: '0 rows',
      })
    }),
  )
})
