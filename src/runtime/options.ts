import type { TenantrySchema } from '../accessors/schema.js'
import { TenantryError } from '../errors.js'

export interface TenantryOptions<A extends object = object> {
  /**
   * The secret whose key `tenantry.register_issuer` knows; at least 32 bytes. May be given as
   * `process.env.TENANTRY_SECRET`: where that is not set, `tenantry()` says so.
   */
  secret: string | undefined
  /** The value exported by the generated file; gives sessions their accessors. */
  schema?: TenantrySchema<A> | undefined
  /**
   * Whether each transaction brings the application's share of the master key, made from `secret`,
   * so that encrypted columns can be read and written. Default: asked from the database with its
   * audience, and again after an error that says that the share is missing.
   */
  keyShare?: boolean | undefined
  /** What credentials are made out to. Default: asked from the database once, by the first call. */
  audience?: string | undefined
  /**
   * Seconds a context may be re-used by a pass, 0 to 300. Default 0: every transaction enters
   * anew, and what was revoked is revoked at once; otherwise within these seconds.
   */
  contextTtl?: number | undefined
  /** Seconds a credential lives, 5 to 3600. Default 60. */
  credentialTtl?: number | undefined
  /**
   * Keep named statements named, and prepare the context statement on each connection. Default
   * false: all statements are sent unnamed, which any transaction pooler can carry.
   */
  preparedStatements?: boolean | undefined
  /**
   * How context and query travel together. Default `sync`: one Sync group, one round trip.
   * `pipeline`: fired together, for pools made with `pipeline: true`. `awaited`: four round trips,
   * for proxies that carry neither.
   */
  transport?: 'sync' | 'pipeline' | 'awaited' | undefined
  /**
   * When a connection is reset (DISCARD ALL) before its next use. Default `error`: after errors
   * and after commands that may leave something in the session. `always`: after every use, in the
   * background. A setting that a query changed by set_config() is noticed only where the server
   * reports it (TimeZone, DateStyle, client_encoding and the like); an advisory lock is not. Choose
   * `always` where tenants, or models, write the SQL. Where the application configures connections itself (`onConnect`, or a `connect`
   * listener on the pool), they are replaced instead, since a reset would undo that.
   */
  reset?: 'error' | 'always' | undefined
  /**
   * How often a single call of a session or accessor is tried again after a serialization failure
   * or a deadlock; it is one whole transaction. Default 3. Calls through `db.pool` are never
   * repeated, explicit transactions only by their own `retries`.
   */
  retries?: number | undefined
}

/** The options with their defaults filled in. */
export interface ResolvedOptions<A extends object> {
  secret: string
  schema: TenantrySchema<A> | undefined
  audience: string | undefined
  keyShare: boolean | undefined
  contextTtl: number
  credentialTtl: number
  preparedStatements: boolean
  transport: (typeof TRANSPORTS)[number]
  reset: (typeof RESETS)[number]
  retries: number
}

const TRANSPORTS = ['sync', 'pipeline', 'awaited'] as const
const RESETS = ['error', 'always'] as const

/** Fills in defaults. @throws TenantryError `TN_CONFIG` naming the option that is out of range */
export function resolveOptions<A extends object>(options: TenantryOptions<A>): ResolvedOptions<A> {
  return {
    secret: stated(options.secret),
    schema: options.schema,
    audience: options.audience,
    keyShare: decided('keyShare', options.keyShare),
    contextTtl: integer('contextTtl', options.contextTtl ?? 0, 0, 300),
    credentialTtl: integer('credentialTtl', options.credentialTtl ?? 60, 5, 3600),
    preparedStatements: options.preparedStatements ?? false,
    transport: oneOf('transport', options.transport ?? 'sync', TRANSPORTS),
    reset: oneOf('reset', options.reset ?? 'error', RESETS),
    retries: integer('retries', options.retries ?? 3, 0, 20),
  }
}

function stated(secret: string | undefined): string {
  if (secret !== undefined) return secret
  throw config('secret is not set: is TENANTRY_SECRET in the environment?')
}

/** What comes from the environment as text would be true whatever it says. */
function decided(name: string, value: boolean | undefined): boolean | undefined {
  if (value === undefined || typeof value === 'boolean') return value
  throw config(`${name} is true or false, or left out for what the database wants.`)
}

function integer(name: string, value: number, min: number, max: number): number {
  if (Number.isInteger(value) && value >= min && value <= max) return value
  throw config(`${name} is a whole number from ${min} to ${max}, not ${String(value)}.`)
}

function oneOf<T extends string>(name: string, value: T, allowed: readonly T[]): T {
  if (allowed.includes(value)) return value
  throw config(`${name} is ${allowed.map((one) => `'${one}'`).join(' or ')}, not '${value}'.`)
}

function config(message: string): TenantryError {
  return new TenantryError('TN_CONFIG', message)
}
