import type pg from 'pg'
import { TenantryError } from '../errors.js'
import type { Identity } from '../identity.js'
import { bound, isSubmittable, readArguments } from './arguments.js'
import { call, type Runtime } from './call.js'
import { clientFacade, type ClientOptions } from './client.js'
import { connectionState, giveBack } from './connection.js'
import { facade } from './facade.js'
import { Lease, type Release } from './lease.js'
import type { Callback, QuerySpec, RawClient } from './pg-internals.js'
import { promised } from './promised.js'
import { readStatement } from './statement.js'

type Connected = (error: unknown, client: RawClient, release: Release) => void

/**
 * A `pg.Pool` whose queries run as somebody: `who` says who at the moment of the call, and throws
 * when there is nobody, so that nothing is sent without an identity.
 */
export function poolFacade(runtime: Runtime, who: () => Identity, options: ClientOptions): pg.Pool {
  const query = (config: unknown, second?: unknown, third?: unknown): unknown => {
    if (isSubmittable(config)) {
      throw new TenantryError('TN_STATEMENT_REFUSED', 'A cursor or stream needs a client.', {
        hint: 'Use pool.connect(), begin, query the cursor, commit.',
      })
    }
    const { spec, callback } = readArguments(config, second, third)
    const run = (done: Callback): void => runOnce(runtime, who(), spec, done)
    if (!callback) return promised(run)
    try {
      run(callback)
    } catch (error) {
      process.nextTick(callback, error)
    }
    return undefined
  }

  const connect = (callback?: (...args: unknown[]) => void): unknown => {
    const checkOut = (): Promise<pg.PoolClient> =>
      checkOutLease(runtime, who()).then((lease) => clientFacade(runtime, lease, options))
    if (!callback) return attemptAsync(checkOut)
    const report = bound(callback) as (...args: unknown[]) => void
    attemptAsync(checkOut).then(
      (client) => report(undefined, client, client.release),
      (error) => report(error, undefined, () => undefined),
    )
    return undefined
  }

  return facade(runtime.pool, { query, connect })
}

/** One query on a connection of its own: one implicit transaction, one round trip. */
export function runOnce(runtime: Runtime, who: Identity, spec: QuerySpec, done: Callback): void {
  if (typeof spec.text === 'string') {
    const statement = readStatement(spec.text)
    if (statement.kind !== 'query') {
      const reason =
        statement.kind === 'refused'
          ? statement.reason
          : 'a transaction needs one connection; use connect() and send it there'
      process.nextTick(done, new TenantryError('TN_STATEMENT_REFUSED', `Refused: ${reason}.`))
      return
    }
  }
  checkOut(runtime, (error, client, release) => {
    if (error) return done(error)
    call(runtime, { client, spec, enter: who }, (failure, result) => {
      giveBack(client, release, connectionState(client), runtime.reset)
      done(failure, result)
    })
  })
}

/** Checks a connection out for `who`. */
export function checkOutLease(runtime: Runtime, who: Identity): Promise<Lease> {
  return new Promise((resolve, reject) => {
    checkOut(runtime, (error, client, release) => {
      if (error) return reject(error)
      connectionState(client)
      resolve(new Lease(runtime, client, release, who))
    })
  })
}

/**
 * Checks a connection out. A new connection is opened outside any identity: events of its socket
 * run in the asynchronous context it was opened in, and a callback that pg calls from there must
 * find no identity rather than that of whoever came first.
 */
function checkOut({ pool, scopes }: Runtime, connected: Connected): void {
  scopes.outside(() => pool.connect(connected as never))
}

async function attemptAsync<T>(fn: () => Promise<T>): Promise<T> {
  return fn()
}
