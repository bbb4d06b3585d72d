import type { Command } from 'commander'
import { asAdmin } from '../admin.js'
import type { Io } from '../io.js'
import { command, type KeyOptions } from './command.js'
import { shareOf } from './secret.js'
import { watched } from './watched.js'

/** `tenantry keys rotate`: another master key. */
export function rotateCommand(io: Io): Command {
  return command('rotate', 'Wrap every data key by a master key made from a new secret.')
    .addHelpText(
      'after',
      `
TENANTRY_SECRET_OLD is the secret in use, TENANTRY_SECRET the new one. No row is touched. Afterwards both are
valid: give the application the new one, then run: tenantry keys finish-rotation`,
    )
    .action((options: KeyOptions) =>
      asAdmin(io, options, async (client) => {
        const shares = [shareOf(io, 'TENANTRY_SECRET_OLD'), shareOf(io, 'TENANTRY_SECRET')]
        await watched(io, client, 'tenantry keys rotate', () =>
          client.query('call tenantry.rotate_master_key($1, $2)', shares),
        )
        io.out(
          'Both secrets are valid now. When the whole application has the new one: tenantry keys finish-rotation\n',
        )
      }),
    )
}
