import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  attacked,
  behindEach,
  listener,
  nothingLeaked,
  type Attacked,
  type Listener,
} from './support/attacked.js'
import { anna, bertId } from './support/stage.js'

// Views and accessors call functions as whoever reads, so that whoever reads may call them, with whatever arguments.

let at: Attacked
let ears: Listener
let keys: Buffer[]

beforeAll(async () => {
  at = await attacked()
  ears = await listener(at)
  keys = await at.keys()
})
afterAll(() => at.drop())

interface Routine {
  readonly call: string
  readonly name: string
  readonly types: string[]
}

const callable = async (schema: string) =>
  (
    await ears.client.query<Routine>(
      `select p.oid::regproc::text as call, p.proname as name,
              array(select format_type(t, null) from unnest(p.proargtypes::oid[]) t) as types
         from pg_proc p
        where p.pronamespace = $1::regnamespace and has_function_privilege(p.oid, 'execute') and p.prorettype <> 'trigger'::regtype
        order by 2, 3`,
      [schema],
    )
  ).rows

test('only functions that give sealed things, or open one’s own, are the application’s to call', async () => {
  const names = new Set((await callable('tenantry_private')).map(({ name }) => name))
  expect([...names].sort()).toEqual([
    'anchors',
    'audited_ring',
    'encrypted_listing',
    'enter_for_pass',
    'explained',
    'is_without_context',
    'judge_ddl',
    'linked',
    'open_bytea',
    'open_text',
    'part',
    'privilege_list',
    'privilege_names',
    'reach_of',
    'ring',
    'ring_now',
    'settle_births',
    'shaped',
    'view_on',
    'visible_delegations',
  ])
})

describe('with arguments that nobody meant', () => {
  test('every function that the application may call keeps its keys', async () => {
    ears.heard.length = 0
    const routines = [...(await callable('tenantry_private')), ...(await callable('tenantry'))]
    expect(routines.length).toBeGreaterThan(20)
    const columns = await at.stored<{ column_id: string }>(
      'select column_id from tenantry.encrypted_columns order by column_name',
    )
    const pk = Buffer.from('00000001000000040000000200000001'.slice(0, 24), 'hex')
    let calls = 0
    await behindEach(
      at,
      ears,
      async (who) => {
        await ears.run(`update vault set token = 'OWN-AGAIN'`, [], true)
        const { rows: own } = await ears.client.query<Record<string, string>>(
          `select current_setting('tenantry.seal_ring', true) as seal, current_setting('tenantry.key_share', true) as share`,
        )
        const ring = await ears.run(`select tenantry_private.ring('user')`)
        const seal = own[0]!.seal ?? ''
        const values: Record<string, unknown[]> = {
          text: [
            ring.startsWith('[["r1') ? (JSON.parse(ring) as [[string]])[0][0] : null,
            at.loot.token,
            'user',
            `user:${bertId}`,
            null,
            '',
            at.loot.ring,
            seal.replace(/^w1/, 'r1'),
            own[0]!.share,
            at.loot.keyShare,
            at.loot.context,
            'r1.\u00fc\u001f',
            'x'.repeat(300),
          ],
          bytea: [at.loot.raw, pk, null, Buffer.alloc(0), Buffer.alloc(32)],
          uuid: [...columns.map(({ column_id }) => column_id), null],
          boolean: [true, null, false],
          integer: [60, null, -1, 2147483647],
          regclass: ['vault', 'tenantry_private.master_keys', null],
          'tenantry.entity': [`user:${bertId}`, null, ''],
        }
        for (const { call, types } of routines) {
          const choices = types.map((type) => values[type] ?? [null])
          const all = choices.reduce((product, { length }) => product * length, 1)
          // A step that has no factor in common with the lengths comes by every value of every argument.
          const step = Math.max(1, Math.floor(all / (who === 'anna' ? 150 : 25))) | 1
          for (let number = 0; number < all; number += step) {
            let rest = number
            const args = choices.map((choice) => {
              const value = choice[rest % choice.length]
              rest = Math.floor(rest / choice.length)
              return value
            })
            const shape = types.map((type, index) => `$${index + 1}::${type}`).join(', ')
            await ears.run(`select * from ${call}(${shape})`, args)
            calls += 1
          }
        }
      },
      'set client_min_messages = log; set debug_print_plan = on; set plpgsql.print_strict_params = on',
    )
    expect(calls).toBeGreaterThan(1000)
    expect(ears.heard.join('\n')).toContain('TN006')
    nothingLeaked(ears, keys)
  }, 180_000)

  test('what belongs to somebody else does not open with one’s own ring, nor with theirs', async () => {
    const opens = (
      await at.stored<{ opens: string }>(
        `select opens from tenantry.encrypted_columns where column_name = 'token'`,
      )
    )[0]!.opens.replaceAll('$ring$', 'x.ring')
    const open = (id: number, owner: string, token: string, ring: string) =>
      ears.run(
        `select ${opens} from (select $1::int as id, $2::uuid as owner_id, $3::text as token) t,
           (select coalesce($4, tenantry_private.ring('user')) as ring) x`,
        [id, owner, token, ring === 'own' ? null : ring],
      )
    await behindEach(
      at,
      ears,
      async (who) => {
        if (who !== 'anna') return
        const { rows } = await ears.client.query<{ token: string }>('select token from vault')
        expect(await open(1, anna.slice(5), rows[0]!.token, 'own')).toBe('[["OWN-TOKEN"]]') // the control
        for (const [id, owner] of [
          [2, bertId],
          [1, anna.slice(5)],
        ] as const) {
          for (const ring of ['own', at.loot.ring, at.loot.sealRing.replace(/^w1/, 'r1')]) {
            expect(await open(id, owner, at.loot.token, ring)).toContain('TN006')
          }
        }
      },
      'select 1',
    )
    nothingLeaked(ears, keys)
  })
})
