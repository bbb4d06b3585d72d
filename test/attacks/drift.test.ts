import type pg from 'pg'
import { afterAll, beforeAll, describe, expect } from 'vitest'
import { attack, control } from './support/attack.js'
import { type Town, alice, enter, ids, state, town } from './support/town.js'

describe('protection that is taken away, or does not bind', () => {
  let at: Town
  let app: string
  beforeAll(async () => {
    at = await town()
    app = `"${at.app.name}"`
    expect(await findings()).toEqual([])
  })
  afterAll(() => at.drop())

  const findings = (): Promise<string[]> =>
    ids(at.db.admin, 'select distinct code from tenantry.check() order by 1')

  /** Breaks something, sees it found, and undoes it by what the finding says or by `undo`. */
  async function found(breaking: string, code: string, undo?: string): Promise<void> {
    await at.db.admin.query(breaking)
    const { rows } = await at.db.admin.query<{ code: string; severity: string; fix: string }>(
      'select code, severity, fix from tenantry.check()',
    )
    expect(
      rows.map((row) => row.code),
      breaking,
    ).toContain(code)
    const finding = rows.find((row) => row.code === code)
    expect(finding?.severity, breaking).toBe('critical')
    await at.db.admin.query(undo ?? finding?.fix ?? '')
    expect(await findings(), `after ${undo ?? finding?.fix}`).toEqual([])
  }

  attack('a policy dropped, altered or replaced', async () => {
    await found('drop policy tenantry_select on town.notes', 'policy_missing')
    await found('drop policy tenantry_select_floor on town.notes', 'policy_missing')
    await found('alter policy tenantry_select on town.notes using (true)', 'policy_changed')
    await found(
      'alter policy tenantry_update_floor on town.notes with check (true)',
      'policy_changed',
    )
    await found('alter policy tenantry_delete on town.notes to public', 'policy_changed')
    await found(
      `drop policy tenantry_select_floor on town.notes;
       create policy tenantry_select_floor on town.notes as permissive for select to tenantry_user using (true)`,
      'policy_changed',
    )
    await found('create policy tenantry_mine on town.notes using (true)', 'policy_changed')
  })

  attack('row-level security disabled or not forced', async () => {
    await found('alter table town.notes disable row level security', 'row_security_off')
    await found('alter table town.notes no force row level security', 'row_security_not_forced')
    await found('alter table town.events_low disable row level security', 'row_security_off')
    await found('alter table town.memos_old no force row level security', 'row_security_not_forced')
  })

  attack('triggers that check and follow switched off', async () => {
    await found(
      'alter table town.comments disable trigger tenantry_references_insert',
      'reference_unchecked',
    )
    await found('drop trigger tenantry_references_update on town.comments', 'reference_unchecked')
    await found('alter table town.agents disable trigger tenantry_kind', 'kind_unfollowed')
    await found('drop trigger tenantry_kind on town.users', 'kind_unfollowed')
    await found('drop trigger tenantry_kind_moved on town.agents', 'kind_unfollowed')
    await found(
      'create or replace trigger tenantry_kind after insert or delete or update of id on town.agents for each row execute function tenantry_private.follow_kind(); alter table town.agents enable always trigger tenantry_kind',
      'kind_unfollowed',
    )
    await found('drop trigger tenantry_kind_truncate on town.users', 'kind_unfollowed')
    await found('alter table town.users enable replica trigger tenantry_kind', 'kind_unfollowed')
  })

  attack('the key to a parent dropped, or not enforced', async () => {
    const [key] = await ids(
      at.db.admin,
      `select conname from pg_constraint
        where conrelid = 'town.lines'::regclass and contype = 'f' and cardinality(conkey) = 2`,
    )
    await found(`alter table town.lines drop constraint "${key}"`, 'parent_untied')
    if (at.db.major < 18) return
    await found(
      `alter table town.lines alter constraint "${key}" not enforced`,
      'parent_untied',
      `alter table town.lines drop constraint "${key}"; select * from tenantry.sync()`,
    )
  })

  attack('the owner of a table changed', async () => {
    const back = 'alter table town.notes owner to attacks_owner'
    await found('alter table town.notes owner to postgres', 'owner_unbound', back)
    // To the login itself: found, and after sync() it may not enter any more either.
    await at.db.admin.query(`alter table town.notes owner to ${app}`)
    expect(await findings()).toContain('login_owns')
    const client = new (await import('pg')).default.Client({ connectionString: at.app.url })
    await client.connect()
    try {
      await at.db.admin.query('select * from tenantry.sync()')
      expect(await state(enter(client, at.credential(alice.entity)))).toBe('TN010')
      const open = 'alter table town.notes no force row level security'
      expect(await state(client.query(open))).toBe('42501')
      // The control: where nothing guards the table it needs no credential any more.
      await at.db.admin.query('alter event trigger tenantry_after_ddl disable')
      await client.query(open)
      await at.db.admin.query('alter event trigger tenantry_after_ddl enable always')
      control(await ids(client)).toHaveLength(5)
    } finally {
      await client.end()
    }
    await at.db.admin
      .query(`${back}; grant select, insert, update, delete on town.notes to tenantry_user;
      revoke all on town.notes from ${app}`)
    await at.db.admin.query('select * from tenantry.sync()')
    expect(await findings()).toEqual([])
  })

  attack('BYPASSRLS or SUPERUSER granted to the login', async () => {
    for (const power of ['bypassrls', 'superuser', 'replication']) {
      await at.db.admin.query(`alter role ${app} ${power}`)
      expect(await findings(), power).toContain('login_unbound')
      const client = new (await import('pg')).default.Client({ connectionString: at.app.url })
      await client.connect()
      try {
        if (power !== 'replication') {
          control(await ids(client)).toHaveLength(5)
          expect(await state(enter(client, at.credential(alice.entity)))).toBe('TN010')
        }
      } finally {
        await client.end()
      }
      await at.db.admin.query(`alter role ${app} no${power}`)
      expect(await findings()).toEqual([])
    }
  })

  attack('a login that is superuser, bypasses or owns', async () => {
    const superuser = at.db.admin
    expect(
      await state(superuser.query('select tenantry.enter($1)', [at.credential(alice.entity)])),
    ).toBe('TN010')
    const make = async (name: string, attributes: string): Promise<pg.Client> => {
      const role = await at.db.role(name, { attributes, ordinary: false })
      await superuser.query(`grant execute on function tenantry.enter(text) to "${role.name}"`)
      return role.connect()
    }
    for (const [name, attributes] of [
      ['bypassing', 'bypassrls'],
      ['owning', 'in role attacks_owner'],
      ['stranger', ''],
    ] as const) {
      const client = await make(name, attributes)
      expect(await state(enter(client, at.credential(alice.entity))), name).toBe('TN010')
    }
    for (const [name, attributes] of [
      ['bypasser', 'bypassrls'],
      ['owner', 'in role attacks_owner'],
      ['replicator', 'replication'],
    ] as const) {
      const role = await at.db.role(name, { attributes, ordinary: false })
      expect(await state(superuser.query('select tenantry.allow($1)', [role.name])), name).toBe(
        'TN011',
      )
    }
  })

  attack('a permissive policy of the application’s', async () => {
    await at.db.admin.query(
      'create policy made_at_boot on town.notes for all using (true) with check (true)',
    )
    await at.as(alice.entity, async (client) => {
      expect(await ids(client)).toEqual(alice.notes)
      expect((await client.query('delete from town.notes')).rowCount).toBe(2)
    })
    // The control: on a table with one permissive policy only, the second one opens it.
    await at.db.admin.query('create policy made_at_boot on town.naive_notes for all using (true)')
    await at.as(alice.entity, async (client) => {
      control(await ids(client, 'select id from town.naive_notes')).toHaveLength(5)
    })
    await at.db.admin.query('drop policy made_at_boot on town.notes')
  })

  attack('temporary tables given back', async () => {
    await found(`grant temporary on database "${at.db.name}" to public`, 'temporary_privilege')
    await found(`grant temporary on database "${at.db.name}" to ${app}`, 'temporary_privilege')
  })
})
