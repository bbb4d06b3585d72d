import type { Command } from 'commander'
import { asAdmin } from '../admin.js'
import { deriveSigningKey } from '../../credential.js'
import type { Io } from '../io.js'
import { command, type KeyOptions } from './command.js'
import { secretOf } from './secret.js'

/** `tenantry keys register`: a key that issues credentials. */
export function registerCommand(io: Io): Command {
  return command(
    'register',
    'Derive the key from TENANTRY_SECRET, register it, print its id.',
  ).action(async (options: KeyOptions) => {
    const { key, keyId } = deriveSigningKey(secretOf(io, 'TENANTRY_SECRET'))
    await asAdmin(io, options, async (client) => {
      await client.query('select tenantry.register_issuer($1, $2)', [keyId, key])
    })
    io.out(`${keyId}\n`)
  })
}
