import type pg from 'pg'
import { afterAll, beforeAll, describe, expect } from 'vitest'
import { attack, control } from './support/attack.js'
import { type Town, alice, ids, state, town } from './support/town.js'

describe('reaching for the powers of tenantry, of its admins or of a superuser', () => {
  let at: Town
  beforeAll(async () => {
    at = await town()
  })
  afterAll(() => at.drop())

  const isSuperuser = async (role: string): Promise<boolean> =>
    (await ids(at.db.admin, 'select rolsuper from pg_roles where rolname = $1', [role]))[0] ===
    'true'

  /** A login that owns a schema of its own, and is an admin if told so. */
  async function owner(name: string, admin = false): Promise<{ role: string; client: pg.Client }> {
    const { name: role, connect } = await at.db.role(name, {
      ordinary: false,
      ...(admin ? { allow: 'admin' as const } : {}),
    })
    await at.db.admin.query(`create schema ${name} authorization "${role}"`)
    return { role, client: await connect() }
  }

  attack('a search_path that runs as SQL when the login is allowed again', async () => {
    const client = await at.connect()
    const evil = `x;alter/**/role/**/"${at.app.name}"/**/superuser;--`
    await client.query(`select set_config('search_path', $1, false)`, [evil])
    await client.query('alter role current_user set search_path from current')
    await client.query(
      `alter role current_user in database "${at.db.name}" set search_path from current`,
    )
    // The control: the setting really reads like this, and was pasted once.
    const stored = await ids(at.db.admin, `select unnest(setconfig) from pg_db_role_setting`)
    control(stored).toContain(`search_path=${evil}`)
    const { rows } = await at.db.admin.query<{ fix: string }>(
      `select fix from tenantry.check() where code = 'login_search_path'`,
    )
    for (const { fix } of rows) await at.db.admin.query(fix)
    expect(await isSuperuser(at.app.name)).toBe(false)
    expect(await ids(at.db.admin, `select code from tenantry.check()`)).toEqual([])
    await at.db.admin.query(
      `alter role "${at.app.name}" in database "${at.db.name}" reset search_path`,
    )
    await at.db.admin.query(`alter role "${at.app.name}" reset search_path`)
    await at.db.admin.query('select * from tenantry.allow($1)', [at.app.name])
  })

  attack('a cast of one’s own that runs as tenantry when a kind’s row is written', async () => {
    const { client } = await owner('thief')
    await client.query(`create table thief.people (id uuid primary key);
      create table thief.loot (said text); grant insert on thief.loot to public; grant usage on schema thief to public`)
    await at.db.admin.query(`select tenantry.register_kind('person', 'thief.people')`)
    await client.query(`create type thief.evil as enum ('x');
      create function thief.evil_json(thief.evil) returns json language plpgsql as $$
        begin insert into thief.loot values (current_user); return '1'; end $$;
      create function thief.evil_text(thief.evil) returns text language plpgsql as $$
        begin insert into thief.loot values (current_user); return 'x'; end $$;
      create cast (thief.evil as json) with function thief.evil_json(thief.evil);
      create cast (thief.evil as text) with function thief.evil_text(thief.evil);
      alter table thief.people add column e thief.evil`)
    expect(
      await state(client.query(`insert into thief.people values (gen_random_uuid(), 'x')`)),
    ).toBe('00000')
    expect(await ids(client, 'select said from thief.loot')).toEqual([])
    // The control: the casts do run, as whoever turns the value into JSON or text.
    await client.query(`select to_json(e), e::text from thief.people`)
    control(await ids(client, 'select said from thief.loot')).toHaveLength(2)
    await client.query('delete from thief.loot')
    // The id itself of such a type is refused, not turned into text.
    const dropped = 'alter table thief.people drop column id cascade'
    expect(await state(client.query(dropped))).toBe('42501')
    await at.db.admin.query(dropped)
    await client.query('alter table thief.people add column id thief.evil unique')
    await state(client.query(`insert into thief.people (id) values ('x')`))
    await state(at.db.admin.query('select * from tenantry.sync()'))
    expect(await ids(client, 'select said from thief.loot')).toEqual([])
    await at.db.admin.query(
      `drop table thief.people; select * from tenantry.sync(); select tenantry.unregister_kind('person')`,
    )
  })

  /** Types of somebody's, whose casts and checks say as whom they run. */
  const traps = `create table SCHEMA.loot (said text); grant insert on SCHEMA.loot to public; grant usage on schema SCHEMA to public;
    create type SCHEMA.evil as enum ('x');
    create function SCHEMA.evil_json(SCHEMA.evil) returns json language plpgsql as $$
      begin insert into SCHEMA.loot values (current_user); return '1'; end $$;
    create function SCHEMA.evil_text(SCHEMA.evil) returns text language plpgsql as $$
      begin insert into SCHEMA.loot values (current_user); return 'x'; end $$;
    create function SCHEMA.evil_check(text) returns boolean language plpgsql as $$
      begin insert into SCHEMA.loot values (current_user); return true; end $$;
    create cast (SCHEMA.evil as json) with function SCHEMA.evil_json(SCHEMA.evil);
    create cast (SCHEMA.evil as text) with function SCHEMA.evil_text(SCHEMA.evil);
    create domain SCHEMA.checked as text check (SCHEMA.evil_check(value))`

  attack('types of one’s own that run as tenantry when an actor is recorded', async () => {
    const { client } = await owner('scribe')
    await client.query(traps.replaceAll('SCHEMA', 'scribe'))
    await at.db.admin.query('grant references on town.users to public')
    await client.query(
      `create table scribe.posts (id bigint generated always as identity primary key, owner_id uuid not null, posted_by text)`,
    )
    await at.db.admin.query(
      `select tenantry.protect('scribe.posts', 'owner_id', 'user', actor_column => 'posted_by')`,
    )
    await client.query(`alter table scribe.posts add column e scribe.evil default 'x'`)
    const write = `insert into scribe.posts default values; update scribe.posts set e = 'x'`
    await at.as(alice.entity, (reader) => reader.query(write), true)
    expect(await ids(client, 'select said from scribe.loot')).toEqual([])
    expect(await ids(at.db.admin, 'select posted_by from scribe.posts')).toEqual([alice.entity])
    // The control: the casts do run, as whoever turns the row into JSON.
    await at.db.admin.query(`select to_jsonb(p) from scribe.posts p`)
    control(await ids(at.db.admin, 'select said from scribe.loot')).toHaveLength(1)
    // A column for the actor whose check is code of its owner's, or that is gone, is not written to.
    await client.query('alter table scribe.posts alter posted_by type scribe.checked')
    await client.query('delete from scribe.loot')
    expect(await at.as(alice.entity, (reader) => state(reader.query(write)))).toBe('TN011')
    expect(await ids(client, 'select said from scribe.loot')).toEqual([])
    expect(
      await state(
        at.db.admin.query(
          `select tenantry.protect('scribe.posts', 'owner_id', 'user', actor_column => 'posted_by')`,
        ),
      ),
    ).toBe('TN011')
    control(
      await at.as(alice.entity, (reader) =>
        state(reader.query(`select 'x'::scribe.checked from scribe.posts`)),
      ),
    ).toBe('00000')
    await client.query(
      'alter table scribe.posts alter posted_by type text; alter table scribe.posts rename posted_by to by',
    )
    expect(await at.as(alice.entity, (reader) => state(reader.query(write)))).toBe('TN011')
    await client.query('drop table scribe.posts')
  })

  attack('types of one’s own that run as tenantry when a secret is sealed', async () => {
    const { client } = await owner('forger')
    await client.query(traps.replaceAll('SCHEMA', 'forger'))
    await client.query(
      `create table forger.safes (e forger.evil, id uuid, owner_id uuid not null, secret text, primary key (id, e))`,
    )
    const share = Buffer.alloc(32, 7)
    await at.db.admin.query('select tenantry.create_master_key($1)', [share])
    await at.db.admin.query(`select tenantry.protect('forger.safes', 'owner_id', 'user');
      select tenantry.encrypt_column('forger.safes', 'secret')`)
    await at.db.admin.query('delete from forger.loot')
    const client_ = await at.connect()
    await client_.query('begin')
    await client_.query('select tenantry.enter($1, $2)', [at.credential(alice.entity), share])
    await client_.query(
      `insert into forger.safes (e, id, secret) values ('x', gen_random_uuid(), '4711')`,
    )
    expect(await ids(client_, 'select secret from tenant.safes')).toEqual(['4711'])
    await client_.query('commit')
    expect(await ids(at.db.admin, 'select said from forger.loot')).toEqual([])
    // The control: the cast does run, as whoever turns the value into text.
    await at.db.admin.query('select e::text from forger.safes')
    control(await ids(at.db.admin, 'select said from forger.loot')).toHaveLength(1)
    await client.query('drop table forger.safes')
  })

  attack('a view, or somebody else’s table, declared as a kind by an admin', async () => {
    const { role, client } = await owner('climber', true)
    await client.query(`create function climber.climb() returns text language plpgsql as $$
        begin
          if (select rolsuper from pg_roles where rolname = current_user) then
            execute format('alter role %I superuser', '${role}');
          end if;
          return 'x';
        end $$;
      create view climber.ladder as select climber.climb() as id`)
    const record = (target: string, column: string): Promise<unknown> =>
      client.query(
        `select tenantry_private.record_kind('rung', '${target}', '${column}', null, null, false)`,
      )
    for (const [target, column] of [
      ['climber.ladder', 'id'],
      ['pg_authid', 'rolpassword'],
      ['town.open_notes', 'id'],
    ] as const) {
      expect(await state(record(target, column)), target).toMatch(/^(42501|TN011)$/)
      expect(
        await state(
          client.query(`select tenantry.register_kind('rung', '${target}', '${column}')`),
        ),
        target,
      ).toMatch(/^(42501|TN011)$/)
    }
    await at.db.admin.query('select * from tenantry.sync()')
    expect(await isSuperuser(role)).toBe(false)
    // The control: the view would do it for any superuser who reads it.
    await at.db.admin.query('select * from climber.ladder')
    control(await isSuperuser(role)).toBe(true)
    await at.db.admin.query(`alter role "${role}" nosuperuser`)
  })

  attack('somebody else’s table opened through the registry by an admin', async () => {
    const { role, client } = await owner('opener', true)
    await at.db.admin
      .query(`create table opener.private (x text); insert into opener.private values ('of the superuser');
      grant usage on schema town to "${role}"`)
    for (const [table, error] of [
      ['opener.private', /^(42501|TN011)$/],
      ['town.open_notes', /^(42501|TN011)$/],
    ] as const) {
      expect(
        await state(client.query(`select * from tenantry.share('${table}', array['${role}'])`)),
        table,
      ).toMatch(error)
      const declaration = `jsonb_build_object('relation', '${table}'::regclass::oid::text, 'class', 'shared', 'tag', 'x',
        'writers', array['${role}'], 'unchecked_references', '{}'::text[], 'before', '{}'::jsonb)`
      expect(
        await state(
          client.query(
            `select tenantry_private.record_table(jsonb_populate_record(null::tenantry_private.tables, ${declaration}))`,
          ),
        ),
        table,
      ).toMatch(error)
    }
    // Nor is one that does not exist yet, whose number may be guessed.
    const next = `jsonb_build_object('relation', '4000000000', 'class', 'shared', 'writers', array['${role}'],
      'unchecked_references', '{}'::text[], 'before', '{}'::jsonb)`
    expect(
      await state(
        client.query(
          `select tenantry_private.record_table(jsonb_populate_record(null::tenantry_private.tables, ${next}))`,
        ),
      ),
    ).toBe('TN011')
    // Nor is a table of another owner taken out of sight.
    const exempt = `jsonb_build_object('relation', 'town.notes'::regclass::oid::text, 'class', 'exempt', 'reason', 'x',
      'writers', '{}'::text[], 'unchecked_references', '{}'::text[], 'before', '{}'::jsonb)`
    for (const call of [
      `tenantry_private.record_table(jsonb_populate_record(null::tenantry_private.tables, ${exempt}))`,
      `tenantry_private.forget_table('town.notes')`,
    ]) {
      expect(await state(client.query(`select ${call}`)), call).toBe('42501')
    }
    await at.db.admin.query('select * from tenantry.sync()')
    expect(await state(client.query('table opener.private'))).toBe('42501')
    await at.db.admin.query('drop table opener.private')
  })

  attack('the halves of functions that an admin may call', async () => {
    const { client } = await owner('prober', true)
    for (const call of [
      `tenantry_private.opened('c1', 'x', '', null)`,
      `tenantry_private.current_signer()`,
      `tenantry_private.hmac_sha256('x', 'y')`,
      `tenantry_private.issuer_of('x')`,
      `tenantry_private.login_refusal()`,
      `tenantry_private.follow_kind()`,
    ]) {
      expect(await state(client.query(`select ${call}`)), call).toMatch(/^(42501|0A000)$/)
    }
    // Not even an admin reads a key, whatever a debugging setting prints.
    expect(await state(client.query('select * from tenantry_private.issuer_keys'))).toBe('42501')
    expect(await state(client.query('select secret from tenantry.issuers'))).toBe('42703')
    expect(
      await state(client.query(`alter function tenantry.check(text) owner to current_user`)),
    ).toBe('42501')
    expect(
      await state(
        client.query(`create function tenantry.mine() returns int language sql return 1`),
      ),
    ).toBe('42501')
    expect(await state(client.query('set role tenantry_owner'))).toBe('42501')
  })

  attack('an admin of another database who asks what is declared here', async () => {
    const { name, connect } = await at.db.role('elsewhere', { ordinary: false })
    await at.db.admin.query(`grant tenantry_admin to "${name}"`)
    const client = await connect()
    // Roles belong to the cluster, and so does what the group may call: what is declared can be asked,
    const known = `select * from tenantry_private.known_ids('user', array['${alice.id}', 'nobody'])`
    expect(await ids(client, known)).toEqual([alice.id])
    expect(await ids(client, 'select role_name from tenantry_private.allowed_logins()')).toContain(
      at.app.name,
    )
    // and nothing is read, entered or changed.
    for (const sql of [
      `select tenantry.assume('${alice.entity}')`,
      `select tenantry.register_entity('user:mallory')`,
      `select tenantry.register_issuer('mine', sha256('mine'))`,
      `select tenantry.configure('audience', 'mine')`,
      'select * from tenantry.allow(session_user)',
      'select * from tenantry.sync()',
      'select * from tenantry.unprotect($$town.notes$$)',
      'select * from town.notes',
      'select * from tenantry_private.signing_keys',
    ]) {
      expect(await state(client.query(sql)), sql).toBe('42501')
    }
    const own = await (await at.db.role('stranger')).connect()
    expect(await state(own.query(known)), 'nor by others').toBe('42501')
  })
})
