import type { Command } from 'commander'
import { asAdmin } from '../admin.js'
import type { Io } from '../io.js'
import { command, type KeyOptions } from './command.js'
import { shareOf } from './secret.js'

/** `tenantry keys finish-rotation`: the end of the old master key. */
export function finishRotationCommand(io: Io): Command {
  return command(
    'finish-rotation',
    'End a rotation: the old secret opens nothing any more.',
  ).action((options: KeyOptions) =>
    asAdmin(io, options, async (client) => {
      await client.query('select tenantry.finish_master_rotation($1)', [
        shareOf(io, 'TENANTRY_SECRET'),
      ])
      io.out(
        'The old secret opens nothing in this database any more. Old backups still open with it: destroy it once they have expired.\n',
      )
    }),
  )
}
