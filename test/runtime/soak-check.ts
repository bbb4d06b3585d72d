import type pg from 'pg'
import type { Session, Tenantry } from '../../src/index.js'
import type { Random } from './random.js'
import { NOTES } from './world.js'

export interface Row {
  owner: number
  body: string
}
export const COLUMNS = 'owner_id::int as owner, body'

/** Everything one call saw, checked at once: only the identity's rows, and all five of its own. */
export function check(id: number, rows: readonly Row[], complete: boolean): void {
  const foreign = rows.filter((row) => row.owner !== id)
  if (foreign.length > 0) throw new Leak(`user ${id} saw ${JSON.stringify(foreign.slice(0, 3))}`)
  const base = rows.filter((row) => row.body.startsWith('note ')).length
  if (complete && base !== NOTES) throw new Leak(`user ${id} saw ${base} of its ${NOTES} notes`)
}

export class Leak extends Error {}

export interface Step {
  /** Plain connections of the same pool, without any identity. */
  raw: pg.Pool
  admin: pg.Pool
  id: number
  session: Session
  db: Tenantry
  random: Random
}

/** What a call may be, with how often per thousand. */
export type Steps = readonly (readonly [
  weight: number,
  name: string,
  run: (step: Step) => Promise<void>,
])[]
