import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { expectRefusal, refusal } from './support/refusal.js'
import { claims, entered, notesDatabase, token, type Notes } from './support/notes.js'

interface Who {
  readonly actor: string
  readonly principal: string
  readonly privileges: string[]
}

const everything = ['select', 'insert', 'update', 'delete', 'decrypt', 'delegate']
const forOwner = ['select', 'insert', 'update', 'delete', 'decrypt']
const rowsOnly = ['select', 'insert', 'update', 'delete']

let notes: Notes
beforeAll(async () => {
  notes = await notesDatabase()
  // user 1 owns agents 10 and 11, of which 10 acts for it; user 2 owns agent 20. Bot 1 is the platform's.
  await notes.db.admin.query(`
    set role "${notes.owner.name}";
    create table app.agents (id bigint primary key, owner_id int references app.users);
    create table app.tools (id uuid primary key, agent_id bigint);
    insert into app.agents values (10, 1), (20, 2), (30, null);
    insert into app.tools values ('00000000-0000-0000-0000-000000000001', 10);
    reset role;
    select tenantry.register_kind('agent', 'app.agents', owner_column => 'owner_id', owner_kind => 'user', acts_for_owner => true);
    select tenantry.register_kind('tool', 'app.tools', owner_column => 'agent_id', owner_kind => 'agent');
    select tenantry.register_entity('bot:1');
    select tenantry.register_entity('bot:2');
    select tenantry.register_entity('device:phone', owner => 'user:1', acts_for_owner => true);
    select tenantry.register_entity('device:radio', owner => 'user:1')`)
})
afterAll(async () => {
  await notes.db.drop()
})

/** `chain` is the subject, then whoever acts for the one before. */
function chained(...chain: string[]): string {
  const [sub = '', ...actors] = chain
  const act = actors.reduce<object | undefined>(
    (inner, actor) => ({ sub: actor, ...(inner && { act: inner }) }),
    undefined,
  )
  return token(claims(notes.db, sub, act && { act }))
}

async function whoami(...chain: string[]): Promise<Who> {
  const { client } = notes
  return entered(client, chained(...chain), async () => {
    const { rows } = await client.query<Who>(
      'select actor, principal, privileges from tenantry.whoami()',
    )
    return rows[0] as Who
  })
}

async function mayNot(...chain: string[]): Promise<void> {
  const error = await expectRefusal(whoami(...chain), 'TN004', /may not act for/)
  expect(error.hint).toContain('service')
}

const tool = 'tool:00000000-0000-0000-0000-000000000001'

describe('a context', () => {
  it('is one identity a transaction, and the links to it are part of that', async () => {
    const { client } = notes
    const direct = ['user:1']
    const round = ['user:1', 'agent:10', 'user:1']
    expect(await whoami(...direct)).toMatchObject({ privileges: everything })
    expect(await whoami(...round)).toMatchObject({ actor: 'user:1', privileges: forOwner })
    for (const [first, second] of [
      [direct, round],
      [round, direct],
    ] as const) {
      for (const enter of ['tenantry.enter($1)', 'tenantry_private.enter_for_pass($1, 60)']) {
        await entered(client, chained(...first), async () => {
          const again = (chain: readonly string[]) =>
            client.query(`select ${enter}`, [chained(...chain)])
          await again(first)
          const before = await client.query<Who>('select privileges from tenantry.whoami()')
          await client.query('savepoint before')
          const error = await expectRefusal(
            again(second),
            'TN002',
            /already works as user:1, with other privileges/,
          )
          expect(error.hint).toContain('End the transaction')
          await client.query('rollback to before')
          const after = await client.query<Who>('select privileges from tenantry.whoami()')
          expect(after.rows).toEqual(before.rows)
        })
      }
    }
    // By a pass of the other chain as well.
    const { rows } = await client.query<{ pass: string }>(
      'select tenantry_private.enter_for_pass($1, 60) as pass',
      [chained(...direct)],
    )
    await entered(client, chained(...round), () =>
      expectRefusal(client.query('select tenantry.enter($1)', [rows[0]?.pass]), 'TN002'),
    )
  })

  it('names the actor as its own principal, with every privilege', async () => {
    for (const who of ['user:1', 'agent:10', 'bot:1', tool]) {
      expect(await whoami(who)).toEqual({ actor: who, principal: who, privileges: everything })
      expect(await whoami(who, who)).toEqual({ actor: who, principal: who, privileges: everything })
    }
  })

  it('lets an owner work as what it owns, and nobody else', async () => {
    expect(await whoami('agent:10', 'user:1')).toEqual({
      actor: 'user:1',
      principal: 'agent:10',
      privileges: everything,
    })
    expect(await whoami('device:radio', 'user:1')).toMatchObject({ privileges: everything })
    await mayNot('agent:20', 'user:1')
    await mayNot('agent:30', 'user:1')
    await mayNot('user:1', 'user:2')
    // By steps, but not across a link that nobody named.
    expect(await whoami(tool, 'agent:10', 'user:1')).toMatchObject({
      actor: 'user:1',
      principal: tool,
      privileges: everything,
    })
    await mayNot(tool, 'user:1')
  })

  it('lets what acts for its owner do everything but hand on, and only for its own owner', async () => {
    expect(await whoami('user:1', 'agent:10')).toEqual({
      actor: 'agent:10',
      principal: 'user:1',
      privileges: forOwner,
    })
    await mayNot('user:2', 'agent:10')
    await mayNot('user:1', 'agent:30')
    expect(await whoami('user:1', 'device:phone')).toMatchObject({ privileges: forOwner })
    await mayNot('user:1', 'device:radio')
    // A tool belongs to an agent, but its kind does not act for owners.
    await mayNot('agent:10', tool)
  })

  it('lets a service act for every entity of its kind, one per call, without secrets', async () => {
    await mayNot('user:1', 'bot:1')
    await notes.db.admin.query(`select tenantry.register_service('bot:1', 'user')`)
    for (const user of ['user:1', 'user:2']) {
      expect(await whoami(user, 'bot:1')).toEqual({
        actor: 'bot:1',
        principal: user,
        privileges: rowsOnly,
      })
    }
    await mayNot('agent:10', 'bot:1')
    await mayNot('user:1', 'bot:2')
    await mayNot('bot:1', 'user:1')
    await notes.db.admin.query(`select tenantry.unregister_service('bot:1', 'user')`)
    await mayNot('user:1', 'bot:1')
  })

  it('sees the principal’s rows, whoever acts', async () => {
    const { client } = notes
    for (const [chain, body] of [
      [['user:1'], 'note of one'],
      [['user:1', 'agent:10'], 'note of one'],
      [['user:2', 'agent:20'], 'note of two'],
    ] as const) {
      const { rows } = await entered(client, chained(...chain), () =>
        client.query('select body from app.notes'),
      )
      expect(rows).toEqual([{ body }])
    }
    const asAgent = await entered(client, chained('agent:10', 'user:1'), () =>
      client.query('select from app.notes'),
    )
    expect(asAgent.rowCount).toBe(0)
  })

  it('intersects the links of a chain, up to five actors deep', async () => {
    await notes.db.admin.query(`select tenantry.register_service('bot:1', 'agent')`)
    // bot → agent → user: a service for the agent, which acts for its owner.
    expect(await whoami('user:1', 'agent:10', 'bot:1')).toEqual({
      actor: 'bot:1',
      principal: 'user:1',
      privileges: rowsOnly,
    })
    expect(await whoami('agent:10', 'user:1', 'agent:10')).toMatchObject({
      actor: 'agent:10',
      principal: 'agent:10',
      privileges: forOwner,
    })
    await mayNot('user:2', 'agent:10', 'bot:1')
    await mayNot('user:1', 'agent:20', 'bot:1')
    await mayNot('user:2', 'user:1', 'agent:10')
    const alternating = ['user:1', 'agent:10', 'user:1', 'agent:10', 'user:1', 'agent:10']
    expect(await whoami(...alternating)).toMatchObject({ privileges: forOwner })
    await expectRefusal(whoami(...alternating, 'user:1'), 'TN008', /more than 5 deep/)
    await notes.db.admin.query(`select tenantry.unregister_service('bot:1', 'agent')`)
  })

  it('is refused for entities that are unknown or gone, at any place of the chain', async () => {
    expect(await whoami('user:1', 'agent:10')).toMatchObject({ actor: 'agent:10' })
    for (const stranger of ['user:99', 'nobody:1', 'agent:010', 'user: 1', 'user:1 ']) {
      await expectRefusal(whoami(stranger), 'TN009', /there is no entity/)
      await expectRefusal(whoami('user:1', stranger), 'TN009')
      await expectRefusal(whoami(stranger, 'user:1'), 'TN009')
    }
    await expectRefusal(whoami('user:1', 'agent:99', 'bot:1'), 'TN009')
    // Not before some rows are public.
    const nobody = await expectRefusal(whoami('anonymous:anonymous'), 'TN009')
    expect(nobody.hint).toContain('public_when')
    const unwritten = refusal(notes.db.admin.query(`select '42'::tenantry.entity`))
    expect((await unwritten).message).toContain('written kind:id, such as user:42')
    const { admin } = notes.db
    await admin.query(
      `insert into app.users values (5, 'five'); insert into app.agents values (50, 5)`,
    )
    expect(await whoami('user:5', 'agent:50')).toMatchObject({ actor: 'agent:50' })
    await admin.query('delete from app.agents where id = 50')
    await expectRefusal(whoami('user:5', 'agent:50'), 'TN009')
    await expectRefusal(whoami('agent:50'), 'TN009')
    expect(await whoami('user:5')).toMatchObject({ actor: 'user:5' })
    await admin.query('delete from app.users where id = 5')
    await expectRefusal(whoami('user:5'), 'TN009')
  })
})

describe('may, principal and actor', () => {
  beforeEach(async () => {
    await notes.db.admin.query(`select tenantry.register_service('bot:1', 'user')`)
  })

  const ask = `
    select tenantry.actor() as actor, tenantry.principal('user') as principal, tenantry.principal('agent') as agent,
           tenantry.principal('user', 'decrypt') as decrypt, tenantry.principal('user', 'delegate') as delegate,
           tenantry.may('select') as "select", tenantry.may('decrypt') as "may decrypt", tenantry.may('delegate') as "may delegate"`

  it('answer by what the chain leaves', async () => {
    const { client } = notes
    const answers = async (...chain: string[]) =>
      entered(client, chained(...chain), async () => (await client.query<object>(ask)).rows[0])
    expect(await answers('user:1')).toEqual({
      actor: 'user:1',
      principal: '1',
      agent: null,
      decrypt: '1',
      delegate: '1',
      select: true,
      'may decrypt': true,
      'may delegate': true,
    })
    expect(await answers('user:1', 'agent:10')).toEqual({
      actor: 'agent:10',
      principal: '1',
      agent: null,
      decrypt: '1',
      delegate: null,
      select: true,
      'may decrypt': true,
      'may delegate': false,
    })
    expect(await answers('user:1', 'bot:1')).toEqual({
      actor: 'bot:1',
      principal: '1',
      agent: null,
      decrypt: null,
      delegate: null,
      select: true,
      'may decrypt': false,
      'may delegate': false,
    })
  })

  it('answer null and false without a context, and refuse words that are no privilege', async () => {
    const { client } = notes
    expect((await client.query(ask)).rows).toEqual([
      {
        actor: null,
        principal: null,
        agent: null,
        decrypt: null,
        delegate: null,
        select: false,
        'may decrypt': false,
        'may delegate': false,
      },
    ])
    await expectRefusal(client.query(`select tenantry.may('select,insert')`), '22023')
    for (const word of ['', ',', 'SELECT', 'everything', null]) {
      await expectRefusal(client.query('select tenantry.may($1)', [word]), '22023')
      const asked = await entered(client, chained('user:1'), () =>
        client.query('select tenantry.principal($1, $2) as id', ['user', word]),
      )
      expect(asked.rows).toEqual([{ id: null }])
    }
    for (const kind of ['', 'use', 'user:', 'user:1', 'USER', null]) {
      const asked = await entered(client, chained('user:1'), () =>
        client.query('select tenantry.principal($1) as id', [kind]),
      )
      expect(asked.rows).toEqual([{ id: null }])
    }
  })
})
