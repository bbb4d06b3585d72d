import type pg from 'pg'
import { stage, type Stage } from '../../extension/support/stage.js'
import type { TestRole } from '../../support/database.js'

export const anna = 'user:aaaaaaaa-0000-4000-8000-000000000001' as const
export const bert = 'user:bbbbbbbb-0000-4000-8000-000000000002' as const
export const annaId = anna.slice(5)
export const bertId = bert.slice(5)

/** An application that has grown without owners, its login, and the stage around them. */
export interface Library extends Stage {
  /** The login that has always read and written everything. */
  readonly legacy: TestRole
  to(table: string, state: string): Promise<void>
  /** Rows of a query as the tables' owner would see them, row-level security aside. */
  stored<R extends pg.QueryResultRow>(query: string, values?: unknown[]): Promise<R[]>
}

/**
 * Shelves with a keeper; books on them, some with a donor, some on no shelf; a log without a key.
 * Of 40 books, 1 to 20 stand on Anna's shelf and 21 to 36 on Bert's; every fifth has a donor.
 */
const schema = `
  create table users (id uuid primary key, name text not null);
  insert into users values ('${annaId}', 'Anna'), ('${bertId}', 'Bert');
  create table shelves (id int primary key, keeper uuid, label text);
  insert into shelves values (1, '${annaId}', 'one'), (2, '${bertId}', 'two'), (3, null, 'three');
  create table books (
    id int primary key, shelf_id int references shelves, donor text, title text not null, changed int not null default 0,
    details jsonb not null default '{}');
  insert into books (id, shelf_id, donor, title)
  select n, case when n <= 20 then 1 when n <= 36 then 2 end,
         case when n % 5 = 0 then (case n % 2 when 0 then '${annaId}' else '${bertId}' end) end, 'book ' || n
    from generate_series(1, 40) n;
  create table visits (at timestamptz not null default now(), book_id int, note text);
  insert into visits (book_id, note) select n, 'visit of ' || n from generate_series(1, 40) n;
  create function count_change() returns trigger language plpgsql as $$ begin new.changed := new.changed + 1; return new; end $$;
  create policy everybody on books using (true);
  grant select on books to public`

export async function library(): Promise<Library> {
  const on = await stage()
  const legacy = await on.db.role('legacy')
  await on.setUp.query(schema)
  for (const table of ['shelves', 'books', 'visits'])
    await on.setUp.query(`grant select, insert, update, delete on ${table} to "${legacy.name}"`)
  await on.setUp.query(`grant usage on schema public to "${legacy.name}"`)
  await on.setUp.query(`select tenantry.register_kind('user', 'users')`)
  return {
    ...on,
    legacy,
    async to(table, state) {
      await on.setUp.query('call tenantry.rollout_to($1, $2)', [table, state])
    },
    async stored(query, values = []) {
      return (await on.db.admin.query(query, values)).rows as never
    },
  }
}

/** Declares the rollout of the three tables, with signals that leave some books undecided. */
export async function declare(on: Library, budget = 0): Promise<void> {
  const roles = `legacy_roles => array['${on.legacy.name}']::name[]`
  await on.setUp.query(`
    select tenantry.rollout('shelves', 'owner_id', 'user', ${roles}, budget => 1);
    select tenantry.rollout_signal('shelves', 1, 'keeper', tenantry.rollout_from_column('shelves', 'keeper'));
    select tenantry.rollout('books', 'owner_id', 'user', ${roles}, drop_policies => '{everybody}', budget => ${budget});
    select tenantry.rollout_signal('books', 1, 'donor', tenantry.rollout_from_column('books', 'donor'));
    select tenantry.rollout_signal('books', 2, 'shelf', tenantry.rollout_from_parent('books', '{shelf_id}'));
    select tenantry.rollout('visits', 'owner_id', 'user', ${roles}, budget => 100);
    select tenantry.rollout_signal('visits', 1, 'book', tenantry.rollout_from_parent('visits', '{book_id}', 'books', '{id}'))`)
}
