import { privileges, type Attempt, type Born, type Graph, type Name, type Step } from './terms.js'

/**
 * Where the database was found to decide otherwise than acting-for-others.md says, each with the
 * smallest graph that shows it. Random graphs leave these cases out (or, for `ownRole`, take either
 * answer). When the database, or the text, has changed, the test of the finding fails: then it goes
 * away here, with what graph.ts and model.ts do because of it.
 */
export interface Finding {
  readonly text: string
  readonly graph: Graph
}

const born = (name: Name): Born => ({ name, owner: null, acts: false, serves: [] })

function graph(steps: readonly Step[], attempts: readonly Attempt[] = []): Graph {
  const entities = (['user:0', 'user:1', 'org:0', 'org:1', 'room:0'] as const).map(born)
  const rows = [{ table: 'ledgers', owner: 'org:0', room: null, isPublic: false }] as const
  return { entities, steps, rows, attempts, chains: [['org:0', 'org:0']] }
}

const userOwnsOrg: Step = {
  do: 'join',
  table: 'org_members',
  member: 'user:0',
  container: 'org:0',
  role: 'owner',
}

const gift = (by: Name, to: Name): Step => ({
  do: 'delegate',
  by: [by],
  to,
  privileges,
  forEntity: null,
  tables: null,
  redelegate: 1,
  hours: null,
})

export const findings: Record<string, Finding> = {
  lifeMembership: {
    text: 'an id used again in the transaction that deleted it begins a new life: memberships',
    graph: graph([userOwnsOrg, { do: 'renew', name: 'user:0' }]),
  },
  lifeDelegation: {
    text: 'an id used again in the transaction that deleted it begins a new life: delegations',
    graph: graph([gift('user:1', 'user:0'), { do: 'renew', name: 'user:0' }]),
  },
  itself: {
    text: 'an entity that is a member of itself and works for itself has all privileges',
    // Only seen once the database has a delegation, whosever it is.
    graph: graph([
      gift('user:1', 'user:0'),
      { do: 'join', table: 'org_parents', member: 'org:0', container: 'org:0', role: 'viewer' },
    ]),
  },
  ownRole: {
    text: 'who holds delegate on a container may change a role there: their own, too',
    graph: graph([userOwnsOrg], [{ do: 'change role', nth: 0, role: 'viewer' }]),
  },
}

/** What chance seldom brings about: a delegation passed on, whose first receiver ends. */
export const examples: readonly Graph[] = [
  graph([
    gift('user:0', 'user:1'),
    {
      ...gift('user:1', 'org:0'),
      forEntity: 'user:0',
      redelegate: 0,
      privileges: ['select'],
    } as Step,
    { do: 'delete', name: 'user:1' },
  ]),
  graph([gift('user:0', 'user:1'), { do: 'expire', nth: 0 }]),
]
