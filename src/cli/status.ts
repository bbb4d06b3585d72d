import { Command } from 'commander'
import type pg from 'pg'
import { isServerError } from '../errors.js'
import { connectionHelp, withConnection } from './connect.js'
import { CliError } from './errors.js'
import { installedVersion } from './installed.js'
import type { Io } from './io.js'
import { table } from './table.js'

interface Login {
  readonly name: string
  readonly database: string
  readonly server: string
  readonly superuser: boolean
  readonly bypassRls: boolean
  readonly owned: string
  readonly user: boolean
  readonly admin: boolean
}

/** `tenantry status`: who is connected here, and is this login fit for the application? */
export function statusCommand(io: Io): Command {
  return new Command('status')
    .description('Show the login, whether the application may use it, keys and tables.')
    .option('--url <url>', connectionHelp)
    .option('--application', 'end with 1 when the application should not use this login')
    .addHelpText(
      'after',
      `
Examples:
  tenantry status
  tenantry status --url "$DATABASE_URL" --application    # in a deployment, before the switch`,
    )
    .action((options: { url?: string; application?: boolean }) =>
      withConnection(io, options, async (client) => {
        const version = await installedVersion(client)
        const login = await readLogin(client)
        const reasons = unfit(login, version)
        io.out(
          table(
            ['', ''],
            [
              ['login', login.name],
              ['database', `${login.database}, PostgreSQL ${login.server}`],
              ['tenantry', version ?? 'not installed: tenantry install'],
              ['for the application', reasons.length === 0 ? 'yes' : `no: ${reasons.join('; ')}`],
              ...(version === null ? [] : await registry(client)),
            ],
            io.columns,
          ),
        )
        if (options.application && reasons.length > 0) {
          throw new CliError(
            'UNFIT_LOGIN',
            `The application should not connect as ${login.name}.`,
            {
              hint: `Make a login that owns nothing, then: select tenantry.allow('<login>', 'user');`,
            },
          )
        }
      }),
    )
}

async function readLogin(client: pg.Client): Promise<Login> {
  const { rows } = await client.query<Login>(
    `select session_user as name, current_database() as database,
            current_setting('server_version') as server,
            r.rolsuper as superuser, r.rolbypassrls as "bypassRls",
            (select count(*) from pg_catalog.pg_class c
              where c.relowner = r.oid and c.relkind in ('r', 'p')
                and c.relnamespace not in (select n.oid from pg_catalog.pg_namespace n
                                            where n.nspname in ('pg_catalog', 'information_schema')
                                               or n.nspname like 'pg\\_toast%')) as owned,
            coalesce((select pg_catalog.pg_has_role(r.oid, g.oid, 'member')
                        from pg_catalog.pg_roles g where g.rolname = 'tenantry_user'), false) as "user",
            coalesce((select pg_catalog.pg_has_role(r.oid, g.oid, 'member')
                        from pg_catalog.pg_roles g where g.rolname = 'tenantry_admin'), false) as "admin"
       from pg_catalog.pg_roles r where r.rolname = session_user`,
  )
  const login = rows[0]
  if (!login) throw new CliError('NO_LOGIN', 'The server does not know the role of this session.')
  return login
}

function unfit(login: Login, version: string | null): string[] {
  return [
    ...(login.superuser ? ['it is a superuser, whom no policy binds'] : []),
    ...(login.bypassRls && !login.superuser ? ['it has BYPASSRLS'] : []),
    ...(Number(login.owned) > 0 && !login.superuser
      ? [`it owns ${login.owned} tables and could lift their isolation`]
      : []),
    ...(login.admin && !login.superuser ? ['it is an admin of tenantry'] : []),
    ...(version !== null && !login.user && !login.superuser
      ? [`it was not allowed: select tenantry.allow('${login.name}', 'user');`]
      : []),
  ]
}

/** What only a tenantry admin may read is shown as such. */
async function registry(client: pg.Client): Promise<string[][]> {
  const read = async (title: string, query: string): Promise<string[]> => {
    try {
      const { rows } = await client.query<{ text: string | null }>(query)
      return [title, rows[0]?.text ?? 'none']
    } catch (error) {
      if (isServerError(error) && error.code === '42501') return [title, '(for admins)']
      throw error
    }
  }
  return [
    await read(
      'keys',
      `select string_agg(key_id, ', ' order by registered_at) as text from tenantry.issuers`,
    ),
    await read('kinds', `select string_agg(kind, ', ' order by kind) as text from tenantry.kinds`),
    await read(
      'tables',
      `select string_agg(format('%s %s', n, replace(class, '_', ' ')), ', ' order by class) as text
         from (select class, count(*) as n from tenantry.tables group by class) by_class`,
    ),
  ]
}
