import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type pg from 'pg'
import { testDatabase, type TestDatabase, type TestRole } from '../support/database.js'
import { skipWithReason } from '../support/skip.js'
import { installedBy, paths } from './support/installation.js'
import {
  claims,
  entered,
  issuerKey,
  keyId,
  makeNotes,
  protectNotes,
  token,
} from './support/notes.js'
import { clientProgram, noClientPrograms, run } from './support/programs.js'
import { expectRefusal } from './support/refusal.js'

const keys = `
  select (select count(*)::int from tenantry_private.signing_keys) as signing,
         (select count(*)::int from tenantry_private.issuer_keys) as issuers`
const mine = 'select body from app.notes order by 1'

describe.each(paths)('a dump of a protected database, installed by %s', (path) => {
  let source: TestDatabase
  let target: TestDatabase
  let owner: TestRole
  let app: TestRole
  let folder: string
  let open: pg.Client | undefined

  beforeEach(async (ctx) => {
    source = await testDatabase({ template: installedBy(path) })
    target = await testDatabase({ empty: true })
    folder = mkdtempSync(join(tmpdir(), 'tenantry-dump-'))
    if (clientProgram('pg_dump', source.major) === null) skipWithReason(ctx, noClientPrograms)
    owner = await source.role('owner', { ordinary: false })
    await makeNotes(source.admin, owner)
    await protectNotes(source.admin)
    await source.admin.query(`
      select tenantry.manage_schema('app');
      select tenantry.register_kind('ghost', 'app.countries', id_column => 'code');
      select tenantry.register_service('ghost:at', 'user');
      select tenantry.configure('on_missing_context', 'error');
      delete from app.countries where code = 'pt'`)
    app = await source.role('app', { allow: 'user' })
  })
  afterEach(async () => {
    await open?.end()
    open = undefined
    await target.drop()
    await source.drop()
    rmSync(folder, { recursive: true, force: true })
  })

  function dumpAndRestore(): void {
    const file = join(folder, 'dump')
    run(clientProgram('pg_dump', source.major) ?? '', ['-Fc', '-f', file, source.url()])
    run(clientProgram('pg_restore', source.major) ?? '', [
      '-1',
      '--exit-on-error',
      '-d',
      target.url(),
      file,
    ])
  }

  it('restores whole, isolates again, and asks for what a dump cannot carry', async () => {
    dumpAndRestore()

    // A dump of the extension carries every declaration and no key. Installed by script, tenantry's tables
    // are tables like any other, and their keys travel in the dump.
    expect((await target.admin.query(keys)).rows).toEqual([
      path === 'extension' ? { signing: 0, issuers: 0 } : { signing: 1, issuers: 1 },
    ])
    const login = { connectionString: app.url.replace(source.name, target.name) }
    const client = await app.connect(login)
    open = client
    expect((await client.query('select current_database() as db')).rows).toEqual([
      { db: target.name },
    ])
    const forSource = token(claims(source, 'user:1'))
    const forTarget = token(claims(target, 'user:1'))
    const enter = (credential: string) => client.query('select tenantry.enter($1)', [credential])
    if (path === 'extension') {
      const error = await expectRefusal(enter(forTarget), 'TN011', /no key/)
      expect(error.hint).toContain('tenantry.initialise()')
    }
    await target.admin.query('select * from tenantry.sync()')
    await target.admin.query('select tenantry.initialise()')
    if (path === 'extension') await expectRefusal(enter(forTarget), 'TN008', /signature/)
    await target.admin.query('select tenantry.register_issuer($1, $2)', [keyId, issuerKey])
    await expectRefusal(enter(forSource), 'TN008', /another database/)
    // What belongs to the database rather than into it is granted anew: check() says how.
    const findings = await target.admin.query<{ code: string; fix: string }>(
      `select code, fix from tenantry.check() where code <> 'server_outdated'`,
    )
    expect(findings.rows.map(({ code }) => code).sort()).toEqual([
      'login_search_path',
      'temporary_privilege',
    ])
    for (const { fix } of findings.rows) await target.admin.query(fix)
    expect(
      (await target.admin.query(`select * from tenantry.check() where code <> 'server_outdated'`))
        .rows,
    ).toEqual([])

    await expectRefusal(client.query(mine), 'TN001')
    for (const [who, body] of [
      ['user:1', 'note of one'],
      ['user:2', 'note of two'],
    ] as const) {
      const seen = await entered(client, token(claims(target, who)), () => client.query(mine))
      expect(seen.rows).toEqual([{ body }])
    }
    await expectRefusal(
      entered(client, forTarget, () => client.query(`insert into app.notes (owner_id) values (2)`)),
      '42501',
    )
    const served = token(claims(target, 'user:2', { act: { sub: 'ghost:at' } }))
    expect((await entered(client, served, () => client.query(mine))).rows).toEqual([
      { body: 'note of two' },
    ])
    // Triggers follow the tables, serials do not collide, owners default and are filled.
    await target.admin.query(
      `set role "${owner.name}"; insert into app.countries values ('de'); reset role`,
    )
    const inserted = await entered(client, forTarget, async () => {
      await client.query(`insert into app.notes (id, body) values (100, 'new')`)
      await client.query(`insert into app.pages (id, note_id) values (100, 100)`)
      return client.query(`select owner_id from app.pages where id = 100`)
    })
    expect(inserted.rows).toEqual([{ owner_id: 1 }])
    const entities = `select kind, id, gone_at is null as alive from tenantry_private.entities where kind = 'ghost' order by 2`
    expect((await target.admin.query(entities)).rows).toEqual([
      { kind: 'ghost', id: 'at', alive: true },
      { kind: 'ghost', id: 'de', alive: true },
      { kind: 'ghost', id: 'pt', alive: false },
    ])
  })

  it('lets the same entities reach the same rows, and gives and takes as before', async () => {
    await source.admin.query(`
      set role "${owner.name}";
      create table app.rooms (id int primary key, owner_id int not null references app.users);
      create table app.room_members (id int primary key, owner_id int not null references app.users, room_id int references app.rooms, user_id int, role text);
      create table app.posts (id int primary key, owner_id int not null references app.users, room_id int references app.rooms, is_public boolean not null default false);
      reset role;
      insert into app.users select n, 'user ' || n from generate_series(3, 4) n;
      insert into app.rooms values (1, 1), (2, 2);
      insert into app.room_members values (1, 1, 1, 2, 'viewer'), (2, 2, 2, 2, 'host');
      insert into app.posts values (1, 1, 1, false), (2, 2, 2, false), (3, 1, null, false), (4, 2, null, true);
      select tenantry.register_kind('room', 'app.rooms', owner_column => 'owner_id', owner_kind => 'user');
      select tenantry.register_membership('app.room_members', member_column => 'user_id', member_kind => 'user', container_column => 'room_id', container_kind => 'room',
        role_column => 'role', roles => '{"host": ["all"], "viewer": ["select"]}');
      select tenantry.protect('app.rooms', 'owner_id', 'user');
      select tenantry.protect('app.room_members', 'owner_id', 'user', shared_by => '{"room_id": "room"}');
      select tenantry.protect('app.posts', 'owner_id', 'user', shared_by => '{"room_id": "room"}', public_when => 'is_public')`)
    const gifts = [
      `tenantry.delegate('user:3', '{select,delegate}', redelegate => 1)`,
      `tenantry.delegate('user:4', for_entity => 'user:1', expires_at => now() + interval '1 hour')`,
      `tenantry.delegate('user:4', '{select}', tables => '{app.notes}')`,
    ]
    for (const [who, gift] of [
      ['user:1', gifts[0]],
      ['user:3', gifts[1]],
      ['user:2', gifts[2]],
      ['user:2', `tenantry.delegate('user:3', '{select,update}')`],
      ['user:2', `tenantry.revoke(to_entity => 'user:3')`],
    ]) {
      await source.admin.query(`begin; select tenantry.assume('${who}'); select ${gift}; commit`)
    }
    const everybody = ['user:1', 'user:2', 'user:3', 'user:4', 'room:1', 'anonymous:anonymous']
    /** What each reaches, who may act for user 1 and 2, and what is on record. */
    const answers = async (db: TestDatabase, connect: () => Promise<pg.Client>) => {
      const client = await connect()
      const found: Record<string, unknown> = {}
      for (const who of everybody) {
        found[who] = await entered(client, token(claims(db, who)), async () => [
          (await client.query('select id from reach.posts order by 1')).rows,
          (await client.query('select id, body from reach.notes order by 1')).rows,
          (await client.query('update reach.posts set is_public = is_public')).rowCount,
          (
            await client.query(
              'select from_entity, to_entity, for_entity, privileges, tables::text[], redelegate, state from tenantry.delegations order by given_at',
            )
          ).rows,
        ])
      }
      for (const who of ['user:3', 'user:4'])
        for (const principal of ['user:1', 'user:2']) {
          const acting = token(claims(db, principal, { act: { sub: who } }))
          found[`${who} for ${principal}`] = await entered(
            client,
            acting,
            async () => (await client.query('select id from app.posts order by 1')).rows,
          ).catch((error: { code: string }) => error.code)
        }
      await client.end()
      return found
    }
    await source.admin.query('select tenantry.initialise()')
    const before = await answers(source, () => app.connect())
    expect((before['user:4'] as unknown[]).slice(0, 2)).toMatchObject([
      [{ id: 1 }, { id: 3 }, { id: 4 }],
      [{ id: '1' }, { id: '2' }],
    ])
    expect(before['user:3 for user:1']).toEqual([{ id: 1 }, { id: 3 }])
    expect(before['user:3 for user:2']).toBe('TN004')

    dumpAndRestore()
    await target.admin.query('select * from tenantry.sync()')
    await target.admin.query('select tenantry.initialise()')
    await target.admin.query('select tenantry.register_issuer($1, $2)', [keyId, issuerKey])
    const login = { connectionString: app.url.replace(source.name, target.name) }
    expect(await answers(target, () => app.connect(login))).toEqual(before)
    // The audit follows from its beginning, and memberships are followed.
    const audit = await target.admin.query('select broken_at from tenantry_private.audit_state()')
    expect(audit.rows).toEqual([{ broken_at: null }])
    const client = await app.connect(login)
    open = client
    const posts = 'select id from reach.posts order by 1'
    const join = `insert into app.room_members (id, owner_id, room_id, user_id, role) values (9, $1, 1, 3, 'viewer')`
    const as = (who: string, work: () => Promise<unknown>) =>
      entered(client, token(claims(target, who)), work)
    await expectRefusal(
      as('user:3', () => client.query(join, [3])),
      '42501',
    )
    await as('user:1', () => client.query(join, [1]))
    await target.admin.query(`delete from app.room_members where user_id = 2 and room_id = 1`)
    await as('user:2', async () => {
      expect((await client.query(posts)).rows).toEqual([{ id: 2 }, { id: 4 }])
    })
    await as('user:1', async () => {
      expect((await client.query(`select tenantry.revoke(to_entity => 'user:3')`)).rows).toEqual([
        { revoke: 2 },
      ])
      await client.query('commit')
      await client.query('begin')
    })
    await as('user:4', async () => {
      expect((await client.query(posts)).rows).toEqual([{ id: 4 }])
    })
    const { rows } = await target.admin.query<{ code: string }>(
      `select code from tenantry.check() where code <> 'server_outdated'`,
    )
    expect(
      rows.map(({ code }) => code).filter((code) => !/search_path|temporary/.test(code)),
    ).toEqual([])
  })

  it('is the same after a second round', async () => {
    dumpAndRestore()
    await target.admin.query('select * from tenantry.sync()')
    const second = await testDatabase({ empty: true })
    const file = join(folder, 'second')
    run(clientProgram('pg_dump', source.major) ?? '', ['-Fc', '-f', file, target.url()])
    run(clientProgram('pg_restore', source.major) ?? '', [
      '-1',
      '--exit-on-error',
      '-d',
      second.url(),
      file,
    ])
    const declared = `
      select relation::text, class, owner_column, owner_kind, owner_from, parent::text, tag, expressions
        from tenantry_private.tables order by 1`
    expect((await second.admin.query(declared)).rows).toEqual(
      (await source.admin.query(declared)).rows,
    )
    expect((await second.admin.query('select * from tenantry.sync(dry_run => true)')).rows).toEqual(
      (await target.admin.query('select * from tenantry.sync(dry_run => true)')).rows,
    )
    await second.drop()
  })
})
