import type { Command } from 'commander'
import type pg from 'pg'
import { asAdmin } from '../admin.js'
import type { Io } from '../io.js'
import { command, type KeyOptions } from './command.js'
import { shareOf } from './secret.js'
import { watched } from './watched.js'

/** `tenantry keys rotate-data`: other data keys. */
export function rotateDataCommand(io: Io): Command {
  return command('rotate-data', 'Give every entity a new data key and seal its values anew.')
    .option('--entity <kind:id>', 'only this one')
    .action((options: KeyOptions) =>
      asAdmin(io, options, async (client) => {
        const share = shareOf(io, 'TENANTRY_SECRET')
        await watched(io, client, 'tenantry keys rotate-data', () =>
          client.query('call tenantry.rotate_data_keys($1, $2)', [share, options.entity ?? null]),
        )
        io.out(await outcome(client))
      }),
    )
}

/** What a rotation of data keys has come to. */
async function outcome(client: pg.Client): Promise<string> {
  const { rows } = await client.query<{ left: string | null }>(
    'select sum(rows) as left from tenantry.unopened_values',
  )
  const left = rows[0]?.left ?? null
  return left === null
    ? 'Every value is sealed by a new key, and the old ones are refused.\n'
    : `Every other value is sealed by a new key. ${left} do not open: older keys of their owners are kept. See tenantry.unopened_values, write those anew or restore them, and run it again.\n`
}
