import pg from 'pg'
import { afterAll, beforeAll, describe, expect, type TestContext } from 'vitest'
import { skipWithReason } from '../support/skip.js'
import { attack, control } from './support/attack.js'
import { endings, workAsBob } from './support/leftovers.js'
import { failures } from './support/probes.js'
import { type Pooler, hasPgBouncer, startPooler } from './support/pgbouncer.js'
import { type Town, alice, bob, enter, ids, state, stateOf, town } from './support/town.js'

const installed = hasPgBouncer()

describe('through PgBouncer in transaction mode', () => {
  let at: Town
  let one: Pooler
  let two: Pooler
  const clients: pg.Client[] = []
  beforeAll(async () => {
    if (!installed) return
    at = await town()
    one = await startPooler(at.app, 1)
    two = await startPooler(at.app, 2)
  })
  afterAll(async () => {
    if (!installed) return
    await Promise.all(clients.map((client) => client.end()))
    await Promise.all([one.stop(), two.stop()])
    await at.drop()
  })

  function needsPgBouncer(context: TestContext): void {
    if (!installed) skipWithReason(context, 'PgBouncer is not installed')
  }

  async function connect(pooler: Pooler): Promise<pg.Client> {
    const client = new pg.Client({ connectionString: pooler.url })
    await client.connect()
    clients.push(client)
    return client
  }

  const backend = async (client: pg.Client): Promise<string> =>
    (await ids(client, 'select pg_backend_pid()'))[0] ?? ''

  for (const ending of Object.keys(endings)) {
    attack(`behind PgBouncer, a context left behind by ${ending as 'commit'}`, async (context) => {
      needsPgBouncer(context)
      const [first, second] = [await connect(one), await connect(one)]
      await workAsBob(first, at, ending)
      expect(await backend(second), 'the same server connection').toBe(await backend(first))
      expect(await ids(second)).toEqual([])
      // The control: what a client sets for its session, another client finds.
      const naive = await ids(second, 'select id from town.naive_notes order by 1')
      control(naive).toEqual(ending === 'commit' ? bob.notes : [])
      await second.query('begin')
      await enter(second, at.credential(alice.entity))
      expect(await ids(second)).toEqual(alice.notes)
      await second.query('rollback')
      await second.query('reset all')
    })
  }

  attack('behind PgBouncer, a context replayed on another server connection', async (context) => {
    needsPgBouncer(context)
    const [first, second] = [await connect(two), await connect(two)]
    await first.query('begin')
    await second.query('begin')
    expect(await backend(first)).not.toBe(await backend(second))
    await enter(first, at.credential(bob.entity))
    const stolen = (await ids(first, `select current_setting('tenantry.context')`))[0]
    await second.query(`select set_config('tenantry.context', $1, true)`, [stolen])
    expect(await stateOf(second, 'select from town.notes')).toBe('TN002')
    expect(await ids(first)).toEqual(bob.notes)
    await second.query('rollback')
    await first.query('rollback')
    // Nor on the same one, once the transaction is over.
    const third = await connect(one)
    await third.query('begin')
    await enter(third, at.credential(bob.entity))
    const kept = (await ids(third, `select current_setting('tenantry.context')`))[0]
    await third.query('commit')
    const fourth = await connect(one)
    await fourth.query('begin')
    await fourth.query(`select set_config('tenantry.context', $1, true)`, [kept])
    expect(await stateOf(fourth, 'select from town.notes')).toBe('TN002')
    await fourth.query('rollback')
  })

  attack('behind PgBouncer, a session setting that another client finds', async (context) => {
    needsPgBouncer(context)
    const [first, second] = [await connect(one), await connect(one)]
    for (const setting of [
      `set row_security = off`,
      `select set_config('tenantry.context', 'c1.planted', false)`,
      `select set_config('tenantry.session', 's1.planted', false)`,
      `set search_path = tenantry_private, pg_temp`,
      `set plan_cache_mode = force_generic_plan`,
    ]) {
      await first.query(setting)
      expect(await state(second.query('select id from town.notes')), setting).toMatch(
        /^(00000|TN002|42501)$/,
      )
      await second.query('begin')
      await enter(second, at.credential(alice.entity))
      expect(await ids(second), setting).toEqual(alice.notes)
      await second.query('commit')
      await first.query('reset all')
    }
    await first.query(`set application_name = 'left behind'`)
    expect(await ids(second, 'show search_path')).toHaveLength(1)
  })

  attack('behind PgBouncer, a prepared plan that another client finds', async (context) => {
    needsPgBouncer(context)
    const [first, second] = [await connect(one), await connect(one)]
    await first.query('begin')
    await enter(first, at.credential(bob.entity))
    await first.query('prepare theirs as select id from town.notes order by 1')
    await first.query(
      `prepare fixed as select id from town.open_notes where owner_id = '${bob.id}' order by 1`,
    )
    expect(await ids(first, 'execute theirs')).toEqual(bob.notes)
    await first.query('commit')
    expect(await ids(second, 'execute theirs')).toEqual([])
    await second.query('begin')
    await enter(second, at.credential(alice.entity))
    expect(await ids(second, 'execute theirs')).toEqual(alice.notes)
    await second.query('commit')
    // The control: a plan with the identity in it.
    control(await ids(second, 'execute fixed')).toEqual(bob.notes)
    await second.query('deallocate all')
  })

  attack('behind PgBouncer, a cursor WITH HOLD that another client finds', async (context) => {
    needsPgBouncer(context)
    const [first, second] = [await connect(one), await connect(one)]
    await first.query('begin')
    await enter(first, at.credential(bob.entity))
    await first.query('declare kept cursor with hold for select id from town.notes order by 1')
    await first.query('commit')
    // The runtime refuses to declare one; what somebody else keeps in a session, the next finds there.
    expect(await ids(second, 'fetch all from kept')).toEqual(bob.notes)
    await second.query('close all')
    expect(await state(second.query('fetch all from kept'))).toBe('34000')
  })

  attack('behind PgBouncer, everything that the mutants are found by', async (context) => {
    needsPgBouncer(context)
    const through = { ...at, connect: () => connect(two) }
    expect(await failures(through)).toEqual([])
    await at.db.admin.query('alter table town.lines disable row level security')
    control(await failures(through)).not.toEqual([])
    await at.db.admin.query('alter table town.lines enable row level security')
  })
})
