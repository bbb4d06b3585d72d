import type pg from 'pg'
import { afterAll, beforeAll, describe, expect } from 'vitest'
import { attack, control } from './support/attack.js'
import {
  type Town,
  agentOfAlice,
  agentOfBob,
  alice,
  bob,
  ids,
  service,
  state,
  stateOf,
  town,
} from './support/town.js'

describe('who somebody says to be', () => {
  let at: Town
  let client: pg.Client
  beforeAll(async () => {
    at = await town()
    client = await at.connect()
  })
  afterAll(() => at.drop())

  async function seen(principal: string, actor = principal): Promise<string[]> {
    await client.query('begin')
    try {
      await client.query('select tenantry.enter($1)', [at.credential(principal, actor)])
      return await ids(client)
    } finally {
      await client.query('rollback')
    }
  }

  const outcome = (principal: string, actor?: string): Promise<string> =>
    state(seen(principal, actor))

  attack('no context', async () => {
    for (const table of ['notes', 'comments', 'lines', 'events', 'memos', 'users', 'agents']) {
      expect(await ids(client, `select id from town.${table}`), table).toEqual([])
      expect(await ids(client, `select id from town.${table} for update`), table).toEqual([])
    }
    expect(await state(client.query(`insert into town.notes (slug, body) values ('x', 'x')`))).toBe(
      '42501',
    )
    expect(
      await state(
        client.query(`insert into town.notes (owner_id, slug, body) values ($1, 'x', 'x')`, [
          bob.id,
        ]),
      ),
    ).toBe('42501')
    expect((await client.query('update town.notes set body = body')).rowCount).toBe(0)
    expect((await client.query('delete from town.notes')).rowCount).toBe(0)
    // The control: the same statements on the open copy.
    control(await ids(client, 'select id from town.open_notes')).toHaveLength(5)
    await at.db.admin.query(`select tenantry.configure('on_missing_context', 'error')`)
    expect(await state(client.query('select from town.notes'))).toBe('TN001')
    await at.db.admin.query(`select tenantry.configure('on_missing_context', null)`)
  })

  attack('an unknown entity', async () => {
    expect(await outcome(alice.entity)).toBe('00000')
    for (const entity of [
      'user:00000000-0000-4000-8000-0000000000ff',
      `user:${alice.id.toUpperCase()}`,
      `user: ${alice.id}`,
      `user:${alice.id} `,
      `users:${alice.id}`,
      `nobody:${alice.id}`,
      `user:{${alice.id}}`,
    ]) {
      expect(await outcome(entity), entity).toBe('TN009')
    }
  })

  attack('an entity of another kind with the same id', async () => {
    expect(await outcome(`agent:${alice.id}`)).toBe('TN009')
    // An agent sees what is an agent's, and nothing of its owner's, unless it acts for it.
    expect(await seen(agentOfAlice)).toEqual([])
    expect(await seen(alice.entity, agentOfAlice)).toEqual(alice.notes)
  })

  attack('an entity that is gone', async () => {
    const gone = 'user:00000000-0000-4000-8000-00000000000d'
    await at.db.admin.query(`insert into town.users values ($1, 'dave')`, [gone.slice(5)])
    expect(await outcome(gone)).toBe('00000')
    await at.db.admin.query('delete from town.users where id = $1', [gone.slice(5)])
    expect(await outcome(gone)).toBe('TN009')
  })

  attack('an id that comes back and wants what the old one had', async () => {
    const id = '00000000-0000-4000-8000-0000000000fe'
    const entity = `agent:${id}`
    const birth = `insert into town.agents values ($1, $2)`
    await at.db.admin.query(birth, [id, bob.id])
    await at.db.admin.query('select tenantry.register_service($1, $2)', [entity, 'user'])
    expect(await seen(alice.entity, entity)).toEqual(alice.notes)
    await at.db.admin.query('delete from town.agents where id = $1', [id])
    expect(await outcome(alice.entity, entity)).toBe('TN009')
    await at.db.admin.query(birth, [id, bob.id])
    expect(await outcome(alice.entity, entity)).toBe('TN004')
    expect(await seen(bob.entity, entity)).toEqual(bob.notes)
  })

  attack('an agent that acts for a stranger', async () => {
    expect(await seen(bob.entity, agentOfBob)).toEqual(bob.notes)
    expect(await outcome(bob.entity, agentOfAlice)).toBe('TN004')
    expect(await outcome(alice.entity, agentOfBob)).toBe('TN004')
    expect(await outcome(bob.entity, alice.entity)).toBe('TN004')
    expect(await outcome(agentOfBob, alice.entity)).toBe('TN004')
    expect(await outcome(agentOfBob, agentOfAlice)).toBe('TN004')
    // Whose service an agent is was said by an admin; the service's own data stay its own.
    expect(await seen(bob.entity, service)).toEqual(bob.notes)
    expect(await outcome(service, bob.entity)).toBe('TN004')
  })

  attack('an agent that was taken away from its owner', async () => {
    const id = '00000000-0000-4000-8000-0000000000fd'
    await at.db.admin.query(`insert into town.agents values ($1, $2)`, [id, alice.id])
    expect(await seen(alice.entity, `agent:${id}`)).toEqual(alice.notes)
    await at.db.admin.query('update town.agents set owner_id = $2 where id = $1', [id, bob.id])
    expect(await outcome(alice.entity, `agent:${id}`)).toBe('TN004')
    expect(await seen(bob.entity, `agent:${id}`)).toEqual(bob.notes)
    // Also where a trigger of the application takes it away, of which the update says nothing.
    await at.db.admin
      .query(`set role attacks_owner; alter table town.agents add column left_to uuid;
      create function town.leave_to() returns trigger language plpgsql as $$ begin new.owner_id := new.left_to; return new; end $$;
      create trigger leave_to before update of left_to on town.agents for each row execute function town.leave_to(); reset role`)
    await at.db.admin.query('update town.agents set left_to = $2 where id = $1', [id, alice.id])
    expect(await outcome(bob.entity, `agent:${id}`)).toBe('TN004')
    expect(await seen(alice.entity, `agent:${id}`)).toEqual(alice.notes)
    await at.db.admin.query(
      'drop function town.leave_to() cascade; alter table town.agents drop column left_to',
    )
  })

  attack('making an agent that acts for somebody else', async () => {
    const id = '00000000-0000-4000-8000-0000000000fc'
    await at.as(alice.entity, async (session) => {
      expect(await stateOf(session, 'insert into town.agents values ($1, $2)', [id, bob.id])).toBe(
        '42501',
      )
      expect(
        await stateOf(session, 'insert into town.agents values ($1, $2)', [id, alice.id]),
      ).toBe('00000')
      expect(await stateOf(session, 'update town.agents set owner_id = $1', [bob.id])).toBe('42501')
      expect(await stateOf(session, `insert into town.users values ($1, 'mallory')`, [id])).toBe(
        '42501',
      )
    })
  })

  attack('entering or assuming without the right to', async () => {
    const stranger = await (await at.db.role('stranger')).connect()
    expect(
      await state(stranger.query('select tenantry.enter($1)', [at.credential(bob.entity)])),
    ).toBe('42501')
    await at.db.admin.query(`grant execute on function tenantry.enter(text) to public`)
    expect(
      await state(stranger.query('select tenantry.enter($1)', [at.credential(bob.entity)])),
    ).toBe('TN010')
    await at.db.admin.query(`revoke execute on function tenantry.enter(text) from public`)
    for (const sql of [
      `select tenantry.assume('${bob.entity}')`,
      `select tenantry.register_entity('user:mallory')`,
      `select tenantry.register_service('${agentOfAlice}', 'user')`,
      `select tenantry.bind_role(session_user, '${bob.entity}')`,
      `select tenantry.allow(session_user, 'admin')`,
      `select tenantry.register_issuer('mine', sha256('mine'))`,
      `select tenantry.configure('audience', 'mine')`,
      `select tenantry.initialise(true)`,
      `select tenantry.unprotect('town.notes')`,
      `select tenantry.sync()`,
      `select tenantry.check()`,
    ]) {
      expect(await state(client.query(sql)), sql).toBe('42501')
      expect(await state(stranger.query(sql)), sql).toBe('42501')
    }
  })
})
