import type pg from 'pg'
import { TenantryError } from '../errors.js'
import { identityOf, type Entity, type Identity } from '../identity.js'
import type { Runtime } from './call.js'
import { contexts } from './contexts.js'
import { resolveOptions, type ResolvedOptions, type TenantryOptions } from './options.js'
import { poolFacade } from './pool.js'
import { scopes } from './scope.js'
import { sessionOf, type Session } from './session.js'
import type { Transport } from './transport.js'
import { awaitedTransport } from './transport-awaited.js'
import { pipelineTransport } from './transport-pipeline.js'
import { syncTransport } from './transport-sync.js'
import { singleCalls } from './unit.js'

export interface AsOptions {
  /**
   * Whose data is worked on, when it is not the actor's own. The database decides whether it may.
   *
   * A list names every link: `db.as(agent(a), { for: [user(u), org(o)] })` is the agent, who acts for
   * the user, who acts for the organisation, on the organisation's data. At most five act.
   */
  for?: Entity | readonly Entity[] | undefined
}

/** A pool with tenants. */
export interface Tenantry<A extends object = object> {
  /** A session of `actor`: queries, transactions, accessors. Costs nothing until it is used. */
  as(actor: Entity, options?: AsOptions): Session<A>
  /**
   * Runs `fn` with an identity that `db.pool` takes from the asynchronous context, as in
   * `app.use((req, _res, next) => db.run(user(req.userId), next))`. Whoever acts for somebody is given
   * as a session: `db.run(db.as(user(u), { for: org(o) }), next)`.
   *
   * @returns what `fn` returns
   * @throws TenantryError `TN_IDENTITY_CHANGED` inside a transaction of somebody else, and
   *   `TN_IDENTITY_INVALID` for more arguments, which would not be looked at
   */
  run<T>(who: Entity | { readonly identity: Identity }, fn: () => T): T
  /**
   * The pool as ORMs and raw SQL use it. Each query runs as the identity of the surrounding
   * `db.run`; without one it is refused with `TN_NO_IDENTITY`, before anything is sent. Errors of
   * queries are pg's own DatabaseError, DETAIL included: do not show them to end users. Listeners
   * of the pool's events get bare clients, to set connections up; those have no identity.
   */
  readonly pool: pg.Pool
  /** Ends the pool. */
  end(): Promise<void>
}

/**
 * Makes a pool tenant-aware. The pool itself is not changed and stays usable for what has no
 * tenant, under the rules of its login role.
 *
 * @throws TenantryError `TN_CONFIG` for a bad option or a pool that cannot carry the transport
 */
export function tenantry<A extends object = object>(
  pool: pg.Pool,
  options: TenantryOptions<A>,
): Tenantry<A> {
  const resolved = resolveOptions(options)
  assertPool(pool, resolved)
  const runtime: Runtime = {
    pool,
    contexts: contexts(resolved),
    transport: transportOf(resolved),
    scopes: scopes(),
    preparedStatements: resolved.preparedStatements,
    reset: {
      when: resolved.reset,
      // Asked each time: a listener may be added later.
      get possible() {
        return pool.options?.onConnect === undefined && pool.listenerCount('connect') === 0
      },
    },
  }
  const { schema, retries } = resolved
  return {
    as: (actor, { for: actsFor } = {}) =>
      sessionOf(singleCalls(runtime, identityOf(actor, actsFor), retries), schema),
    run: (who, fn, ...more: unknown[]) => {
      // TypeScript refuses them; without it, somebody would work as the actor alone and see nothing.
      if (more.length > 0) {
        throw new TenantryError('TN_IDENTITY_INVALID', 'db.run takes an identity and a function.', {
          hint: 'Whoever acts for somebody is given as a session: `db.run(db.as(actor, { for: … }), fn)`.',
        })
      }
      return runtime.scopes.run(typeof who === 'string' ? identityOf(who) : who.identity, fn)
    },
    pool: poolFacade(runtime, () => runtime.scopes.required(), { followsScope: true }),
    end: () => pool.end(),
  }
}

function transportOf({ transport, preparedStatements }: ResolvedOptions<object>): Transport {
  switch (transport) {
    case 'sync':
      return syncTransport(preparedStatements)
    case 'pipeline':
      return pipelineTransport
    case 'awaited':
      return awaitedTransport
  }
}

function assertPool(pool: pg.Pool, { transport }: ResolvedOptions<object>): void {
  if (typeof pool?.connect !== 'function' || typeof pool.query !== 'function') {
    throw new TenantryError('TN_CONFIG', 'tenantry() takes a pg.Pool.')
  }
  const { Client } = pool as unknown as { Client?: { prototype?: object } }
  if (Client?.prototype && !('getTransactionStatus' in Client.prototype)) {
    throw new TenantryError('TN_CONFIG', 'The pool must come from pg 8.23 or later, not native.')
  }
  if (transport === 'pipeline' && !pool.options.pipeline) {
    throw new TenantryError('TN_CONFIG', "transport 'pipeline' needs a pool with `pipeline: true`.")
  }
}
