import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { testDatabase, type TestDatabase } from '../support/database.js'
import { skipWithReason } from '../support/skip.js'
import { catalogOf, type Objects } from './support/catalog.js'
import { installBy, noExtensionFiles } from './support/installation.js'

interface Routine {
  readonly name: string
  readonly schema: string
  readonly owner: string
  readonly definer: boolean
  readonly config: string[] | null
  readonly open: boolean
  readonly language: string
}

describe('an installation', () => {
  let db: TestDatabase
  let catalog: Objects
  let routines: Routine[]

  beforeAll(async () => {
    db = await testDatabase()
    catalog = await catalogOf(db.admin)
    const found = await db.admin.query<Routine>(`
      select p.oid::regprocedure::text as name, n.nspname as schema, p.proowner::regrole::text as owner,
             p.prosecdef as definer, p.proconfig as config,
             has_function_privilege('public', p.oid, 'execute') as open, l.lanname as language
        from pg_proc p
        join pg_namespace n on n.oid = p.pronamespace
        join pg_language l on l.oid = p.prolang
       where n.nspname in ('tenantry', 'tenantry_private')
       order by 1`)
    routines = found.rows
  })
  afterAll(async () => {
    await db.drop()
  })

  it('is the same by create extension and by install.sql, object by object', async (ctx) => {
    if (db.server.installs !== 'extension') skipWithReason(ctx, noExtensionFiles)
    const plain = await testDatabase({ empty: true })
    const admin = await plain.admin.connect()
    await installBy('script', admin)
    admin.release()
    const other = await catalogOf(plain.admin)
    expect(Object.keys(catalog).length).toBeGreaterThan(200)
    expect(other).toEqual(catalog)
    await plain.drop()
  })

  it('has a comment on every object', () => {
    const commented = Object.entries(catalog).filter(
      ([object]) =>
        /^(schema|function|table|view|type) /.test(object) ||
        (object.startsWith('column ') &&
          `table ${object.slice(7).replace(/\.[^.]*$/, '')}` in catalog),
    )
    const silent = commented.filter(
      ([, described]) => !(described as { comment: string | null }).comment,
    )
    expect(commented.length).toBeGreaterThan(150)
    expect(silent.map(([object]) => object)).toEqual([])
  })

  it('belongs to tenantry_owner in every part but those of the roles that make views and run batches', () => {
    const owners = Object.entries(catalog).flatMap(([object, described]) => {
      const { owner } = described as { owner?: string }
      return owner === undefined || owner === 'tenantry_owner' ? [] : [`${object} of ${owner}`]
    })
    expect(owners.sort()).toEqual(
      [
        'function tenantry_private.define_facade(regclass) of tenantry_facade',
        'function tenantry_private.drop_facade(regclass) of tenantry_facade',
        'function tenantry_private.lock_facade(regclass) of tenantry_facade',
        'function tenantry_private.resume_facades(oid[]) of tenantry_facade',
        'function tenantry_private.suspend_facades(text) of tenantry_facade',
        'function tenantry_private.define_reach_view(regclass) of tenantry_reach',
        'function tenantry_private.drop_reach_view(regclass) of tenantry_reach',
        'function tenantry_private.resume_reach_views(oid[]) of tenantry_reach',
        'function tenantry_private.make_born_view(regclass) of tenantry_reach',
        'function tenantry_private.suspend_reach_views(text) of tenantry_reach',
        'function tenantry_private.engine_batch(regclass,uuid,text,bytea,integer) of tenantry_engine',
      ].sort(),
    )
  })

  it('pins every definer function down', () => {
    const definers = routines.filter(({ definer }) => definer)
    expect(definers.length).toBeGreaterThan(30)
    const owners: Record<string, string> = {
      define_facade: 'tenantry_facade',
      drop_facade: 'tenantry_facade',
      lock_facade: 'tenantry_facade',
      resume_facades: 'tenantry_facade',
      suspend_facades: 'tenantry_facade',
      define_reach_view: 'tenantry_reach',
      drop_reach_view: 'tenantry_reach',
      resume_reach_views: 'tenantry_reach',
      make_born_view: 'tenantry_reach',
      suspend_reach_views: 'tenantry_reach',
      engine_batch: 'tenantry_engine',
    }
    for (const { name, owner, config } of definers) {
      const [, bare = ''] = /\.(\w+)\(/.exec(name) ?? []
      // Texts of values must not follow the session where batches carry them.
      const forms = /^(bytea_output|datestyle|TimeZone|enable_\w+)=/i
      expect([name, owner, config?.filter((setting) => !forms.test(setting))]).toEqual([
        name,
        owners[bare] ?? 'tenantry_owner',
        [
          'search_path=pg_catalog, pg_temp',
          'debug_print_parse=off',
          'debug_print_rewritten=off',
          'debug_print_plan=off',
        ],
      ])
    }
  })

  it('lets everybody call these functions and no other', () => {
    expect(routines.filter(({ open }) => open).map(({ name }) => name)).toEqual([
      'tenantry.actor()',
      'tenantry.audience()',
      'tenantry.entered()',
      'tenantry.glass_is_broken()',
      'tenantry.leave()',
      'tenantry.may(text)',
      'tenantry.principal(text,text)',
      'tenantry.reach(text,text,regclass)',
      'tenantry.sets_up()',
      'tenantry.version()',
      'tenantry.wants_key_share()',
      'tenantry.whoami()',
      'tenantry_private.encrypted_listing()',
      'tenantry_private.follow_kind()',
      'tenantry_private.follow_membership()',
      'tenantry_private.is_without_context()',
      'tenantry_private.judge_ddl()',
      'tenantry_private.keep_owner()',
      'tenantry_private.privilege_list(integer)',
      'tenantry_private.privilege_names(integer)',
      'tenantry_private.reach_of(text,text,text)',
      'tenantry_private.record_actor()',
      'tenantry_private.settle_births()',
    ])
  })

  it('closes its tables by row security without a policy and without a grant', async () => {
    const { rows } = await db.admin.query<{ name: string; grants: string[] | null }>(`
      select c.oid::regclass::text as name,
             array(select format('%s to %s', a.privilege_type, coalesce(r.rolname, 'public'))
                     from aclexplode(c.relacl) a left join pg_roles r on r.oid = a.grantee
                    where a.grantee <> c.relowner) as grants
        from pg_class c
       where c.relnamespace = 'tenantry_private'::regnamespace and c.relkind = 'r'
         and (not c.relrowsecurity or c.relforcerowsecurity or c.relacl is not null
              or exists (select from pg_policy where polrelid = c.oid))`)
    expect(rows).toEqual([])
    const views = await db.admin.query<{ name: string }>(`
      select c.oid::regclass::text as name from pg_class c
       where c.relnamespace = 'tenantry'::regnamespace and has_table_privilege('public', c.oid, 'select')
       order by 1`)
    expect(views.rows.map(({ name }) => name)).toEqual([
      'tenantry.encrypted_columns',
      'tenantry.kinds',
      'tenantry.membership_sources',
      'tenantry.rules',
      'tenantry.schemas',
      'tenantry.tables',
    ])
  })

  it('makes no keys', async () => {
    const { rows } = await db.admin.query(`
      select (select count(*)::int from tenantry_private.signing_keys) as signing,
             (select count(*)::int from tenantry_private.issuer_keys) as issuers,
             (select count(*)::int from tenantry_private.tag_keys) as tags,
             (select count(*)::int from tenantry_private.master_keys) as masters,
             (select count(*)::int from tenantry_private.data_keys) as data`)
    expect(rows).toEqual([{ signing: 0, issuers: 0, tags: 0, masters: 0, data: 0 }])
  })

  it('hides the keys from those who read and write everything', async () => {
    const reader = await db.role('reader')
    const writer = await db.role('writer')
    await db.admin.query(`
      grant pg_read_all_data to "${reader.name}", "${writer.name}";
      grant pg_write_all_data to "${writer.name}";
      select tenantry.register_issuer('issuer', '\\x${'ab'.repeat(32)}');
      create table public.ordinary (n int);
      insert into public.ordinary values (1)`)
    const reading = await reader.connect()
    const writing = await writer.connect()
    expect((await reading.query('select n from public.ordinary')).rows).toEqual([{ n: 1 }])
    await writing.query('insert into public.ordinary values (2)')
    for (const table of ['signing_keys', 'issuer_keys']) {
      const count = `select from tenantry_private.${table}`
      expect((await db.admin.query(count)).rowCount).toBe(1)
      expect((await reading.query(count)).rowCount).toBe(0)
      expect((await writing.query(`delete from tenantry_private.${table}`)).rowCount).toBe(0)
      expect(
        (await writing.query(`update tenantry_private.${table} set secret = ''`)).rowCount,
      ).toBe(0)
      expect((await db.admin.query(count)).rowCount).toBe(1)
    }
    await expect(
      writing.query(
        `insert into tenantry_private.signing_keys (secret) values ('\\x${'00'.repeat(32)}')`,
      ),
    ).rejects.toMatchObject({ code: '42501' })
    const copied = await reading.query(`select row_to_json(k) from tenantry_private.issuer_keys k`)
    expect(copied.rows).toEqual([])
    expect((await reading.query('select * from tenantry.issuers')).rows.length).toBeLessThanOrEqual(
      1,
    )
    expect(
      JSON.stringify((await reading.query('select * from tenantry.issuers')).rows),
    ).not.toContain('abab')
  })
})
