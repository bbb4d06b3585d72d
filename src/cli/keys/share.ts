import { Command } from 'commander'
import type { Io } from '../io.js'
import { shareOf } from './secret.js'

/** `tenantry keys share`: what a key file of the server holds. */
export function shareCommand(io: Io): Command {
  return new Command('share')
    .description('Print the share made from TENANTRY_SECRET, for a key file of the server.')
    .action(() => {
      io.err(
        'Whoever has this share and a dump reads every secret: keep the file as you keep the secret.\n',
      )
      io.out(`${shareOf(io, 'TENANTRY_SECRET').toString('hex')}\n`)
    })
}
