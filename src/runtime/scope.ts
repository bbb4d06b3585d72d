import { AsyncLocalStorage } from 'node:async_hooks'
import { TenantryError } from '../errors.js'
import { described, sameIdentity, type Identity } from '../identity.js'

/** What the current asynchronous call chain carries. */
interface Scope {
  /** Set by `db.run`. */
  readonly identity: Identity | undefined
  /** Set inside `session.transaction`. */
  readonly transaction: Identity | undefined
}

/** The identity of the current request, by AsyncLocalStorage; one for each `tenantry()`. */
export interface Scopes {
  /** The identity `db.run` set, if any. */
  current(): Identity | undefined
  /** The identity `db.run` set. @throws TenantryError `TN_NO_IDENTITY` */
  required(): Identity
  /**
   * Runs `fn` as `who`; a query builder that it returns is started before the identity is gone.
   * @throws TenantryError `TN_IDENTITY_CHANGED` inside another's transaction
   */
  run<T>(who: Identity, fn: () => T): T
  /** Runs `fn` as part of a transaction of `who`. */
  inTransaction<T>(who: Identity, fn: () => T): T
  /** Runs `fn` without any identity. */
  outside<T>(fn: () => T): T
}

export function scopes(): Scopes {
  const storage = new AsyncLocalStorage<Scope | undefined>()
  return {
    current: () => storage.getStore()?.identity,
    required() {
      const who = storage.getStore()?.identity
      if (who) return who
      throw new TenantryError('TN_NO_IDENTITY', 'No identity: this query was not sent.', {
        hint: 'Call it inside `db.run(identity, fn)`, or use `db.as(identity)`.',
      })
    },
    run(who, fn) {
      const transaction = storage.getStore()?.transaction
      if (transaction && !sameIdentity(transaction, who)) {
        throw new TenantryError(
          'TN_IDENTITY_CHANGED',
          `A transaction of ${described(transaction)} is open here; ${described(who)} cannot take part in it.`,
          { hint: 'Finish the transaction first: one transaction has one identity.' },
        )
      }
      return storage.run({ identity: who, transaction }, () => started(fn()))
    },
    inTransaction: (who, fn) =>
      storage.run({ identity: storage.getStore()?.identity, transaction: who }, fn),
    outside: (fn) => (storage.getStore() ? storage.run(undefined, fn) : fn()),
  }
}

/**
 * Query builders (Drizzle's, Prisma's promises) send nothing before somebody calls `then`. The caller
 * of `run` would do so without an identity, so it is done here; the result is then a real promise.
 */
function started<T>(result: T): T {
  if (result instanceof Promise || !isThenable(result)) return result
  return new Promise((resolve, reject) => void result.then(resolve, reject)) as T
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as { then?: unknown } | null | undefined)?.then === 'function'
}
