import { Command } from 'commander'
import { connectionHelp } from '../connect.js'

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
