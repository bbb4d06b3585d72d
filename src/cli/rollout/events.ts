import type { State } from './states.js'

/** How far a backfill, or the building of an index, is. */
export interface Progress {
  readonly event: 'progress'
  readonly table: string
  readonly work: 'backfill' | 'index'
  readonly done: number
  readonly total: number
  /** A second. */
  readonly rate: number | null
  /** Seconds, known after the first hundredth. */
  readonly eta: number | null
  /** Why it waits. */
  readonly brake: string | null
}

/** The lock that was held longest. */
export interface LongestLock {
  readonly table: string
  readonly from_state: State
  readonly to_state: State
  readonly statement: string
  readonly lock: string
  readonly waited_ms: number | null
  readonly held_ms: number
}

/** A statement of somebody else that waited for this run. */
export interface Wait {
  readonly pid: number
  readonly role: string | null
  readonly statement: string | null
  readonly table: string | null
  readonly lock: string
  readonly waited_ms: number
}

export interface Report {
  readonly event: 'report'
  readonly longest_lock: LongestLock | null
  readonly waits: readonly Wait[]
}

/** What happens in the course of `tenantry rollout to`. */
export type Event =
  | { readonly event: 'step'; readonly table: string; readonly to: State }
  | {
      readonly event: 'reached'
      readonly table: string
      readonly state: State
      readonly ms: number
    }
  | { readonly event: 'notice'; readonly message: string; readonly hint?: string }
  | { readonly event: 'index'; readonly table: string; readonly statement: string }
  | { readonly event: 'stopping' }
  | {
      readonly event: 'error'
      readonly code: string
      readonly message: string
      readonly hint?: string
    }
  | Progress
  | Report

/** Somebody who is told. */
export interface Listener {
  tell(event: Event): void
  end(): void
}
