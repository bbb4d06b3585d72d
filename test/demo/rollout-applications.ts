import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { identity, tenantry } from '../../src/index.js'
import { secret } from '../extension/support/stage.js'
import type { UserIdentity } from '../fixtures/elizaos/generator.js'
import { messageTo } from '../rollout/support/traffic.js'
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
  /** The memories that were written, and whose each is. */
  readonly written = new Map<string, string>()
  /** With what it was refused. */
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

const insert = `insert into memories (id, type, content, entity_id, agent_id, room_id)
  values ($1, 'messages', '{"text": "hello"}', $2, $3, $4)`

/** The old code: no context, every row. */
export function legacyApplication(stage: RolloutStage): Application {
  const pool = stage.legacy.pool({ max: 1 })
  const users = stage.truth.identities.users.filter(({ agents }) => agents.length > 0)
  let nth = 0
  const app: Application = new Application(async () => {
    const user = users[nth++ % users.length] as UserIdentity
    const values = messageTo(user)
    await pool.query(insert, values)
    app.written.set(values[0], user.entity)
    const { rows } = await pool.query<{ n: string }>('select count(*) as n from memories')
    return { sees: Number(rows[0]?.n), foreign: false }
  })
  return app
}

/** The new code: the same queries in the context of one user. */
export function newApplication(stage: RolloutStage): {
  app: Application
  end: () => Promise<void>
} {
  const db = tenantry(new pg.Pool({ connectionString: stage.app.url, max: 1 }), { secret })
  const me = db.as(identity('user')(stage.user.id))
  const app: Application = new Application(async () => {
    const values = messageTo(stage.user)
    await me.query(insert, values)
    app.written.set(values[0], stage.user.entity)
    const { rows } = await me.query<{ n: string; foreign: boolean | null }>(
      'select count(*) as n, bool_or(owner_id is distinct from $1) as foreign from memories',
      [stage.user.id],
    )
    return { sees: Number(rows[0]?.n), foreign: rows[0]?.foreign ?? false }
  })
  return { app, end: () => db.end() }
}
