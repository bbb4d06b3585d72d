import type pg from 'pg'
import { afterAll, beforeAll, describe, expect } from 'vitest'
import { attack, control } from './support/attack.js'
import { type Town, alice, bob, ids, stateOf, town } from './support/town.js'

const missing = 987654

describe('foreign keys, unique keys and sequences as a way to others', () => {
  let at: Town
  beforeAll(async () => {
    at = await town()
  })
  afterAll(() => at.drop())

  /** SQLSTATE, message and detail: everything that a client learns from a failure. */
  async function told(client: pg.Client, sql: string, values: unknown[]): Promise<string> {
    await client.query('savepoint telling')
    try {
      await client.query(sql, values)
      return 'done'
    } catch (error) {
      const { code, message, detail, constraint } = error as pg.DatabaseError
      return [code, message, detail, constraint]
        .join('|')
        .replaceAll(`(${String(values[0])})`, '(?)')
    } finally {
      await client.query('rollback to savepoint telling')
    }
  }

  attack('pointing at a foreign row', () =>
    at.as(alice.entity, async (client) => {
      // The control: PostgreSQL's own foreign key points anywhere.
      control(await stateOf(client, 'insert into town.comments (open_id) values (3)')).toBe('00000')
      expect(await stateOf(client, 'insert into town.comments (note_id) values (1)')).toBe('00000')
      expect(await stateOf(client, 'insert into town.comments (note_id) values (3)')).toBe('23503')
      expect(await stateOf(client, 'insert into town.comments (note_id) values (1), (3)')).toBe(
        '23503',
      )
      expect(await stateOf(client, 'update town.comments set note_id = 3 where id = 1')).toBe(
        '23503',
      )
      expect(await stateOf(client, `update town.comments set body = 'still mine'`)).toBe('00000')
      expect(
        await stateOf(
          client,
          `insert into town.comments (id, note_id) overriding system value values (1, 1)
             on conflict (id) do update set note_id = 3`,
        ),
      ).toBe('23503')
      expect(await stateOf(client, `insert into town.lines (id, note_id) values (9, 1)`)).toBe(
        '00000',
      )
      expect(await stateOf(client, `insert into town.lines (id, note_id) values (9, 3)`)).toBe(
        '23503',
      )
      expect(await stateOf(client, `update town.lines set note_id = 3`)).toBe('23503')
      expect(
        await stateOf(client, `insert into town.lines (id, note_id, owner_id) values (9, 3, null)`),
      ).toMatch(/^(23502|42501)$/)
      expect(
        await stateOf(
          client,
          `insert into town.lines (id, note_id, owner_id) values (9, 3, '${bob.id}')`,
        ),
      ).toBe('42501')
    }),
  )

  attack('probing for a foreign row by a foreign key', () =>
    at.as(alice.entity, async (client) => {
      const probe = 'insert into town.comments (note_id) values ($1)'
      expect(await told(client, probe, [3])).toBe(await told(client, probe, [missing]))
      const move = 'update town.comments set note_id = $1 where id = 1'
      expect(await told(client, move, [3])).toBe(await told(client, move, [missing]))
      // The control: the open table tells the two apart.
      const open = 'insert into town.comments (open_id) values ($1)'
      control(await told(client, open, [3])).not.toBe(await told(client, open, [missing]))
    }),
  )

  attack('probing for a foreign parent by the name of the key that fails', () =>
    at.as(alice.entity, async (client) => {
      // Two keys lead to the parent; PostgreSQL says which failed. The SQLSTATE is the same.
      const probe = 'insert into town.lines (id, note_id) values (9, $1)'
      const [foreign, none] = [await told(client, probe, [3]), await told(client, probe, [missing])]
      expect(foreign.slice(0, 5)).toBe(none.slice(0, 5))
      expect(foreign).toContain('tenantry_owner_fkey')
      expect(none).not.toContain('tenantry_owner_fkey')
    }),
  )

  attack('cascading into foreign rows', async () => {
    // Rows of bob that point at alice's, from before there was protection.
    await at.db.admin
      .query(`insert into town.comments (id, owner_id, note_id, open_id) overriding system value
      values (50, '${bob.id}', 2, null), (51, '${bob.id}', null, 1)`)
    await at.as(alice.entity, async (client) => {
      // An open parent is a way to delete others' rows, and so is what points across from before.
      await client.query('delete from town.open_notes where id = 1')
      expect(await ids(at.db.admin, 'select id from town.comments where id = 51')).toEqual(['51'])
      expect(await stateOf(client, 'delete from town.notes where id = 2')).toBe('00000')
    })
    // Nobody can make such a row any more, and no cascade starts from a row that is not one's own.
    await at.as(bob.entity, async (client) => {
      expect(await stateOf(client, 'insert into town.comments (note_id) values (2)')).toBe('23503')
    })
    await at.as(alice.entity, async (client) => {
      expect((await client.query('delete from town.notes where id = 3')).rowCount).toBe(0)
      expect((await client.query('update town.notes set id = 333 where id = 3')).rowCount).toBe(0)
    })
    await at.db.admin.query('delete from town.comments where id in (50, 51)')
  })

  attack('changing the key that one’s own rows are pointed at by', () =>
    at.as(alice.entity, async (client) => {
      expect(await stateOf(client, 'update town.notes set id = 3 where id = 1')).toMatch(/^23/)
      expect(await stateOf(client, 'update town.notes set id = 777 where id = 2')).toBe('00000')
    }),
  )

  attack('a unique key as an oracle', () =>
    at.as(alice.entity, async (client) => {
      // A unique key holds across owners, so that a collision tells that a value is taken; never by whom.
      const insert = `insert into town.notes (slug, body) values ($1, 'x')`
      const taken = await told(client, insert, ['b1'])
      expect(taken).toContain('23505')
      expect(taken).not.toContain(bob.id)
      expect(taken, 'PostgreSQL leaves the values out under row-level security').not.toContain(
        'already exists',
      )
      expect(await told(client, insert, ['free'])).toBe('done')
      const quiet = `insert into town.notes (slug, body) values ($1, 'x') on conflict do nothing`
      expect((await client.query(quiet, ['b1'])).rowCount).toBe(0)
      // The control: the open table says more.
      const open = await told(
        client,
        `insert into town.open_notes (slug, body, owner_id) values ($1, 'x', '${alice.id}')`,
        ['b1'],
      )
      control(open).toContain('already exists')
    }),
  )

  attack('a sequence as a counter of everybody’s rows', async () => {
    const number = (client: pg.Client): Promise<string[]> =>
      ids(
        client,
        `insert into town.notes (slug, body) values (gen_random_uuid()::text, 'x') returning id`,
      )
    const before = await at.as(alice.entity, number)
    await at.as(bob.entity, number)
    await at.as(bob.entity, number)
    const after = await at.as(alice.entity, number)
    // Two numbers are missing: alice can tell that two rows were made, not whose they are.
    expect(Number(after[0]) - Number(before[0])).toBe(3)
    await at.as(alice.entity, async (client) => {
      expect(await stateOf(client, `select setval('town.notes_id_seq', 1)`)).toBe('42501')
      expect(await stateOf(client, `alter sequence town.notes_id_seq restart`)).toBe('42501')
    })
  })
})
