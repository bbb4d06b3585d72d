import { privileges, type Attempt, type Born, type Graph, type Name, type Step } from './terms.js'

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

/**
 * Graphs that chance seldom makes; each was once decided otherwise than acting-for-others.md says, or
 * would be by a usual mistake.
 */
export const examples: readonly Graph[] = [
  // An id used again in the transaction that deleted it begins a new life: memberships, delegations.
  graph([userOwnsOrg, { do: 'renew', name: 'user:0' }]),
  graph([gift('user:1', 'user:0'), { do: 'renew', name: 'user:0' }]),
  // An entity that is a member of itself and works for itself has all privileges.
  graph([
    gift('user:1', 'user:0'),
    { do: 'join', table: 'org_parents', member: 'org:0', container: 'org:0', role: 'viewer' },
  ]),
  // Who holds delegate on a container may change a role there: their own, too.
  graph([userOwnsOrg], [{ do: 'change role', nth: 0, role: 'viewer' }]),
  // A delegation passed on, whose first receiver ends; one that expires; one for another table.
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
  graph([{ ...gift('org:0', 'user:0'), tables: ['notes'] } as Step]),
  // Who works for a user by delegation alone does not reach what the user owns.
  graph([userOwnsOrg, gift('user:0', 'user:1')]),
  // Who may delegate as a member, and was given besides what a member has not.
  graph([
    { ...userOwnsOrg, role: 'admin' },
    gift('org:0', 'user:0'),
    {
      ...gift('user:0', 'user:1'),
      forEntity: 'org:0',
      redelegate: 0,
      privileges: ['decrypt'],
    } as Step,
  ]),
]
