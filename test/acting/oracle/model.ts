import {
  anonymous,
  privileges,
  type Chain,
  type Giving,
  type Joining,
  type Name,
  type Privilege,
  type Table,
} from './terms.js'
import { leftBy, type Link, type World } from './world.js'

/** Who is there, for whom, and what that leaves. */
export interface Context {
  readonly principal: Name
  readonly actor: Name
  readonly leaves: ReadonlySet<Privilege>
  /** What it leaves by delegation alone. */
  readonly byDelegation: ReadonlySet<Privilege>
}

/** What a chain may do, or the SQLSTATE with which it is refused. */
export function enter(world: World, given: Chain): Context | 'TN004' | 'TN009' {
  // Who acts for itself is no further link.
  const chain = given.filter((name, i) => name !== given[i - 1])
  const [principal] = chain
  const actor = chain.at(-1)
  if (principal === undefined || actor === undefined) throw new Error('an empty chain')
  if (!chain.every((name) => world.exists(name))) return 'TN009'
  // Nobody in particular reads what is public, and no more.
  let leaves = new Set<Privilege>(chain.join() === anonymous ? ['select'] : privileges)
  let byDelegation = new Set<Privilege>()
  for (let i = 1; i < chain.length; i++) {
    const [to, from] = [chain[i - 1] as Name, chain[i] as Name]
    const nearest = i === 1
    const proper = leftBetween([...world.properLinks(from), ...world.serviceLinks(from)], to)
    const given = nearest ? leftBetween(forEveryTable(world, from), to) : new Set<Privilege>()
    const link = new Set([...proper, ...given])
    if (nearest) byDelegation = new Set([...given].filter((one) => !proper.has(one)))
    leaves =
      world.rules.intersection || nearest ? common(leaves, link) : new Set([...leaves, ...link])
  }
  if (leaves.size === 0) return 'TN004'
  return { principal, actor, leaves, byDelegation: common(byDelegation, leaves) }
}

function forEveryTable(world: World, from: Name): Link[] {
  return world
    .given(from)
    .filter((one) => one.tables === null)
    .map((one) => ({ to: one.forEntity, leaves: one.privileges }))
}

function leftBetween(links: readonly Link[], to: Name): Set<Privilege> {
  return new Set(links.filter((link) => link.to === to).flatMap((link) => [...link.leaves]))
}

function common<T>(a: ReadonlySet<T>, b: ReadonlySet<T>): Set<T> {
  return new Set([...a].filter((one) => b.has(one)))
}

/** Everything on a walk from the principal along links that leave the privilege. */
export function walked(world: World, context: Context | null, privilege: Privilege): Set<Name> {
  const found = new Set<Name>()
  if (context === null || !context.leaves.has(privilege)) return found
  const ahead = [context.principal]
  for (let name = ahead.pop(); name !== undefined; name = ahead.pop()) {
    if (found.has(name)) continue
    found.add(name)
    for (const link of world.properLinks(name)) {
      if (link.leaves.includes(privilege)) ahead.push(link.to)
    }
    if (world.rules.delegationEnds) continue
    for (const one of world.given(name)) {
      if (one.privileges.includes(privilege)) ahead.push(one.forEntity)
    }
  }
  return found
}

/** Whose rows of a table the reach path reaches. */
export function reached(
  world: World,
  context: Context | null,
  privilege: Privilege,
  table: Table,
): Set<Name> {
  if (context?.byDelegation.has(privilege) && world.rules.principalAlone) {
    return new Set([context.principal])
  }
  const found = walked(world, context, privilege)
  for (const name of [...found]) {
    for (const one of world.given(name)) {
      const names = one.tables === null || one.tables.includes(table) || !world.rules.narrowed
      if (names && one.privileges.includes(privilege)) found.add(one.forEntity)
    }
  }
  return found
}

/** What the context holds of a privilege by ownership, acting or membership. */
export function held(world: World, context: Context | null, privilege: Privilege): Set<Name> {
  if (context?.byDelegation.has(privilege)) return new Set()
  return walked(world, context, privilege)
}

function holdsAll(
  world: World,
  context: Context | null,
  wanted: readonly Privilege[],
  of: Name,
): boolean {
  return wanted.every((privilege) => held(world, context, privilege).has(of))
}

/** Whether an application's session may make somebody a member of a container. */
export function mayAdd(
  world: World,
  context: Context | null,
  joining: Pick<Joining, 'container' | 'role'>,
): boolean {
  const wanted: Privilege[] = ['delegate', ...leftBy(joining.role)]
  return holdsAll(world, context, wanted, joining.container)
}

/**
 * Whether a session may change a row of a membership: by what it holds before, by that very row
 * as well.
 */
export function mayChange(
  world: World,
  context: Context | null,
  nth: number,
  change: Partial<Pick<Joining, 'container' | 'role'>>,
): boolean {
  const before = world.memberships[nth]
  if (before === undefined) return false
  const { container, role } = { ...before, ...change }
  if (container === before.container && role === before.role) return true
  return mayAdd(world, context, { container, role })
}

/** Every reason for refusing a delegation, or the delegations it may be passed on from (null: none). */
export interface Giveable {
  readonly refusals: readonly string[]
  readonly parents: readonly (number | null)[]
}

export function mayGive(world: World, context: Context | null, giving: Giving): Giveable {
  if (context === null) return { refusals: ['TN001'], parents: [] }
  const forEntity = giving.forEntity ?? context.principal
  const refusals: string[] = []
  if ([forEntity, context.principal, context.actor].includes(giving.to)) refusals.push('22023')
  if (!world.exists(giving.to)) refusals.push('TN009')

  const parents: (number | null)[] = []
  if (holdsAll(world, context, ['delegate', ...giving.privileges], forEntity)) parents.push(null)
  let delegates = held(world, context, 'delegate').has(forEntity)
  world.delegations.forEach((one, number) => {
    if (one === null || one.forEntity !== forEntity || !world.holds(one)) return
    if (!receivers(world, context, forEntity).has(one.to)) return
    if (one.redelegate < 1 || !one.privileges.includes('delegate')) return
    delegates = true
    const tables =
      // Our reading: like the time, the tables are by default those of what is passed on.
      (giving.tables ?? []).every((table) => one.tables === null || one.tables.includes(table))
    const time = one.hours === null || (giving.hours ?? one.hours) <= one.hours
    const enough = giving.privileges.every(
      (privilege) => one.privileges.includes(privilege) && context.leaves.has(privilege),
    )
    if (tables && time && enough && giving.redelegate < one.redelegate) parents.push(number)
  })
  if (!delegates) refusals.push('TN004')
  else if (parents.length === 0) refusals.push('22023')
  return { refusals, parents: refusals.length === 0 ? parents : [] }
}

/**
 * Whoever gave it, holds it, or holds `delegate` on the data by ownership, acting or membership.
 * Our reading: who gave it and acts by others must be left `delegate` for it, and who acts by
 * delegation may not give back what the principal holds.
 */
export function mayRevoke(world: World, context: Context | null, number: number): boolean {
  const one = world.delegations[number]
  if (context === null || one == null) return false
  const { principal } = context
  const delegates = held(world, context, 'delegate')
  if (one.giver === principal && delegates.has(principal)) return true
  if (one.giver === context.actor && one.forEntity === principal && context.leaves.has('delegate'))
    return true
  if (one.to === principal && context.byDelegation.size === 0) return true
  return delegates.has(one.forEntity)
}

/** Whose delegations for an entity a context may pass on: they must leave it `delegate`. */
function receivers(world: World, context: Context, forEntity: Name): Set<Name> {
  if (!context.leaves.has('delegate')) return new Set()
  // Who acts for the principal by delegation passes on what was given for that principal: to it, or
  // to whom it may act for itself.
  if (context.byDelegation.has('delegate')) {
    if (forEntity !== context.principal) return new Set()
    return walked(world, { ...context, principal: context.actor }, 'delegate')
  }
  return walked(world, context, 'delegate')
}
