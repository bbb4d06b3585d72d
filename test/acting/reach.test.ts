import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { outcome, sqlState } from '../extension/support/stage.js'
import {
  acme,
  actingStage,
  alice,
  bob,
  bot,
  charlie,
  dora,
  ids,
  sharedBot,
  type ActingStage,
  type Chain,
} from './support/stage.js'

let on: ActingStage
beforeAll(async () => {
  on = await actingStage()
})
afterAll(() => on.drop())

const bodies = 'select body from reach.memories order by body'
const own = 'select body from memories order by body'
const nobody: Chain = ['anonymous:anonymous']

describe('what one reaches', () => {
  it("shows a group room's memories to its members, and to nobody else", async () => {
    expect(await on.rows([alice], bodies)).toEqual(['a alone', 'a in 1', 'b in 1', 'd public'])
    expect(await on.rows([bob], bodies)).toEqual(['a in 1', 'b in 1', 'b in 2', 'd public'])
    expect(await on.rows([charlie], bodies)).toEqual(['b in 2', 'd public'])
    expect(await on.rows([dora], bodies)).toEqual(['d alone', 'd public'])
    // The own path stays the own path.
    expect(await on.rows([bob], own)).toEqual(['b in 1', 'b in 2'])
    expect(await on.asNobody(async (c) => (await c.query(bodies)).rows)).toEqual([])
  })

  it('shows public rows to whoever is there, the anonymous context included', async () => {
    expect(await on.rows(nobody, bodies)).toEqual(['d public'])
    expect(await on.rows(nobody, own)).toEqual([])
    expect(
      await on.trying(nobody, (c) =>
        outcome(c, "insert into reach.memories (owner_id, body) values ($1, 'x')", [ids.dora]),
      ),
    ).toBe('42501')
    expect(await on.trying(nobody, (c) => outcome(c, "update reach.memories set body = 'x'"))).toBe(
      '0 rows',
    )
  })

  it('goes through an agent to its user, and from there on', async () => {
    expect(await on.rows([bot], bodies)).toEqual(['a alone', 'a in 1', 'b in 1', 'd public'])
    expect(await on.rows([alice, bot], bodies)).toEqual(['a alone', 'a in 1', 'b in 1', 'd public'])
    expect(await on.rows([acme, alice, bot], 'select name from projects')).toEqual(['rocket'])
    expect(await on.rows([bot], 'select name from reach.projects')).toEqual(['rocket'])
    expect(await on.rows([charlie], 'select name from reach.projects')).toEqual([])
  })

  it('works on the data of one user per call for the shared agent', async () => {
    expect(await on.rows([bob, sharedBot], own)).toEqual(['b in 1', 'b in 2'])
    expect(await on.rows([charlie, sharedBot], own)).toEqual([])
    // By itself it reaches its owner's data, not everybody's.
    expect(await on.rows([sharedBot], bodies)).toEqual(['d alone', 'd public'])
  })
})

describe('writing on the reach path', () => {
  it('rewrites as the role says', async () => {
    const rewrite = "update reach.memories set body = body || '!' where body = 'a in 1'"
    expect(await on.trying([bob], (c) => outcome(c, rewrite))).toBe('1 rows')
    expect(
      await on.trying([charlie], (c) =>
        outcome(c, "update reach.memories set body = 'x' where body = 'b in 2'"),
      ),
    ).toBe('0 rows')
    expect(
      await on.trying([bob], (c) => outcome(c, "delete from reach.memories where body = 'a in 1'")),
    ).toBe('0 rows')
    expect(
      await on.trying([alice], (c) =>
        outcome(c, "delete from reach.memories where body = 'b in 1'"),
      ),
    ).toBe('1 rows')
  })

  it('inserts into a room as oneself, and never as another or into a foreign room', async () => {
    const insert = 'insert into reach.memories (owner_id, room_id, body) values ($1, $2, $3)'
    expect(await on.trying([bob], (c) => outcome(c, insert, [ids.bob, ids.room1, 'x']))).toBe(
      '1 rows',
    )
    expect(await on.trying([bob], (c) => outcome(c, insert, [ids.alice, ids.room1, 'x']))).toBe(
      '42501',
    )
    expect(
      await on.trying([charlie], (c) => outcome(c, insert, [ids.charlie, ids.room2, 'x'])),
    ).toBe('42501')
    expect(await on.trying([dora], (c) => outcome(c, insert, [ids.dora, ids.room1, 'x']))).toBe(
      '23503',
    )
    // and the own path does not differ
    const direct = 'insert into memories (room_id, body) values ($1, $2)'
    expect(await on.trying([bob], (c) => outcome(c, direct, [ids.room1, 'x']))).toBe('1 rows')
    expect(await on.trying([dora], (c) => outcome(c, direct, [ids.room1, 'x']))).toBe('23503')
    expect(await on.trying([dora], (c) => outcome(c, direct, [null, 'x']))).toBe('1 rows')
    expect(
      await on.trying([dora], (c) => outcome(c, 'update memories set room_id = $1', [ids.room1])),
    ).toBe('23503')
  })

  it('keeps the owner, unless one holds delegate on it', async () => {
    const take = "update reach.memories set owner_id = $1 where body = 'a in 1'"
    expect(await on.trying([bob], (c) => outcome(c, take, [ids.bob]))).toBe('42501')
    expect(await on.trying([alice, bot], (c) => outcome(c, take, [ids.bob]))).toBe('42501')
    expect(
      await on.trying([acme, alice], (c) => outcome(c, 'update reach.projects set org_id = 2')),
    ).toBe('42501')
  })

  it('records the actor, whatever the statement says', async () => {
    const insert =
      "insert into memories (body, created_by) values ('mine', 'user:somebody') returning created_by"
    expect(
      await on.trying(
        [alice, bot],
        async (c) => (await c.query<{ created_by: string }>(insert)).rows[0]?.created_by,
      ),
    ).toBe(bot)
    expect(
      await on.trying([alice], (c) => outcome(c, "update memories set created_by = 'user:x'")),
    ).toBe('42501')
    expect(
      await on.trying([alice], (c) =>
        outcome(c, "update memories set body = 'x' where body = 'a alone'"),
      ),
    ).toBe('1 rows')
  })
})

describe('joining a room', () => {
  const join = 'insert into participants (room_id, entity_id, role) values ($1, $2, $3)'
  it('takes delegate on the room', async () => {
    expect(await on.trying([dora], (c) => outcome(c, join, [ids.room1, ids.dora, 'member']))).toBe(
      '42501',
    )
    expect(await on.trying([bob], (c) => outcome(c, join, [ids.room1, ids.dora, 'member']))).toBe(
      '42501',
    )
    expect(await on.trying([alice], (c) => outcome(c, join, [ids.room1, ids.dora, 'member']))).toBe(
      '1 rows',
    )
    expect(
      await on.trying([alice, bot], (c) => outcome(c, join, [ids.room1, ids.dora, 'member'])),
    ).toBe('42501')
  })

  it('fails by update and upsert alike', async () => {
    expect(
      await on.trying([dora], async (c) => {
        // a row that names nobody yet
        const made = await outcome(c, join, [null, ids.dora, 'member'])
        return [
          made,
          await outcome(c, 'update participants set room_id = $1 where entity_id = $2', [
            ids.room1,
            ids.dora,
          ]),
        ]
      }),
    ).toEqual(['1 rows', '42501'])
    expect(
      await on.trying([bob], (c) =>
        outcome(c, "update participants set role = 'host' where entity_id = $1", [ids.bob]),
      ),
    ).toBe('1 rows')
    expect(
      await on.trying([bob], (c) =>
        outcome(
          c,
          "update reach.participants set role = 'host' where entity_id = $1 and room_id = $2",
          [ids.bob, ids.room1],
        ),
      ),
    ).toBe('42501')
    const upsert = `insert into reach.participants (id, owner_id, room_id, entity_id, role) values (2, $1, $2, $3, 'host')
                    on conflict (id) do update set role = excluded.role, entity_id = excluded.entity_id`
    expect(await on.trying([bob], (c) => outcome(c, upsert, [ids.bob, ids.room1, ids.bob]))).toBe(
      '42501',
    )
    expect(
      await on.trying([alice], (c) => outcome(c, upsert, [ids.alice, ids.room1, ids.bob])),
    ).toBe('1 rows')
  })

  it('shows the room from then on, and until one is taken out', async () => {
    const sees = () => on.rows([dora], "select body from reach.memories where body = 'a in 1'")
    expect(await sees()).toEqual([])
    await on.under([alice], (c) => c.query(join, [ids.room1, ids.dora, 'viewer']))
    expect(await sees()).toEqual(['a in 1'])
    await on.under([alice], (c) =>
      c.query('delete from participants where entity_id = $1', [ids.dora]),
    )
    expect(await sees()).toEqual([])
  })

  it('is not done by calling what the triggers call', async () => {
    const call = `select tenantry_private.import_members('participants', 'user', 'room', array['${ids.dora}'], array['${ids.room1}'], array['host'], array[1], false)`
    expect(await on.trying([dora], (c) => outcome(c, call))).toBe('42501')
  })

  it('does not give a role more than its giver holds', async () => {
    const add = "insert into members (org_id, user_id, role) values (1, $1, 'admin')"
    expect(await on.trying([acme, alice], (c) => outcome(c, add, [ids.dora]))).toBe('1 rows')
    await expect(on.trying([acme, bob], (c) => c.query(add, [ids.dora]))).rejects.toSatisfy(
      (e) => sqlState(e) === '42501',
    )
  })
})

describe('graphs', () => {
  const chain = (n: number) => `org-${n}`
  beforeAll(async () => {
    // 25 groups, each a member of the next; the last is a member of the first; and two ways from one to another
    await on.setUp.query(`
      create table groups (id text primary key);
      create table group_members (member text, container text, primary key (member, container));
      create table papers (id int generated by default as identity primary key, group_id text not null, title text);
      select tenantry.register_kind('group', 'groups');
      select tenantry.register_membership('group_members', member_column => 'member', member_kind => 'group', container_column => 'container', container_kind => 'group',
        roles => '["select", "update"]');
      select tenantry.register_membership('group_members', member_column => 'member', member_kind => 'user', container_column => 'container', container_kind => 'group');
      insert into groups select 'org-' || n from generate_series(1, 26) n;
      insert into group_members select 'org-' || n, 'org-' || n + 1 from generate_series(1, 25) n;
      insert into group_members values ('org-26', 'org-1'), ('org-1', 'org-3'), ('${ids.dora}', 'org-1');
      insert into papers (group_id, title) select 'org-' || n, 'paper ' || n from generate_series(1, 26) n;
      select tenantry.protect('papers', owner_column => 'group_id', owner_kind => 'group')`)
  })

  it('are walked 25 deep, through diamonds, and end in cycles', async () => {
    const titles = 'select title from reach.papers order by id'
    const all = Array.from({ length: 26 }, (_, n) => `paper ${n + 1}`)
    expect(await on.rows([`group:${chain(1)}`], titles)).toEqual(all)
    expect(await on.rows([`group:${chain(25)}`], titles)).toEqual(all)
    expect(await on.rows([dora], titles)).toEqual(all)
    expect(await on.rows([bob], titles)).toEqual([])
    // every link leaves update to a group, but the first to Dora
    expect(
      await on.trying([`group:${chain(7)}`], (c) =>
        outcome(c, "update reach.papers set title = ''"),
      ),
    ).toBe('26 rows')
    expect(await on.trying([dora], (c) => outcome(c, "update reach.papers set title = ''"))).toBe(
      '0 rows',
    )
  })

  it('break where a link is taken out', async () => {
    await on.setUp.query("delete from group_members where member = 'org-10'")
    expect(await on.rows([dora], 'select count(*)::int from reach.papers')).toEqual([10])
    await on.setUp.query("insert into group_members values ('org-10', 'org-11')")
    expect(await on.rows([dora], 'select count(*)::int from reach.papers')).toEqual([26])
  })
})

describe('plans of the reach path', () => {
  it('look rows up by owner and container, also for the latest, and leave the own path as it was', async () => {
    await on.db.admin.query(`
      create index if not exists memories_latest on memories (id desc);
      insert into users select gen_random_uuid(), 'many' from generate_series(1, 2000);
      insert into memories (owner_id, body) select id, 'many' from users, generate_series(1, 15) where name = 'many';
      analyze memories`)
    const plan = async (query: string) =>
      (await on.rows([bob], `explain (costs off) ${query}`)).join('\n')
    const latest = await plan('select id from reach.memories order by id desc limit 20')
    expect(latest).toMatch(/BitmapOr/)
    expect(latest).not.toMatch(/Index Scan (Backward )?using memories_(pkey|latest)/)
    expect(await plan('select * from memories where true')).toMatch(
      /Index Cond: \(owner_id = \(InitPlan|Index Cond: \(owner_id = \(?\$0/,
    )
    await on.db.admin.query(
      "delete from memories where body = 'many'; delete from users where name = 'many'",
    )
  })
})
