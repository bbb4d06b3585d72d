import { deriveKeyShare } from '../../credential.js'
import { CliError } from '../errors.js'
import type { Io } from '../io.js'

/** A secret of the environment. */
export function secretOf(io: Io, variable: string): string {
  const secret = io.env[variable]
  if (secret) return secret
  throw new CliError('NO_SECRET', `${variable} is not set.`, {
    hint:
      variable === 'TENANTRY_SECRET'
        ? 'Set it to the secret the application uses, or make one: openssl rand -base64 48'
        : 'Set it to the secret the application uses until now, and TENANTRY_SECRET to the new one.',
  })
}

/** The application's share of the master key, made from a secret of the environment. */
export function shareOf(io: Io, variable: string): Buffer {
  return deriveKeyShare(secretOf(io, variable))
}
