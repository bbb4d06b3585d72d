import { setTimeout as sleep } from 'node:timers/promises'
import type { ClientBase } from 'pg'
import { isServerError } from '../../errors.js'
import type { Step } from './file.js'

/** `left`: stopped before it. `not tried`: a dry run cannot roll it back. */
export type Outcome = 'done' | 'as declared' | 'refused' | 'left' | 'not tried'

export interface Result {
  readonly step: Step
  readonly outcome: Outcome
  readonly milliseconds: number
  /** What was carried out, where the statement tells. */
  readonly statements: readonly string[]
  readonly error: unknown
}

export interface RunOptions {
  /** How long to wait for a lock before giving way to the application. */
  readonly lockTimeout: string
  /** How often to try again when a lock was not to be had. */
  readonly attempts: number
  /** The functions that return one row a statement they carried out. */
  readonly reporting: ReadonlySet<string>
}

const lockNotAvailable = '55P03'
const deadlockDetected = '40P01'

/** Carries one statement out in a transaction of its own. */
export async function carryOut(
  client: ClientBase,
  step: Step,
  options: RunOptions,
): Promise<Result> {
  const started = performance.now()
  for (let attempt = 1; ; attempt += 1) {
    try {
      const statements = step.statement.alone
        ? await run(client, step, options)
        : await inTransaction(client, step, options)
      return carriedOut(step, statements, started)
    } catch (error) {
      if (!(isServerError(error) && retryable(error.code)) || attempt >= options.attempts) {
        return refused(step, error, started)
      }
      await sleep(250 * attempt)
    }
  }
}

const retryable = (code: string): boolean => code === lockNotAvailable || code === deadlockDetected

async function inTransaction(client: ClientBase, step: Step, options: RunOptions) {
  await client.query('begin')
  try {
    const statements = await run(client, step, options)
    await client.query('commit')
    return statements
  } catch (error) {
    // The first error is the one to report; a rollback fails only where the connection is gone.
    await client.query('rollback').catch(() => undefined)
    throw error
  }
}

/**
 * Functions that change the schema return one row a statement: no row means that everything was as
 * declared already. Other statements tell nothing (null).
 */
async function run(client: ClientBase, step: Step, options: RunOptions): Promise<string[] | null> {
  const result = await client.query({ text: step.statement.text, rowMode: 'array' })
  if (!step.statement.call || !options.reporting.has(step.statement.call.name)) return null
  return result.rows.map((row: unknown[]) => row.map(String).join(' '))
}

/** The functions of tenantry that say which statements they carried out. */
export async function reportingFunctions(client: ClientBase): Promise<Set<string>> {
  const { rows } = await client.query<{ name: string }>(
    `select distinct p.proname as name
       from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace
      where n.nspname = 'tenantry' and p.proretset and p.proargnames @> array['step', 'statement', 'lock']`,
  )
  return new Set(rows.map((row) => row.name))
}

/** Tries every statement in one transaction that is rolled back. */
export async function rehearse(
  client: ClientBase,
  steps: readonly Step[],
  options: RunOptions,
  stopped: AbortSignal,
): Promise<Result[]> {
  const results: Result[] = []
  await client.query('begin')
  try {
    for (const step of steps) {
      if (stopped.aborted) results.push(untouched(step, 'left'))
      else if (step.statement.alone) results.push(untouched(step, 'not tried'))
      else results.push(await tryOut(client, step, options))
    }
  } finally {
    await client.query('rollback')
  }
  return results
}

async function tryOut(client: ClientBase, step: Step, options: RunOptions): Promise<Result> {
  const started = performance.now()
  await client.query('savepoint step')
  try {
    const statements = await run(client, step, options)
    await client.query('release savepoint step')
    return carriedOut(step, statements, started)
  } catch (error) {
    await client.query('rollback to savepoint step')
    return refused(step, error, started)
  }
}

/** A step that nothing was done for. */
export function untouched(step: Step, outcome: 'left' | 'not tried'): Result {
  return { step, outcome, milliseconds: 0, statements: [], error: null }
}

function carriedOut(step: Step, statements: string[] | null, started: number): Result {
  return {
    step,
    outcome: statements?.length === 0 ? 'as declared' : 'done',
    milliseconds: performance.now() - started,
    statements: statements ?? [],
    error: null,
  }
}

function refused(step: Step, error: unknown, started: number): Result {
  return {
    step,
    outcome: 'refused',
    milliseconds: performance.now() - started,
    statements: [],
    error,
  }
}
