import type { Command } from 'commander'
import { asAdmin } from '../admin.js'
import type { Io } from '../io.js'
import { command, type KeyOptions } from './command.js'

/** `tenantry keys remove`: no more credentials of a key. */
export function removeCommand(io: Io): Command {
  return command('remove', 'Forget a key: its credentials are refused from the next call on.')
    .argument('<key-id>', 'as tenantry keys list shows it')
    .action((keyId: string, options: KeyOptions) =>
      asAdmin(io, options, async (client) => {
        await client.query('select tenantry.unregister_issuer($1)', [keyId])
        io.out(`${keyId} is removed.\n`)
      }),
    )
}
