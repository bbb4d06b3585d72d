import { Readable } from 'node:stream'
import { main } from '../../src/cli/program.js'

export interface CliResult {
  readonly code: number
  readonly out: string
  readonly err: string
}

/** Runs one command line in this process, without a terminal unless told otherwise. */
export async function cli(
  args: readonly string[],
  options: {
    url?: string
    env?: Record<string, string>
    input?: string
    columns?: number
    interactive?: boolean
  } = {},
): Promise<CliResult> {
  let out = ''
  let err = ''
  const code = await main(args, {
    out: (text) => void (out += text),
    err: (text) => void (err += text),
    input: Readable.from(options.input === undefined ? [] : [options.input]),
    env: { ...(options.url ? { DATABASE_URL: options.url } : {}), ...options.env },
    columns: options.columns ?? 160,
    interactive: options.interactive ?? false,
  })
  return { code, out, err }
}
