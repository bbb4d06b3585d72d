import type { Command } from 'commander'
import { asAdmin } from '../admin.js'
import type { Io } from '../io.js'
import { table } from '../table.js'
import { command, type KeyOptions } from './command.js'

interface MasterKey {
  readonly master_key: string
  readonly state: 'active' | 'retiring'
  readonly data_keys: string
  readonly superseded: string
  readonly retired: string
  readonly shredded: string
  readonly created_at: Date
}

/** `tenantry keys status`: the master keys, and what comes next. */
export function statusCommand(io: Io): Command {
  return command(
    'status',
    'Show the master keys, how many data keys each wraps, and what comes next.',
  ).action((options: KeyOptions) =>
    asAdmin(io, options, async (client) => {
      const { rows } = await client.query<MasterKey>(
        'select * from tenantry.key_status order by created_at',
      )
      if (rows.length === 0) io.out('There is no master key: tenantry keys create\n')
      else io.out(`${statusTable(rows, io.columns)}${nextStep(rows)}`)
    }),
  )
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
