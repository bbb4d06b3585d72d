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
  /** Those of them that it takes owners from. */
  readonly takes: readonly string[]
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

/**
 * Those that owners are taken from before those that take them, and otherwise what is read before what
 * reads it, as far as tables that read each other allow.
 */
export function inOrder(rollouts: readonly Rollout[]): Rollout[] {
  const left = new Map(rollouts.map((each) => [each.table, each]))
  const waits = (sources: readonly string[], table: string): number =>
    sources.filter((name) => name !== table && left.has(name)).length
  const ordered: Rollout[] = []
  while (left.size > 0) {
    const [next] = [...left.values()].sort(
      (one, other) =>
        waits(one.takes, one.table) - waits(other.takes, other.table) ||
        waits(one.reads, one.table) - waits(other.reads, other.table) ||
        (one.table < other.table ? -1 : 1),
    )
    if (!next) break
    left.delete(next.table)
    ordered.push(next)
  }
  return ordered
}
