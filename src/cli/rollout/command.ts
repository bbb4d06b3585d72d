import { Command, InvalidArgumentError } from 'commander'
import { connectionHelp } from '../connect.js'

/** What every command of `tenantry rollout` may be given. */
export interface RolloutOptions {
  readonly url?: string
  readonly json?: boolean
}

/** A command that connects to a database and can answer in JSON. */
export function command(name: string, description: string): Command {
  return new Command(name)
    .description(description)
    .option('--url <url>', connectionHelp)
    .option('--json', 'print JSON')
}

/** One JSON document. */
export function json(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`
}

/** An option's value that is a whole number of at least 1. */
export function positive(value: string): number {
  const number = Number(value)
  if (Number.isSafeInteger(number) && number > 0) return number
  throw new InvalidArgumentError('It is a whole number of at least 1.')
}
