import { afterAll, beforeAll, describe, expect } from 'vitest'
import pg from 'pg'
import { attack, control } from './support/attack.js'
import { type Town, alice, enter, ids, state, town } from './support/town.js'

describe('a login that may become somebody else', () => {
  let at: Town
  let app: string
  let group: string
  beforeAll(async () => {
    at = await town()
    app = `"${at.app.name}"`
    group = `"${(await at.db.role('group')).name}"`
    await at.db.admin.query(`alter role ${group} nologin; grant usage on schema town to ${group}`)
  })
  afterAll(() => at.drop())

  const codes = (): Promise<string[]> =>
    ids(at.db.admin, 'select distinct code from tenantry.check() order by 1')

  /** A session of the application's that nothing has looked at before. */
  async function asApp<T>(work: (client: pg.Client) => Promise<T>): Promise<T> {
    const client = new pg.Client({ connectionString: at.app.url })
    await client.connect()
    try {
      return await work(client)
    } finally {
      await client.end()
    }
  }

  const throughGroup = (client: pg.Client): Promise<string> =>
    state(client.query(`set role ${group}; select from town.notes`)).finally(() =>
      client.query('reset role'),
    )

  attack('SET ROLE to a role that bypasses', async () => {
    for (const power of ['bypassrls', 'superuser']) {
      await at.db.admin.query(
        `alter role ${group} ${power}; grant select on town.notes to ${group}; grant ${group} to ${app}`,
      )
      expect(await codes(), power).toContain('login_unbound')
      await asApp(async (client) => {
        expect(await state(enter(client, at.credential(alice.entity)))).toBe('TN010')
        // The control: it sees everything.
        await client.query(`set role ${group}`)
        control(await ids(client)).toHaveLength(5)
      })
      await at.db.admin.query(`revoke ${group} from ${app}; alter role ${group} no${power}`)
      await at.db.admin.query('select tenantry.disallow($1)', [at.app.name])
      await at.db.admin.query(`alter role ${group} ${power}; grant ${group} to ${app}`)
      expect(
        await state(at.db.admin.query('select tenantry.allow($1)', [at.app.name])),
        power,
      ).toBe('TN011')
      await at.db.admin.query(`revoke ${group} from ${app}; alter role ${group} no${power}`)
      await at.db.admin.query('select tenantry.allow($1)', [at.app.name])
      await at.db.admin.query('select * from tenantry.sync()')
    }
  })

  attack('SET ROLE to a group that the floor policies do not bind', async () => {
    await at.db.admin.query(`grant ${group} to ${app};
      grant select, truncate on town.notes to ${group};
      create policy made_at_boot on town.notes using (true)`)
    await asApp(async (client) => {
      expect(await ids(client)).toEqual([])
      await client.query(`set role ${group}`)
      control(await ids(client)).toHaveLength(5)
    })
    expect(await codes()).toContain('grant_excess')
    await at.db.admin.query('select * from tenantry.sync()')
    await asApp(async (client) => expect(await throughGroup(client)).toBe('42501'))
    expect(await codes()).toEqual([])
    await at.db.admin.query(`drop policy made_at_boot on town.notes; revoke ${group} from ${app}`)
  })

  attack('a login that does not inherit from tenantry_user', async () => {
    await at.db.admin.query('create policy made_at_boot on town.notes using (true)')
    const version = Number((await ids(at.db.admin, 'show server_version_num'))[0])
    await at.db.admin.query(`grant select on town.notes to ${app}`)
    await at.db.admin.query(
      version >= 160000
        ? `grant tenantry_user to ${app} with inherit false`
        : `alter role ${app} noinherit`,
    )
    await asApp(async (client) => {
      await client.query(`begin`)
      expect(await state(client.query(`grant usage on schema town to current_user`))).toBe('42501')
      await client.query('rollback')
    })
    await at.db.admin.query(`grant usage on schema town to ${app}`)
    await asApp(async (client) => control(await ids(client)).toHaveLength(5))
    expect(await ids(at.db.admin, `select code from tenantry.check() order by 1`)).toEqual(
      expect.arrayContaining(['login_outside']),
    )
    await at.db.admin.query('select * from tenantry.allow($1)', [at.app.name])
    await asApp(async (client) => expect(await ids(client)).toEqual([]))
    await at.db.admin
      .query(`drop policy made_at_boot on town.notes; revoke usage on schema town from ${app};
      revoke select on town.notes from ${app}`)
  })

  attack('SET ROLE to the migration role', async () => {
    const migrator = (await at.db.role('migrator')).name
    await at.db.admin.query(
      `grant usage on schema town to "${migrator}"; grant select on town.notes to "${migrator}"`,
    )
    await at.db.admin.query(`select * from tenantry.manage_schema('town', $1)`, [migrator])
    await at.db.admin.query(`grant "${migrator}" to ${app}`)
    expect(await codes()).toContain('login_unbound')
    await asApp(async (client) => {
      expect(await ids(client)).toEqual([])
      await client.query(`set role "${migrator}"`)
      control(await ids(client)).toHaveLength(5)
    })
    expect(await state(at.db.admin.query('select tenantry.allow($1)', [at.app.name]))).toBe('TN011')
    await at.db.admin.query(`revoke "${migrator}" from ${app}`)
    // A view of the migration role's shows what it sees.
    await at.db.admin.query(`create view town.all_notes as select * from town.notes;
      alter view town.all_notes owner to "${migrator}"; grant select on town.all_notes to tenantry_user`)
    await asApp(async (client) =>
      expect(await ids(client, 'select id from town.all_notes')).toHaveLength(5),
    )
    const { rows } = await at.db.admin.query<{ severity: string; fix: string }>(
      `select severity, fix from tenantry.check() where code = 'view_runs_as_owner'`,
    )
    expect(rows).toMatchObject([{ severity: 'critical' }])
    await at.db.admin.query(rows[0]?.fix ?? '')
    await asApp(async (client) =>
      expect(await ids(client, 'select id from town.all_notes')).toEqual([]),
    )
    await at.db.admin.query(
      `drop view town.all_notes; select * from tenantry.manage_schema('town', migration_role => '')`,
    )
  })

  attack('a view that shows through another view', async () => {
    await at.db.admin.query(`create view town.inner_view as select * from town.notes;
      create view town.outer_view as select * from town.inner_view; grant select on town.outer_view to tenantry_user`)
    await asApp(async (client) =>
      control(await ids(client, 'select id from town.outer_view')).toHaveLength(5),
    )
    const { rows } = await at.db.admin.query(`select severity, code, object from tenantry.check()`)
    expect(rows).toEqual([
      { severity: 'critical', code: 'view_runs_as_owner', object: 'town.inner_view' },
    ])
    await at.db.admin.query(`alter view town.inner_view set (security_invoker = true);
      alter view town.outer_view set (security_invoker = true); grant select on town.inner_view to tenantry_user`)
    await asApp(async (client) =>
      expect(await ids(client, 'select id from town.outer_view')).toEqual([]),
    )
    expect(await codes()).toEqual([])
    await at.db.admin.query('drop view town.outer_view, town.inner_view')
  })
})
