import type { Command } from 'commander'
import { asAdmin } from '../admin.js'
import type { Io } from '../io.js'
import { command, type KeyOptions } from './command.js'
import { shareOf } from './secret.js'

/** `tenantry keys create`: the master key. */
export function createCommand(io: Io): Command {
  return command(
    'create',
    'Make the master key from TENANTRY_SECRET, for encrypted columns.',
  ).action((options: KeyOptions) =>
    asAdmin(io, options, async (client) => {
      await client.query('select tenantry.create_master_key($1)', [shareOf(io, 'TENANTRY_SECRET')])
      io.out('There is a master key. Next: select * from tenantry.encrypt_column(…);\n')
    }),
  )
}
