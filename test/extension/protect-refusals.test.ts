import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { quoted, refusal, stage, type Stage } from './support/stage.js'
import { refusedColumns, refusedParents, refusedRelations } from './support/refused-tables.js'
import { tableSnapshot } from './support/table-snapshot.js'
import { kindTables } from './support/table-classes.js'

describe('protect() refuses, with the next command', () => {
  let on: Stage

  beforeAll(async () => {
    on = await stage()
    await on.setUp.query(kindTables)
  })
  afterAll(() => on.drop())

  it.each([...refusedColumns, ...refusedParents, ...refusedRelations])('$name', async (it) => {
    await on.setUp.query(it.given)
    const protect = (call: string) =>
      it.bySuperuser ? on.db.admin.query(`select tenantry.protect(${call})`) : on.protect(call)
    if (it.and) await on.db.admin.query(it.and)
    const before = await tableSnapshot(on.db.admin)
    for (const call of [it.protect, `${it.protect}, dry_run => true`]) {
      const refused = await refusal(protect(call))
      expect(refused).toMatchObject({
        code: it.code ?? 'TN011',
        message: expect.stringMatching(it.message),
      })
      expect(refused.hint).toMatch(it.hint)
      expect(await tableSnapshot(on.db.admin)).toEqual(before)
    }
    if (!it.then) return
    const { hint } = await refusal(protect(it.protect))
    const superuser = hint.startsWith('A superuser runs')
    const statement = /(?:Run|runs): (.*?;)/.exec(hint)?.[1]
    await (superuser ? on.db.admin : on.setUp).query(statement ?? 'no statement in the hint')
    await protect(it.then)
    expect(await on.protect(it.then)).toEqual([])
  })

  it('a temporary table', async () => {
    await on.db.admin.query(`grant temporary on database ${on.db.name} to ${quoted(on.owner.name)}`)
    await on.setUp.query('create temporary table passing (id int, owner_id uuid)')
    const refused = await refusal(on.protect(`'passing', 'owner_id', 'user'`))
    expect(refused).toMatchObject({
      code: 'TN011',
      message: expect.stringMatching(/is a temporary table/),
    })
    expect(refused.hint).toMatch(/Only tables that last/)
    await on.setUp.query('drop table passing')
  })

  it('a foreign table', async () => {
    await on.db.admin
      .query(`create foreign data wrapper nothing; create server nowhere foreign data wrapper nothing;
      create foreign table far (id int, owner_id uuid) server nowhere; alter table far owner to ${quoted(on.owner.name)}`)
    const refused = await refusal(on.protect(`'far', 'owner_id', 'user'`))
    expect(refused).toMatchObject({
      code: 'TN011',
      message: expect.stringMatching(/far is a foreign table/),
    })
    expect(refused.hint).toMatch(/revoke all on public\.far from public, tenantry_user;/)
    await on.db.admin.query('drop foreign data wrapper nothing cascade')
  })

  it('a table of a role with BYPASSRLS', async () => {
    const role = await on.db.role('bypasser', { attributes: 'bypassrls', ordinary: false })
    await on.setUp.query('create table of_bypasser (id int, owner_id uuid references users)')
    await on.db.admin.query(`alter table of_bypasser owner to ${quoted(role.name)}`)
    const refused = await refusal(on.db.admin.query(`select tenantry.protect('of_bypasser')`))
    expect(refused.message).toMatch(/has BYPASSRLS/)
    await on.db.admin.query(`alter table of_bypasser owner to ${quoted(on.owner.name)}`)
    expect(await on.protect(`'of_bypasser'`)).not.toEqual([])
  })

  it('somebody else’s table, and somebody who is no admin', async () => {
    const other = await on.db.role('other', { allow: 'admin', ordinary: false })
    const nobody = await on.db.role('nobody', { ordinary: false })
    await on.setUp.query('create table not_yours (id int, owner_id uuid references users)')
    const refused = await refusal(
      (await other.connect()).query(`select tenantry.protect('not_yours')`),
    )
    expect(refused).toMatchObject({
      code: '42501',
      message: expect.stringMatching(/does not own .*not_yours/),
    })
    expect(refused.hint).toContain(on.owner.name)

    await on.db.admin.query(
      `grant tenantry_admin to ${quoted(nobody.name)}; grant create on schema public to ${quoted(nobody.name)}`,
    )
    await on.db.admin.query(`alter table not_yours owner to ${quoted(nobody.name)}`)
    const client = await nobody.connect()
    const unknown = await refusal(client.query(`select tenantry.protect('not_yours')`))
    expect(unknown.code).toBe('42501')
    expect(unknown.hint).toMatch(/Run: |runs: /)
    await on.db.admin.query(/(select \* from .*;)/.exec(unknown.hint)?.[1] ?? '')
    await client.query(`select tenantry.protect('not_yours')`)
    await on.db.admin.query(`drop table not_yours`)
  })

  it('nothing by halves: a failure in the middle leaves the table as it was', async () => {
    await on.setUp.query(`create table halfway (id int, owner_id uuid references users, note text);
      create policy mine on halfway using (true); insert into halfway select 1, id from users where name = 'Anna'`)
    await on.db.admin
      .query(`create function public.fails() returns event_trigger language plpgsql as
      $$begin if exists (select from pg_policy where polname = 'tenantry_delete') then raise exception 'in the middle'; end if; end$$;
      create event trigger fails on ddl_command_end when tag in ('CREATE POLICY') execute function public.fails()`)
    const before = await tableSnapshot(on.db.admin)
    const blocked = await refusal(on.protect(`'halfway'`))
    expect(blocked.message).toBe('in the middle')
    expect(await tableSnapshot(on.db.admin)).toEqual(before)
    await on.db.admin.query('drop event trigger fails; drop function public.fails()')
    expect(await on.protect(`'halfway'`)).not.toEqual([])
  })
})
