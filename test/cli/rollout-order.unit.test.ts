import { describe, expect, it } from 'vitest'
import { concurrently } from '../../src/cli/rollout/index-owners.js'
import { callsTo, inOrder, type Rollout, type State } from '../../src/cli/rollout/states.js'

const tables = (state: State): Rollout[] => [
  { table: 'books', state, reads: ['shelves'], takes: ['shelves'] },
  { table: 'shelves', state, reads: [], takes: [] },
  { table: 'visits', state, reads: ['books', 'elsewhere'], takes: ['books', 'elsewhere'] },
]

const told = (rollouts: readonly Rollout[], goal: State) =>
  callsTo(rollouts, goal).map(({ table, to }) => `${table} ${to}`)

describe('the calls of a rollout', () => {
  it('take parents first, and children first where tables are closed', () => {
    expect(told(tables('verified'), 'strict')).toEqual([
      'visits strict',
      'books strict',
      'shelves strict',
    ])
    expect(told(tables('planned'), 'backfilled')).toEqual([
      'shelves prepared',
      'books prepared',
      'visits prepared',
      'shelves backfilled',
      'books backfilled',
      'visits backfilled',
    ])
  })

  it('go back the other way round, past prepared where the columns go', () => {
    expect(told(tables('strict'), 'transitional')).toEqual([
      'shelves verified',
      'books verified',
      'visits verified',
      'visits transitional',
      'books transitional',
      'shelves transitional',
    ])
    expect(told(tables('backfilled'), 'planned')).toEqual([
      'visits planned',
      'books planned',
      'shelves planned',
    ])
    expect(told(tables('backfilled'), 'prepared')).toHaveLength(3)
  })

  it('bring tables together that are apart, those first that come back', () => {
    const [books, shelves] = tables('planned')
    expect(told([{ ...books!, state: 'strict' }, shelves!], 'prepared')).toEqual([
      'books verified',
      'books transitional',
      'books backfilled',
      'books prepared',
      'shelves prepared',
    ])
  })

  it('finish a switch that was interrupted, and do nothing else twice', () => {
    expect(told(tables('strict'), 'strict')).toHaveLength(3)
    expect(told(tables('verified'), 'verified')).toEqual([])
  })

  it('come to an end where tables read each other', () => {
    const ring: Rollout[] = [
      { table: 'a', state: 'planned', reads: ['b'], takes: ['b'] },
      { table: 'b', state: 'planned', reads: ['a'], takes: ['a'] },
    ]
    expect(inOrder(ring).map(({ table }) => table)).toEqual(['a', 'b'])
  })

  it('put those first that owners are taken from, where tables read each other', () => {
    const agents: Rollout = {
      table: 'agents',
      state: 'planned',
      reads: ['entities', 'rooms'],
      takes: [],
    }
    const entities: Rollout = {
      table: 'entities',
      state: 'planned',
      reads: ['agents'],
      takes: ['agents'],
    }
    const rooms: Rollout = {
      table: 'rooms',
      state: 'planned',
      reads: ['agents'],
      takes: ['agents'],
    }
    expect(inOrder([entities, rooms, agents]).map(({ table }) => table)).toEqual([
      'agents',
      'entities',
      'rooms',
    ])
  })
})

describe('a missing index', () => {
  it('is built concurrently, once what an interrupted attempt left is gone', () => {
    expect(concurrently('create index a on t (b)')).toEqual([
      'create index concurrently a on t (b)',
    ])
    expect(concurrently('drop index concurrently a; create index a2 on t (b)')).toEqual([
      'drop index concurrently a',
      'create index concurrently a2 on t (b)',
    ])
  })
})
