import type { Executor } from './executor.js'

/**
 * The value a generated file exports as `schema`. `A` carries the accessors, so that
 * `tenantry(pool, { secret, schema })` can offer them on `db.as(identity)`, and nowhere else.
 */
export interface TenantrySchema<A extends object> {
  /** Makes the accessors that run on `execute`. Cheap: called once for every `db.as(…)`. */
  readonly bind: (execute: Executor) => A
}

/** The accessors of a schema: `AccessorsOf<typeof schema>`. */
export type AccessorsOf<S> = S extends TenantrySchema<infer A> ? A : never
