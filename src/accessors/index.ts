export type {
  ColumnDefinition,
  ReachDefinition,
  SchemaDefinition,
  SecretDefinition,
  TableDefinition,
  UniqueDefinition,
  ValueEncoding,
} from './definition.js'
export { ArgumentError } from './errors.js'
export type { Executor, QueryRows } from './executor.js'
export type { ColumnType } from './kysely-types.js'
export { Secret, secret } from './secret.js'
export { defineSchema } from './schema.js'
export type { AccessorsOf, GeneratedSchema, TenantrySchema } from './schema.js'
export type {
  Comparison,
  Condition,
  Deletes,
  DeletesById,
  FindFirst,
  FindMany,
  Incomparable,
  Inserts,
  NullTest,
  OrderKey,
  DefaultKeys,
  Reads,
  ReadsById,
  Searchable,
  Selection,
  Target,
  Updates,
  UpdatesById,
  Upserts,
  UpsertsByKey,
  Where,
} from './types.js'
export type {
  Brand,
  BytesInput,
  Circle,
  DateInput,
  Interval,
  IntervalInput,
  Json,
  JsonObject,
  NumericInput,
  Point,
} from './values.js'
