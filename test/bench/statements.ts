import pg from 'pg'
import { deriveSigningKey, mintCredential } from '../../src/credential.js'
import { identity } from '../../src/index.js'
import { genericPlanOf, planOf, type Plan } from './plans.js'
import type { Bench } from './prepare.js'
import { interleave, type Sample } from './sampling.js'

/** A query of the application, and the same with the WHERE somebody would have to remember. */
interface Query {
  readonly name: string
  readonly own: string
  readonly byHand: string
  readonly values: readonly string[]
  /** Rows the statement reads, which decides the bar that holds for it. */
  readonly many: boolean
}

export interface Comparison {
  readonly query: string
  readonly owner: string
  readonly own: Sample
  readonly byHand: Sample
  /** The same as prepared statements: what is left is what the execution costs. */
  readonly prepared: { readonly own: Sample; readonly byHand: Sample }
  readonly many: boolean
  readonly plans: {
    readonly own: Plan
    readonly byHand: Plan
    /** What the hand-written statement settles on once it is prepared. */
    readonly byHandGeneric: Plan
    /** Equal to the prepared one: neither knows whose id it will get. */
    readonly same: boolean
    /** Equal to the one planned for this very owner. */
    readonly sameForOwner: boolean
  }
}

function queriesFor(owner: string, memory: string): Query[] {
  const list = 'select id, type, created_at, content from public.memories'
  return [
    {
      name: 'point read',
      own: `${list} where id = $1`,
      byHand: `${list} where id = $1 and owner_id = $2`,
      values: [memory, owner],
      many: false,
    },
    {
      name: 'count',
      own: 'select count(*) from public.memories',
      byHand: 'select count(*) from public.memories where owner_id = $1',
      values: [owner],
      many: true,
    },
    {
      name: 'join',
      own: 'select count(*), count(r.name) from public.memories m join public.rooms r on r.id = m.room_id',
      byHand:
        'select count(*), count(r.name) from public.memories m join public.rooms r on r.id = m.room_id and r.owner_id = $1 where m.owner_id = $1',
      values: [owner],
      many: true,
    },
    {
      name: 'latest 20',
      own: `${list} order by created_at desc limit 20`,
      byHand: `${list} where owner_id = $1 order by created_at desc limit 20`,
      values: [owner],
      many: false,
    },
  ]
}

/**
 * The own path against the hand-written WHERE: the same rows, the statement alone, inside a
 * transaction that has its context already.
 */
export async function measureStatements(
  bench: Bench,
  rounds: { few: number; many: number },
  onQuery: (name: string) => void,
): Promise<Comparison[]> {
  const { heavy, ordinary } = bench.truth.identities
  const key = deriveSigningKey(bench.secret)
  const own = new pg.Client({ connectionString: bench.app.url })
  const bare = new pg.Client({ connectionString: bench.bare.url })
  await Promise.all([own.connect(), bare.connect()])
  const comparisons: Comparison[] = []
  try {
    for (const [who, person] of [
      ['ordinary', ordinary],
      ['heavy', heavy],
    ] as const) {
      const memory = await firstMemory(bench, person.id)
      await bare.query('begin')
      await own.query('begin')
      const me = identity('user')(person.id)
      const credential = mintCredential(
        key,
        { principal: me, actor: me },
        { audience: bench.db.name, expiresAt: Math.floor(Date.now() / 1000) + 3600 },
      )
      await own.query('select tenantry.enter($1)', [credential])
      for (const query of queriesFor(person.id, memory)) {
        onQuery(`${query.name}, ${who} owner`)
        const values = [...query.values]
        const ownValues = query.own.includes('$1') ? values.slice(0, 1) : []
        await proveSame(
          query,
          () => own.query(query.own, ownValues),
          () => bare.query(query.byHand, values),
        )
        const heavyScan = query.many && who === 'heavy'
        const name = `${query.name}, ${who}`
        const [ownSample, handSample, ownPrepared, handPrepared] = await interleave(
          [
            { name: 'own path', run: () => own.query(query.own, ownValues) },
            { name: 'by hand', run: () => bare.query(query.byHand, values) },
            {
              name: 'own path, prepared',
              run: () => own.query({ name, text: query.own, values: ownValues }),
            },
            {
              name: 'by hand, prepared',
              run: () => bare.query({ name, text: query.byHand, values }),
            },
          ],
          heavyScan ? rounds.many : rounds.few,
        )
        if (!ownSample || !handSample || !ownPrepared || !handPrepared) {
          throw new Error('nothing was measured')
        }
        const plans = {
          own: await planOf(own, query.own, ownValues),
          byHand: await planOf(bare, query.byHand, values),
          byHandGeneric: await genericPlanOf(bare, query.byHand, values),
        }
        comparisons.push({
          query: query.name,
          owner: who,
          own: ownSample,
          byHand: handSample,
          prepared: { own: ownPrepared, byHand: handPrepared },
          many: query.many,
          plans: {
            ...plans,
            same: plans.own.shape === plans.byHandGeneric.shape,
            sameForOwner: plans.own.shape === plans.byHand.shape,
          },
        })
      }
      await Promise.all([own.query('commit'), bare.query('commit')])
    }
    return comparisons
  } finally {
    await Promise.all([own.end(), bare.end()])
  }
}

async function firstMemory(bench: Bench, owner: string): Promise<string> {
  const { rows } = await bench.db.admin.query<{ id: string }>(
    'select id from memories where owner_id = $1 order by created_at limit 1',
    [owner],
  )
  return rows[0]?.id ?? ''
}

async function proveSame(
  query: Query,
  own: () => Promise<pg.QueryResult>,
  byHand: () => Promise<pg.QueryResult>,
): Promise<void> {
  const [mine, theirs] = [await own(), await byHand()]
  if (mine.rows.length === 0 || JSON.stringify(mine.rows) !== JSON.stringify(theirs.rows)) {
    throw new Error(`${query.name}: the own path and the hand-written WHERE answer differently`)
  }
}
