import { Command, Option } from 'commander'
import { Listr } from 'listr2'
import type pg from 'pg'
import { isServerError } from '../errors.js'
import { connectionHelp, withConnection } from './connect.js'
import { CliError } from './errors.js'
import { installedVersion } from './installed.js'
import type { Io } from './io.js'
import { packageFile } from './package-files.js'

interface InstallOptions {
  url?: string
  plain?: boolean
  extension?: boolean
  uninstall?: boolean
}

/** `tenantry install`: puts the SQL package into a database, or takes it out again. */
export function installCommand(io: Io): Command {
  return new Command('install')
    .description('Install tenantry into a database, or take it out again.')
    .option('--url <url>', connectionHelp)
    .addOption(
      new Option('--extension', 'by create extension; the files must lie on the server').conflicts(
        'plain',
      ),
    )
    .addOption(new Option('--plain', 'by a script, which needs no files on the server'))
    .addOption(
      new Option(
        '--uninstall',
        'take it out again; the application’s tables stay usable',
      ).conflicts(['plain', 'extension']),
    )
    .addHelpText(
      'after',
      `
Without --extension or --plain, the extension is taken where the server offers it.
The role must be a superuser, or may create roles and owns the database.

Examples:
  tenantry install --url postgres://postgres@localhost/shop
  tenantry install --uninstall`,
    )
    .action((options: InstallOptions) =>
      withConnection(io, options, (client) =>
        options.uninstall ? uninstall(io, client) : install(io, client, options),
      ),
    )
}

async function install(io: Io, client: pg.Client, options: InstallOptions): Promise<void> {
  const present = await installedVersion(client)
  if (present !== null) {
    io.out(`tenantry ${present} is installed already.\n`)
    return
  }
  const extension = options.extension ?? (!options.plain && (await offered(client)))
  try {
    await withProgress(io, extension ? 'create extension tenantry' : 'install.sql', async () => {
      await client.query(
        extension ? 'create extension tenantry cascade' : packageFile('install.sql'),
      )
      await client.query('select tenantry.initialise()')
    })
  } catch (error) {
    // PostgreSQL says what was denied first, and not what it takes in all.
    if (isServerError(error) && error.code === '42501') error.hint = whoInstalls
    throw error
  }
  const version = await installedVersion(client)
  io.out(
    `tenantry ${version ?? ''} is installed ${extension ? 'as an extension' : 'by script'}.\n` +
      'Next: tenantry keys register, then tenantry survey > tenantry.sql\n',
  )
}

const whoInstalls =
  'Log in as a superuser, or as a role that owns the database and may create roles: tenantry install --url postgres://…'

async function offered(client: pg.Client): Promise<boolean> {
  const { rowCount } = await client.query(
    `select from pg_catalog.pg_available_extensions where name = 'tenantry'`,
  )
  return rowCount === 1
}

async function uninstall(io: Io, client: pg.Client): Promise<void> {
  if ((await installedVersion(client)) === null) {
    throw new CliError('NOT_INSTALLED', 'tenantry is not installed in this database.')
  }
  client.on('notice', (notice) => {
    if (notice.severity === 'NOTICE') io.out(`${notice.message ?? ''}\n`)
  })
  await withProgress(io, 'uninstall.sql', () => client.query(packageFile('uninstall.sql')))
  io.out('tenantry is no longer installed.\n')
}

/** A spinner for whoever watches, nothing for a log. */
async function withProgress(io: Io, title: string, work: () => Promise<unknown>): Promise<void> {
  const tasks = new Listr(
    [{ title, task: async () => void (await work()) }],
    io.interactive ? { renderer: 'default' } : { renderer: 'silent' },
  )
  await tasks.run()
}
