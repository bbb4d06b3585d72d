import { Command } from 'commander'
import type pg from 'pg'
import { connectionHelp, withConnection } from '../connect.js'
import { requireAdmin } from '../installed.js'
import type { Io } from '../io.js'

/** What a command of `tenantry keys` may be given; each takes its own part. */
export interface KeyOptions {
  url?: string
  entity?: string
  reason?: string
}

/** A command that connects to a database. */
export function command(name: string, description: string): Command {
  return new Command(name).description(description).option('--url <url>', connectionHelp)
}

/** Work on a connection of an admin. */
export function asAdmin(
  io: Io,
  options: KeyOptions,
  work: (client: pg.Client) => Promise<void>,
): Promise<void> {
  return withConnection(io, options, async (client) => {
    await requireAdmin(client)
    await work(client)
  })
}
