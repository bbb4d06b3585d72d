import type pg from 'pg'
import { TenantryError } from '../errors.js'
import { described, sameIdentity, type Identity } from '../identity.js'
import { isSubmittable, readArguments, bound } from './arguments.js'
import type { Runtime } from './call.js'
import { facade } from './facade.js'
import { promised } from './promised.js'
import type { Lease } from './lease.js'
import type { BaseQuery, Callback, RawClient } from './pg-internals.js'

export interface ClientOptions {
  /** Refuse to serve when `db.run` names somebody else: the client came from `db.pool`. */
  readonly followsScope: boolean
}

/** A `pg.PoolClient` of one identity, on top of a lease. */
export function clientFacade(
  runtime: Runtime,
  lease: Lease,
  { followsScope }: ClientOptions,
): pg.PoolClient {
  const query = (config: unknown, second?: unknown, third?: unknown): unknown => {
    const stranger = followsScope && differs(lease.who, runtime.scopes.current())
    if (isSubmittable(config)) {
      const submittable = config as Partial<BaseQuery>
      const callback = bound(typeof second === 'function' ? second : third)
      if (callback && !submittable.callback) submittable.callback = callback
      if (stranger) throw changed(lease.who)
      lease.submit(config)
      return config
    }
    const { spec, callback } = readArguments(config, second, third)
    const run = (done: Callback): void => {
      if (stranger) process.nextTick(done, changed(lease.who))
      else lease.query(spec, done)
    }
    return callback ? run(callback) : promised(run)
  }
  return facade(lease.client as RawClient & object, {
    ...listeners(lease),
    query,
    release: (error?: Error | boolean) => lease.release(error),
    getTransactionStatus: () => lease.status,
    connect: () => Promise.reject(new Error('Client has already been connected.')),
    end: () =>
      Promise.reject(new TenantryError('TN_STATEMENT_REFUSED', 'Release this client to its pool.')),
  }) as unknown as pg.PoolClient
}

const SUBSCRIBE = ['on', 'once', 'addListener', 'prependListener', 'prependOnceListener'] as const

/**
 * Listeners added through a client go when it is released. They would otherwise hear the notices
 * and notifications of everybody who gets the connection afterwards.
 */
function listeners(lease: Lease): Record<string, unknown> {
  const { client } = lease
  const subscribe = SUBSCRIBE.map((method) => [
    method,
    function (this: unknown, event: string, listener: (...args: unknown[]) => void) {
      client[method](event, listener)
      lease.onGiveBack(() => client.off(event, listener))
      return this
    },
  ])
  return Object.fromEntries(subscribe) as Record<string, unknown>
}

function differs(mine: Identity, current: Identity | undefined): boolean {
  return current !== undefined && !sameIdentity(mine, current)
}

function changed(mine: Identity): TenantryError {
  return new TenantryError(
    'TN_IDENTITY_CHANGED',
    `This client was checked out by ${described(mine)} and is now used by somebody else.`,
    { hint: 'Check out a client inside the `db.run` that uses it.' },
  )
}
