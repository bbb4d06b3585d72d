import type { Readable } from 'node:stream'

/** The outside world of a command, so that tests can be one. */
export interface Io {
  readonly out: (text: string) => void
  /** Everything that is no result: progress, notices, errors. */
  readonly err: (text: string) => void
  readonly input: Readable & { readonly isTTY?: boolean }
  readonly env: Readonly<Record<string, string | undefined>>
  /** Width of the terminal in characters. */
  readonly columns: number
  /** Whether a person watches, for progress that redraws itself. */
  readonly interactive: boolean
}

export const processIo: Io = {
  out: (text) => void process.stdout.write(text),
  err: (text) => void process.stderr.write(text),
  input: process.stdin,
  env: process.env,
  columns: process.stdout.columns || 120,
  interactive: process.stdout.isTTY && process.stderr.isTTY && process.env['CI'] === undefined,
}
