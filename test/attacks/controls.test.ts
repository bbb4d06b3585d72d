import { readFileSync } from 'node:fs'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { naive } from './support/naive-names.js'
import { carol, dave, frank, roomOfAlice, roomOfBob } from './support/rooms.js'
import { type Town, agentOfAlice, alice, bob, ids, state, stateOf, town } from './support/town.js'

const sql = readFileSync(new URL('support/naive.sql', import.meta.url), 'utf8')
const notes = 'select id from naive.notes order by 1'
const posts = 'select id from naive.posts order by 1'
const every = ['1', '2', '3', '4', '5']

// The attacks of the other files, on tables that are protected in the way that people try first.
describe('on the naive stage', () => {
  let at: Town
  let client: pg.Client
  let owner: pg.Client
  beforeAll(async () => {
    at = await town('rooms')
    await at.db.admin.query(sql)
    await at.db.admin.query(
      `grant all on all tables in schema naive to "${at.app.name}"; grant usage on all sequences in schema naive to "${at.app.name}"`,
    )
    client = await at.connect()
    owner = new pg.Client({ connectionString: at.db.url() })
    await owner.connect()
    await owner.query('set session authorization attacks_owner')
  })
  afterAll(async () => {
    await owner.end()
    await at.drop()
  })

  /** What lets attacks through, which are named in support/naive-names.ts. */
  const naively = (what: keyof typeof naive, work: () => Promise<void>): void =>
    void it(what, async () => {
      await client.query('begin')
      try {
        await work()
      } finally {
        await client.query('rollback')
        await client.query('discard all')
      }
    })

  const be = (who: string | { id: string }, on = client, local = false) =>
    on.query(`select set_config('app.user', $1, $2)`, [
      typeof who === 'string' ? who : who.id,
      local,
    ])
  const seen = (query = notes, on = client) => ids(on, query)

  naively('whoever sets who they are, is', async () => {
    await be(alice)
    expect(await seen()).toEqual(alice.notes)
    await client.query('savepoint a')
    await be(bob)
    expect(await seen()).toEqual(bob.notes)
    await client.query('rollback to savepoint a')
    expect(await seen(), 'what was entered before stays').toEqual(alice.notes)
    await be(bob)
    await client.query('commit; begin')
    expect(await seen(), 'in the next transaction, without end').toEqual(bob.notes)
    // The text of it works elsewhere as well: in another session, for another login.
    const [kept] = await ids(client, `select current_setting('app.user')`)
    const second = await at.db.role('second', { ordinary: false })
    await at.db.admin.query(`grant usage on schema town, naive to "${second.name}";
      grant select on all tables in schema naive to "${second.name}"`)
    for (const other of [await at.connect(), await second.connect()]) {
      await be(kept ?? '', other)
      expect(await seen(notes, other)).toEqual(bob.notes)
    }
  })

  naively('a token is believed unseen', async () => {
    const enters = async (claims: unknown, signature = '') => {
      const part = Buffer.from(JSON.stringify(claims)).toString('base64url')
      return stateOf(client, 'select naive.enter($1)', [`e30.${part}.${signature}`])
    }
    const sub = bob.entity
    for (const claims of [
      { sub },
      { sub, exp: 1 },
      { sub, aud: 'elsewhere' },
      { sub, pad: 'x'.repeat(1_000_000) },
      { sub: `user:${frank.id.replace('f', 'e')}` },
      { sub: 'user:' },
      { sub: [bob.entity] },
      {},
    ]) {
      expect(await enters(claims, 'forged')).toBe('00000')
    }
    const part = Buffer.from(JSON.stringify({ sub })).toString('base64url')
    await client.query('select naive.enter($1)', [`.${part}.`])
    expect(await seen()).toEqual(bob.notes)
    // Nobody asks of which kind an id is, nor who may turn into whom, nor for how long.
    await client.query('select naive.impersonate($1)', [alice.id])
    expect((await client.query('update naive.notes set amount = 0')).rowCount).toBe(2)
    await client.query(`select set_config('app.glass', 'broken', false)`)
    expect(await seen()).toEqual(every)
  })

  naively('an id is the same for ever', async () => {
    const admin = at.db.admin
    const [id, room] = [
      '00000000-0000-4000-8000-0000000000e1',
      '00000000-0000-4000-8000-0000000000e2',
    ]
    await admin.query('insert into naive.notes (id, owner_id, slug, body) values (9, $1, $2, $2)', [
      id,
      'left',
    ])
    await be(id)
    expect(await seen(), 'after the end').toEqual(['9'])
    await admin.query('insert into naive.given (giver, taker) values ($1, $2)', [bob.id, id])
    await admin.query(`insert into naive.members values ($1, $2, 'member')`, [roomOfBob, id])
    expect(await seen(), 'whoever has the id now').toEqual(['3', '4', '9'])
    expect(await seen(posts)).toEqual(['1', '2'])
    await admin.query(`insert into naive.members values ($1, $2, 'member')`, [room, frank.id])
    await admin.query('insert into naive.rooms values ($1)', [room])
    await admin.query('insert into naive.posts (id, owner_id, room_id) values (50, $1, $2)', [
      bob.id,
      room,
    ])
    await be(frank)
    expect(await seen(posts), 'a member of the room that was').toEqual(['50'])
    const login = await at.db.role('again', { ordinary: false })
    await admin.query('insert into naive.logins values ($1, $2)', [login.name, bob.id])
    await admin.query(`drop owned by "${login.name}"; drop role "${login.name}"; create role "${login.name}" login password '${login.password}';
      grant usage on schema town, naive to "${login.name}"; grant select on all tables in schema naive to "${login.name}"`)
    expect(await seen(notes, await login.connect())).toEqual(bob.notes)
    await admin.query(
      'delete from naive.notes where id = 9; delete from naive.posts where id = 50; delete from naive.given; delete from naive.logins',
    )
    await admin.query('delete from naive.members where member_id in ($1, $2)', [id, frank.id])
  })

  naively('an agent acts for whom a row names', async () => {
    const agent = agentOfAlice.slice(6)
    await be(agent)
    expect(await seen()).toEqual(alice.notes)
    await client.query('update naive.agents set owner_id = $1 where id = $2', [bob.id, agent])
    expect(await seen()).toEqual(bob.notes)
    await client.query('insert into naive.agents values ($1, $2)', [frank.id, bob.id])
    await client.query('insert into naive.given (giver, taker) values ($1, $2)', [bob.id, dave.id])
    for (const other of [frank, dave]) {
      await be(other)
      expect(await seen()).toEqual(bob.notes)
    }
  })

  naively('what is given is a row that anybody writes', async () => {
    const give = `insert into naive.given (giver, taker, privileges, tables, expires_at, revoked_at)
      values ($1, $2, '{select}', '{posts}', 'epoch', 'epoch')`
    await be(frank)
    expect(await seen()).toEqual([])
    await client.query(give, [bob.id, frank.id])
    // Expired, revoked, for another table and for reading only: the policy asks for none of it.
    expect((await client.query('delete from naive.notes')).rowCount).toBe(2)
    await client.query('rollback; begin')
    await client.query(give, [bob.id, carol.id])
    await be(carol)
    for (const [giver, taker] of [
      [bob.id, dave.id],
      [bob.id, carol.id],
      [carol.id, alice.id],
    ]) {
      await client.query(give, [giver, taker])
    }
    await be(dave)
    expect(await seen(), 'passed on without an end').toEqual(bob.notes)
    await be(alice)
    expect(await seen('select count(*) from naive.given'), 'anybody reads').toEqual(['4'])
    expect((await client.query('delete from naive.given')).rowCount, 'and ends').toBe(4)
  })

  naively('who is in a room is a row that anybody writes', async () => {
    await be(alice)
    expect(await seen(posts)).toEqual(['3'])
    await client.query('savepoint before')
    for (const join of [
      `insert into naive.members values ('${roomOfBob}', '${alice.id}', 'anything')`,
      `update naive.members set member_id = '${alice.id}' where member_id = '${carol.id}'`,
      `insert into naive.members values ('${roomOfBob}', '${carol.id}', 'x') on conflict (room_id, member_id) do update set member_id = '${alice.id}'`,
    ]) {
      await client.query(join)
      expect(await seen(posts), join).toEqual(['1', '2', '3'])
      await client.query('rollback to savepoint before')
    }
    expect(
      (
        await client.query(
          `update naive.members set role = 'host', room_id = $1 where member_id = $2`,
          [roomOfAlice, dave.id],
        )
      ).rowCount,
    ).toBe(1)
    await be(carol)
    const take = `update naive.posts set owner_id = $1, posted_by = 'user:somebody else' where id = 1`
    expect((await client.query(take, [carol.id])).rowCount).toBe(1)
    // Nor is a room asked for, and the key tells which there are.
    const put = (room: string) =>
      stateOf(client, `insert into naive.open_posts (owner_id, room_id) values ($1, $2)`, [
        carol.id,
        room,
      ])
    expect([await put(roomOfAlice), await put(frank.id)]).toEqual(['00000', '23503'])
  })

  naively('what a session keeps is everybody’s who comes next', async () => {
    await client.query('commit')
    await be('planted')
    expect(await state(client.query(notes)), 'shut out').toBe('22P02')
    await client.query('set row_security = off')
    await be(alice)
    expect(await state(client.query(notes)), 'shut out').toBe('42501')
    await client.query('reset row_security')
    await client.query(
      `prepare fixed as select id from town.open_notes where owner_id = '${bob.id}' order by 1`,
    )
    await client.query('set role tenantry_user')
    const plan = await state(client.query('execute fixed'))
    await client.query('reset role')
    expect(plan, 'the role has no privilege').toBe('42501')
    await at.db.admin.query('grant select on town.open_notes to tenantry_user')
    await client.query('set role tenantry_user')
    expect(await ids(client, 'execute fixed')).toEqual(bob.notes)
    await client.query('reset role')
    await at.db.admin.query('revoke select on town.open_notes from tenantry_user')
    await be(bob)
    await client.query(`declare kept cursor with hold for ${notes}`)
    await be(alice)
    expect(await ids(client, 'fetch all from kept')).toEqual(bob.notes)
    await client.query('begin')
    await be(alice)
    await client.query('update naive.parents set owner_id = owner_id where id = 1')
    await be(bob)
    await client.query('commit')
    expect(await ids(client, 'table naive.written')).toEqual([bob.id])
    await at.db.admin.query(`grant temporary on database "${at.db.name}" to "${at.app.name}"`)
    await client.query(
      `create temp table notes as select 'what the earlier user wants read' as body`,
    )
    expect(await ids(client, 'select body from notes')).toEqual([
      'what the earlier user wants read',
    ])
    await client.query('drop table pg_temp.notes')
    await at.db.admin.query(`revoke temporary on database "${at.db.name}" from "${at.app.name}"`)
  })

  naively('who owns a table opens it', async () => {
    await client.query('commit')
    await be(alice)
    expect(await seen(notes, owner), 'the owner is not bound').toEqual(every)
    expect(await seen(notes, await as('postgres')), 'nor is a superuser').toEqual(every)
    for (const [open, shut] of [
      [
        'alter table naive.notes disable row level security',
        'alter table naive.notes enable row level security',
      ],
      ['alter policy mine on naive.notes using (true)', null],
      ['create policy mine_too on naive.notes using (true)', 'drop policy mine_too on naive.notes'],
    ] as const) {
      await owner.query('begin')
      await owner.query(open)
      await owner.query('commit')
      expect(await seen(), open).toEqual(every)
      if (shut) await owner.query(shut)
    }
    // Where the checks are triggers and keys, they go as well.
    const point = `insert into naive.children values (9, '${alice.id}', 999)`
    expect(await state(client.query(point))).toBe('23503')
    await owner.query('alter table naive.children drop constraint children_parent_id_fkey')
    expect(await state(client.query(point))).toBe('00000')
    await owner.query(`delete from naive.children where id = 9;
      alter table naive.children add foreign key (parent_id) references naive.parents on update cascade`)
    // A login that may become the owner does all of it.
    await at.db.admin.query(`grant attacks_owner to "${at.app.name}"`)
    await client.query('set role attacks_owner')
    for (const change of [
      'alter table naive.notes no force row level security',
      'alter table naive.parents disable trigger late',
      'alter table naive.parents enable trigger late',
      'drop policy mine on naive.notes',
    ]) {
      expect(await state(client.query(change)), change).toBe('00000')
    }
    await client.query('reset role')
    await at.db.admin.query(`revoke attacks_owner from "${at.app.name}"`)
  })

  /** A session of somebody else, through the superuser's. */
  async function as(role: string): Promise<pg.Client> {
    await owner.query(`set session authorization ${role}`)
    return owner
  }

  naively('who may create, carries away and leaks', async () => {
    await owner.query('set session authorization attacks_owner')
    await at.db.admin.query(
      `grant create on schema naive to "${at.app.name}"; grant temporary on database "${at.db.name}" to "${at.app.name}"`,
    )
    const copy = 'select * from town.open_notes'
    for (const carry of [
      `create table naive.mine as ${copy}`,
      `create temp table mine_too as ${copy}`,
      `select * into naive.mine_as_well from town.open_notes`,
      `create materialized view naive.mine_kept as ${copy}`,
      `create view naive.mine_still as ${copy}`,
    ]) {
      expect(await stateOf(client, carry), carry).toBe('00000')
    }
    const heard: string[] = []
    client.on('notice', ({ message }) => heard.push(message ?? ''))
    await client.query(`create function naive.leak(text) returns boolean language plpgsql cost 0.0000001 as $$
      begin raise notice 'leaked %', $1; return true; end $$`)
    await client.query('select from town.open_notes where naive.leak(body)')
    expect(heard.join()).toContain('4711')
    // A definer function of the owner's may be called by everybody, unless somebody remembers.
    await owner.query(`create table naive.private as select 'a key' as key;
      create function naive.behind() returns text language sql security definer return (select key from naive.private)`)
    expect(await stateOf(client, 'table naive.private')).toBe('42501')
    expect(await ids(client, 'select naive.behind()')).toEqual(['a key'])
    await at.db.admin.query(`grant select on naive.private to "${at.app.name}"`)
    expect(await stateOf(client, 'table naive.private'), 'declared by somebody who may').toBe(
      '00000',
    )
    await client.query('rollback; begin')
    await at.db.admin.query(
      `revoke create on schema naive from "${at.app.name}"; revoke temporary on database "${at.db.name}" from "${at.app.name}"`,
    )
  })

  naively('a key that cascades moves what is others’', async () => {
    await client.query('update naive.parents set id = 77 where id = 1')
    const moved = 'select parent_id from naive.children where owner_id = $1'
    expect(await ids(client, moved, [bob.id])).toEqual(['77'])
  })
})
