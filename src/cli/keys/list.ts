import type { Command } from 'commander'
import { asAdmin } from '../admin.js'
import type { Io } from '../io.js'
import { table } from '../table.js'
import { command, type KeyOptions } from './command.js'

interface Issuer {
  readonly key_id: string
  readonly leeway: string
  readonly max_lifetime: string
  readonly registered_at: Date
}

/** `tenantry keys list`: the keys that issue credentials. */
export function listCommand(io: Io): Command {
  return command(
    'list',
    'List the ids of the keys; the keys themselves never leave the database.',
  ).action((options: KeyOptions) =>
    asAdmin(io, options, async (client) => {
      const { rows } = await client.query<Issuer>(
        `select key_id, leeway::text, max_lifetime::text, registered_at
             from tenantry.issuers order by registered_at, key_id`,
      )
      io.out(
        rows.length === 0
          ? 'No key is registered: tenantry keys register\n'
          : table(
              ['key id', 'leeway', 'longest lifetime', 'registered'],
              rows.map((row) => [row.key_id, row.leeway, row.max_lifetime, row.registered_at]),
              io.columns,
            ),
      )
    }),
  )
}
