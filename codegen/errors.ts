export type CodegenErrorCode =
  | 'IN_TRANSACTION'
  | 'NO_CATALOG'
  | 'NOTHING_TO_GENERATE'
  | 'REGISTRY_UNREADABLE'
  | 'UNKNOWN_ROLE'
  | 'UNKNOWN_SCHEMA'

/** Why the generator stopped; the message says what to do next. */
export class CodegenError extends Error {
  override readonly name = 'CodegenError'

  constructor(
    readonly code: CodegenErrorCode,
    message: string,
  ) {
    super(message)
  }
}
