import type pg from 'pg'
import { afterAll, beforeAll, describe, expect } from 'vitest'
import { attack, control } from './support/attack.js'
import { type Town, alice, bob, ids, state, stateOf, town } from './support/town.js'

describe('functions that stand in for others', () => {
  let at: Town
  beforeAll(async () => {
    at = await town()
  })
  afterAll(() => at.drop())

  /** A login that owns a schema of its own. */
  async function owner(name: string): Promise<{ role: string; client: pg.Client }> {
    const { name: role, connect } = await at.db.role(name, { ordinary: false })
    await at.db.admin.query(`create schema ${name} authorization "${role}"`)
    return { role, client: await connect() }
  }

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
    control(await ids(client, 'select rolsuper from pg_roles')).toEqual(['true'])
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
    control(await ids(at.db.admin, calls)).toEqual(['false'])
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
