import type { Command } from 'commander'
import { asAdmin } from '../admin.js'
import type { Io } from '../io.js'
import { command, type KeyOptions } from './command.js'

/** `tenantry keys shred`: the end of the secrets of an entity. */
export function shredCommand(io: Io): Command {
  return command('shred', 'Destroy the data keys of an entity: its secrets are gone.')
    .argument('<kind:id>', 'the entity')
    .requiredOption('--reason <text>', 'why; it goes into the log')
    .action((entity: string, options: KeyOptions) =>
      asAdmin(io, options, async (client) => {
        const { rows } = await client.query<{ keys: number; still_readable: string }>(
          'select * from tenantry.shred($1, $2)',
          [entity, options.reason],
        )
        io.out(
          `${rows[0]?.keys ?? 0} keys of ${entity} are destroyed.\n${rows[0]?.still_readable ?? ''}\n`,
        )
      }),
    )
}
