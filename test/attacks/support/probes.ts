import { randomBytes } from 'node:crypto'
import { setTimeout } from 'node:timers/promises'
import pg from 'pg'
import { mintCredential } from '../../../src/credential.js'
import {
  agentOfAlice,
  agentOfBob,
  alice,
  bob,
  enter,
  ids,
  service,
  signing,
  state,
  stateOf,
  type Town,
} from './town.js'

type Probe = (at: Town, client: pg.Client) => Promise<boolean>

async function as<T>(
  at: Town,
  client: pg.Client,
  principal: string,
  work: () => Promise<T>,
  actor = principal,
): Promise<T> {
  await client.query('begin')
  try {
    await enter(client, at.credential(principal, actor))
    return await work()
  } finally {
    await client.query('rollback')
  }
}

const same = (found: string[], expected: string[]): boolean => found.join() === expected.join()

const own: Record<string, readonly [alice: string[], bob: string[]]> = {
  notes: [
    ['1', '2'],
    ['3', '4'],
  ],
  comments: [['1'], ['2']],
  lines: [['1'], ['3']],
  events: [
    ['1', '2'],
    ['3', '4'],
  ],
  users: [[alice.id], [bob.id]],
}

/** What must hold whatever else does: each returns whether it held. */
const probes: Record<string, Probe> = {
  async 'everybody reads exactly their rows'(at, client) {
    for (const [table, [hers, his]] of Object.entries(own)) {
      const sql = `select id from town.${table} order by 1`
      if (!same(await as(at, client, alice.entity, () => ids(client, sql)), hers)) return false
      if (!same(await as(at, client, bob.entity, () => ids(client, sql)), his)) return false
    }
    return true
  },
  'everybody changes exactly their rows': (at, client) =>
    as(at, client, alice.entity, async () => {
      // Without WHERE and RETURNING, so that the policies for reading have no part in it.
      const updated = (await client.query('update town.notes set amount = 1')).rowCount
      const deleted = (await client.query('delete from town.notes')).rowCount
      return updated === alice.notes.length && deleted === alice.notes.length
    }),
  async 'nobody reads nothing'(_, client) {
    return (
      (await ids(client)).length === 0 &&
      (await ids(client, 'select id from town.lines')).length === 0
    )
  },
  'rows are written for oneself only': (at, client) =>
    as(at, client, alice.entity, async () => {
      const insert = `insert into town.notes (owner_id, slug, body) values ($1, 'p', 'x')`
      return (
        (await stateOf(client, insert, [alice.id])) === '00000' &&
        (await stateOf(client, insert, [bob.id])) === '42501' &&
        (await stateOf(client, 'update town.notes set owner_id = $1', [bob.id])) === '42501'
      )
    }),
  'a row without an owner is one’s own': (at, client) =>
    as(at, client, alice.entity, async () => {
      const made = await state(
        client.query(`insert into town.notes (slug, body) values ('q', 'x')`),
      )
      return made === '00000'
    }),
  async 'the owner of the table reads nothing'(at) {
    const owner = new pg.Client({ connectionString: at.db.url() })
    await owner.connect()
    try {
      await owner.query('set role attacks_owner')
      return (await ids(owner)).length === 0
    } finally {
      await owner.end()
    }
  },
  'references point at one’s own rows': (at, client) =>
    as(at, client, alice.entity, async () => {
      const codes = [
        await stateOf(client, 'insert into town.comments (note_id) values (3)'),
        await stateOf(client, 'update town.comments set note_id = 3'),
        await stateOf(client, 'insert into town.lines (id, note_id) values (9, 3)'),
      ]
      return codes.every((code) => code === '23503')
    }),
  'nothing is emptied': (at, client) =>
    as(
      at,
      client,
      alice.entity,
      async () => (await stateOf(client, 'truncate town.notes cascade')) === '42501',
    ),
  'a context is not forged': (at, client) =>
    as(at, client, alice.entity, async () => {
      const real = (await ids(client, `select current_setting('tenantry.context')`))[0] ?? ''
      const forged = `c1.${'0'.repeat(64)}.${real.slice(68).replaceAll(alice.entity, bob.entity)}`
      await client.query(`select set_config('tenantry.context', $1, true)`, [forged])
      return (await stateOf(client, 'select from town.notes')) === 'TN002'
    }),
  async 'a context is not used twice'(at, client) {
    const kept = await as(at, client, bob.entity, () =>
      ids(client, `select current_setting('tenantry.context')`),
    )
    await client.query('begin')
    await client.query(`select set_config('tenantry.context', $1, true)`, kept)
    const code = await state(client.query('select from town.notes'))
    await client.query('rollback')
    return code === 'TN002'
  },
  async 'a context ends'(at, client) {
    await at.db.admin.query(`update tenantry_private.signing_keys set lifetime = '-1 second'`)
    const code = await as(at, client, alice.entity, () =>
      state(client.query('select from town.notes')),
    )
    await at.db.admin.query(`update tenantry_private.signing_keys set lifetime = '1 hour'`)
    return code === 'TN003'
  },
  async 'a context does not hold in the statement that entered it'(at, client) {
    const sql = `begin; select tenantry.enter('${at.credential(bob.entity)}'); select id from town.notes`
    const code = await state(client.query(sql))
    await client.query('rollback')
    return code === 'TN002'
  },
  'a transaction has one identity': (at, client) =>
    as(at, client, alice.entity, async () => {
      return (
        (await stateOf(client, 'select tenantry.enter($1)', [at.credential(bob.entity)])) ===
        'TN002'
      )
    }),
  async 'nobody acts for a stranger'(at, client) {
    const code = await state(as(at, client, bob.entity, () => ids(client), agentOfAlice))
    const rows = await as(at, client, bob.entity, () => ids(client), agentOfBob)
    return code === 'TN004' && same(rows, bob.notes)
  },
  async 'a service has the privileges of a service'(at, client) {
    // The second has not been let in before, and goes the long way.
    for (const asked of [client, await at.connect()]) {
      const more = `select tenantry.may('decrypt') or tenantry.may('delegate')`
      const found = await as(at, asked, alice.entity, () => ids(asked, more), service)
      if (!same(found, ['false'])) return false
    }
    return true
  },
  async 'entities are born and die with their rows'(at, client) {
    const id = '00000000-0000-4000-8000-0000000000cc'
    await at.db.admin.query(`insert into town.users values ($1, 'new')`, [id])
    const born = await state(as(at, client, `user:${id}`, () => ids(client)))
    await at.db.admin.query('delete from town.users where id = $1', [id])
    const dead = await state(as(at, client, `user:${id}`, () => ids(client)))
    return born === '00000' && dead === 'TN009'
  },
  async 'kinds are told apart'(at, client) {
    await at.db.admin.query('insert into town.agents values ($1, $2) on conflict do nothing', [
      bob.id,
      alice.id,
    ])
    const rows = await as(at, client, `agent:${bob.id}`, () => ids(client))
    await at.db.admin.query('delete from town.agents where id = $1', [bob.id])
    return rows.length === 0
  },
  async 'credentials are signed, for here and for now'(at, client) {
    const who = { principal: bob.entity, actor: bob.entity } as Parameters<typeof mintCredential>[1]
    const soon = Math.floor(Date.now() / 1000) + 60
    const good = at.credential(bob.entity)
    const codes: string[] = []
    for (const credential of [
      mintCredential({ ...signing, key: randomBytes(32) }, who, {
        audience: at.db.name,
        expiresAt: soon,
      }),
      at.credential(bob.entity, bob.entity, -60),
      `${good.slice(0, good.lastIndexOf('.'))}.`,
      at.credentialFor('elsewhere', bob.entity),
    ]) {
      await client.query('begin')
      codes.push(await state(enter(client, credential)))
      await client.query('rollback')
    }
    return codes.join() === 'TN008,TN003,TN008,TN008'
  },
  async 'passes are signed, and end'(at, client) {
    const { rows } = await client.query<{ pass: string }>(
      'select tenantry_private.enter_for_pass($1, 1) as pass',
      [at.credential(bob.entity)],
    )
    const pass = rows[0]?.pass ?? ''
    const forged = pass.replaceAll(bob.id, alice.id)
    const code = (credential: string) =>
      state(client.query('select tenantry.enter($1)', [credential]))
    const codes = [await code(forged), await code(pass)]
    await setTimeout(1100)
    return [...codes, await code(pass)].join() === 'TN008,00000,TN003'
  },
  async 'superusers are refused'(at) {
    return (
      (await state(at.db.admin.query('select tenantry.enter($1)', [at.credential(bob.entity)]))) ===
      'TN010'
    )
  },
}

/** Names of the probes that did not hold. */
export async function failures(at: Town): Promise<string[]> {
  const client = await at.connect()
  const failed: string[] = []
  for (const [name, probe] of Object.entries(probes)) {
    // A login that was let in before takes shorter ways through enter(), which must be as narrow.
    await state(client.query('select tenantry.enter($1)', [at.credential(alice.entity)]))
    const held = await probe(at, client).catch(() => false)
    if (!held) failed.push(name)
    await client.query('rollback')
  }
  return failed
}
