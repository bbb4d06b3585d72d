import { TableAccessor } from './accessor.js'
import type { SchemaDefinition, TableDefinition } from './definition.js'
import type { Executor } from './executor.js'
import { prepareTable, type Table } from './table.js'

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
  const tables = definition.tables.map((table) => [table.property, lazily(table)] as const)
  return {
    defaultSchema: definition.defaultSchema,
    bind: (execute) => {
      const accessors: Record<string, TableAccessor> = {}
      for (const [property, table] of tables) {
        accessors[property] = new TableAccessor(table(), execute)
      }
      // The generator derives A and the definition from the same model.
      return accessors as A
    },
  }
}

function lazily(definition: TableDefinition): () => Table {
  let table: Table | undefined
  return () => (table ??= prepareTable(definition))
}
