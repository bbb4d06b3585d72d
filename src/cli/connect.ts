import pg from 'pg'
import { CliError } from './errors.js'
import type { Io } from './io.js'

export interface ConnectionOptions {
  readonly url?: string
}

/** Text for `--help`: where a connection comes from. */
export const connectionHelp =
  'PostgreSQL URL (default: DATABASE_URL, else PGHOST, PGPORT, PGUSER, PGPASSWORD, PGDATABASE)'

const variables = ['PGHOST', 'PGPORT', 'PGUSER', 'PGPASSWORD', 'PGDATABASE', 'PGSERVICE'] as const

/** Connects, does the work and disconnects; notices of the server go to the error stream. */
export async function withConnection<T>(
  io: Io,
  options: ConnectionOptions,
  work: (client: pg.Client) => Promise<T>,
): Promise<T> {
  const client = new pg.Client({ ...configuration(io, options), application_name: 'tenantry' })
  client.on('notice', (notice) => {
    if (notice.severity !== 'WARNING') return
    io.err(`WARNING: ${notice.message ?? ''}\n${notice.hint ? `HINT: ${notice.hint}\n` : ''}`)
  })
  // A connection that breaks while idle raises an event; the statement that follows reports it.
  client.on('error', () => undefined)
  try {
    await client.connect()
  } catch (error) {
    throw cannotConnect(client, error)
  }
  try {
    return await work(client)
  } finally {
    await client.end().catch(() => undefined)
  }
}

function configuration(io: Io, options: ConnectionOptions): pg.ClientConfig {
  const connectionString = options.url ?? io.env['DATABASE_URL']
  if (connectionString) return { connectionString }
  if (!variables.some((name) => io.env[name])) {
    throw new CliError('NO_CONNECTION', 'No database was named.', {
      hint: 'Give --url postgres://user:password@host:5432/database, or set DATABASE_URL or the PG* variables.',
    })
  }
  const port = io.env['PGPORT']
  return {
    ...(io.env['PGHOST'] ? { host: io.env['PGHOST'] } : {}),
    ...(port ? { port: Number(port) } : {}),
    ...(io.env['PGUSER'] ? { user: io.env['PGUSER'] } : {}),
    ...(io.env['PGPASSWORD'] ? { password: io.env['PGPASSWORD'] } : {}),
    ...(io.env['PGDATABASE'] ? { database: io.env['PGDATABASE'] } : {}),
  }
}

/** Says where it tried to go, never with which password. */
function cannotConnect(client: pg.Client, error: unknown): CliError {
  const where = `${client.host}:${client.port}, database ${client.database ?? '(none)'}, as ${client.user ?? '(nobody)'}`
  const { code, message } = error as { code?: string; message: string }
  const hints: Record<string, string> = {
    ECONNREFUSED: 'No server listens there: check host and port.',
    ENOTFOUND: 'The host has no address: check its name.',
    '28P01': 'The password was refused.',
    '28000': 'The server refuses this login from here (pg_hba.conf).',
    '3D000': 'There is no such database: create it, or check its name.',
  }
  const reason = message || code || 'unknown reason'
  const hint = code === undefined ? undefined : hints[code]
  return new CliError('CANNOT_CONNECT', `Cannot connect to ${where}: ${reason}`, {
    exitCode: 3,
    ...(hint ? { hint } : {}),
  })
}
