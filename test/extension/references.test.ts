import type pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { outcome, stage, type Stage } from './support/stage.js'
import { anna, bert, kindTables } from './support/table-classes.js'

/** What a client learns of an error. */
async function told(client: pg.Client, statement: string) {
  await client.query('savepoint telling')
  try {
    const { rowCount } = await client.query(statement)
    return { rowCount }
  } catch (error) {
    const { code, message, detail, hint, schema, table, constraint } = error as pg.DatabaseError
    return { code, message, detail, hint, schema, table, constraint }
  } finally {
    await client.query('rollback to savepoint telling')
  }
}

describe('references between protected tables', () => {
  let on: Stage

  beforeAll(async () => {
    on = await stage()
    await on.setUp.query(`${kindTables}
      create table targets (id int primary key, code text unique, part int, owner_id uuid references users, unique (part, code));
      insert into targets select n, 'c' || n, n, id from users, generate_series(1, 4) n
       where (n <= 2) = (name = 'Anna');
      create table countries (code text primary key); insert into countries values ('fr');
      create table flags (id int primary key); insert into flags values (1);
      create table children (id int generated always as identity primary key, owner_id uuid not null references users,
        target_id int references targets, code text, part int, self_id int references children,
        country text references countries, flag int references flags, free_id int constraint free references targets, note text,
        constraint two_columns foreign key (part, code) references targets (part, code));
      create table in_parts (id int, owner_id uuid not null, target_id int references targets) partition by hash (id);
      create table in_parts_0 partition of in_parts for values with (modulus 1, remainder 0);
      select tenantry.protect('targets'); select tenantry.share('countries'); select tenantry.exempt('flags', 'a test');
      select tenantry.protect('children', 'owner_id', unchecked_references => '{free_id}');
      select tenantry.protect('in_parts', 'owner_id', 'user')`)
  })
  afterAll(() => on.drop())

  it.each([
    ['one column', '(target_id) values (1)', '(target_id) values (3)', '(target_id) values (99)'],
    [
      'two columns',
      `(part, code) values (1, 'c1')`,
      `(part, code) values (3, 'c3')`,
      `(part, code) values (3, 'c9')`,
    ],
  ])(
    'tell of a foreign row what they tell of a missing one: %s',
    async (_, own, foreign, missing) => {
      await on.as(anna, async (client) => {
        expect(await told(client, `insert into children ${own}`)).toEqual({ rowCount: 1 })
        const lost = await told(client, `insert into children ${missing}`)
        expect(lost).toMatchObject({ code: '23503' })
        expect(await told(client, `insert into children ${foreign}`)).toEqual(lost)
      })
      await on.as(bert, async (client) => {
        expect(await told(client, `insert into children ${foreign}`)).toEqual({ rowCount: 1 })
      })
    },
  )

  it('accept NULL, wholly or in part, and only look at what an update changes', async () => {
    await on.as(anna, async (client) => {
      expect(await told(client, 'insert into children (target_id, part) values (null, 3)')).toEqual(
        { rowCount: 1 },
      )
      await client.query(`insert into children (target_id, note) values (1, 'kept')`)
      const missing = await told(client, `update children set target_id = 99 where note = 'kept'`)
      expect(missing).toMatchObject({ code: '23503' })
      expect(await told(client, `update children set target_id = 3 where note = 'kept'`)).toEqual(
        missing,
      )
      expect(await told(client, `update children set target_id = 2 where note = 'kept'`)).toEqual({
        rowCount: 1,
      })
    })
    // The target changes hands: its rows stay editable, but nothing new may point there.
    await on.db.admin.query(
      `update targets set owner_id = (select owner_id from targets where id = 3) where id = 1`,
    )
    await on.as(anna, async (client) => {
      expect(await outcome(client, `update children set note = 'kept' where note = 'kept'`)).toBe(
        '1 rows',
      )
      expect(
        await outcome(client, `update children set target_id = target_id where note = 'kept'`),
      ).toBe('1 rows')
      expect(await outcome(client, `insert into children (target_id) values (1)`)).toBe('23503')
    })
    await on.db.admin.query(
      `update targets set owner_id = (select owner_id from targets where id = 2) where id = 1`,
    )
  })

  it('hold for a table that refers to itself, rows of the same statement included', async () => {
    const foreign = await on.as(bert, async (client) => {
      const { rows } = await client.query<{ id: number }>(
        'insert into children default values returning id',
      )
      return rows[0]!.id
    })
    await on.as(anna, async (client) => {
      const { rows } = await client.query<{ id: number }>(
        'insert into children default values returning id',
      )
      expect(await outcome(client, `insert into children (self_id) values (${rows[0]!.id})`)).toBe(
        '1 rows',
      )
      expect(await told(client, `insert into children (self_id) values (${foreign})`)).toEqual(
        await told(client, 'insert into children (self_id) values (987654)'),
      )
      expect(
        await outcome(
          client,
          `insert into children (id, self_id) overriding system value values (900001, 900002), (900002, 900001)`,
        ),
      ).toBe('2 rows')
      expect(
        await outcome(client, `update children set self_id = ${foreign} where id = 900001`),
      ).toBe('23503')
    })
  })

  it('leave alone what is declared unchecked, and what points at shared or exempt tables', async () => {
    await on.as(anna, async (client) => {
      expect(await outcome(client, 'insert into children (free_id) values (3)')).toBe('1 rows')
      expect(await outcome(client, 'insert into children (free_id) values (99)')).toBe('23503')
      expect(await outcome(client, `insert into children (country, flag) values ('fr', 1)`)).toBe(
        '1 rows',
      )
    })
  })

  it('hold in upserts, MERGE, CTEs and set-based writes', async () => {
    await on.as(anna, async (client) => {
      const upsert =
        'insert into children (id, target_id) overriding system value values (900003, %) on conflict (id) do update set target_id = excluded.target_id'
      expect(await outcome(client, upsert.replace('%', '1'))).toBe('1 rows')
      expect(await outcome(client, upsert.replace('%', '2'))).toBe('1 rows')
      expect(await outcome(client, upsert.replace('%', '3'))).toBe('23503')
      expect(
        await outcome(
          client,
          `merge into children c using (values (3)) v (t) on c.id = 900003 when matched then update set target_id = v.t`,
        ),
      ).toBe('23503')
      expect(
        await outcome(
          client,
          `with w as (update children set target_id = 3 where id = 900003 returning 1) select from w`,
        ),
      ).toBe('23503')
      expect(
        await outcome(
          client,
          `insert into children (target_id) select * from (values (1), (2), (3)) v`,
        ),
      ).toBe('23503')
      expect(
        await outcome(client, `insert into children (target_id) select * from (values (1), (2)) v`),
      ).toBe('2 rows')
    })
  })

  it('hold in partitioned tables', async () => {
    await on.as(anna, async (client) => {
      expect(await outcome(client, 'insert into in_parts (id, target_id) values (1, 1)')).toBe(
        '1 rows',
      )
      expect(await outcome(client, 'insert into in_parts (id, target_id) values (2, 3)')).toBe(
        '23503',
      )
      expect(await outcome(client, 'update in_parts set target_id = 3')).toBe('23503')
      expect(await outcome(client, 'update in_parts set target_id = 2')).toBe('1 rows')
    })
  })

  it('take 10,000 rows in one statement', async () => {
    await on.as(anna, async (client) => {
      const started = performance.now()
      const { rowCount } = await client.query(
        `insert into children (target_id, note) select 1 + n % 2, 'many' from generate_series(1, 10000) n`,
      )
      console.log(
        `10,000 rows with checked references: ${Math.round(performance.now() - started)} ms`,
      )
      expect(rowCount).toBe(10_000)
      await client.query(`delete from children where note = 'many'`)
    })
  })

  it('are checked when the key is added later and sync() has run, and when the parent is protected last', async () => {
    await on.setUp
      .query(`create table late (id int primary key, owner_id uuid not null references users);
      insert into late select n, id from users, generate_series(1, 2) n where (n = 1) = (name = 'Anna');
      create table early (id int primary key, owner_id uuid not null references users, target_id int, late_id int references late);
      select tenantry.protect('early')`)
    // The owner of the tables does not see the rows by which PostgreSQL validates a key; a superuser does.
    await on.db.admin.query('alter table early add foreign key (target_id) references targets')
    expect(
      (await on.check()).filter(({ object }) => object === 'public.early').map(({ code }) => code),
    ).toEqual(['reference_unchecked'])
    await on.as(anna, async (client) => {
      expect(
        await outcome(client, 'insert into early (id, target_id, late_id) values (1, 3, 2)'),
      ).toBe('1 rows')
      await client.query('delete from early')
    })
    await on.setUp.query('select tenantry.sync()')
    await on.as(anna, async (client) => {
      expect(await outcome(client, 'insert into early (id, target_id) values (2, 3)')).toBe('23503')
      expect(await outcome(client, 'insert into early (id, late_id) values (3, 2)')).toBe('1 rows')
      expect(await outcome(client, 'delete from early')).toBe('1 rows')
    })
    const shown = await on.protect(`'late', dry_run => true`)
    expect(shown.map(({ statement }) => statement)).toContainEqual(
      expect.stringContaining('define_reference_check'),
    )
    expect(await on.protect(`'late'`)).toEqual(shown)
    await on.as(anna, async (client) => {
      expect(await outcome(client, 'insert into early (id, late_id) values (4, 2)')).toBe('23503')
      expect(await outcome(client, 'insert into early (id, late_id) values (5, 1)')).toBe('1 rows')
      await client.query('delete from early')
    })
    const undone = await on.setUp.query(`select * from tenantry.unprotect('late', dry_run => true)`)
    expect((await on.setUp.query(`select * from tenantry.unprotect('late')`)).rows).toEqual(
      undone.rows,
    )
    await on.as(anna, async (client) => {
      expect(await outcome(client, 'insert into early (id, late_id) values (6, 2)')).toBe('1 rows')
      expect(await outcome(client, 'insert into early (id, target_id) values (7, 3)')).toBe('23503')
    })
  })

  it('keep what happens when a parent goes', async () => {
    await on.setUp
      .query(`create table heads (id int primary key, owner_id uuid not null references users);
      insert into heads select n, id from users, generate_series(1, 8) n where name = 'Anna';
      create table with_cascade (id int primary key, head_id int references heads on delete cascade);
      create table with_null (id int primary key, head_id int references heads on delete set null);
      create table with_default (id int primary key, head_id int default 8 references heads on delete set default);
      create table with_restrict (id int primary key, head_id int references heads on delete restrict);
      insert into with_cascade values (1, 1); insert into with_null values (1, 2); insert into with_default values (1, 3);
      insert into with_restrict values (1, 4);
      select tenantry.protect('heads');
      select tenantry.protect(t, owner_from => '{head_id}') from unnest('{with_cascade,with_null,with_default,with_restrict}'::regclass[]) t`)
    await on.as(anna, async (client) => {
      expect(await outcome(client, 'delete from heads where id = 1')).toBe('1 rows')
      expect(await outcome(client, 'select from with_cascade')).toBe('0 rows')
      expect(await outcome(client, 'delete from heads where id = 2')).toBe('1 rows')
      expect(await outcome(client, 'select from with_null where head_id is null')).toBe('1 rows')
      expect(await outcome(client, 'delete from heads where id = 3')).toBe('1 rows')
      expect(await outcome(client, 'select from with_default where head_id = 8')).toBe('1 rows')
      expect(await outcome(client, 'delete from heads where id = 4')).toMatch(/23503|23001/)
      expect(await outcome(client, 'update heads set id = 9 where id = 5')).toBe('1 rows')
    })
  })

  it('do not take a key for tied that ties something else than the owner', async () => {
    await on.setUp
      .query(`create table managed (id int primary key, owner_id uuid not null references users, manager_id uuid, unique (id, manager_id));
      insert into managed select n, owner.id, manager.id from generate_series(1, 2) n, users owner, users manager
       where (n = 1) = (owner.name = 'Anna') and manager.name = 'Anna';
      create table works (id int primary key, owner_id uuid not null references users, managed_id int,
        foreign key (managed_id, owner_id) references managed (id, manager_id));
      select tenantry.protect('managed', 'owner_id'); select tenantry.protect('works', 'owner_id', 'user')`)
    await on.as(anna, async (client) => {
      expect(await outcome(client, 'insert into works (id, managed_id) values (1, 1)')).toBe(
        '1 rows',
      )
      // Bert's row, of which Anna is the manager.
      expect(await outcome(client, 'insert into works (id, managed_id) values (2, 2)')).toBe(
        '23503',
      )
    })
  })
})
