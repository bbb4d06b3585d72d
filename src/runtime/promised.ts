import type pg from 'pg'
import type { Callback } from './pg-internals.js'

/** A promise of a callback's outcome whose error points at the caller, as pg's do. */
export function promised(run: (done: Callback) => void): Promise<pg.QueryResult> {
  return new Promise<pg.QueryResult>((resolve, reject) => {
    run((error, result) => (error ? reject(error) : resolve(result!)))
  }).catch((error: unknown) => {
    if (error instanceof Error) Error.captureStackTrace(error)
    throw error
  })
}
