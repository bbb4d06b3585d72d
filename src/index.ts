export {
  AccessError,
  ConstraintError,
  isTenantryError,
  TenantryError,
  ZeroRowsError,
  type TenantryErrorCode,
} from './errors.js'
export { deriveKeyShare, deriveSigningKey, mintCredential, type SigningKey } from './credential.js'
export {
  anonymous,
  identity,
  parseEntity,
  type Entity,
  type EntityId,
  type Identity,
} from './identity.js'
export { tenantry, type AsOptions, type Tenantry } from './runtime/tenantry.js'
export type { TenantryOptions } from './runtime/options.js'
export type { Session, SessionApi } from './runtime/session.js'
export type { IsolationLevel, TransactionOptions } from './runtime/transaction.js'
export type { InsertManyOptions, TableName } from './runtime/insert-many.js'
// What generated files import, besides `identity`.
export * from './accessors/index.js'
