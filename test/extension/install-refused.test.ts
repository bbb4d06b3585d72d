import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type pg from 'pg'
import { databaseOn, type TestDatabase } from '../support/database/clone.js'
import type { TestServer } from '../support/servers.js'
import { installBy, ownServer, paths, remains, script } from './support/installation.js'
import { expectRefusal } from './support/refusal.js'

// What is refused here concerns roles of the cluster, so it has a cluster of its own.
let server: TestServer
beforeAll(async () => {
  server = await ownServer()
})
afterAll(async () => {
  await server.stop()
})

const tenantryRoles = `select rolname as role from pg_roles where rolname like 'tenantry%' order by 1`

describe.each(paths)('an installation by %s', (path) => {
  let db: TestDatabase
  let admin: pg.PoolClient

  beforeEach(async () => {
    db = await databaseOn(server, { empty: true })
    admin = await db.admin.connect()
  })
  afterEach(async () => {
    admin.release(true)
    await db.drop()
    const maintenance = await databaseOn(server, { empty: true })
    const { rows } = await maintenance.admin.query<{ role: string }>(tenantryRoles)
    for (const { role } of rows) await maintenance.admin.query(`drop role ${role}`)
    await maintenance.admin.query('drop role if exists stranger')
    await maintenance.drop()
  })

  /** Refused, and nothing is left; then the hint is run. */
  async function refusedUntilHintIsRun(message: RegExp): Promise<void> {
    const roles = (await admin.query(tenantryRoles)).rows
    const error = await expectRefusal(installBy(path, admin), 'TN011', message)
    await admin.query('rollback')
    expect(await remains(admin)).toEqual([])
    expect((await admin.query(tenantryRoles)).rows).toEqual(roles)
    const command = /^Run: (.*?;)/.exec(error.hint ?? '')?.[1]
    expect(command, error.hint).toBeDefined()
    await admin.query(command ?? '')
  }

  it('is refused where a role of its own has powers, until they are taken', async () => {
    for (const power of [
      'login',
      'superuser',
      'bypassrls',
      'createrole',
      'createdb',
      'replication',
    ]) {
      await admin.query(`create role tenantry_facade ${power}`)
      await refusedUntilHintIsRun(/tenantry_facade exists and has attributes/)
      if (power !== 'replication') await admin.query('drop role tenantry_facade')
    }
    await installBy(path, admin)
  })

  it('is refused where an internal role has members, until they are gone', async () => {
    for (const role of ['tenantry_owner', 'tenantry_engine', 'tenantry_facade', 'tenantry_reach']) {
      await admin.query(
        `create role ${role} nologin; create role stranger; grant ${role} to stranger`,
      )
      await refusedUntilHintIsRun(/has members \(stranger\)/)
      await admin.query('drop role stranger')
    }
    await installBy(path, admin)
  })

  it('takes roles that another database of the cluster has made', async () => {
    const first = await databaseOn(server, { empty: true })
    const there = await first.admin.connect()
    await installBy('script', there)
    there.release(true)
    await installBy(path, admin)
    expect((await admin.query(tenantryRoles)).rows).toHaveLength(7)
    await first.drop()
  })

  it('finds pgcrypto wherever it stands', async () => {
    await admin.query(
      'create schema "Crypto stuff"; create extension pgcrypto schema "Crypto stuff"',
    )
    await installBy(path, admin)
    await admin.query(`select tenantry.register_entity('user:1')`)
    await admin.query('select tenantry.initialise()')
    await admin.query('begin')
    await admin.query(`select tenantry.assume('user:1')`)
    expect((await admin.query('select tenantry.actor() as actor')).rows).toEqual([
      { actor: 'user:1' },
    ])
    await admin.query('rollback')
  })

  it('is refused where everybody may create functions beside pgcrypto', async () => {
    await admin.query('create schema open; grant create, usage on schema open to public')
    await admin.query('create extension pgcrypto schema open')
    await refusedUntilHintIsRun(/everybody may create functions/)
    await installBy(path, admin)
  })

  it.each(['tenantry', 'tenantry_private'])(
    'is refused where a schema %s exists',
    async (schema) => {
      await admin.query(`create schema ${schema}; create table ${schema}.kinds (mine text)`)
      const error = await expectRefusal(installBy(path, admin), 'TN011', /schema .* exists already/)
      await admin.query('rollback')
      expect(error.hint).toContain(`alter schema ${schema} rename to`)
      expect(await remains(admin)).toEqual([`relation ${schema}.kinds`, `schema ${schema}`])
      expect((await admin.query(tenantryRoles)).rows).toEqual([])
      await admin.query(`alter schema ${schema} rename to application`)
      await installBy(path, admin)
      expect((await admin.query('select from application.kinds')).rows).toEqual([])
    },
  )

  it('is refused where it is installed already', async () => {
    await installBy(path, admin)
    const error = await expectRefusal(
      installBy('script', admin),
      'TN011',
      /installed in this database already/,
    )
    await admin.query('rollback')
    expect(error.hint).toContain('uninstall.sql')
    expect((await admin.query('select tenantry.version() as version')).rows).toHaveLength(1)
  })

  it('runs nothing that an owner of the database has put in its way', async () => {
    const trapper = await db.role('trapper', { ordinary: false })
    await admin.query(`alter database "${db.name}" owner to "${trapper.name}"`)
    const client = await trapper.connect()
    await client.query(`
      create table public.caught (who name);
      grant insert on public.caught to public;
      create function public.format(text, text) returns text language plpgsql as $$
      begin insert into public.caught values (current_user); return pg_catalog.format($1, $2); end $$;
      create function public.format(text, name) returns text language plpgsql as $$
      begin insert into public.caught values (current_user); return pg_catalog.format($1, $2); end $$;
      create function public.set_config(text, name, boolean) returns text language plpgsql as $$
      begin insert into public.caught values (current_user); return pg_catalog.set_config($1, $2, $3); end $$;`)
    await admin.query(`set search_path = public`)
    expect((await admin.query(`select format('%s', 'x'::text)`)).rowCount).toBe(1)
    expect((await admin.query('select who from public.caught')).rowCount).toBe(1) // the control
    await admin.query('truncate public.caught')
    await installBy(path, admin)
    await admin.query(`select tenantry.register_entity('user:1')`)
    await admin.query(script('uninstall.sql'))
    expect((await admin.query('select who from public.caught')).rows).toEqual([])
    expect(await remains(admin)).toEqual([])
  })

  it('leaves nothing when it fails half way', async () => {
    await admin.query(`
      create function public.no() returns event_trigger language plpgsql as $$
      begin
        if to_regclass('tenantry_private.tables') is not null then raise exception 'no luck'; end if;
      end $$;
      create event trigger no on ddl_command_end execute function public.no()`)
    await expectRefusal(installBy(path, admin), 'P0001', /no luck/)
    await admin.query('rollback')
    expect(await remains(admin)).toEqual([])
    expect((await admin.query(tenantryRoles)).rows).toEqual([])
    await admin.query('drop event trigger no')
    await installBy(path, admin)
  })

  it('does not make its installer a member, whatever createrole_self_grant says', async () => {
    const owner = await db.role('owner', { attributes: 'createrole', ordinary: false })
    await admin.query(`alter database "${db.name}" owner to "${owner.name}"`)
    const client = await owner.connect()
    if (server.major >= 16) await client.query(`set createrole_self_grant = 'set, inherit'`)
    await installBy(path, client)
    await expectRefusal(client.query('set role tenantry_owner'), '42501')
    expect((await client.query('select * from tenantry.kinds')).rows).toEqual([])
    await client.query('drop extension if exists tenantry')
  })
})
