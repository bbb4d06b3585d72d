import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { outcome, refusal } from '../extension/support/stage.js'
import { anna, declare, library, type Library } from './support/library.js'

// What is refused says what to do, and changes nothing.

let on: Library

beforeAll(async () => {
  on = await library()
  await declare(on, 10)
})

afterAll(() => on.drop())

/** Declares the rollout of the books anew: what goes and what may be left behind. */
const books = (more: string) =>
  on.setUp.query(
    `select tenantry.rollout('books', 'owner_id', 'user', legacy_roles => array['${on.legacy.name}']::name[], ${more})`,
  )

const state = async (table: string) =>
  (
    await on.stored<{ state: string }>(
      'select state from tenantry.rollout_status where relation = $1::regclass',
      [table],
    )
  )[0]?.state

test.each([
  [`select tenantry.rollout('users_of_none', 'owner_id', 'user')`, '42P01', /users_of_none/],
  [
    `select tenantry.rollout('books', 'owner_id', 'nobody')`,
    'TN011',
    /kind 'nobody' is not registered/,
  ],
  [`select tenantry.rollout('books', null, 'user')`, 'TN011', /needs the owner column/],
  [`select tenantry.rollout('books', 'details', 'user')`, 'TN011', /type jsonb/],
  [
    `select tenantry.rollout('books', 'owner_id', 'user', legacy_roles => '{no_such_role}')`,
    'TN011',
    /no role no_such_role/,
  ],
  [
    `select tenantry.rollout('books', 'owner_id', 'user', drop_policies => '{nothing}')`,
    'TN011',
    /no policy nothing/,
  ],
  [`select tenantry.rollout_signal('books', 0, 'x', 'select 1, 2')`, 'TN011', /rank/],
  [
    `select tenantry.rollout_signal('books', 1, 'x', 'select id from public.books')`,
    'TN011',
    /cannot be a signal/,
  ],
  [
    `select tenantry.rollout_signal('books', 1, 'x', 'select id, donor from books')`,
    'TN011',
    /cannot be a signal/,
  ],
  [
    `select tenantry.rollout_signal('books', 1, 'x', 'select 1, 2) s; drop table books; --')`,
    'TN011',
    /cannot be a signal/,
  ],
  [
    `select tenantry.rollout_signal('users', 1, 'x', 'select 1, 2')`,
    'TN011',
    /no rollout is declared/,
  ],
  [`select tenantry.rollout_unsignal('books', 'y')`, 'TN011', /no signal 'y'/],
  [`select tenantry.rollout_from_column('books', 'nothing')`, 'TN011', /no column nothing/],
  [`select tenantry.rollout_from_parent('visits', '{book_id}')`, 'TN011', /no foreign key/],
  [`call tenantry.rollout_to('books', 'done')`, 'TN011', /no state 'done'/],
  [`call tenantry.rollout_to('books', 'strict', 0)`, 'TN011', /batch/],
  [`call tenantry.rollout_to('users', 'strict')`, 'TN011', /no rollout is declared/],
  [`select * from tenantry.rollout_plan('books')`, 'TN012', /read what is not there yet/],
  [`select * from tenantry.rollout_impact('books')`, 'TN012', /read what is not there yet/],
  [`call tenantry.rollout_to('books', 'backfilled')`, 'TN011', /takes owners from .*shelves/],
])('%s', async (statement, code, message) => {
  const refused = await refusal(on.setUp.query(statement))
  expect(refused).toMatchObject({ code, message: expect.stringMatching(message) as string })
  if (code !== '42P01') expect(refused.hint).not.toBe('')
  expect(await on.stored('select count(*)::int as n from books')).toEqual([{ n: 40 }])
  await on.to('books', 'planned')
})

describe('somebody who is not', () => {
  test('the owner of the table, or an admin, rolls nothing out; a superuser does not run what the owner wrote', async () => {
    const legacy = await on.legacy.connect()
    for (const call of [
      `call tenantry.rollout_to('books', 'strict')`,
      `select tenantry.rollout('books', 'x', 'user')`,
      'select * from tenantry.rollout_quarantine',
    ])
      expect((await refusal(legacy.query(call))).code, call).toBe('42501')
    const refused = await refusal(
      on.db.admin.query(`call tenantry.rollout_to('books', 'prepared')`),
    )
    expect(refused).toMatchObject({
      code: 'TN011',
      message: expect.stringContaining('superuser') as string,
      hint: expect.stringContaining(on.owner.name) as string,
    })
    expect(await state('books')).toBe('planned')
  })
})

describe('policies and triggers of the application', () => {
  test('a policy that shows everything is named, and goes only by its name', async () => {
    await on.to('shelves', 'backfilled')
    await books('budget => 10')
    await on.to('books', 'backfilled')
    const refused = await refusal(on.to('books', 'transitional'))
    expect(refused).toMatchObject({
      code: 'TN011',
      message: expect.stringContaining('everybody') as string,
      hint: expect.stringContaining('drop_policies') as string,
    })
    expect(await state('books')).toBe('backfilled')
    await books(`budget => 10, drop_policies => '{everybody}'`)
    await on.to('books', 'transitional')
    expect(await on.stored(`select from pg_policy where polname = 'everybody'`)).toEqual([])
    await on.to('books', 'planned')
    expect(await on.stored(`select from pg_policy where polname = 'everybody'`)).toHaveLength(1)
  })

  test('triggers do not take filling for a change, or nothing is filled', async () => {
    await on.setUp.query(
      `create trigger changes before update on books for each row execute function count_change()`,
    )
    const foreseen = async () =>
      (
        await on.setUp.query<{ statement: string }>(
          `select statement from tenantry.rollout_plan('books') where statement like 'REFUSED%changes'`,
        )
      ).rowCount
    expect(await foreseen()).toBe(1)
    const refused = await refusal(on.to('books', 'backfilled'))
    expect(refused).toMatchObject({
      code: 'TN011',
      message: expect.stringContaining('changes') as string,
      hint: expect.stringContaining('session_replication_role') as string,
    })
    await on.db.admin.query(`grant set on parameter session_replication_role to "${on.owner.name}"`)
    expect(await foreseen()).toBe(0)
    await on.to('books', 'backfilled')
    expect(
      await on.stored(
        'select count(owner_id)::int as owned, sum(changed)::int as changes from books',
      ),
    ).toEqual([{ owned: 37, changes: 0 }])
    await on.setUp.query(`update books set title = 'again' where id = 1`)
    expect(await on.stored('select sum(changed)::int as changes from books')).toEqual([
      { changes: 1 },
    ])
    await on.to('books', 'planned')
    await on.db.admin.query(
      `revoke set on parameter session_replication_role from "${on.owner.name}"`,
    )
    await on.setUp.query('drop trigger changes on books')
  })
})

describe('strict', () => {
  test('is refused with more rows without an owner than were allowed for, and says which', async () => {
    await books(`budget => 2, drop_policies => '{everybody}'`)
    await on.to('books', 'verified')
    const refused = await refusal(on.to('books', 'strict'))
    expect(refused.code).toBe('TN012')
    expect(refused.message).toMatch(
      /3 rows of .*books have no owner, 2 are allowed for: 37 \(no signal\); 38/,
    )
    expect(refused.hint).toContain('tenantry.rollout_resolve')
    expect(await state('books')).toBe('verified')
    // Another session is not told that the refused one is still at it.
    const other = await on.owner.connect()
    expect((await refusal(other.query(`call tenantry.rollout_to('books', 'strict')`))).code).toBe(
      'TN012',
    )
    await other.end()
  })

  test('is refused to a table that signals of others read, and protect() and unprotect() keep away', async () => {
    await books(`budget => 10, drop_policies => '{everybody}'`)
    await on.to('visits', 'verified')
    expect(await refusal(on.to('books', 'strict'))).toMatchObject({
      code: 'TN011',
      hint: expect.stringContaining('visits') as string,
    })
    expect((await refusal(on.protect(`'books'`))).hint).toContain('rollout_to')
    expect(
      (await refusal(on.setUp.query(`select * from tenantry.unprotect('books')`))).hint,
    ).toContain('rollout_to')
    expect((await refusal(on.setUp.query(`select tenantry.rollout_end('books')`))).hint).toContain(
      'rollout_to',
    )
    await on.to('visits', 'strict')
    await on.to('books', 'strict')
    expect(await state('books')).toBe('strict')
  })

  test('ends when every row has an owner, and the table is protected like any other', async () => {
    expect(
      (await refusal(on.setUp.query(`select tenantry.rollout_end('books')`))).message,
    ).toContain('rows without an owner')
    await on.to('books', 'verified')
    await on.setUp.query(`select tenantry.rollout_resolve_where('books', '${anna}', 'true')`)
    await on.to('books', 'strict')
    await on.setUp.query(`select tenantry.rollout_end('books')`)
    expect(await state('books')).toBeUndefined()
    expect(
      await on.stored(
        `select from pg_attribute where attrelid = 'books'::regclass and attname = 'tenantry_source' and not attisdropped`,
      ),
    ).toEqual([])
    expect(await on.protect(`'books'`)).toEqual([])
    // What the owner's triggers may call goes with the last of the rollouts.
    const grants = () =>
      on.stored(
        `select from pg_proc p cross join aclexplode(p.proacl) a
          where p.oid = 'tenantry_private.known_ids(text, text[])'::regprocedure and a.grantee = $1::regrole`,
        [on.owner.name],
      )
    expect(await grants()).toHaveLength(1)
    for (const table of ['visits', 'shelves']) {
      await on.to(table, 'planned')
      await on.setUp.query('select tenantry.rollout_end($1)', [table])
    }
    expect(await grants()).toEqual([])
    expect((await on.check()).filter(({ object }) => object.includes('books'))).toEqual([])
    await on.as(anna, async (client) => {
      expect(await outcome(client, 'select from books')).toBe('23 rows')
    })
  })
})
