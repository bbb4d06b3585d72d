import type pg from 'pg'
import { afterAll, beforeAll, describe, expect } from 'vitest'
import { attack } from './support/attack.js'
import { type Town, alice, bob, ids, state, stateOf, town } from './support/town.js'

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
    expect(stored).toContain(`search_path=${evil}`)
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
    expect(await ids(client, 'select said from thief.loot')).toHaveLength(2)
    await client.query('delete from thief.loot')
    // The id itself of such a type is refused, not turned into text.
    await client.query(`alter table thief.people drop column id cascade;
      alter table thief.people add column id thief.evil unique`)
    await state(client.query(`insert into thief.people (id) values ('x')`))
    await state(at.db.admin.query('select * from tenantry.sync()'))
    expect(await ids(client, 'select said from thief.loot')).toEqual([])
    await at.db.admin.query(
      `drop table thief.people; select * from tenantry.sync(); select tenantry.unregister_kind('person')`,
    )
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
    expect(await isSuperuser(role)).toBe(true)
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

  attack('functions of one’s own in place of those that tenantry calls', async () => {
    // As somebody with a schema of their own and TEMP: everything tenantry calls is qualified or its path pinned.
    const { role, client } = await owner('shadow')
    await at.db.admin.query('select tenantry.bind_role($1, $2)', [role, alice.entity])
    await at.db.admin.query(`grant temporary on database "${at.db.name}" to "${role}"`)
    await client.query(`create function shadow.starts_with(text, text) returns boolean language sql return true;
      create function shadow.strpos(text, text) returns integer language sql return 1;
      create function shadow.sha256(bytea) returns bytea language sql return '\\x00'::bytea;
      create function shadow.current_setting(text, boolean) returns text language sql return 'planted'::text;
      create function shadow.now() returns timestamptz language sql return 'epoch'::timestamptz;
      create function shadow.texteq(text, text) returns boolean language sql return true;
      create operator shadow.= (function = shadow.texteq, leftarg = text, rightarg = text);
      create domain shadow.text as pg_catalog.text`)
    await client.query(
      `create temp table allowed_roles as select session_user as role_name, 0::oid as role_oid, 'admin'::text as granted_as`,
    )
    await client.query(
      `create temp table pg_roles as select true as rolsuper, session_user as rolname, 0::oid as oid`,
    )
    await client.query(
      `create function pg_temp.is_admin() returns boolean language sql return true`,
    )
    for (const path of [
      'shadow, pg_temp, tenantry_private, pg_catalog',
      'pg_temp, shadow, pg_catalog',
    ]) {
      await client.query(`set search_path = ${path}`)
      // Qualified, but with an operator of its own in the way: still the bound identity's rows.
      expect(await ids(client, 'select id from town.notes order by 1')).toEqual(alice.notes)
      expect(await ids(client, 'select principal from tenantry.whoami()')).toEqual([alice.entity])
      expect(await state(client.query(`select tenantry.enter('x.y.z')`))).toMatch(
        /^(42501|TN008|TN010)$/,
      )
      expect(await state(client.query(`select tenantry.assume('user:${alice.id}')`))).toBe('42501')
      expect(await state(client.query(`select tenantry.initialise(true)`))).toBe('42501')
    }
    // The control: unqualified, in this session, the shadows are what is found.
    expect(await ids(client, 'select rolsuper from pg_roles')).toEqual(['true'])
    const unpinned = await ids(
      at.db.admin,
      `select p.oid::regprocedure from pg_proc p
        where p.pronamespace in ('tenantry'::regnamespace, 'tenantry_private'::regnamespace)
          and p.prosecdef and (p.proconfig is null or not p.proconfig @> array['search_path=pg_catalog, pg_temp']
               or not p.proconfig @> array['debug_print_plan=off', 'debug_print_parse=off', 'debug_print_rewritten=off'])`,
    )
    expect(unpinned).toEqual([])
  })

  attack('pgcrypto moved away by the owner of the database', async () => {
    const { role, client } = await owner('lord')
    await at.db.admin.query(`alter database "${at.db.name}" owner to "${role}"`)
    // The control: a function whose body is text looks its functions up anew each time.
    await at.db.admin.query(`create function town.by_text(bytea, bytea) returns bytea language sql
      as $$ select public.hmac($1, $2, 'sha256') $$`)
    const calls = `select town.by_text('a', 'b') = decode(repeat('00', 32), 'hex')`
    expect(await ids(at.db.admin, calls)).toEqual(['false'])
    // The extension's owner may be somebody else than the database's; let it be moved as if it were not.
    await at.db.admin.query(
      `alter extension pgcrypto set schema lord; grant create on schema public to "${role}"`,
    )
    await client.query(`create function public.hmac(bytea, bytea, text) returns bytea
      language sql return decode(repeat('00', 32), 'hex')`)
    expect(await ids(at.db.admin, calls)).toEqual(['true'])
    await at.as(alice.entity, async (session) => {
      expect(await ids(session)).toEqual(alice.notes)
      const body = [
        'k',
        '',
        'ffffffffffffffff',
        ',select,',
        bob.entity,
        bob.entity,
        'context',
      ].join('\x1f')
      await session.query(`select set_config('tenantry.context', $1, true)`, [
        `c1.${'0'.repeat(64)}.${body}`,
      ])
      expect(await stateOf(session, 'select from town.notes')).toBe('TN002')
    })
    expect(await state(client.query('drop extension pgcrypto'))).toMatch(/^(2BP01|42501)$/)
    await at.db.admin
      .query(`drop function public.hmac(bytea, bytea, text), town.by_text(bytea, bytea); alter extension pgcrypto set schema public;
      revoke create on schema public from "${role}"; alter database "${at.db.name}" owner to postgres`)
  })
})
