import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { inTransaction, outcome, quoted, refusal, stage, type Stage } from './support/stage.js'
import { anna, bert, kindTables } from './support/table-classes.js'
import { tableSnapshot } from './support/table-snapshot.js'

describe('what stands around a protected table', () => {
  let on: Stage

  beforeAll(async () => {
    on = await stage()
    await on.setUp.query(kindTables)
  })
  afterAll(() => on.drop())

  it('policies of the application: a permissive one cannot widen, a restrictive one composes', async () => {
    await on.setUp
      .query(`create table docs (id int, owner_id uuid not null references users, hidden boolean not null default false);
      insert into docs select n, id, n = 2 from users, generate_series(1, 2) n;
      alter table docs enable row level security;
      create policy everything on docs using (true) with check (true);
      create policy visible on docs as restrictive for select using (not hidden);
      select tenantry.protect('docs')`)
    await on.as(anna, async (client) => {
      expect((await client.query('select id from docs')).rows).toEqual([{ id: 1 }])
      expect(await outcome(client, `insert into docs (id, owner_id) select 3, id from users`)).toBe(
        '42501',
      )
      expect(await outcome(client, 'insert into docs (id) values (3)')).toBe('1 rows')
      // A restrictive policy for SELECT also holds for the rows that an update reads and leaves.
      expect(await outcome(client, 'update docs set hidden = false where id > 0')).toBe('2 rows')
      await client.query('delete from docs where id = 3')
    })
    await on.setUp.query('drop policy visible on docs')
    await on.as(bert, async (client) => {
      expect((await client.query('select id from docs order by id')).rows).toEqual([
        { id: 1 },
        { id: 2 },
      ])
    })
  })

  it('triggers of the application stay still while owners are filled, and are as they were', async () => {
    await on.setUp
      .query(`create table heads (id int primary key, owner_id uuid not null references users);
      insert into heads select n, id from users, generate_series(1, 2) n where (n = 1) = (name = 'Anna');
      create table seen (what text);
      create function touched() returns trigger language plpgsql as
        $$begin insert into public.seen values (tg_name || tg_table_name); new.touched := true; return new; end$$;
      create table parts (id int, head_id int not null references heads, touched boolean not null default false) partition by list (id);
      create table parts_1 partition of parts for values in (1); create table parts_rest partition of parts default;
      insert into parts values (1, 1), (2, 2);
      create trigger usual before update on parts for each row execute function touched();
      create trigger ever before update on parts for each row execute function touched();
      create trigger never before update on parts for each row execute function touched();
      create trigger replicas before update on parts for each row execute function touched();
      create trigger own before update on parts_1 for each row execute function touched();
      alter table parts enable always trigger ever; alter table parts disable trigger never;
      alter table parts enable replica trigger replicas;
      alter table parts_rest disable trigger usual;
      select tenantry.protect('heads')`)
    const states = () =>
      on.db.admin.query(
        `select tgrelid::regclass::text, tgname, tgenabled from pg_trigger where tgfoid = 'touched()'::regprocedure order by 1, 2`,
      )
    const before = (await states()).rows
    const shown = await on.protect(`'parts', owner_from => '{head_id}', dry_run => true`)
    expect(await on.protect(`'parts', owner_from => '{head_id}'`)).toEqual(shown)
    expect((await states()).rows).toEqual(before)
    expect((await on.db.admin.query('select from seen')).rowCount).toBe(0)
    expect((await on.db.admin.query('select from parts where touched')).rowCount).toBe(0)
    await on.as(anna, async (client) => {
      expect((await client.query('select id from parts')).rows).toEqual([{ id: 1 }])
    })
  })

  it('the locks that are announced are the locks that are taken', async () => {
    await on.setUp
      .query(`create table locked_parent (id int primary key, owner_id uuid not null references users);
      create table locked (id int primary key, parent_id int references locked_parent, owner_id uuid, note text);
      select tenantry.protect('locked_parent')`)
    const planned = await on.protect(`'locked', owner_from => '{parent_id}', dry_run => true`)
    const strength = [
      'ROW EXCLUSIVE',
      'SHARE UPDATE EXCLUSIVE',
      'SHARE',
      'SHARE ROW EXCLUSIVE',
      'EXCLUSIVE',
      'ACCESS EXCLUSIVE',
    ]
    for (const kind of [
      'set not null',
      'create index',
      'create unique index',
      'add constraint',
      'create policy',
      'update ',
    ]) {
      const step = planned.find(({ statement }) => statement.includes(kind))
      expect(step, kind).toBeDefined()
      await inTransaction(on.setUp, async () => {
        for (const earlier of planned.slice(0, step!.step - 1)) {
          if (/create unique index/.test(earlier.statement)) await on.setUp.query(earlier.statement)
        }
        const held = async () =>
          (
            await on.setUp.query<{ mode: string }>(
              `select upper(regexp_replace(replace(mode, 'Lock', ''), '([a-z])([A-Z])', '\\1 \\2', 'g')) as mode from pg_locks
                where pid = pg_backend_pid() and relation = $1::regclass and mode <> 'AccessShareLock'`,
              [step!.lock?.startsWith('SHARE on') ? 'locked_parent' : 'locked'],
            )
          ).rows.map(({ mode }) => mode)
        const before = await held()
        await on.setUp.query(step!.statement)
        const taken = (await held()).filter(
          (mode) => !before.includes(mode) && mode !== 'ROW SHARE',
        )
        const announced = step!.lock?.split(/ on |,/)[0] ?? ''
        const heaviest = taken.sort((a, b) => strength.indexOf(b) - strength.indexOf(a))[0]
        if (heaviest) expect(heaviest, step!.statement).toBe(announced)
        else expect(before).toContain('ACCESS EXCLUSIVE')
        throw new Error('undo')
      }).catch((error: Error) => {
        if (error.message !== 'undo') throw error
      })
    }
  })

  it('unprotect() leaves the owner column, its index and its key, and nothing else', async () => {
    await on.setUp
      .query(`create table was_parent (id int primary key, owner_id uuid default gen_random_uuid() references users);
      create table was_child (id int primary key, parent_id int references was_parent, note text)`)
    const before = await tableSnapshot(on.db.admin)
    await on.protect(`'was_parent'`)
    await on.protect(`'was_child', owner_from => '{parent_id}'`)
    const held = await refusal(on.setUp.query(`select tenantry.unprotect('was_parent')`))
    expect(held).toMatchObject({ code: 'TN011', message: expect.stringContaining('was_child') })
    await on.setUp.query(/(select .*;)/.exec(held.hint)?.[1] ?? '')
    const notices: string[] = []
    on.setUp.on('notice', ({ message }) => notices.push(message ?? ''))
    await on.setUp.query(`select tenantry.unprotect('was_parent')`)
    expect(notices).toEqual([expect.stringContaining('gen_random_uuid()')])
    const after = await tableSnapshot(on.db.admin)
    // Where nothing was granted before, the owner's own privileges are written out now.
    const plain = (line: string) => line.replace(/ acl \{\S*\}| acl /, '')
    const gone = before.map(plain).filter((line) => !after.map(plain).includes(line))
    const come = after.map(plain).filter((line) => !before.map(plain).includes(line))
    expect(gone).toEqual([
      'column was_parent.owner_id uuid notnull f identity  generated  default gen_random_uuid()',
    ])
    expect(come.map((line) => line.split(' ').slice(0, 3).join(' ')).sort()).toEqual([
      'column was_child.owner_id uuid',
      'column was_parent.owner_id uuid',
      'constraint was_child.was_child_tenantry_owner_fkey FOREIGN',
      'index CREATE INDEX',
      'index CREATE INDEX',
      'index CREATE UNIQUE',
    ])
    expect(await refusal(on.setUp.query(`select tenantry.unprotect('was_child')`))).toMatchObject({
      code: 'TN011',
    })
    const app = await on.app.connect()
    expect(await refusal(app.query('select from was_child'))).toMatchObject({ code: '42501' })
    // And back again, on what was left.
    await on.protect(`'was_parent'`)
    await on.protect(`'was_child', owner_from => '{parent_id}'`)
  })

  it('a row may move between partitions, not between owners', async () => {
    await on.setUp
      .query(`create table moving (id int, region text, owner_id uuid not null) partition by list (region);
      create table moving_eu partition of moving for values in ('eu'); create table moving_us partition of moving for values in ('us');
      insert into moving select 1, 'eu', id from users;
      select tenantry.protect('moving', 'owner_id', 'user')`)
    await on.as(anna, async (client) => {
      expect(await outcome(client, `update moving set region = 'us'`)).toBe('1 rows')
      expect(
        await outcome(client, `update moving set region = 'us', owner_id = gen_random_uuid()`),
      ).toBe('42501')
    })
    expect((await on.db.admin.query('select from moving_us')).rowCount).toBe(1)
    await on.db.admin.query(`grant select on moving_us to ${quoted(on.app.name)}`)
    await on.as(anna, async (client) => {
      expect(await outcome(client, 'select from moving_us')).toBe('0 rows')
      expect(await outcome(client, 'select from moving')).toBe('1 rows')
    })
  })
})
