import fc from 'fast-check'
import { fullLength } from '../../support/full-length.js'
import {
  memberTables,
  privileges,
  roles,
  tables,
  type Attempt,
  type Born,
  type Giving,
  type Graph,
  type Joining,
  type Kind,
  type Name,
  type Row,
  type Step,
} from './terms.js'

// Numbers first, names afterwards: that way fast-check shrinks how many there are of a kind
// without having to know who named whom.
const nth = fc.nat({ max: 59 })
const maybe = fc.option(nth, { freq: 3 })
const flag = fc.boolean()
const subset = <T>(of: readonly T[], minLength = 1) => fc.subarray([...of], { minLength })

const joining = fc.record({
  table: fc.constantFrom(...memberTables),
  member: nth,
  container: nth,
  role: fc.constantFrom(...roles),
})

const giving = fc.record({
  to: nth,
  privileges: fc.oneof(
    { weight: 3, arbitrary: subset(privileges) },
    { weight: 2, arbitrary: fc.constant([...privileges]) },
  ),
  forEntity: fc.option(nth, { freq: 2 }),
  tables: fc.option(fc.subarray([...tables], { minLength: 1, maxLength: 2 }), { freq: 2 }),
  redelegate: fc.integer({ min: 1, max: 3 }),
  hours: fc.option(fc.constantFrom(1, 2), { freq: 2 }),
})

const row = fc.record({ table: nth, owner: nth, room: maybe, isPublic: flag })

const given = fc.record({
  by: fc.oneof(
    { weight: 3, arbitrary: fc.tuple(nth) },
    { weight: 1, arbitrary: fc.tuple(nth, nth) },
  ),
  giving,
  /** Passes on an earlier one: hardly ever would chance alone find who may. */
  passesOn: fc.option(nth, { freq: 2 }),
})
const churn = fc.record({
  do: fc.constantFrom('leave', 'revoke', 'expire', 'delete', 'reborn', 'reborn', 'own'),
  nth,
  other: nth,
})
const attempt = fc.record({
  do: fc.constantFrom(
    'insert',
    'insert',
    'update body',
    'update body',
    'delete row',
    'update owner',
    'update owner',
    'update room',
    'update room',
    'join',
    'change role',
    'move',
    'remove member',
    'delegate',
    'delegate',
    'revoke',
    'update actor',
  ),
  nth,
  row,
  joining,
  giving,
})

const raw = fc.record({
  users: fc.integer({ min: 1, max: 6 }),
  orgs: fc.integer({ min: 1, max: 3 }),
  agents: fc.array(maybe, { maxLength: 4 }),
  rooms: fc.array(maybe, { minLength: 1, maxLength: 3 }),
  bots: fc.array(
    fc.record({ owner: maybe, acts: flag, serves: subset<Kind>(['user', 'org', 'room'], 0) }),
    { maxLength: 2 },
  ),
  joins: fc.array(joining, { maxLength: 12, size: 'max' }),
  gifts: fc.array(given, { maxLength: 8, size: 'max' }),
  churn: fc.array(churn, { maxLength: 5, size: 'max' }),
  lateJoins: fc.array(joining, { maxLength: 2 }),
  lateGifts: fc.array(given, { maxLength: 2 }),
  rows: fc.array(row, { minLength: 1, maxLength: 24, size: 'max' }),
  attempts: fc.array(attempt, { minLength: 1, maxLength: fullLength ? 14 : 8, size: 'max' }),
  chains: fc.array(fc.tuple(nth, nth, nth), { maxLength: 8 }),
})

type Raw = typeof raw extends fc.Arbitrary<infer T> ? T : never

export const graphs: fc.Arbitrary<Graph> = raw.map(named)

function named(from: Raw): Graph {
  const numbered = (kind: Kind, count: number) =>
    Array.from({ length: count }, (_, i): Name => `${kind}:${i}`)
  const users = numbered('user', from.users)
  const orgs = numbered('org', from.orgs)
  const agents = numbered('agent', from.agents.length)
  const rooms = numbered('room', from.rooms.length)
  const bots = numbered('bot', from.bots.length)
  const everybody = [...users, ...orgs, ...agents, ...rooms, ...bots]

  const born = (names: Name[], owners: (number | null)[], acts: boolean): Born[] =>
    names.map((name, i) => ({ name, owner: optional(users, owners[i] ?? null), acts, serves: [] }))
  const entities: Born[] = [
    ...born(users, [], false),
    ...born(orgs, [], false),
    ...born(agents, from.agents, true),
    ...born(rooms, from.rooms, false),
    ...from.bots.map(({ owner, acts, serves }, i) => ({
      name: pick(bots, i),
      owner: optional(users, owner),
      acts: acts && owner !== null,
      serves,
    })),
  ]

  const joins = (one: Raw['joins'][number]): Joining => ({
    table: one.table,
    member: pick(one.table === 'org_parents' ? orgs : users, one.member),
    container: pick(one.table.startsWith('org') ? orgs : rooms, one.container),
    role: one.role,
  })
  const gives = (one: Raw['attempts'][number]['giving']): Giving => ({
    ...one,
    to: pick(everybody, one.to),
    forEntity: optional(everybody, one.forEntity),
    redelegate: one.privileges.includes('delegate') ? one.redelegate : 0,
  })
  const rowOf = (one: Raw['rows'][number]): Row => {
    const table = pick(tables, one.table)
    const shared = table === 'memories'
    return {
      table,
      owner: pick(table === 'ledgers' ? orgs : users, one.owner),
      room: shared ? optional(rooms, one.room) : null,
      isPublic: shared && one.isPublic,
    }
  }
  const join = (one: Raw['joins'][number]): Step[] => [{ do: 'join', ...joins(one) }]
  const given: Extract<Step, { do: 'delegate' }>[] = []
  const give = (one: Raw['gifts'][number]): Step => {
    const earlier = one.passesOn === null || given.length === 0 ? null : pick(given, one.passesOn)
    const by = one.by.map((who) => pick(everybody, who))
    const own = { do: 'delegate' as const, by, ...gives(one.giving) }
    const step =
      earlier === null
        ? own
        : { ...own, by: [earlier.to], forEntity: earlier.forEntity ?? pick(earlier.by, 0) }
    given.push(step)
    return step
  }
  const joined = from.joins.flatMap(join)
  const gifts = from.gifts.map(give)
  // Who was given something, or joined something, is worth ending more than the others.
  const involved = [...joined, ...gifts].flatMap((step) =>
    step.do === 'join' ? [step.member, step.container] : step.do === 'delegate' ? [step.to] : [],
  )
  const change = (one: Raw['churn'][number]): Step[] => {
    const name = pick([...involved, ...everybody], one.nth)
    switch (one.do) {
      case 'own':
        return [
          { do: 'own', name: pick([...agents, ...rooms], one.nth), owner: pick(users, one.other) },
        ]
      case 'reborn':
        return [
          { do: 'delete', name },
          { do: 'again', name },
        ]
      case 'delete':
        return [{ do: 'delete', name }]
      default:
        return [{ do: one.do, nth: one.nth }]
    }
  }

  const rows = from.rows.map(rowOf)
  return {
    entities,
    steps: [
      ...joined,
      ...gifts,
      ...from.churn.flatMap(change),
      ...from.lateJoins.flatMap(join),
      ...from.lateGifts.map(give),
    ],
    rows,
    attempts: from.attempts.map((one): Attempt => {
      const index = one.nth % rows.length
      const owners = rows[index]?.table === 'ledgers' ? orgs : users
      switch (one.do) {
        case 'insert':
          return { do: one.do, ...rowOf(one.row) }
        case 'update owner':
          return { do: one.do, row: index, owner: pick(owners, one.row.owner) }
        case 'update actor':
        case 'update room': {
          const memories = rows.flatMap(({ table }, i) => (table === 'memories' ? [i] : []))
          if (memories.length === 0) return { do: 'update body', row: index }
          if (one.do === 'update actor') return { do: one.do, row: pick(memories, one.nth) }
          return { do: one.do, row: pick(memories, one.nth), room: optional(rooms, one.row.room) }
        }
        case 'join':
          return { do: one.do, ...joins(one.joining) }
        case 'change role':
          return { do: one.do, nth: one.nth, role: one.joining.role }
        case 'revoke':
        case 'remove member':
          return { do: one.do, nth: one.nth }
        case 'move':
          return { do: one.do, nth: one.nth, other: one.joining.container }
        case 'delegate':
          return { do: one.do, ...gives(one.giving) }
        default:
          return { do: one.do, row: index }
      }
    }),
    chains: from.chains.map((chain) => chain.map((who) => pick(everybody, who))),
  }
}

function pick<T>(from: readonly T[], nth: number): T {
  const one = from[nth % from.length]
  if (one === undefined) throw new Error('there is nothing to pick from')
  return one
}

function optional<T>(from: readonly T[], nth: number | null): T | null {
  return nth === null ? null : pick(from, nth)
}
