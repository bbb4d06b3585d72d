import { Command, InvalidArgumentError } from 'commander'
import type pg from 'pg'
import { connectionHelp, withConnection } from '../connect.js'
import { requireAdmin } from '../installed.js'
import type { Io } from '../io.js'

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

/** Work on a connection of an admin. */
export function asAdmin(
  io: Io,
  options: RolloutOptions,
  work: (client: pg.Client) => Promise<void>,
): Promise<void> {
  return withConnection(io, options, async (client) => {
    await requireAdmin(client)
    await work(client)
  })
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
