import type pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { TestRole } from '../support/database.js'
import { protectedBase } from './support/protected-base.js'
import { quoted, refusal, type Finding, type Stage, unwatched } from './support/stage.js'

interface Case {
  readonly name: string
  /** Run by the superuser; @app, @owner, @extra and @db stand for names. */
  readonly given: string
  readonly found: string
  readonly object?: RegExp
  /** Puts a name where the fix cannot know one. */
  readonly fill?: readonly [string, string]
  /** What the fix makes of it, where that is another step or a choice that check() keeps in mind. */
  readonly leaves?: readonly string[]
}

const cases: readonly Case[] = [
  {
    name: 'a table that the application reaches and nobody declared',
    given:
      'create table orders (id int, owner_id uuid references users); grant select on orders to tenantry_user; alter table orders owner to @owner',
    found: 'critical table_undeclared',
    object: /^public\.orders$/,
  },
  {
    name: 'a table that nobody declared and nobody reaches',
    given: 'create table orders (id int); alter table orders owner to @owner',
    found: 'warning table_undeclared',
    fill: ['<why it needs no isolation>', 'a test'],
  },
  {
    name: 'a table whose only owner is behind its parent',
    given:
      'create table orders (id int, project_id int references projects); alter table orders owner to @owner',
    found: 'warning table_undeclared',
  },
  {
    name: 'a materialized view that the application reads',
    given: 'create materialized view stale as select 1 as x; grant select on stale to @app',
    found: 'critical relation_unprotectable',
  },
  {
    name: 'a view of a superuser',
    given:
      'create view all_notes as select * from notes; grant select on all_notes to tenantry_user',
    found: 'critical view_runs_as_owner',
  },
  {
    name: 'a view of somebody who sees nothing',
    given:
      'create view no_notes as select * from notes; alter view no_notes owner to @owner; grant select on no_notes to @app',
    found: 'warning view_runs_as_owner',
  },
  {
    name: 'a table of a superuser',
    given: 'alter table notes owner to session_user',
    found: 'critical owner_unbound',
    fill: ['<an ordinary role>', '@owner'],
  },
  {
    name: `a policy of the application's own`,
    given: 'create policy mine on notes using (true)',
    found: 'info policy_foreign',
  },
  {
    name: 'a reference that is not checked',
    given: `select tenantry.protect('notes', unchecked_references => '{task_id}')`,
    found: 'info reference_exempt',
  },
  {
    name: 'a reference that nobody can satisfy',
    given: `create table bills (id int primary key, shop_id int references shops, note_id int references notes);
      alter table bills owner to @owner; select tenantry.protect('bills')`,
    found: 'warning reference_across_kinds',
    leaves: ['info reference_exempt'],
  },
  {
    name: 'a schema in which everybody creates',
    given: 'grant create on schema public to public',
    found: 'critical schema_create',
  },
  {
    name: 'a schema in which the application creates',
    given: 'grant create on schema public to @app',
    found: 'critical schema_create',
  },
  {
    name: 'another schema in which the application creates',
    given: 'create schema scratch; grant create on schema scratch to @app',
    found: 'critical schema_create',
  },
  {
    name: 'a schema that the application owns',
    given: 'create schema theirs authorization @app',
    found: 'critical schema_create',
  },
  {
    name: 'an application that may create schemas',
    given: 'grant create on database @db to @app',
    found: 'critical database_create',
  },
  {
    name: 'an application that is an admin, too',
    given: `select tenantry.allow(@'app', 'admin')`,
    found: 'critical login_admin',
  },
  {
    name: 'a kind whose entities are owned by another column than their rows',
    given: `create table bots (id uuid primary key, owner_id uuid not null references users, boss uuid not null);
      alter table bots owner to @owner;
      select tenantry.register_kind('bot', 'bots', owner_column => 'boss', owner_kind => 'user', acts_for_owner => true);
      select tenantry.protect('bots', owner_column => 'owner_id')`,
    found: 'warning kind_owner_differs',
  },
  {
    name: 'a function that reads protected tables as a superuser',
    given:
      'create function total() returns bigint language sql security definer as $$select count(*) from notes$$',
    found: 'critical function_runs_as_owner',
  },
  {
    name: 'a function that runs as a superuser and reads nothing',
    given: 'create function one() returns int language sql security definer as $$select 1$$',
    found: 'info function_runs_as_owner',
  },
  {
    name: 'a trigger that the application may not run',
    given: `create table audit (id int); alter table audit owner to @owner; select tenantry.exempt('audit', 'a test');
      create function audited() returns trigger language plpgsql as $$begin insert into audit values (1); return new; end$$;
      create trigger audited after insert on notes for each row execute function audited()`,
    found: 'warning trigger_denied',
  },
  {
    name: 'a trigger whose owner sees nothing',
    given: `create function counted() returns trigger language plpgsql security definer set search_path = pg_catalog, public, pg_temp
        as $$begin perform count(*) from tasks; return new; end$$;
      alter function counted() owner to @owner;
      create trigger counted after insert on notes for each row execute function counted()`,
    found: 'warning trigger_bound',
  },
  {
    name: `a member of tenantry's own roles`,
    given: 'grant tenantry_facade to @extra',
    found: 'critical internal_role_member',
  },
  {
    name: 'temporary tables for everybody',
    given: 'grant temporary on database @db to public',
    found: 'critical temporary_privilege',
  },
  {
    name: 'temporary tables for the application',
    given: 'grant temporary on database @db to @app',
    found: 'critical temporary_privilege',
  },
  {
    name: 'an application login with BYPASSRLS',
    given: 'alter role @app bypassrls',
    found: 'critical login_unbound',
  },
  {
    name: 'an application login that may become somebody unbound',
    given: `select tenantry.allow(@'extra'); grant pg_read_all_data to @extra`,
    found: 'critical login_unbound',
  },
  {
    name: 'an application login that owns what is protected',
    given: `select tenantry.allow(@'extra'); grant create on schema public to @extra; alter table notes owner to @extra; revoke create on schema public from @extra`,
    found: 'critical login_owns',
  },
  {
    name: 'an application login outside the group',
    given: 'revoke tenantry_user from @app',
    found: 'warning login_outside',
  },
  {
    name: 'a search_path that temporary objects lead',
    given: 'alter role @app in database @db set search_path = public',
    found: 'warning login_search_path',
  },
  {
    name: 'a login of another database',
    given: 'grant tenantry_user to @extra; grant connect on database @db to @extra',
    found: 'info login_of_another_database',
  },
  {
    name: 'no key',
    given: 'delete from tenantry_private.signing_keys',
    found: 'warning signing_key_missing',
  },
  {
    name: 'no issuer',
    given: 'delete from tenantry_private.issuer_keys',
    found: 'info issuer_missing',
    fill: [`'<kid>', '\\x<at least 32 bytes>'`, `'k', '\\x${'ab'.repeat(32)}'`],
  },
  {
    name: 'a definer function that belongs to somebody else',
    given: 'alter function tenantry.actor() owner to @owner',
    found: 'critical definer_owner',
  },
  {
    name: 'a declared table that is gone',
    given: `create table gone (id int); alter table gone owner to @owner; select tenantry.exempt('gone', 'a test'); ${unwatched('drop table gone')}`,
    found: 'warning declaration_stale',
  },
  {
    name: 'an owner column that is gone',
    given: `create table lost (id int, owner_id uuid references users); alter table lost owner to @owner;
      select tenantry.protect('lost'); alter table lost drop column owner_id cascade`,
    found: 'critical owner_missing',
    leaves: ['warning table_undeclared'],
  },
]

describe('check()', () => {
  let on: Stage
  let extra: TestRole

  beforeAll(async () => {
    on = await protectedBase()
    extra = await on.db.role('extra', { ordinary: false })
  })
  afterAll(() => on.drop())

  const named = (text: string) =>
    text
      .replaceAll("@'extra'", `'${extra.name}'`)
      .replaceAll("@'app'", `'${on.app.name}'`)
      .replaceAll('@app', quoted(on.app.name))
      .replaceAll('@owner', quoted(on.owner.name))
      .replaceAll('@extra', quoted(extra.name))
      .replaceAll('@db', quoted(on.db.name))
  const short = ({ severity, code }: Finding) => `${severity} ${code}`

  it('finds nothing where nothing is open, not even at severity info', async () => {
    expect(await on.check('info')).toEqual([])
  })

  /** Everything in one transaction of the superuser, which is undone. */
  const undone = async (
    work: (client: pg.PoolClient, check: () => Promise<Finding[]>) => Promise<void>,
  ) => {
    const client = await on.db.admin.connect()
    try {
      await client.query('begin')
      await work(
        client,
        async () =>
          (
            await client.query<Finding>(
              `select * from tenantry.check('info') where code <> 'audit_head'`,
            )
          ).rows,
      )
    } finally {
      await client.query('rollback')
      client.release()
    }
  }

  it.each(cases)('$name', async ({ given, found, object, fill, leaves }) => {
    await undone(async (client, check) => {
      await client.query(named(given))
      const findings = await check()
      expect(findings.map(short)).toEqual([found])
      const [finding] = findings as [Finding]
      expect(finding.problem).not.toBe('')
      if (object) expect(finding.object).toMatch(object)
      const fix = fill ? finding.fix.replace(fill[0], named(fill[1])) : finding.fix
      await client.query(fix)
      expect((await check()).map(short)).toEqual(leaves ?? [])
    })
  })

  it('shows what is as severe as was asked for', async () => {
    await undone(async (client) => {
      await client.query(`create policy mine on notes using (true); create table orders (id int);
        alter table tasks disable row level security`)
      const codes = async (minimum = '') =>
        (
          await client.query<Finding>(
            `select * from tenantry.check(${minimum}) where code <> 'audit_head'`,
          )
        ).rows.map(short)
      const critical = ['critical row_security_off']
      const warning = [...critical, 'warning table_undeclared']
      expect(await codes(`'critical'`)).toEqual(critical)
      expect(await codes()).toEqual(warning)
      expect(await codes(`'warning'`)).toEqual(warning)
      expect(await codes(`'info'`)).toEqual([...warning, 'info policy_foreign'])
    })
    for (const wrong of [`'loud'`, 'null']) {
      const asked = on.db.admin.query(`select tenantry.check(${wrong})`)
      expect(await refusal(asked)).toMatchObject({ code: '22023' })
    }
  })

  it('answers an admin who owns the tables, and nobody else', async () => {
    expect((await on.setUp.query('select * from tenantry.check()')).rows).toEqual([])
    const app = await on.app.connect()
    expect(await refusal(app.query('select * from tenantry.check()'))).toMatchObject({
      code: '42501',
    })
  })
})
