import { TableAccessor } from './accessor.js'
import type { SchemaDefinition, TableDefinition } from './definition.js'
import type { Executor } from './executor.js'
import { prepareReach, prepareTable, type Table } from './table.js'

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

/** A schema that also knows Kysely's view of the same tables. */
export interface GeneratedSchema<A extends object, DB> extends TenantrySchema<A> {
  /** The schema whose tables go by their bare names. */
  readonly defaultSchema: string
  /** Never set; carries the type. */
  readonly database?: DB
}

/** Turns what the generator wrote into accessors. Called by generated code alone. */
export function defineSchema<A extends object, DB = unknown>(
  definition: SchemaDefinition,
): GeneratedSchema<A, DB> {
  const prototype = accessorPrototype(definition)
  return {
    defaultSchema: definition.defaultSchema,
    bind: (execute) =>
      // The generator derives A and the definition from the same model.
      Object.create(prototype, { [executor]: { value: execute } }) as A,
  }
}

const executor = Symbol('executor')

interface Bound {
  readonly [executor]: Executor
}

/** The accessors of all tables, with those of the reach path one step further. */
function accessorPrototype(definition: SchemaDefinition): object {
  const prototype = tablePrototype(definition.tables, prepareTable)
  const reached = definition.tables.filter(({ reach }) => reach !== undefined)
  if (reached.length === 0) return prototype
  const reach = tablePrototype(reached, prepareReach)
  return Object.defineProperty(prototype, 'reach', {
    enumerable: true,
    get(this: Bound) {
      return Object.create(reach, { [executor]: { value: this[executor] } }) as object
    },
  })
}

/**
 * A getter per table. Sessions are made for every request and use few of their tables, so nothing
 * is made before it is asked for; a table is prepared once for all sessions.
 */
function tablePrototype(
  tables: readonly TableDefinition[],
  prepare: (table: TableDefinition) => Table,
): object {
  const prototype: object = Object.create(null)
  for (const table of tables) {
    let prepared: Table | undefined
    Object.defineProperty(prototype, table.property, {
      enumerable: true,
      get(this: Bound) {
        return new TableAccessor((prepared ??= prepare(table)), this[executor])
      },
    })
  }
  return prototype
}
