/**
 * Stable codes of everything tenantry raises. `TN0xx` are the SQLSTATEs of the SQL package; the
 * rest are raised by the runtime before, or instead of, asking the database.
 */
export type TenantryErrorCode =
  | 'TN001' // no context
  | 'TN002' // context invalid
  | 'TN003' // context expired
  | 'TN004' // may not act for, or not delegate or revoke
  | 'TN005' // key share missing, wrong or short
  | 'TN006' // sealed value cannot be opened
  | 'TN008' // credential refused
  | 'TN009' // unknown entity
  | 'TN010' // session refused: superuser, BYPASSRLS, owner, or not allowed here
  | 'TN011' // set-up refused
  | 'TN012' // rollout refused
  | `TN${number}`
  | 'TN_ACCESS' // refused by a policy or a reference, without saying which
  | 'TN_ARGUMENT' // an accessor was given something it cannot turn into a statement
  | 'TN_CLIENT_RELEASED'
  | 'TN_CONFIG'
  | 'TN_CONSTRAINT' // a unique key is taken
  | 'TN_IDENTITY_CHANGED' // two identities in one transaction or on one client
  | 'TN_IDENTITY_INVALID'
  | 'TN_NO_IDENTITY'
  | 'TN_NOT_ALLOWED' // the login role was never allowed to use tenantry here
  | 'TN_NOT_INSTALLED'
  | 'TN_STATEMENT_REFUSED'
  | 'TN_TRANSACTION_FAILED' // used after it failed to open
  | 'TN_TRANSACTION_ROLLED_BACK' // COMMIT was answered by ROLLBACK
  | 'TN_ZERO_ROWS'

export interface TenantryErrorOptions {
  /** What to do about it, in one sentence. */
  hint?: string | undefined
  cause?: unknown
}

/** Everything tenantry raises itself. `code` is stable; the message and `hint` say what to do. */
export class TenantryError extends Error {
  readonly code: TenantryErrorCode
  readonly hint: string | undefined

  constructor(code: TenantryErrorCode, message: string, options: TenantryErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = new.target.name
    this.code = code
    this.hint = options.hint
  }
}

/**
 * A write was refused by a policy or by a reference. One class, one code and one message for
 * "there is no such row" and "there is one, but it is not yours": telling them apart would tell
 * anybody which rows of other tenants exist.
 */
export class AccessError extends TenantryError {
  constructor() {
    super('TN_ACCESS', 'Refused: the row belongs to, or refers to, something out of reach here.', {
      // The same for all, whichever it was.
      hint: 'Look at whom the row names as owner, at the rows it refers to, whether a member is added without `delegate`, and whether the identity may write: `tenantry.whoami()` tells its privileges.',
    })
  }
}

/**
 * A unique key is taken. Carries the constraint's name, which is part of the schema, and neither
 * the values nor whose row holds them.
 */
export class ConstraintError extends TenantryError {
  readonly constraint: string | undefined

  constructor(constraint: string | undefined) {
    super('TN_CONSTRAINT', `Refused: a unique key is taken${constraint ? ` (${constraint})` : ''}.`)
    this.constraint = constraint
  }
}

/** A write touched no row where one was expected: it is absent, or not this identity's. */
export class ZeroRowsError extends TenantryError {
  constructor(action: string) {
    super('TN_ZERO_ROWS', `${action} touched no row: there is none that this identity may reach.`)
  }
}

/** Whether `error` was raised by tenantry, if wanted with one particular code. */
export function isTenantryError(error: unknown, code?: TenantryErrorCode): error is TenantryError {
  return error instanceof TenantryError && (code === undefined || error.code === code)
}

/** What node-postgres raises for an error message of the server, as far as it matters here. */
export interface ServerError extends Error {
  code: string
  severity: string
  detail?: string
  hint?: string
  where?: string
  constraint?: string
}

/** Whether the server itself sent this error (as opposed to the driver or the network). */
export function isServerError(error: unknown): error is ServerError {
  // Not `instanceof DatabaseError`: the application's pool may come from another copy of pg.
  return error instanceof Error && 'severity' in error && 'code' in error
}

/**
 * Takes away the server's account of where the error came about. Under some settings, which any
 * session may change (`log_parameter_max_length_on_error`), it lists the bind parameters.
 */
export function withoutContext<E extends ServerError>(error: E): E {
  delete error.where
  return error
}

/**
 * Errors of accessor calls. Unique, reference and policy violations come back without DETAIL,
 * values, or a `cause` that carries them, because a logged error would otherwise show them.
 * Everything else passes unchanged.
 */
export function mapAccessorError(error: unknown): unknown {
  if (!isServerError(error)) return error
  switch (error.code) {
    case '23505':
      return new ConstraintError(error.constraint)
    case '23503':
    case '42501':
    case '44000': // WITH CHECK OPTION of a view
      return new AccessError()
    case 'TN005':
    case 'TN006':
      // The server's words, which never quote a value; no `cause`, whose fields could.
      return new TenantryError(error.code, error.message, { hint: error.hint })
    default:
      return error
  }
}

/**
 * Errors of the context statement: these never reveal data, so the server's words are kept. Its
 * parameters are a credential and the key share, so what could list them is not.
 */
export function contextError(error: unknown): unknown {
  if (!isServerError(error)) return error
  withoutContext(error)
  if (error.code.startsWith('TN')) {
    return new TenantryError(error.code as TenantryErrorCode, error.message, {
      hint: error.hint,
      cause: error,
    })
  }
  switch (error.code) {
    case '42883': // undefined function
    case '3F000': // undefined schema
      return new TenantryError('TN_NOT_INSTALLED', 'tenantry is not installed in this database.', {
        hint: 'Run `create extension tenantry cascade` or `tenantry install` there.',
        cause: error,
      })
    case '42501':
      return new TenantryError('TN_NOT_ALLOWED', 'This login role may not enter a context here.', {
        hint: "`tenantry status --application` says whether it should; then run `select tenantry.allow('<login role>')` as a tenantry admin.",
        cause: error,
      })
    default:
      return error
  }
}
