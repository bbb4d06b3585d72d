import { readFile } from 'node:fs/promises'
import { Command } from 'commander'
import { connectionHelp, withConnection } from '../connect.js'
import type { Io } from '../io.js'
import { prompt } from './prompt.js'
import { runSql, type SqlOptions } from './session.js'

/** `tenantry sql`: runs statements and prints tables, where psql is not at hand. */
export function sqlCommand(io: Io): Command {
  return new Command('sql')
    .description('Run statements and print what they return; without any, ask for them.')
    .argument('[statement]', 'one statement or several')
    .option('--url <url>', connectionHelp)
    .option('-f, --file <file>', 'read the statements from a file')
    .option('--as <entity>', 'work as this entity, each statement in a transaction of its own')
    .option('--for <entity>', 'work on the data of this one (with --as)')
    .addHelpText(
      'after',
      `
With TENANTRY_SECRET, --as enters with a credential, as the application does. Without it, it uses
tenantry.assume, which is for admins; note that no policy binds a superuser.

Examples:
  tenantry sql "select * from tenantry.check()"
  tenantry sql --as user:6f1c "select * from memories"
  tenantry sql -f seed.sql
  tenantry sql                      # a prompt; \\q quits`,
    )
    .action(
      async (
        statement: string | undefined,
        options: SqlOptions & { url?: string; file?: string },
      ) => {
        const sql = options.file === undefined ? statement : await readFile(options.file, 'utf8')
        await withConnection(io, options, (client) =>
          sql === undefined ? prompt(io, client, options) : runSql(io, client, sql, options),
        )
      },
    )
}
