import { TenantryError } from '../errors.js'
import type { Identity } from '../identity.js'
import type { Runtime } from './call.js'
import type { Lease } from './lease.js'
import { checkOutLease } from './pool.js'
import { withRetries } from './retry.js'

export type IsolationLevel = 'read committed' | 'repeatable read' | 'serializable'

export interface TransactionOptions {
  /** Default: the database's, usually read committed. */
  isolation?: IsolationLevel | undefined
  /** Default false. */
  readOnly?: boolean | undefined
  /**
   * How often the whole function is run again after a serialization failure or a deadlock.
   * Default 0, because only its author knows whether it may run twice.
   */
  retries?: number | undefined
}

const ISOLATION_LEVELS: readonly string[] = ['read committed', 'repeatable read', 'serializable']

/** Runs `fn` in one transaction on one connection: committed, or rolled back when it throws. */
export async function runTransaction<T>(
  runtime: Runtime,
  who: Identity,
  options: TransactionOptions = {},
  fn: (lease: Lease) => Promise<T>,
): Promise<T> {
  const begin = beginText(options)
  return withRetries(options.retries ?? 0, async () => {
    const lease = await checkOutLease(runtime, who)
    lease.manage(begin)
    try {
      const result = await runtime.scopes.inTransaction(who, () => fn(lease))
      await lease.end('commit')
      return result
    } catch (error) {
      // When even this fails the connection is destroyed, and the server rolls back by itself.
      await lease.end('rollback').catch(() => undefined)
      throw error
    } finally {
      lease.close()
    }
  })
}

/** Runs `fn` under a savepoint of an open transaction. */
export async function runSavepoint<T>(
  lease: Lease,
  options: TransactionOptions | undefined,
  fn: () => Promise<T>,
): Promise<T> {
  if (options?.isolation || options?.readOnly || options?.retries) {
    throw new TenantryError(
      'TN_CONFIG',
      'A nested transaction is a savepoint and takes no options.',
      {
        hint: 'Give isolation, readOnly and retries to the outermost transaction.',
      },
    )
  }
  const name = lease.savepointName()
  await lease.control(`savepoint ${name}`)
  try {
    const result = await fn()
    await lease.control(`release savepoint ${name}`)
    return result
  } catch (error) {
    // If the savepoint cannot be reached any more, the outer transaction fails at its COMMIT.
    await lease
      .control(`rollback to savepoint ${name}`)
      .then(() => lease.control(`release savepoint ${name}`))
      .catch(() => undefined)
    throw error
  }
}

function beginText({ isolation, readOnly, retries }: TransactionOptions): string {
  if (isolation !== undefined && !ISOLATION_LEVELS.includes(isolation)) {
    throw new TenantryError('TN_CONFIG', `isolation is one of ${ISOLATION_LEVELS.join(', ')}.`)
  }
  if (retries !== undefined && !(Number.isInteger(retries) && retries >= 0)) {
    throw new TenantryError('TN_CONFIG', 'retries is a whole number, 0 or more.')
  }
  return `begin${isolation ? ` isolation level ${isolation}` : ''}${readOnly ? ' read only' : ''}`
}
