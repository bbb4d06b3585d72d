import { Command } from 'commander'
import type pg from 'pg'
import { deriveKeyShare } from '../credential.js'
import { cancelQuery } from '../runtime/cancel.js'
import type { RawClient } from '../runtime/pg-internals.js'
import { connectionHelp, withConnection } from './connect.js'
import { CliError } from './errors.js'
import { requireAdmin } from './installed.js'
import type { Io } from './io.js'
import { table } from './table.js'

interface Options {
  url?: string
  entity?: string
  reason?: string
}

interface MasterKey {
  readonly master_key: string
  readonly state: 'active' | 'retiring'
  readonly data_keys: string
  readonly superseded: string
  readonly retired: string
  readonly shredded: string
  readonly created_at: Date
}

/** The commands of `tenantry keys` for secrets: the master key, whose one share is the application's, and data keys. */
export function masterKeyCommands(io: Io): Command[] {
  const command = (name: string, description: string): Command =>
    new Command(name).description(description).option('--url <url>', connectionHelp)
  const asAdmin = (options: Options, work: (client: pg.Client) => Promise<void>): Promise<void> =>
    withConnection(io, options, async (client) => {
      await requireAdmin(client)
      await work(client)
    })

  return [
    command('create', 'Make the master key from TENANTRY_SECRET, for encrypted columns.').action(
      (options: Options) =>
        asAdmin(options, async (client) => {
          await client.query('select tenantry.create_master_key($1)', [
            shareOf(io, 'TENANTRY_SECRET'),
          ])
          io.out('There is a master key. Next: select * from tenantry.encrypt_column(…);\n')
        }),
    ),

    command(
      'status',
      'Show the master keys, how many data keys each wraps, and what comes next.',
    ).action((options: Options) =>
      asAdmin(options, async (client) => {
        const { rows } = await client.query<MasterKey>(
          'select * from tenantry.key_status order by created_at',
        )
        if (rows.length === 0) io.out('There is no master key: tenantry keys create\n')
        else io.out(`${statusTable(rows, io.columns)}${nextStep(rows)}`)
      }),
    ),

    new Command('share')
      .description('Print the share made from TENANTRY_SECRET, for a key file of the server.')
      .action(() => {
        io.err(
          'Whoever has this share and a dump reads every secret: keep the file as you keep the secret.\n',
        )
        io.out(`${shareOf(io, 'TENANTRY_SECRET').toString('hex')}\n`)
      }),

    command('rotate', 'Wrap every data key by a master key made from a new secret.')
      .addHelpText(
        'after',
        `
TENANTRY_SECRET_OLD is the secret in use, TENANTRY_SECRET the new one. No row is touched. Afterwards both are
valid: give the application the new one, then run: tenantry keys finish-rotation`,
      )
      .action((options: Options) =>
        asAdmin(options, async (client) => {
          const shares = [shareOf(io, 'TENANTRY_SECRET_OLD'), shareOf(io, 'TENANTRY_SECRET')]
          await watched(io, client, 'tenantry keys rotate', () =>
            client.query('call tenantry.rotate_master_key($1, $2)', shares),
          )
          io.out(
            'Both secrets are valid now. When the whole application has the new one: tenantry keys finish-rotation\n',
          )
        }),
      ),

    command('finish-rotation', 'End a rotation: the old secret opens nothing any more.').action(
      (options: Options) =>
        asAdmin(options, async (client) => {
          await client.query('select tenantry.finish_master_rotation($1)', [
            shareOf(io, 'TENANTRY_SECRET'),
          ])
          io.out(
            'The old secret opens nothing in this database any more. Old backups still open with it: destroy it once they have expired.\n',
          )
        }),
    ),

    command('rotate-data', 'Give every entity a new data key and seal its values anew.')
      .option('--entity <kind:id>', 'only this one')
      .action((options: Options) =>
        asAdmin(options, async (client) => {
          const share = shareOf(io, 'TENANTRY_SECRET')
          await watched(io, client, 'tenantry keys rotate-data', () =>
            client.query('call tenantry.rotate_data_keys($1, $2)', [share, options.entity ?? null]),
          )
          io.out(await outcome(client))
        }),
      ),

    command('shred', 'Destroy the data keys of an entity: its secrets are gone.')
      .argument('<kind:id>', 'the entity')
      .requiredOption('--reason <text>', 'why; it goes into the log')
      .action((entity: string, options: Options) =>
        asAdmin(options, async (client) => {
          const { rows } = await client.query<{ keys: number; still_readable: string }>(
            'select * from tenantry.shred($1, $2)',
            [entity, options.reason],
          )
          io.out(
            `${rows[0]?.keys ?? 0} keys of ${entity} are destroyed.\n${rows[0]?.still_readable ?? ''}\n`,
          )
        }),
      ),
  ]
}

function shareOf(io: Io, variable: string): Buffer {
  const secret = io.env[variable]
  if (secret) return deriveKeyShare(secret)
  throw new CliError('NO_SECRET', `${variable} is not set.`, {
    hint: 'Set it to the secret the application uses, or make one: openssl rand -base64 48',
  })
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

/** Long work: notices of the server are its progress, and Ctrl-C stops it between two batches' work. */
async function watched(
  io: Io,
  client: pg.Client,
  command: string,
  work: () => Promise<unknown>,
): Promise<void> {
  client.on('notice', ({ severity, message }) => {
    if (severity === 'NOTICE' || severity === 'WARNING') io.err(`${message ?? ''}\n`)
  })
  let stopped = false
  const stop = (): void => {
    stopped = true
    cancelQuery(client as unknown as RawClient)
  }
  process.once('SIGINT', stop)
  try {
    await work()
  } catch (error) {
    if (!stopped) throw error
    throw new CliError('STOPPED', 'Stopped. What was done is kept.', {
      hint: `To go on, run it again: ${command}`,
    })
  } finally {
    process.off('SIGINT', stop)
  }
}

function statusTable(rows: readonly MasterKey[], columns: number): string {
  return table(
    ['master key', 'state', 'data keys', 'superseded', 'retired', 'shredded (all)', 'made'],
    rows.map((row) => [
      row.master_key,
      row.state,
      row.data_keys,
      row.superseded,
      row.retired,
      row.shredded,
      row.created_at,
    ]),
    columns,
  )
}

function nextStep(rows: readonly MasterKey[]): string {
  const old = rows.find(({ state }) => state === 'retiring')
  if (!old) return ''
  return Number(old.data_keys) > 0
    ? 'A rotation is under way. To go on: tenantry keys rotate\n'
    : 'Both secrets are valid. When the whole application has the new one: tenantry keys finish-rotation\n'
}
