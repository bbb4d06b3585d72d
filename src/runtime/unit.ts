import type pg from 'pg'
import type { Identity } from '../identity.js'
import type { Runtime } from './call.js'
import { clientFacade } from './client.js'
import type { Lease } from './lease.js'
import type { QuerySpec } from './pg-internals.js'
import { poolFacade, runOnce } from './pool.js'
import { promised } from './promised.js'
import { withRetries } from './retry.js'
import { runSavepoint, runTransaction, type TransactionOptions } from './transaction.js'

/** Where the statements of a session go: each by itself, or all into one transaction. */
export interface Unit {
  readonly identity: Identity
  run(spec: QuerySpec): Promise<pg.QueryResult>
  client(): pg.Pool
  transaction<T>(fn: (inner: Unit) => Promise<T>, options?: TransactionOptions): Promise<T>
}

/** Every statement is a transaction of its own, so it may be repeated whole. */
export function singleCalls(runtime: Runtime, identity: Identity, retries: number): Unit {
  return {
    identity,
    run: (spec) =>
      withRetries(retries, () => promised((done) => runOnce(runtime, identity, spec, done))),
    client: () => poolFacade(runtime, () => identity, { followsScope: false }),
    transaction: (fn, options) =>
      runTransaction(runtime, identity, options, (lease) => fn(insideTransaction(runtime, lease))),
  }
}

/** All statements run in the open transaction of `lease`. */
function insideTransaction(runtime: Runtime, lease: Lease): Unit {
  const unit: Unit = {
    identity: lease.who,
    run: (spec) => promised((done) => lease.query(spec, done)),
    // An ORM takes a client where it takes a pool; what only a pool has, it has no use for here.
    client: () => clientFacade(runtime, lease, { followsScope: false }) as unknown as pg.Pool,
    transaction: (fn, options) => runSavepoint(lease, options, () => fn(unit)),
  }
  return unit
}
