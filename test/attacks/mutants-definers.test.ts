import type pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { mutants } from './support/mutants-list.js'
import { actingMutants } from './support/mutants-acting-list.js'
import {
  commonGuards,
  type Definer,
  definers,
  type Guard,
  outcome,
  type Prober,
  unguarded,
} from './support/definers.js'
import { ownGuards } from './support/own-guards.js'
import { helperGuards } from './support/helper-guards.js'
import { bob, carol, type RoomTown, roomTown } from './support/rooms.js'
import { alice, ids } from './support/town.js'

// Each guard of each function that runs as its owner is taken out in turn, in a transaction that is rolled back.
describe('functions that run as their owner', () => {
  let at: RoomTown
  let all: Definer[]
  let session: pg.PoolClient
  let own: Record<string, readonly Guard[]>
  let login: Record<Prober, string>
  const share = `sha256('a share of the tests')`

  beforeAll(async () => {
    at = await roomTown()
    const { admin } = at.db
    await admin.query(`select tenantry.create_master_key(${share});
      set role attacks_owner;
      create table town.vault (id bigint primary key, owner_id uuid not null references town.users, label text, token text, raw bytea);
      reset role;
      select * from tenantry.protect('town.vault', 'owner_id', 'user');
      select * from tenantry.encrypt_column('town.vault', 'label');
      select * from tenantry.encrypt_column('town.vault', 'token', blind_index => true);
      select * from tenantry.encrypt_column('town.vault', 'raw')`)
    const writer = await at.connect()
    await writer.query('begin')
    await writer.query(`select tenantry.enter($1, ${share})`, [at.credential(alice.entity)])
    await writer.query(`insert into town.vault (id, token, raw) values (1, 'of alice', 'of alice')`)
    await writer.query('commit')
    await at.give([bob.entity], carol.entity)
    const outsider = await at.db.role('outsider', { ordinary: false })
    const other = await at.db.role('other_admin', { ordinary: false, allow: 'admin' })
    // An admin, but of another database; he owns the tables, so that only this keeps him out.
    await admin.query(`grant tenantry_admin, attacks_owner to "${outsider.name}"`)
    await admin.query(`grant usage on schema town to "${other.name}"`)
    const oncall = await at.db.role('oncall')
    await admin.query(`select * from tenantry.allow($1, 'maintenance')`, [oncall.name])
    login = {
      outsider: outsider.name,
      admin: other.name,
      app: at.app.name,
      oncall: oncall.name,
    }
    const opening = async (column: string) =>
      (
        await ids(admin, 'select opens from tenantry.encrypted_columns where column_name = $1', [
          column,
        ])
      )[0] ?? ''
    own = ownGuards(at, { text: await opening('token'), bytea: await opening('raw') })
    // What is cloned is guarded from here on.
    await admin.query('select * from tenantry.sync()')
    all = await definers(at)
    session = await admin.connect()
  })
  afterAll(async () => {
    session.release()
    await at.drop()
  })

  /** How the guard's question ends; with the guard or without it. */
  async function asked(definer: Definer, guard: Guard, without: boolean): Promise<string> {
    const { name, text, call, internal } = definer
    await session.query('begin')
    try {
      if (internal) await session.query(`grant execute on function ${name} to public`)
      if (without) {
        const broken = text.replace(guard.from, guard.to)
        if (broken === text) throw new Error(`it does not say ${guard.from.source}`)
        await session.query(broken)
        const also = all.find(({ name }) => name === guard.also)
        if (also) await session.query(also.text.replace(guard.from, guard.to))
      }
      await session.query(`set session authorization "${login[guard.by]}"`)
      for (const first of guard.first ?? [])
        await session.query(first.replace('LOGIN', `"${login[guard.by]}"`))
      return await outcome(session, (guard.ask ?? call).replace('LOGIN', `"${login[guard.by]}"`))
    } finally {
      await session.query('rollback; reset session authorization; reset all')
    }
  }

  const guardsOf = (definer: Definer): Guard[] => [
    ...commonGuards(definer),
    ...(own[definer.name.replace(/^tenantry_private\.seal_\w+\(\)$/, 'seal')] ?? []),
  ]

  /** Guards that do not hold, mutants that nothing finds, and how many are found. */
  async function tried(functions: readonly (readonly [Definer, readonly Guard[]])[]) {
    const [found, alive]: [string[], string[]] = [[], []]
    let killed = 0
    for (const [definer, guards] of functions) {
      for (const guard of guards) {
        const what = `${definer.name}: ${guard.what}`
        const whole = await asked(definer, guard, false)
        const broken = await asked(definer, guard, true)
        if (!guard.held.test(whole)) found.push(`${what}: ${whole}`)
        else if (guard.held.test(broken)) alive.push(`${what}: ${broken}`)
        else if (/^42(601|883|703|P01|804)/.test(broken))
          found.push(`${what}: breaks it for everybody: ${broken}`)
        else killed++
      }
    }
    const all = killed + found.length + alive.length
    console.info(`mutants: ${killed} of ${all} guards of functions killed`)
    expect({ found, alive }).toEqual({ found: [], alive: [] })
    return killed
  }

  it('refuse as long as their guards stand, and no more when they are taken out', async () => {
    expect(await tried(all.map((definer) => [definer, guardsOf(definer)]))).toBeGreaterThan(90)
  })

  it('refuse by the guards of what they call', async () => {
    const called = await Promise.all(
      Object.entries(helperGuards(at)).map(async ([name, guards]) => {
        const [text = ''] = await ids(
          at.db.admin,
          'select pg_get_functiondef(to_regprocedure($1))',
          [name],
        )
        return [{ name, text, call: '', open: false, internal: false }, guards] as const
      }),
    )
    expect(await tried(called)).toBeGreaterThanOrEqual(20)
  })

  it('that are given to everybody are found', async () => {
    const callable = `select count(*) from pg_proc p where p.prosecdef and has_function_privilege('${login.app}', p.oid, 'execute')
      and p.pronamespace in ('tenantry'::regnamespace, 'tenantry_private'::regnamespace)`
    const [before] = await ids(session, callable)
    const alive: string[] = []
    for (const { name } of all.filter(({ open }) => !open)) {
      if (
        (
          await ids(session, `select has_function_privilege('${login.app}', '${name}', 'execute')`)
        )[0] === 'true'
      )
        continue
      await session.query(`begin; grant execute on function ${name} to public`)
      if ((await ids(session, callable))[0] === before) alive.push(name)
      await session.query('rollback')
    }
    expect(alive).toEqual([])
  })

  it('have a mutant each, or a reason to need none', () => {
    const routines = [...Object.values(mutants), ...Object.values(actingMutants)]
      .flatMap((mutant) => (typeof mutant === 'string' ? [] : [mutant].flat()))
      .map(({ routine }) => routine)
    const broken = (name: string) =>
      routines.some((routine) => name === routine || name.startsWith(`${routine}(`))
    const without = all.filter(
      (definer) =>
        guardsOf(definer).length === 0 &&
        !definer.internal &&
        !broken(definer.name) &&
        !unguarded[definer.name],
    )
    expect(
      without.map(({ name }) => name),
      'support/definers.ts has neither a guard nor a reason for these',
    ).toEqual([])
    const names = new Set(all.map(({ name }) => name))
    expect(
      Object.keys(unguarded).filter((name) => !names.has(name)),
      'gone',
    ).toEqual([])
    expect(
      Object.keys(own).filter((name) => name !== 'seal' && !names.has(name)),
      'gone',
    ).toEqual([])
    const needless = all.filter(
      (definer) => unguarded[definer.name] && guardsOf(definer).length > 0,
    )
    expect(needless.map(({ name }) => name)).toEqual([])
  })
})
