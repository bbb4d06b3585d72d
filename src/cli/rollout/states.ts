/** The states of a rollout, in their order. */
export const states = [
  'planned',
  'prepared',
  'backfilled',
  'transitional',
  'verified',
  'strict',
] as const

export type State = (typeof states)[number]

/** A table that is declared, and the declared tables that its signals read. */
export interface Rollout {
  readonly table: string
  readonly state: State
  readonly reads: readonly string[]
}

/** One call of tenantry.rollout_to(). */
export interface Call {
  readonly table: string
  readonly to: State
}

/**
 * The calls that take some tables to a state, one state at a time for all: parents before those that
 * take owners from them, but children first where tables are closed, and all of it reversed on the
 * way back.
 */
export function callsTo(rollouts: readonly Rollout[], goal: State): Call[] {
  const parentsFirst = inOrder(rollouts)
  const childrenFirst = [...parentsFirst].reverse()
  const calls: Call[] = []
  const aim = states.indexOf(goal)
  // Back before forth: what is to be opened again may be read by what is to be filled.
  for (let at = states.length - 1; at >= aim; at -= 1) {
    const to = states[at] as State
    // On the way to planned the column goes with its values, which then need not be taken back before.
    if (to === 'prepared' && goal === 'planned') continue
    for (const { table, state } of to === 'verified' ? parentsFirst : childrenFirst) {
      if (states.indexOf(state) > at) calls.push({ table, to })
    }
  }
  for (const [at, to] of states.entries()) {
    if (at > aim) break
    for (const { table, state } of to === 'strict' ? childrenFirst : parentsFirst) {
      // What follows the switch to strict may have been interrupted.
      if (states.indexOf(state) < at || (to === 'strict' && state === 'strict')) {
        calls.push({ table, to })
      }
    }
  }
  return calls
}

/** What is read before what reads it. Where tables read each other, the procedure decides. */
export function inOrder(rollouts: readonly Rollout[]): Rollout[] {
  const byName = new Map(rollouts.map((each) => [each.table, each]))
  const ordered = new Set<Rollout>()
  const visit = (rollout: Rollout, readers: readonly Rollout[]): void => {
    if (ordered.has(rollout) || readers.includes(rollout)) return
    for (const name of [...rollout.reads].sort()) {
      const read = byName.get(name)
      if (read) visit(read, [...readers, rollout])
    }
    ordered.add(rollout)
  }
  for (const rollout of rollouts) visit(rollout, [])
  return [...ordered]
}
