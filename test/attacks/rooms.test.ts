import { afterAll, beforeAll, describe, expect } from 'vitest'
import { attack, control } from './support/attack.js'
import {
  alice,
  bob,
  carol,
  dave,
  frank,
  joining as insert,
  ofBob,
  posts,
  roomOfAlice,
  roomOfBob,
  type RoomTown,
  roomTown,
} from './support/rooms.js'
import { ids, state, stateOf } from './support/town.js'

describe('getting into a room', () => {
  let at: RoomTown
  beforeAll(async () => {
    at = await roomTown()
  })
  afterAll(() => at.drop())

  /** Makes somebody a member as an admin would, does something, and takes them out again. */
  async function joined<T>(who: string, role: string, work: () => Promise<T>): Promise<T> {
    await at.db.admin.query(insert, [bob.id, roomOfBob, who, role])
    try {
      return await work()
    } finally {
      await at.db.admin.query('delete from town.members where member_id = $1', [who])
    }
  }

  attack('joining a room by writing a row of its members, by insert', async () => {
    const statements: [string, unknown[]][] = [
      [insert, [alice.id, roomOfBob, alice.id, 'viewer']],
      [insert, [alice.id, roomOfBob, alice.id, null]],
      [insert, [alice.id, roomOfBob, `{${alice.id.toUpperCase()}}`, 'host']],
      [insert, [alice.id, roomOfBob, alice.id.replaceAll('-', '').toUpperCase(), 'host']],
      [insert, [bob.id, roomOfBob, alice.id, 'host']],
      [insert.replace('town.', 'reach.'), [alice.id, roomOfBob, alice.id, 'host']],
      [
        `with made as (${insert} returning 1) select * from made`,
        [alice.id, roomOfBob, alice.id, 'host'],
      ],
      [
        `merge into town.members m using (values ($1::uuid, $2::uuid)) v (a, r) on m.room_id = v.r
         when not matched then insert (owner_id, room_id, member_id, role) values (v.a, v.r, v.a::text, 'host')`,
        [alice.id, roomOfBob],
      ],
    ]
    for (const [statement, values] of statements) {
      // Spelled with braces an id names nobody, and makes nobody a member.
      const code = await at.tried([alice.entity], statement, values)
      expect(code, statement).toMatch(/^(42501|23503)$/)
    }
    expect(await at.seen([alice.entity])).toEqual(['3', '5'])
    // The controls: the copy lets anybody in, and Bob adds whom he likes.
    const open = insert.replace('members', 'open_members')
    await at.db.admin.query(`grant all on town.open_members to "${at.app.name}"`)
    control(await at.tried([alice.entity], open, [alice.id, roomOfBob, alice.id, 'host'])).toBe(
      '00000',
    )
    await at.under([bob.entity], async (c) => {
      await c.query(insert, [bob.id, roomOfBob, alice.id, 'host'])
    })
    await joined(alice.id, 'viewer', async () => {
      expect(await at.seen([alice.entity])).toEqual(['1', '2', '3', '5'])
    })
    expect(await at.seen([alice.entity])).toEqual(['3', '5'])
  })

  attack('joining a room by writing a row of its members, by update', async () => {
    await at.under([alice.entity], async (c) => {
      // In one's own room, or in none, one may write what one likes.
      await c.query(insert, [alice.id, roomOfAlice, alice.id, 'host'])
      await c.query(insert, [alice.id, null, alice.id, 'host'])
      for (const path of ['town', 'reach']) {
        const move = `update ${path}.members set room_id = $1`
        expect(await stateOf(c, move, [roomOfBob]), path).toMatch(/^(42501|23503)$/)
        expect(await stateOf(c, move, [roomOfAlice]), path).toBe('00000')
      }
      // Nor is anybody else's row turned into one's own.
      const takeOver = await c.query('update reach.members set member_id = $1 where room_id = $2', [
        alice.id,
        roomOfBob,
      ])
      expect(takeOver.rowCount).toBe(0)
      expect(await ids(c, posts)).toEqual(['3', '5'])
    })
    // A member may write rows of the room, and not into whose name they are.
    const turn = 'update reach.members set member_id = $1 where id = 1'
    expect(await at.tried([carol.entity], turn, [frank.id])).toBe('42501')
    expect(await at.tried([bob.entity], turn, [frank.id])).toBe('00000')
  })

  attack('joining a room by writing a row of its members, by upsert', async () => {
    const upsert = `insert into PATH.members (id, owner_id, room_id, member_id, role) values ($1, $2, $3, $4, 'host')
      on conflict (id) do update set room_id = excluded.room_id, member_id = excluded.member_id, role = excluded.role`
    for (const path of ['town', 'reach']) {
      const put = upsert.replace('PATH', path)
      for (const row of [1, 2, 200]) {
        const code = await at.tried([alice.entity], put, [row, alice.id, roomOfBob, alice.id])
        expect(code, `${path} ${row}`).toMatch(/^(42501|23503)$/)
      }
      await at.under([alice.entity], async (c) => {
        await c.query(put, [300, alice.id, roomOfAlice, alice.id])
        expect(await stateOf(c, put, [300, alice.id, roomOfBob, alice.id])).toMatch(
          /^(42501|23503)$/,
        )
        expect(await stateOf(c, put, [300, alice.id, roomOfAlice, frank.id])).toBe('00000')
      })
    }
    expect(
      await at.tried([bob.entity], upsert.replace('PATH', 'town'), [
        1,
        bob.id,
        roomOfBob,
        alice.id,
      ]),
    ).toBe('00000')
  })

  attack(
    'joining a room, or rising in it, by a trigger of the application that writes the row',
    async () => {
      // A membership that is switched on and off by another column, as applications do it before the row is stored.
      await at.db.admin.query(`set role attacks_owner;
      alter table town.members add column on_duty boolean not null default true;
      create function town.on_duty() returns trigger language plpgsql as $$
        begin new.role := case when new.on_duty then 'host' else 'off' end; return new; end $$;
      create trigger on_duty before update of on_duty on town.members for each row execute function town.on_duty();
      reset role`)
      const duty = (on: boolean) => `update reach.members set on_duty = ${on} where id = 1`
      const roles = `select role from tenantry_private.memberships where member_id = '${carol.id}' and container_id = '${roomOfBob}'`
      const before = await ids(at.db.admin, roles)
      try {
        // Carol writes rows of the room, and is no host.
        expect(await at.tried([carol.entity], duty(true))).toBe('42501')
        expect(await ids(at.db.admin, roles)).toEqual(before)
        // What Bob switches off ends at once, and what he switches on is told, too.
        await at.done([bob.entity], (c) => c.query(duty(false)))
        control(await ids(at.db.admin, 'select role from town.members where id = 1')).toEqual([
          'off',
        ])
        expect(await ids(at.db.admin, roles)).toEqual(['off'])
      } finally {
        await at.db.admin.query(
          `drop function town.on_duty() cascade; alter table town.members drop column on_duty; update town.members set role = 'member' where id = 1`,
        )
      }
    },
  )

  attack('a row of members moved to another room', async () => {
    // Dave owns the row that says that he looks on in Bob's room; Carol's is Bob's.
    const move = 'update PATH.members set room_id = $1 where member_id = $2'
    for (const path of ['town', 'reach']) {
      const statement = move.replace('PATH', path)
      expect(await at.tried([dave.entity], statement, [roomOfAlice, dave.id])).toMatch(
        /^(42501|23503)$/,
      )
      expect(await at.tried([bob.entity], statement, [roomOfAlice, carol.id])).toMatch(
        /^(42501|23503)$/,
      )
    }
    // With a room of one's own beside it, the row goes there, and from there no way leads back.
    const made = 'insert into town.rooms (id, owner_id) values ($1, $2)'
    const ofDave = '00000000-0000-4000-8000-0000000000f4'
    await at.under([dave.entity], async (c) => {
      await c.query(made, [ofDave, dave.id])
      const statement = move.replace('PATH', 'town')
      expect((await c.query(statement, [ofDave, dave.id])).rowCount).toBe(1)
      expect(await ids(c, posts)).toEqual(['5'])
      expect(await stateOf(c, statement, [roomOfBob, dave.id])).toMatch(/^(42501|23503)$/)
    })
    expect(await at.seen([dave.entity])).toEqual(['1', '2', '5'])
  })

  attack('a member who raises their own role', async () => {
    const raise = `update PATH.members set role = 'host' where member_id = $1`
    const trash = 'delete from reach.posts where id = 1'
    for (const [who, path] of [
      [dave, 'town'],
      [dave, 'reach'],
      [carol, 'reach'],
    ] as const) {
      const code = await at.tried([who.entity], raise.replace('PATH', path), [who.id])
      expect(code, path).toBe('42501')
    }
    for (const role of ['host', 'member', 'nobody declared this one']) {
      const other = `update town.members set role = $1 where member_id = $2`
      const code = await at.tried([dave.entity], other, [role, dave.id])
      expect(code, role).toBe('42501')
    }
    await at.under([bob.entity], async (c) => {
      expect((await c.query(raise.replace('PATH', 'town'), [carol.id])).rowCount).toBe(1)
    })
    expect((await at.under([carol.entity], (c) => c.query(trash))).rowCount).toBe(0)
  })

  attack('a member who makes others more than they are themselves', async () => {
    // A moderator holds delegate, and no right to delete.
    await joined(frank.id, 'moderator', async () => {
      const values = (role: string) => [frank.id, roomOfBob, alice.id, role]
      expect(await at.tried([frank.entity], insert, values('host'))).toBe('42501')
      expect(await at.tried([frank.entity], insert, values('moderator'))).toBe('00000')
      expect(await at.tried([frank.entity], insert, values('member'))).toBe('00000')
      const raise = `update reach.members set role = 'host' where member_id = $1`
      expect(await at.tried([frank.entity], raise, [frank.id])).toBe('42501')
      const mixed = `insert into town.members (owner_id, room_id, member_id, role)
        values ($1, $2, $3, 'member'), ($1, $2, $1, 'host')`
      expect(await at.tried([frank.entity], mixed, [frank.id, roomOfBob, alice.id])).toBe('42501')
    })
  })

  attack('a role that nobody declared', async () => {
    await joined(alice.id, 'owner', async () => {
      expect(await at.seen([alice.entity])).toEqual(['3', '5'])
      expect(await at.seen([`room:${roomOfBob}`, alice.entity])).toBe('TN004')
    })
    await joined(alice.id, 'viewer', async () => {
      expect(await at.seen([alice.entity])).toEqual(['1', '2', '3', '5'])
      expect(await at.seen([`room:${roomOfBob}`, alice.entity], 'select 1')).toEqual(['1'])
    })
  })

  attack('the room or the member comes back under the same id', async () => {
    const id = '00000000-0000-4000-8000-0000000000f8'
    const anew = `insert into town.rooms (id, owner_id) values ('${id}', $1)`
    await at.db.admin.query('alter table town.members drop constraint members_room_id_fkey')
    await at.db.admin.query(anew, [alice.id])
    await at.db.admin.query(insert, [alice.id, id, frank.id, 'host'])
    const post = `insert into town.posts (owner_id, room_id) values ($1, '${id}')`
    await at.db.admin.query(post, [alice.id])
    const count = `select count(*) from reach.posts where room_id = '${id}'`
    expect(await at.seen([frank.entity], count)).toEqual(['1'])
    // Bob makes a room under the id that Alice's had; the row of its member is still there.
    await at.db.admin.query(`delete from town.rooms where id = '${id}'`)
    await at.db.admin.query(anew, [bob.id])
    await at.db.admin.query(post, [bob.id])
    expect(await at.seen([frank.entity], count)).toEqual(['0'])
    expect(await at.seen([bob.entity], count)).toEqual(['1'])
    await at.db.admin.query(`delete from town.rooms where id = '${id}';
      delete from town.members where room_id = '${id}';
      alter table town.members add foreign key (room_id) references town.rooms on delete cascade`)
  })

  attack('the triggers of memberships called, borrowed or gone around', async () => {
    const import_ = `select tenantry_private.import_members('town.members', 'user', 'room', array['${alice.id}'], array['${roomOfBob}'], array['host'], array[1], false)`
    for (const statement of [
      import_,
      `insert into tenantry_private.memberships select * from tenantry_private.memberships`,
      `update tenantry_private.membership_sources set roles = '{"*": 63}'`,
      `select tenantry.register_membership('town.members', member_column => 'member_id', member_kind => 'user', container_column => 'room_id', container_kind => 'room', roles => '["all"]')`,
      `alter table town.members disable trigger "Asks_tenantry_membership"`,
      `set session_replication_role = replica`,
    ]) {
      expect(await at.tried([alice.entity], statement), statement).toBe('42501')
    }
    // The owner of a table of one's own borrows the trigger: the registry knows no such table.
    const borrower = await at.db.role('borrower', { ordinary: false })
    await at.db.admin.query(`create schema borrowed authorization "${borrower.name}"`)
    const client = await borrower.connect()
    await client.query('create table borrowed.members (like town.members)').catch(() => undefined)
    await client.query(
      'create table if not exists borrowed.members (id bigint, owner_id uuid, room_id uuid, member_id text, role text)',
    )
    const borrow = await state(
      client.query(`create trigger tenantry_membership after insert on borrowed.members
        for each row execute function tenantry_private.follow_membership()`),
    )
    expect(borrow).toBe('00000')
    expect(
      await state(client.query(`insert into borrowed.members (member_id) values ('${alice.id}')`)),
    ).toBe('TN011')
    expect(await at.seen([alice.entity])).toEqual(['3', '5'])
    // The control: a superuser does what the calls would do.
    await at.db.admin.query(import_)
    control(await at.seen([alice.entity])).toEqual(['1', '2', '3', '5'])
    await at.db.admin.query('delete from tenantry_private.memberships where member_id = $1', [
      alice.id,
    ])
  })

  attack('putting a row into a room that one does not reach', async () => {
    const put = 'insert into PATH.posts (owner_id, room_id) values ($1, $2)'
    for (const path of ['town', 'reach']) {
      const post = put.replace('PATH', path)
      expect(await at.tried([alice.entity], post, [alice.id, roomOfBob]), path).toMatch(
        /^(42501|23503)$/,
      )
      expect(await at.tried([dave.entity], post, [dave.id, roomOfBob]), path).toMatch(
        /^(42501|23503)$/,
      )
      expect(await at.tried([carol.entity], post, [bob.id, roomOfBob]), path).toBe('42501')
      expect(await at.tried([carol.entity], post, [carol.id, roomOfBob]), path).toBe('00000')
      const move = `update ${path}.posts set room_id = $1 where id = 3`
      expect(await at.tried([alice.entity], move, [roomOfBob]), path).toMatch(/^(42501|23503)$/)
      expect(await at.tried([alice.entity], move, [null]), path).toBe('00000')
    }
  })

  attack('probing for a room by writing into it', async () => {
    const nowhere = '00000000-0000-4000-8000-0000000000f7'
    const failure = (statement: string, values: unknown[]) =>
      at.under([alice.entity], (c) =>
        c.query(statement, values).then(
          () => 'it succeeded',
          (error: Record<string, unknown>) =>
            ['code', 'message', 'detail', 'hint', 'constraint', 'table'].map((k) => error[k]),
        ),
      )
    for (const path of ['town', 'reach']) {
      for (const [statement, values] of [
        [`insert into ${path}.posts (room_id, owner_id) values ($1, $2)`, [alice.id]],
        [`update ${path}.posts set room_id = $1 where owner_id = $2`, [alice.id]],
        [
          `insert into ${path}.members (room_id, owner_id, member_id, role) values ($1, $2, $3, 'host')`,
          [alice.id, alice.id],
        ],
      ] as const) {
        const foreign = await failure(statement, [roomOfBob, ...values])
        expect(foreign, statement).toEqual(await failure(statement, [nowhere, ...values]))
        expect(foreign, statement).not.toBe('it succeeded')
        expect(await failure(statement, [roomOfAlice, ...values])).toBe('it succeeded')
      }
    }
    // Who looks on is told that it is the right which is missing.
    const post = 'insert into town.posts (owner_id, room_id) values ($1, $2)'
    expect(await at.tried([dave.entity], post, [dave.id, roomOfBob])).toBe('42501')
  })

  attack('a row of the room taken over by a member who may update it', async () => {
    const take = 'update reach.posts set owner_id = $1 where id = 1'
    expect(await at.tried([carol.entity], take, [carol.id])).toBe('42501')
    expect(await at.tried([carol.entity], `update reach.posts set body = 'x' where id = 1`)).toBe(
      '00000',
    )
    // Nor is it taken out of the room, where only Bob would see it.
    expect(
      await at.tried([carol.entity], 'update reach.posts set room_id = null where id = 1'),
    ).toBe('42501')
    expect(await at.seen([bob.entity], ofBob)).toEqual(['1', '4'])
    // Bob holds delegate on his rows, and gives them to whom he may insert for: himself alone.
    expect(await at.tried([bob.entity], take, [carol.id])).toBe('42501')
    const gift = await at.give([carol.entity], bob.entity, { privileges: ['select', 'insert'] })
    expect(await at.tried([bob.entity], take, [carol.id])).toBe('00000')
    await at.done([carol.entity], (c) => c.query('select tenantry.revoke($1)', [gift]))
  })

  attack('somebody else named as who wrote a row', async () => {
    const values = [alice.id, bob.entity]
    const post = 'insert into town.posts (owner_id, posted_by) values ($1, $2) returning posted_by'
    expect(await at.under([alice.entity], (c) => ids(c, post, values))).toEqual([alice.entity])
    const rewrite = 'update PATH.posts set posted_by = $1 where id = $2'
    expect(await at.tried([alice.entity], rewrite.replace('PATH', 'town'), [bob.entity, 3])).toBe(
      '42501',
    )
    expect(
      await at.tried([carol.entity], rewrite.replace('PATH', 'reach'), [carol.entity, 1]),
    ).toBe('42501')
    expect(await at.tried([alice.entity], rewrite.replace('PATH', 'town'), [alice.entity, 3])).toBe(
      '00000',
    )
  })
})
