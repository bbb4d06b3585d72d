import type pg from 'pg'
import { afterAll, beforeAll, describe, expect } from 'vitest'
import { unwatched } from '../extension/support/stage.js'
import { attack, control } from './support/attack.js'
import { type Town, alice, bob, enter, ids, stateOf, town } from './support/town.js'

describe('privileges that row-level security does not bind', () => {
  let at: Town
  beforeAll(async () => {
    at = await town()
  })
  afterAll(() => at.drop())

  const asAlice = (work: (client: pg.Client) => Promise<void>): Promise<void> =>
    at.as(alice.entity, work)

  attack('TRUNCATE, REFERENCES and TRIGGER', async () => {
    await asAlice(async (client) => {
      // The control: a login that was granted everything, as "grant all on all tables" does.
      control(await stateOf(client, 'truncate town.naive_notes')).toBe('00000')
      for (const table of [
        'notes',
        'comments',
        'lines',
        'events',
        'events_low',
        'memos',
        'memos_old',
        'users',
        'agents',
        'countries',
      ]) {
        expect(await stateOf(client, `truncate town.${table} cascade`), table).toBe('42501')
        expect(
          await stateOf(
            client,
            `create trigger t before insert on town.${table} for each row execute function town.leak()`,
          ),
          table,
        ).toMatch(/^42/)
        for (const privilege of ['truncate', 'references', 'trigger']) {
          const has = await ids(
            client,
            `select has_table_privilege('town.${table}', '${privilege}')`,
          )
          expect(has, `${privilege} on ${table}`).toEqual(['false'])
        }
      }
    })
    // What was granted before is taken when the table is protected.
    await at.db.admin.query(`create table town.later (id int, owner_id uuid not null);
      alter table town.later owner to attacks_owner;
      grant all on town.later to public, tenantry_user, "${at.app.name}"`)
    await asAlice(async (client) =>
      expect(await stateOf(client, 'truncate town.later')).toBe('00000'),
    )
    await at.db.admin.query(`select * from tenantry.protect('town.later', 'owner_id', 'user')`)
    await asAlice(async (client) =>
      expect(await stateOf(client, 'truncate town.later')).toBe('42501'),
    )
    await at.db.admin.query('drop table town.later')
    await at.db.admin.query('select * from tenantry.sync()')
  })

  attack('changing the protection itself', () =>
    asAlice(async (client) => {
      for (const sql of [
        'alter table town.notes disable row level security',
        'alter table town.notes no force row level security',
        'drop policy tenantry_select_floor on town.notes',
        'create policy mine on town.notes using (true)',
        'alter policy tenantry_select on town.notes using (true)',
        'alter table town.notes owner to current_user',
        'alter table town.comments disable trigger all',
        'drop trigger tenantry_kind on town.users',
        'alter table town.notes alter column owner_id drop default',
        'create rule r as on insert to town.notes do instead nothing',
        'grant all on town.notes to current_user',
        'alter function tenantry.principal(text, text) owner to current_user',
        'create or replace function tenantry.principal(text, text) returns text language sql return null',
        'drop extension tenantry cascade',
        'drop schema tenantry_private cascade',
        'create or replace view tenantry.kinds as select 1',
      ]) {
        expect(await stateOf(client, sql), sql).toMatch(/^(42501|00000|42704)$/)
        if (sql.startsWith('grant')) continue
        expect(await stateOf(client, sql), sql).not.toBe('00000')
      }
      expect(await ids(client)).toEqual(alice.notes)
      expect(await ids(client, `select has_table_privilege('town.notes', 'truncate')`)).toEqual([
        'false',
      ])
    }),
  )

  attack('a partition or an inheritance child read directly', async () => {
    const children = ['events_low', 'memos_old']
    await asAlice(async (client) => {
      // Through the parent one's own rows are there, wherever they are stored.
      expect(await ids(client, 'select id from town.events order by 1')).toEqual(alice.notes)
      expect(await ids(client, 'select id from town.memos order by 1')).toEqual([
        '1',
        '1',
        '2',
        '2',
      ])
      expect(await ids(client, 'select id from only town.memos order by 1')).toEqual(alice.notes)
      for (const table of children) {
        expect(await stateOf(client, `select from town.${table}`), table).toBe('42501')
        expect(await stateOf(client, `delete from town.${table}`), table).toBe('42501')
      }
    })
    // With a grant they still show nothing: they are under row-level security without a policy.
    await at.db.admin.query('grant all on town.events_low, town.memos_old to tenantry_user')
    await asAlice(async (client) => {
      for (const table of children) {
        expect(await ids(client, `select id from town.${table}`), table).toEqual([])
        expect((await client.query(`delete from town.${table}`)).rowCount, table).toBe(0)
        const insert = `insert into town.${table} values (9, '${bob.id}', 'x')`
        expect(await stateOf(client, insert), table).toBe('42501')
      }
      // But such a grant lets everybody empty the partition, which is the control, and is found.
      control(await stateOf(client, 'truncate town.events_low')).toBe('00000')
    })
    const codes = await ids(at.db.admin, 'select code from tenantry.check()')
    expect(codes.filter((code) => code === 'grant_excess')).toHaveLength(2)
    await at.db.admin.query('select * from tenantry.sync()')
    await asAlice(async (client) => {
      expect(await stateOf(client, 'truncate town.events_low')).toBe('42501')
    })
  })

  attack('a partition attached outside the watched path', async () => {
    await at.db.admin.query(
      unwatched(`create table town.events_high (like town.events);
      alter table town.events_high owner to attacks_owner;
      grant select on town.events_high to tenantry_user;
      insert into town.events_high values (2000, '${bob.id}', 'of bob');
      alter table town.events attach partition town.events_high for values from (1000) to (9000)`),
    )
    await asAlice(async (client) => {
      expect(await ids(client, 'select id from town.events order by 1')).toEqual(alice.notes)
      // Until somebody looks, the new partition is open by its own name.
      expect(await ids(client, 'select id from town.events_high')).toEqual(['2000'])
    })
    const codes = await ids(at.db.admin, `select code from tenantry.check()`)
    expect(codes).toEqual(expect.arrayContaining(['row_security_off', 'grant_excess']))
    await at.db.admin.query('select * from tenantry.sync()')
    expect(await ids(at.db.admin, `select code from tenantry.check()`)).toEqual([])
    await asAlice(async (client) => {
      expect(await stateOf(client, 'select from town.events_high')).toBe('42501')
    })
  })

  attack('a table made outside the watched path', async () => {
    await at.db.admin.query(`create table town.unwatched (id bigint, owner_id uuid);
      insert into town.unwatched values (1, '${bob.id}');
      grant select on town.unwatched to tenantry_user`)
    await asAlice(async (client) => {
      expect(await ids(client, 'select id from town.unwatched')).toEqual(['1'])
    })
    const { rows } = await at.db.admin.query(`select severity, code, object from tenantry.check()`)
    expect(rows).toEqual([
      { severity: 'critical', code: 'table_undeclared', object: 'town.unwatched' },
    ])
    await at.db.admin.query('drop table town.unwatched')
  })

  attack('what the group holds dropped by one of its logins', async () => {
    const drop = 'drop owned by tenantry_user'
    await asAlice(async (client) => {
      expect(await stateOf(client, drop)).toBe('42501')
      expect(await ids(client)).toEqual(alice.notes)
    })
    expect(await ids(at.db.admin, 'select code from tenantry.check()')).toEqual([])
    // The control: PostgreSQL itself has nothing against it.
    await at.db.admin.query('alter event trigger tenantry_after_drop disable')
    await asAlice(async (client) => control(await stateOf(client, drop)).toBe('00000'))
    await at.db.admin.query('alter event trigger tenantry_after_drop enable always')
  })

  attack('the same where no event trigger looks on', async () => {
    await at.db.admin.query('create policy open on town.notes using (true)')
    await at.db.admin.query('alter event trigger tenantry_after_drop disable')
    const client = await at.connect()
    await client.query('drop owned by tenantry_user')
    await at.db.admin.query('alter event trigger tenantry_after_drop enable always')
    // Nobody sees anything of a table by tenantry's policies; by one that permits everything to everybody, all of it.
    await asAlice(async (reader) => {
      expect(await ids(reader, 'select id from town.comments')).toEqual([])
      expect(await ids(reader)).toHaveLength(5)
    })
    expect(await ids(at.db.admin, 'select distinct code from tenantry.check()')).toEqual([
      'policy_missing',
    ])
    await at.db.admin.query('drop policy open on town.notes; select * from tenantry.sync()')
    await asAlice(async (reader) => expect(await ids(reader)).toEqual(alice.notes))
    expect(await ids(at.db.admin, 'select code from tenantry.check()')).toEqual([])
  })

  attack('the audit held up by locks that everybody may take', async () => {
    const attacker = await at.connect()
    const key = `hashtext('tenantry audit')`
    await attacker.query(`select pg_advisory_lock(${key})`)
    await attacker.query('begin')
    expect(
      await stateOf(attacker, 'lock table tenantry_private.audit_entries in access share mode'),
    ).toBe('42501')
    await asAlice(async (client) => {
      await client.query(`set local lock_timeout = '2s'`)
      expect(await stateOf(client, `select tenantry.delegate('${bob.entity}')`)).toBe('00000')
      // The control: such a lock does hold up whoever wants the same.
      control(await stateOf(client, `select pg_advisory_xact_lock(${key})`)).toBe('55P03')
    })
    await attacker.query('rollback')
    await attacker.query('select pg_advisory_unlock_all()')
  })

  attack('the audit held up by a transaction that is left open', async () => {
    const attacker = await at.connect()
    await attacker.query('begin')
    await enter(attacker, at.credential(bob.entity))
    await attacker.query(`select tenantry.delegate('${alice.entity}')`)
    await asAlice(async (client) => {
      await client.query(`set local lock_timeout = '200ms'`)
      expect(await stateOf(client, `select tenantry.delegate('${bob.entity}')`)).toBe('55P03')
    })
    await attacker.query('rollback')
  })

  attack('a rollout or a rotation held up by a lock that everybody may take', async () => {
    const attacker = await at.connect()
    await attacker.query(
      `select pg_advisory_lock(hashtext('tenantry ' || 'town.notes'::regclass::oid || ' rollout')::bigint)`,
    )
    const { rows } = await attacker.query<{ pid: number }>('select pg_backend_pid() as pid')
    const told = await at.db.admin
      .query(`select tenantry_private.lock_job('town.notes', 'rollout')`)
      .catch((error: Error) => error.message)
    expect(told).toContain(`process ${rows[0]?.pid} (${at.app.name}`)
    await attacker.query('select pg_advisory_unlock_all()')
  })

  attack('locking a table for everybody', () =>
    asAlice(async (client) => {
      // Whoever may write a table may lock it: PostgreSQL knows no privilege that takes this away.
      expect(await stateOf(client, 'lock table town.notes in access exclusive mode')).toBe('00000')
      expect(await stateOf(client, 'lock table town.events_low in access exclusive mode')).toBe(
        '42501',
      )
    }),
  )
})
