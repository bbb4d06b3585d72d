import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { damages } from './support/corpus/drift.js'
import { protectedBase } from './support/protected-base.js'
import { outcome, quoted, type Stage, unwatched } from './support/stage.js'
import { anna, bert } from './support/table-classes.js'
import { tableSnapshot } from './support/table-snapshot.js'

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
    expect((await on.check('info')).map(({ code }) => code)).toEqual(['parent_untied'])
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
