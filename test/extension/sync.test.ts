import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { protectedBase } from './support/protected-base.js'
import { outcome, quoted, type Stage, unwatched } from './support/stage.js'
import { anna, bert } from './support/table-classes.js'
import { tableSnapshot } from './support/table-snapshot.js'

interface Damage {
  readonly name: string
  /** `app` and `owner` stand for the roles. */
  readonly done: string
  /** The codes that check() reports, in its order. */
  readonly found: readonly string[]
}

const damages: readonly Damage[] = [
  {
    name: 'a policy is dropped',
    done: 'drop policy tenantry_select on notes',
    found: ['policy_missing'],
  },
  {
    name: 'a floor is dropped',
    done: 'drop policy tenantry_update_floor on notes',
    found: ['policy_missing'],
  },
  {
    name: 'a policy is opened',
    done: 'alter policy tenantry_select on notes using (true)',
    found: ['policy_changed'],
  },
  {
    name: 'a check is opened',
    done: 'alter policy tenantry_insert_floor on notes with check (true)',
    found: ['policy_changed'],
  },
  {
    name: 'a policy is given to everybody',
    done: 'alter policy tenantry_delete on notes to public',
    found: ['policy_changed'],
  },
  {
    name: 'a policy is made anew for another command',
    done: 'drop policy tenantry_select on notes; create policy tenantry_select on notes for all to tenantry_user using (true)',
    found: ['policy_changed'],
  },
  {
    name: 'a policy of a name like ours is added',
    done: 'create policy tenantry_extra on notes to tenantry_user using (true)',
    found: ['policy_changed'],
  },
  {
    name: 'all policies are gone',
    done: `do $$declare p name; begin for p in select polname from pg_policy where polrelid = 'notes'::regclass loop execute format('drop policy %I on notes', p); end loop; end$$`,
    found: Array.from({ length: 16 }, () => 'policy_missing'),
  },
  {
    name: 'row security is off',
    done: 'alter table notes disable row level security',
    found: ['row_security_off'],
  },
  {
    name: 'FORCE is off',
    done: 'alter table notes no force row level security',
    found: ['row_security_not_forced'],
  },
  {
    name: 'row security is off in a partition',
    done: unwatched(
      'alter table logs_1 disable row level security; alter table logs_rest no force row level security',
    ),
    found: ['row_security_not_forced', 'row_security_off'],
  },
  {
    name: 'a partition is attached',
    done: unwatched('create table logs_9 partition of logs for values in (9)'),
    found: ['row_security_not_forced', 'row_security_off'],
  },
  { name: 'everybody may read', done: 'grant select on notes to public', found: ['grant_excess'] },
  {
    name: 'the application may truncate',
    done: 'grant truncate on notes to app',
    found: ['grant_excess'],
  },
  {
    name: 'the group may make triggers',
    done: 'grant trigger, references on notes to tenantry_user',
    found: ['grant_excess'],
  },
  {
    name: 'the application may write what is shared',
    done: 'grant insert on countries to tenantry_user',
    found: ['grant_excess'],
  },
  {
    name: 'a grant is taken',
    done: 'revoke update on notes from tenantry_user',
    found: ['grant_missing'],
  },
  {
    name: 'a grant on a sequence is taken',
    done: 'revoke usage on sequence notes_id_seq from tenantry_user',
    found: ['grant_missing'],
  },
  {
    name: 'a shared table is closed',
    done: 'revoke select on countries from tenantry_user',
    found: ['grant_missing'],
  },
  {
    name: 'the default is dropped',
    done: 'alter table notes alter owner_id drop default',
    found: ['owner_default'],
  },
  {
    name: 'another default is set',
    done: 'alter table notes alter owner_id set default gen_random_uuid()',
    found: ['owner_default'],
  },
  {
    name: 'NOT NULL is dropped',
    done: 'alter table notes alter owner_id drop not null',
    found: ['owner_nullable'],
  },
  {
    name: 'the index is dropped',
    done: 'drop index notes_tenantry_owner_idx',
    found: ['owner_unindexed'],
  },
  {
    name: 'a reference trigger is dropped',
    done: 'drop trigger tenantry_references_update on notes',
    found: ['reference_unchecked'],
  },
  {
    name: 'the reference triggers are dropped',
    done: 'drop trigger tenantry_references_insert on notes; drop trigger tenantry_references_update on notes',
    found: ['reference_unchecked', 'reference_unchecked', 'reference_unchecked'],
  },
  {
    name: 'a reference trigger is off',
    done: 'alter table notes disable trigger tenantry_references_update',
    found: ['reference_unchecked'],
  },
  {
    name: 'a reference trigger has a condition',
    done: `do $$begin
      execute replace(replace((select pg_get_triggerdef(oid) from pg_trigger
                                where tgname = 'tenantry_references_update' and tgrelid = 'notes'::regclass),
                'FOR EACH STATEMENT', 'FOR EACH STATEMENT WHEN (false)'), 'CREATE TRIGGER', 'CREATE OR REPLACE TRIGGER');
    end$$`,
    found: ['reference_unchecked'],
  },
  {
    name: 'the owner is not filled',
    done: 'drop trigger tenantry_owner_fill on tasks',
    found: ['owner_unfilled', 'owner_unfilled'],
  },
  {
    name: 'the composite key is dropped',
    done: 'alter table tasks drop constraint tasks_tenantry_owner_fkey',
    found: ['parent_untied'],
  },
  {
    name: `a kind's trigger is dropped`,
    done: 'drop trigger tenantry_kind on users',
    found: ['kind_unfollowed'],
  },
  {
    name: `a kind's triggers are off`,
    done: 'alter table users disable trigger tenantry_kind; alter table users enable trigger tenantry_kind_truncate',
    found: ['kind_unfollowed', 'kind_unfollowed'],
  },
]

describe('sync()', () => {
  let on: Stage
  let sound: string[]

  beforeAll(async () => {
    on = await protectedBase()
    sound = await tableSnapshot(on.db.admin)
  })
  afterAll(() => on.drop())

  it('has nothing to do where nothing is damaged', async () => {
    expect(await on.check('info')).toEqual([])
    expect(await tableSnapshot(on.db.admin)).toEqual(sound)
  })

  it.each(damages)('repairs: $name', async ({ done, found }) => {
    await on.db.admin.query(done.replaceAll(/\bapp\b/g, quoted(on.app.name)))
    const findings = await on.check('info')
    expect(findings.map(({ code }) => code)).toEqual(found)
    expect(new Set(findings.map(({ fix }) => fix))).toEqual(
      new Set(['select * from tenantry.sync();']),
    )

    const damaged = await tableSnapshot(on.db.admin)
    const shown = await on.db.admin.query('select * from tenantry.sync(dry_run => true)')
    expect(await tableSnapshot(on.db.admin)).toEqual(damaged)
    const carriedOut = await on.db.admin.query('select * from tenantry.sync()')
    expect(carriedOut.rows).toEqual(shown.rows)
    expect(await on.check('info')).toEqual([])
    await on.db.admin.query('drop table if exists logs_9')
    expect(await tableSnapshot(on.db.admin)).toEqual(sound)
    for (const [who, task] of [
      [anna, 1],
      [bert, 2],
    ] as const) {
      await on.as(who, async (client) => {
        expect((await client.query('select from notes')).rowCount).toBe(1)
        expect((await client.query('select id from tasks')).rows).toEqual([{ id: task }])
      })
    }
  })

  it('runs as the owner of the tables too, who sees no row of theirs', async () => {
    await on.setUp.query(
      'drop policy tenantry_select on notes; alter table tasks drop constraint tasks_tenantry_owner_fkey',
    )
    await on.setUp.query('select * from tenantry.sync()')
    expect(await on.check('info')).toEqual([])
    expect(await tableSnapshot(on.db.admin)).toEqual(sound)
    await on.as(anna, async (client) => {
      expect((await client.query('select from notes')).rowCount).toBe(1)
    })
  })

  it('makes both keys to the parent anew, by its primary key', async () => {
    await on.db.admin.query(
      'alter table tasks drop constraint tasks_tenantry_owner_fkey, drop constraint tasks_project_id_fkey',
    )
    expect((await on.check('info')).map(({ code }) => code)).toEqual([
      'parent_untied',
      'parent_untied',
    ])
    await on.setUp.query('select * from tenantry.sync()')
    expect(await on.check('info')).toEqual([])
    await on.as(anna, async (client) => {
      expect(await outcome(client, 'insert into tasks values (10, 2)')).toBe('23503')
      expect(await outcome(client, 'insert into tasks values (10, 1)')).toBe('1 rows')
      await client.query('delete from tasks where id = 10')
    })
  })

  it('follows renamed columns and tables', async () => {
    await on.db.admin.query(
      unwatched(`alter table notes rename owner_id to "Owner"; alter table notes rename to "My Notes";
      alter table tasks rename project_id to project; alter table tasks rename owner_id to belongs_to;
      alter table users rename id to uid`),
    )
    const findings = await on.check('info')
    expect(new Set(findings.map(({ code }) => code))).toEqual(new Set(['column_renamed']))
    expect(findings).toHaveLength(5)
    expect((await on.as(anna, (client) => client.query('select from "My Notes"'))).rowCount).toBe(1)
    await on.db.admin.query(findings[0]!.fix)
    expect(await on.check('info')).toEqual([])
    await on.db.admin.query(
      `insert into users values ('00000000-0000-4000-8000-00000000000c', 'Cleo')`,
    )
    await on.as('user:00000000-0000-4000-8000-00000000000c', async (client) => {
      expect(await outcome(client, 'insert into "My Notes" (body) values (1)')).toBe('1 rows')
      expect(await outcome(client, 'select from "My Notes"')).toBe('1 rows')
      expect(await outcome(client, 'insert into tasks (id, project) values (11, 1)')).toBe('23503')
    })
  })

  it('lets go of what was dropped', async () => {
    await on.db.admin.query(unwatched('drop table projects cascade; drop table desks'))
    expect((await on.check('info')).map(({ code }) => code)).toEqual([
      'kind_gone',
      'declaration_stale',
    ])
    await on.db.admin.query('select * from tenantry.sync()')
    expect(await on.check('info')).toEqual([])
    const { rows } = await on.db.admin.query(
      `select table_name, class from tenantry.tables where table_name in ('tasks', 'projects', 'desks')`,
    )
    expect(rows).toEqual([{ table_name: 'tasks', class: 'owned' }])
    await on.as(anna, async (client) => {
      expect(await outcome(client, 'select from tasks')).toBe('1 rows')
      expect(await outcome(client, 'insert into tasks (id) values (12)')).toBe('1 rows')
    })
    await expect(on.as('desk:11', (client) => client.query('select 1'))).rejects.toMatchObject({
      code: 'TN009',
    })
  })
})
