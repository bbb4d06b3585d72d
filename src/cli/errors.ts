import { isServerError } from '../errors.js'
import type { Io } from './io.js'

/** Ends the command with one message and an exit code; no stack is shown. */
export class CliError extends Error {
  readonly code: string
  readonly hint: string | undefined
  readonly exitCode: number

  constructor(code: string, message: string, options: { hint?: string; exitCode?: number } = {}) {
    super(message)
    this.name = 'CliError'
    this.code = code
    this.hint = options.hint
    this.exitCode = options.exitCode ?? 1
  }
}

/** SQLSTATE, message, detail and hint of an error, each on a line of its own. */
export function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const lines: string[] = []
  if (isServerError(error)) {
    lines.push(`${error.severity} ${error.code}: ${error.message}`)
    if (error.detail) lines.push(`DETAIL: ${error.detail}`)
  } else {
    const code = (error as { code?: unknown }).code
    // What Node.js says of a file begins with its code already.
    const own =
      error instanceof CliError || typeof code !== 'string' || error.message.startsWith(`${code}:`)
    lines.push(own ? `Error: ${error.message}` : `Error ${code}: ${error.message}`)
  }
  const hint = (error as { hint?: unknown }).hint
  if (typeof hint === 'string' && hint !== '') lines.push(`HINT: ${hint}`)
  return lines.join('\n')
}

/** Prints what went wrong and says how the process ends. */
export function report(io: Io, error: unknown): number {
  io.err(`${describe(error)}\n`)
  // An error of the program itself, not of its use: whoever reports it needs the stack.
  if (error instanceof TypeError || error instanceof ReferenceError)
    io.err(`${error.stack ?? ''}\n`)
  const { exitCode } = error as { exitCode?: unknown }
  return typeof exitCode === 'number' ? exitCode : 1
}

/** Any error, to end the process with this code unless it says another than the usual one itself. */
export function endingWith(exitCode: number, error: unknown): unknown {
  if (!(error instanceof Error) || (error instanceof CliError && error.exitCode !== 1)) return error
  return Object.assign(error, { exitCode })
}
