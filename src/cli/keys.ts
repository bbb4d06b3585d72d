import { Command } from 'commander'
import { deriveSigningKey } from '../credential.js'
import { connectionHelp, withConnection } from './connect.js'
import { CliError } from './errors.js'
import { requireAdmin } from './installed.js'
import type { Io } from './io.js'
import { masterKeyCommands } from './master-key.js'
import { table } from './table.js'

interface KeyOptions {
  url?: string
}

interface Issuer {
  readonly key_id: string
  readonly leeway: string
  readonly max_lifetime: string
  readonly registered_at: Date
}

/** `tenantry keys`: which keys may issue credentials for this database, and the keys of its secrets. */
export function keysCommand(io: Io): Command {
  const keys = new Command('keys')
    .description('Which keys may issue credentials for a database, and the keys of its secrets.')
    .addHelpText(
      'after',
      `
The key is derived from TENANTRY_SECRET, the secret the application gives to tenantry(pool, { secret }).
The secret itself is never sent and never printed. Several keys may stand side by side while they rotate.

Examples:
  TENANTRY_SECRET=… tenantry keys register
  tenantry keys list
  tenantry keys remove 3q2-7wAAQkFz1x9Y
  TENANTRY_SECRET=… tenantry keys create         # for encrypted columns`,
    )

  keys
    .command('register')
    .description('Derive the key from TENANTRY_SECRET, register it, print its id.')
    .option('--url <url>', connectionHelp)
    .action(async (options: KeyOptions) => {
      const secret = io.env['TENANTRY_SECRET']
      if (!secret) {
        throw new CliError('NO_SECRET', 'TENANTRY_SECRET is not set.', {
          hint: 'Set it to the secret the application uses, or make one: openssl rand -base64 48',
        })
      }
      const { key, keyId } = deriveSigningKey(secret)
      await withConnection(io, options, async (client) => {
        await requireAdmin(client)
        await client.query('select tenantry.register_issuer($1, $2)', [keyId, key])
      })
      io.out(`${keyId}\n`)
    })

  keys
    .command('list')
    .description('List the ids of the keys; the keys themselves never leave the database.')
    .option('--url <url>', connectionHelp)
    .action((options: KeyOptions) =>
      withConnection(io, options, async (client) => {
        await requireAdmin(client)
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

  keys
    .command('remove')
    .description('Forget a key: its credentials are refused from the next call on.')
    .argument('<key-id>', 'as tenantry keys list shows it')
    .option('--url <url>', connectionHelp)
    .action((keyId: string, options: KeyOptions) =>
      withConnection(io, options, async (client) => {
        await requireAdmin(client)
        await client.query('select tenantry.unregister_issuer($1)', [keyId])
        io.out(`${keyId} is removed.\n`)
      }),
    )

  for (const command of masterKeyCommands(io)) keys.addCommand(command)
  return keys
}
