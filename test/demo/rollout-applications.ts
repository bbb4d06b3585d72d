import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { identity, tenantry } from '../../src/index.js'
import type { RolloutStage } from './rollout-stage.js'

/** What an application has noticed since it was last asked. */
export interface Noticed {
  readonly reads: number
  readonly writes: number
  readonly refused: number
  /** Memories that its last read saw; null where it was refused. */
  readonly sees: number | null
  /** Reads that showed a row of somebody else. */
  readonly foreign: number
  readonly slowest: number
}

const nothing: Noticed = { reads: 0, writes: 0, refused: 0, sees: null, foreign: 0, slowest: 0 }

/** An application at work: it writes a memory and reads, again and again, until it is told to end. */
export class Application {
  /** The memories that were written, and with what it was refused. */
  written = 0
  readonly errors = new Set<string>()
  #noticed = nothing
  #ended = false
  readonly #working: Promise<void>
  readonly #turn: () => Promise<{ sees: number; foreign: boolean }>

  constructor(turn: () => Promise<{ sees: number; foreign: boolean }>) {
    this.#turn = turn
    this.#working = this.#work()
  }

  /** What it has noticed since the last time. */
  take(): Noticed {
    const noticed = this.#noticed
    this.#noticed = { ...nothing, sees: noticed.sees }
    return noticed
  }

  async end(): Promise<void> {
    this.#ended = true
    await this.#working
  }

  async #work(): Promise<void> {
    while (!this.#ended) {
      const began = performance.now()
      try {
        const { sees, foreign } = await this.#turn()
        this.written += 1
        const { reads, writes, foreign: before } = this.#noticed
        this.#noticed = {
          ...this.#noticed,
          reads: reads + 1,
          writes: writes + 1,
          sees,
          foreign: before + (foreign ? 1 : 0),
        }
      } catch (error) {
        const { code, sqlState } = error as { code?: string; sqlState?: string }
        this.errors.add(sqlState ?? code ?? String(error))
        this.#noticed = { ...this.#noticed, refused: this.#noticed.refused + 1, sees: null }
      }
      const slowest = Math.max(this.#noticed.slowest, performance.now() - began)
      this.#noticed = { ...this.#noticed, slowest }
      await sleep(15)
    }
  }
}

/** The old code: no context, every row. */
export function legacyApplication(stage: RolloutStage): { app: Application; pool: pg.Pool } {
  const pool = stage.legacy.pool({ max: 1 })
  let nth = 0
  const app = new Application(async () => {
    nth += 1
    await pool.query(
      `insert into memories (room_id, body) values ($1, 'written by the old application')`,
      [(nth % 500) + 1],
    )
    const { rows } = await pool.query<{ n: string }>('select count(*) as n from memories')
    return { sees: Number(rows[0]?.n), foreign: false }
  })
  return { app, pool }
}

/** The new code: the same queries in the context of one user. */
export function newApplication(stage: RolloutStage): {
  app: Application
  end: () => Promise<void>
} {
  const db = tenantry(new pg.Pool({ connectionString: stage.app.url, max: 1 }), {
    secret: stage.secret,
  })
  const me = db.as(identity('user')(stage.user))
  const app = new Application(async () => {
    await me.query(
      `insert into memories (room_id, body) select min(id), 'written by the new application' from rooms`,
    )
    const { rows } = await me.query<{ n: string; foreign: boolean | null }>(
      'select count(*) as n, bool_or(owner_id is distinct from $1) as foreign from memories',
      [stage.user],
    )
    return { sees: Number(rows[0]?.n), foreign: rows[0]?.foreign ?? false }
  })
  return { app, end: () => db.end() }
}
