import type pg from 'pg'
import { inTransaction } from '../../extension/support/stage.js'
import { alice, bob, enter, ids, state, stateOf, type Town, town } from './town.js'

const id = (end: string): string => `00000000-0000-4000-8000-${end.padStart(12, '0')}`

/** Carol is a member of Bob's room, Dave looks on, Frank and Alice are not in it. */
export const carol = { id: id('c'), entity: `user:${id('c')}` }
export const dave = { id: id('d'), entity: `user:${id('d')}` }
export const frank = { id: id('f'), entity: `user:${id('f')}` }
export const roomOfBob = id('f1')
export const roomOfAlice = id('f2')
export const anonymous = 'anonymous:anonymous'

/** What a session reads on the reach path of the posts. */
export const posts = 'select id from reach.posts order by 1'
/** What Bob's own posts are, on the own path and where they were given. */
export const ofBob = 'select id from town.posts order by 1'

/** Makes somebody a member of a room: the row's owner, the room, the member and the role. */
export const joining = `insert into town.members (owner_id, room_id, member_id, role) values ($1, $2, $3, $4)`

export interface RoomTown extends Town {
  /** A transaction under a chain, the principal first; rolled back. */
  under<T>(chain: readonly string[], work: (client: pg.Client) => Promise<T>): Promise<T>
  /** The same, committed. */
  done<T>(chain: readonly string[], work: (client: pg.Client) => Promise<T>): Promise<T>
  /** The ids that a query returns under a chain, or the SQLSTATE of entering. */
  seen(chain: readonly string[], sql?: string): Promise<string[] | string>
  /** What a statement ends in under a chain. */
  tried(chain: readonly string[], sql: string, values?: unknown[]): Promise<string>
  /** Delegates, and returns the delegation's name. */
  give(chain: readonly string[], to: string, terms?: Terms): Promise<string>
  /** What giving ends in. */
  giving(chain: readonly string[], to: string, terms?: Terms): Promise<string>
  /** Forgets every delegation. */
  forget(): Promise<void>
}

export interface Terms {
  readonly privileges?: readonly string[]
  readonly for_entity?: string
  /** Seconds from now. */
  readonly seconds?: number
  readonly tables?: readonly string[]
  readonly redelegate?: number
}

const delegate = `select tenantry.delegate($1, coalesce($2, '{select}'::text[]), $3,
  clock_timestamp() + $4 * interval '1 second', $5, coalesce($6, 0)) as id`
const valuesOf = (to: string, terms: Terms = {}): unknown[] => [
  to,
  terms.privileges,
  terms.for_entity,
  terms.seconds,
  terms.tables,
  terms.redelegate,
]

/** The town with its rooms. */
export async function roomTown(): Promise<RoomTown> {
  const at = await town('rooms')
  return withRooms(at, await at.connect())
}

/** The same by a connection of one's own, such as one through a pooler. */
export function withRooms(at: Town, client: pg.Client): RoomTown {
  const within =
    (ending: 'commit' | 'rollback'): RoomTown['under'] =>
    (chain, work) =>
      inTransaction(
        client,
        async () => {
          await enter(client, at.chained(chain))
          return work(client)
        },
        ending,
      )
  const under = within('rollback')
  const done = within('commit')
  return {
    ...at,
    under,
    done,
    seen: (chain, sql = posts) =>
      under(chain, (c) => ids(c, sql)).catch((error: { code: string }) => error.code),
    tried: (chain, sql, values) => under(chain, (c) => stateOf(c, sql, values)),
    give: (chain, to, terms) =>
      done(chain, async (c) => (await ids(c, delegate, valuesOf(to, terms)))[0] ?? ''),
    giving: (chain, to, terms) =>
      state(under(chain, (c) => c.query(delegate, valuesOf(to, terms)))),
    async forget() {
      await at.db.admin.query('delete from tenantry_private.delegations')
    },
  }
}

export { alice, bob }
