import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type pg from 'pg'
import { expectRefusal } from './support/refusal.js'
import { claims, entered, notesDatabase, token, type Notes } from './support/notes.js'

let notes: Notes
let client: pg.Client
beforeAll(async () => {
  notes = await notesDatabase()
  client = notes.client
})
afterEach(async () => {
  await client.query('rollback')
})
afterAll(async () => {
  await notes.db.drop()
})

const mine = 'select body from app.notes order by id'
const noteOfOne = [{ body: 'note of one' }]
const as = (who: string) => token(claims(notes.db, who))
const enter = (who: string) => client.query('select tenantry.enter($1)', [as(who)])
const bodies = async (): Promise<unknown[]> => (await client.query<object>(mine)).rows
const setting = `select current_setting('tenantry.context', true) as context`

describe('a context and its transaction', () => {
  it('end together, by commit, rollback or error', async () => {
    for (const end of ['commit', 'rollback', 'select 1/0']) {
      await client.query('begin')
      await enter('user:1')
      expect(await bodies()).toEqual(noteOfOne)
      await client.query(end).catch(() => client.query('rollback'))
      expect((await client.query(setting)).rows).toEqual([{ context: '' }])
      expect(await bodies()).toEqual([])
      expect((await client.query('select source from tenantry.whoami()')).rows).toEqual([
        { source: 'none' },
      ])
    }
  })

  it('is nothing outside a transaction block', async () => {
    await enter('user:1')
    expect(await bodies()).toEqual([])
  })

  it('know one identity', async () => {
    await client.query('begin')
    await enter('user:1')
    await enter('user:1')
    expect(await bodies()).toEqual(noteOfOne)
    await client.query('savepoint before')
    const error = await expectRefusal(enter('user:2'), 'TN002', /already works as user:1/)
    expect(error.hint).toContain('End the transaction')
    await client.query('rollback to before')
    expect(await bodies()).toEqual(noteOfOne)
    await client.query('commit')
    await client.query('begin')
    await enter('user:2')
    expect(await bodies()).toEqual([{ body: 'note of two' }])
  })

  it('follow savepoints', async () => {
    await client.query('begin; savepoint outer_one')
    await enter('user:1')
    expect(await bodies()).toEqual(noteOfOne)
    await client.query('rollback to outer_one')
    expect(await bodies()).toEqual([])
    await enter('user:2')
    await client.query('savepoint inner_one')
    await expectRefusal(client.query('select 1/0'), '22012')
    await client.query('rollback to inner_one')
    expect(await bodies()).toEqual([{ body: 'note of two' }])
    await client.query('savepoint kept; release kept')
    expect(await bodies()).toEqual([{ body: 'note of two' }])
  })

  it('forget with leave(), which undoes nothing that was written', async () => {
    await client.query('begin')
    await enter('user:1')
    await client.query(`insert into app.notes (id, body) values (90, 'kept')`)
    await client.query('select tenantry.leave()')
    expect(await bodies()).toEqual([])
    await expectRefusal(
      client.query(`insert into app.notes (id, body) values (91, 'nobody')`),
      '42501',
    )
    await client.query('rollback')
  })

  it('end early when the context’s own life is over', async () => {
    const { admin } = notes.db
    await admin.query(`select tenantry.configure('context_lifetime', '1 second')`)
    await client.query('begin')
    await enter('user:1')
    expect(await bodies()).toEqual(noteOfOne)
    await client.query('select pg_sleep(1.1)')
    await expectRefusal(bodies(), 'TN003', /context has expired/)
    await client.query('rollback')
    await admin.query(`select tenantry.configure('context_lifetime', null)`)
    await client.query('begin')
    await enter('user:1')
    expect(await bodies()).toEqual(noteOfOne)
  })

  it('end at once when all keys are replaced', async () => {
    await client.query('begin')
    await enter('user:1')
    expect(await bodies()).toEqual(noteOfOne)
    await notes.db.admin.query('select tenantry.initialise()')
    expect(await bodies()).toEqual(noteOfOne)
    await notes.db.admin.query('select tenantry.initialise(rotate => true)')
    await expectRefusal(bodies(), 'TN002')
    await client.query('rollback; begin')
    await enter('user:1')
    expect(await bodies()).toEqual(noteOfOne)
  })

  it('hold in a cursor, a prepared statement and a function of the transaction', async () => {
    await client.query(`prepare mine as ${mine}`)
    for (const [who, body] of [
      ['user:1', 'note of one'],
      ['user:2', 'note of two'],
      ['user:1', 'note of one'],
    ] as const) {
      await client.query('begin')
      await enter(who)
      expect((await client.query('execute mine')).rows).toEqual([{ body }])
      await client.query(`declare c cursor for ${mine}`)
      expect((await client.query('fetch all c')).rows).toEqual([{ body }])
      await client.query('commit')
      expect((await client.query('execute mine')).rows).toEqual([])
    }
    await client.query('deallocate mine')
  })

  it('reach parallel workers', async () => {
    const { db } = notes
    await db.admin.query(`
      set role "${notes.owner.name}"; create table app.many (id int, owner_id int not null references app.users, v text); reset role;
      insert into app.many select n, 1 + n % 2, n::text from generate_series(1, 4000) n; analyze app.many;
      select tenantry.protect('app.many');
      alter table app.many set (parallel_workers = 2)`)
    await client.query('begin')
    await enter('user:1')
    await client.query(`
      set local ${db.major >= 16 ? 'debug_parallel_query' : 'force_parallel_mode'} = on;
      set local parallel_setup_cost = 0; set local parallel_tuple_cost = 0;
      set local min_parallel_table_scan_size = 0; set local max_parallel_workers_per_gather = 2;
      set local enable_indexscan = off; set local enable_bitmapscan = off`)
    const query = `select tenantry.actor() as actor, tenantry.principal('user') as id, tenantry.may('delegate') as may, count(*)::int as n
        from app.many where tenantry.principal('user') = owner_id::text and v <> tenantry.actor() group by 1, 2, 3`
    const explained = await client.query<{ 'QUERY PLAN': string }>(
      `explain (analyze, verbose, costs off, timing off) ${query}`,
    )
    const plan = explained.rows.map((row) => row['QUERY PLAN']).join('\n')
    expect(plan).toMatch(/Workers Launched: [1-9]/)
    expect(plan).toMatch(/Filter: .*principal/)
    expect((await client.query(query)).rows).toEqual([
      { actor: 'user:1', id: '1', may: true, n: 2000 },
    ])
    await client.query('commit')
    expect((await client.query('select from app.many')).rowCount).toBe(0)
  })
})

describe('on_missing_context', () => {
  it('is empty unless it is set to error, which no session can change', async () => {
    const { admin } = notes.db
    expect(await bodies()).toEqual([])
    await admin.query(`select tenantry.configure('on_missing_context', 'error')`)
    await client.query(`set tenantry.on_missing_context = 'empty'`)
    const error = await expectRefusal(bodies(), 'TN001', /no tenantry context/)
    expect(error.hint).toContain('tenantry.enter()')
    await expectRefusal(client.query('select tenantry.actor()'), 'TN001')
    await expectRefusal(client.query('select * from tenantry.whoami()'), 'TN001')
    await expectRefusal(client.query(`insert into app.notes (id, body) values (92, '')`), 'TN001')
    expect((await entered(client, as('user:1'), () => client.query(mine))).rows).toEqual(noteOfOne)
    await admin.query(`select tenantry.configure('on_missing_context', 'empty')`)
    expect(await bodies()).toEqual([])
    await admin.query(`select tenantry.configure('on_missing_context', null)`)
    await expectRefusal(
      client.query(`select tenantry.configure('on_missing_context', 'empty')`),
      '42501',
    )
  })

  it('set to log it is empty, and the server log names the login, the application and the statement', async () => {
    const { admin } = notes.db
    const said: string[] = []
    const listener = ({ message = '' }: { message?: string | undefined }) => said.push(message)
    client.on('notice', listener)
    await client.query(`set client_min_messages = log; set application_name = 'old code'`)
    try {
      expect(await bodies()).toEqual([])
      expect(said).toEqual([])
      await admin.query(`select tenantry.configure('on_missing_context', 'log')`)
      expect(await bodies()).toEqual([])
      expect(said.join('\n')).toMatch(
        /no context: login .*, application old code, statement select /,
      )
      said.length = 0
      expect((await entered(client, as('user:1'), () => client.query(mine))).rows).toEqual(
        noteOfOne,
      )
      expect(said).toEqual([])
    } finally {
      client.off('notice', listener)
      await admin.query(`select tenantry.configure('on_missing_context', null)`)
      await client.query('reset client_min_messages; reset application_name')
    }
  })

  it('and the other settings take only values that mean something', async () => {
    const { admin } = notes.db
    for (const [name, value] of [
      ['on_missing_context', 'loud'],
      ['on_missing_context', ''],
      ['context_lifetime', '0'],
      ['context_lifetime', '2 days'],
      ['nothing', 'x'],
      [null, 'x'],
    ]) {
      await expectRefusal(admin.query('select tenantry.configure($1, $2)', [name, value]), '22023')
    }
    await expectRefusal(
      admin.query(`select tenantry.configure('context_lifetime', 'soon')`),
      '22007',
    )
  })
})
