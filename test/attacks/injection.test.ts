import type pg from 'pg'
import { afterAll, beforeAll, describe, expect } from 'vitest'
import { attack, control } from './support/attack.js'
import { type Town, alice, bob, enter, ids, state, stateOf, town } from './support/town.js'

// What an application would paste a search into. The attacker controls `search`.
const searching = (table: string, search: string): string =>
  `select id from ${table} where body = '${search}' order by 1`

describe('SQL that is injected into one person’s session', () => {
  let at: Town
  let client: pg.Client
  beforeAll(async () => {
    at = await town()
    client = await at.connect()
    // The control: the same design with a bare function that names whose rows are meant.
    await at.db.admin.query(`create function town.be(who text) returns boolean language sql
      as $$ select set_config('app.user', who, true) is not null $$`)
  })
  afterAll(() => at.drop())

  async function asAlice<T>(work: () => Promise<T>): Promise<T> {
    await client.query('begin')
    try {
      await client.query(`select set_config('app.user', $1, true)`, [alice.id])
      await enter(client, at.credential(alice.entity))
      return await work()
    } finally {
      await client.query('rollback')
    }
  }

  /** Where an attacker can put an expression of their own. */
  const shapes: Record<string, (expression: string) => string> = {
    where: (expression) =>
      `x' or (select max(body) from TABLE where (select ${expression}) is not null) like 'of bob%' or body = 'x`,
    union: (expression) =>
      `x' union select id from TABLE where (select ${expression}) is not null --`,
    cte: (expression) =>
      `x' or (with me as materialized (select ${expression} as one)
         select max(body) from TABLE where (select one from me) is not null) like 'of bob%' or body = 'x`,
  }

  for (const [shape, inject] of Object.entries(shapes)) {
    attack(
      `entering as somebody else inside a statement, by ${shape as 'where' | 'union' | 'cte'}`,
      async () => {
        const naive = await asAlice(() =>
          ids(
            client,
            searching(
              'town.naive_notes',
              inject(`town.be('${bob.id}')`).replaceAll('TABLE', 'town.naive_notes'),
            ),
          ),
        )
        // By union bob's rows come out; the others answer a question about them.
        control(naive, 'the control').toEqual(
          shape === 'union' ? expect.arrayContaining(bob.notes) : alice.notes,
        )

        // Without a credential there is nothing to enter with.
        for (const expression of [
          `tenantry.enter('${bob.entity}')`,
          `tenantry.assume('${bob.entity}')`,
          `tenantry.enter_session('${bob.entity}')`,
          `tenantry_private.current_signer()`,
          `set_config('tenantry.context', '${bob.entity}', true)`,
        ]) {
          const sql = searching('town.notes', inject(expression).replaceAll('TABLE', 'town.notes'))
          const code = await asAlice(() => stateOf(client, sql))
          expect(['TN002', 'TN008', 'TN010', '42501'], `${expression}: ${code}`).toContain(code)
        }

        // Even a credential of bob's that somebody lost does not turn alice's statement into bob's.
        const lost = `tenantry.enter('${at.credential(bob.entity)}')`
        const sql = searching('town.notes', inject(lost).replaceAll('TABLE', 'town.notes'))
        expect(await asAlice(() => stateOf(client, sql))).toBe('TN002')
        // Nor does it after alice's context was thrown away first.
        const away = `(select set_config('tenantry.context', '', true)) || ${lost}::text`
        const both = searching('town.notes', inject(away).replaceAll('TABLE', 'town.notes'))
        expect(await asAlice(() => stateOf(client, both))).toBe('TN002')
      },
    )
  }

  attack('entering as somebody else by stacked statements', async () => {
    const stacked = (statement: string, table: string): string =>
      `${searching(table, `'; ${statement}; select id from ${table} order by 1; --`)}`
    const naive = await asAlice(async () => {
      const results = (await client.query(
        stacked(`select set_config('app.user', '${bob.id}', true)`, 'town.naive_notes'),
      )) as unknown as pg.QueryResult<{ id: string }>[]
      return results.at(-1)?.rows.map((row) => row.id)
    })
    control(naive).toEqual(bob.notes)

    for (const statement of [
      `select tenantry.assume('${bob.entity}')`,
      `select tenantry.enter('${bob.entity}')`,
      `set local tenantry.context = '${bob.entity}'`,
      `set local role tenantry_owner`,
      `set local role attacks_owner`,
      `set session authorization attacks_owner`,
      `set local row_security = off`,
    ]) {
      const code = await asAlice(() => stateOf(client, stacked(statement, 'town.notes')))
      expect(['42501', 'TN002', 'TN008'], `${statement}: ${code}`).toContain(code)
    }
    // Leaving is allowed and shows nothing.
    const left = await asAlice(async () => {
      const results = (await client.query(
        stacked('select tenantry.leave()', 'town.notes'),
      )) as unknown as pg.QueryResult<{ id: string }>[]
      return results.at(-1)?.rows
    })
    expect(left).toEqual([])
  })

  attack('reading the keys and the registry', async () => {
    const relations = await ids(
      at.db.admin,
      `select format('%I.%I', n.nspname, c.relname) from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where n.nspname = 'tenantry_private' and c.relkind in ('r', 'S', 'v')`,
    )
    expect(relations).toContain('tenantry_private.signing_keys')
    for (const relation of relations) {
      for (const sql of [
        `select * from ${relation}`,
        `delete from ${relation}`,
        `copy (select * from ${relation}) to stdout`,
      ]) {
        expect(['42501', '42809', '55000'], sql).toContain(
          await asAlice(() => stateOf(client, sql)),
        )
      }
      expect(await asAlice(() => stateOf(client, `select * from ${relation}`))).toBe('42501')
    }
    // Whoever reads everything still reads none of it.
    const reader = await at.db.role('reader')
    await at.db.admin.query(`grant pg_read_all_data, pg_write_all_data to "${reader.name}"`)
    const session = await reader.connect()
    control(await ids(session, 'select id from town.open_notes')).toHaveLength(5)
    expect(await ids(session, 'select id from tenantry_private.signing_keys')).toEqual([])
    expect(await ids(session, 'select id from tenantry_private.issuer_keys')).toEqual([])
    expect(
      await state(
        session.query(
          `insert into tenantry_private.allowed_roles (role_name, role_oid, granted_as) values (session_user, 1, 'admin')`,
        ),
      ),
    ).toBe('42501')
  })

  attack('calling the functions behind the functions', async () => {
    const callable = await ids(
      client,
      `select p.oid::regprocedure from pg_proc p join pg_namespace n on n.oid = p.pronamespace
        where n.nspname in ('tenantry', 'tenantry_private') and has_function_privilege(session_user, p.oid, 'execute')
        order by 1::text`,
    )
    // Everything that a login may call. Whatever comes to stand here has to be looked at first.
    expect(callable.sort()).toEqual(
      [
        'tenantry.actor()',
        'tenantry.audience()',
        'tenantry.enter(text)',
        'tenantry.enter_session(text,interval)',
        'tenantry.leave()',
        'tenantry.may(text)',
        'tenantry.principal(text,text)',
        'tenantry.version()',
        'tenantry.whoami()',
        'tenantry_private.enter_for_pass(text,integer)',
        // a trigger's: it reads a kind's own table and refuses any other
        'tenantry_private.follow_kind()',
        // triggers of memberships, of owners and of actors: each reads its own table's declaration
        'tenantry_private.follow_membership()',
        'tenantry_private.is_without_context()',
        'tenantry_private.keep_owner()',
        'tenantry_private.record_actor()',
        // of event triggers: outside of one they refuse
        'tenantry_private.judge_ddl()',
        'tenantry_private.settle_births()',
        // acting for others: each asks the context, and tells only about what it reaches
        'tenantry.delegate(tenantry.entity,text[],tenantry.entity,timestamp with time zone,regclass[],integer)',
        'tenantry.entered()',
        'tenantry.glass_is_broken()',
        'tenantry.reach(text,text,regclass)',
        'tenantry.revoke(uuid,tenantry.entity,tenantry.entity)',
        'tenantry.sets_up()',
        'tenantry.who(regclass,text[])',
        'tenantry.why(regclass,text[])',
        'tenantry_private.anchors(regclass,text[])',
        'tenantry_private.explained(regclass,text,text,text)',
        'tenantry_private.linked(text,text,regclass)',
        'tenantry_private.privilege_list(integer)',
        'tenantry_private.privilege_names(integer)',
        'tenantry_private.reach_of(text,text,text)',
        'tenantry_private.view_on(regclass,name)',
        'tenantry_private.visible_delegations()',
        // secrets: rings are sealed and hold the principal's own keys, and nothing without decrypt and the key share
        'tenantry.blind_index(uuid,text)',
        'tenantry.enter(text,bytea)',
        'tenantry.wants_key_share()',
        'tenantry_private.audited_ring(text,uuid[])',
        'tenantry_private.encrypted_listing()',
        'tenantry_private.enter_for_pass(text,integer,bytea)',
        'tenantry_private.open_bytea(text,bytea,uuid,text,bytea,boolean)',
        'tenantry_private.open_text(text,text,uuid,text,bytea,boolean)',
        'tenantry_private.part(bytea)',
        'tenantry_private.ring(text)',
        'tenantry_private.ring_now(text)',
        'tenantry_private.ring_now(text,uuid[])',
        'tenantry_private.shaped(bytea)',
        'tenantry_private.shaped(text)',
      ].sort(),
    )
  })
})
