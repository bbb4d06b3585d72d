import { TenantryError } from '../errors.js'

/**
 * An accessor was given something it cannot turn into a statement: an unknown column, an operator
 * that does not exist, an update without a filter. TypeScript finds nearly all of them first.
 */
export class ArgumentError extends TenantryError {
  constructor(call: string, problem: string, hint?: string) {
    super('TN_ARGUMENT', `${call}: ${problem}`, { hint })
  }
}

/** A name as it may stand in a message. */
export function show(name: unknown): string {
  return typeof name === 'string' ? JSON.stringify(name) : String(name)
}
