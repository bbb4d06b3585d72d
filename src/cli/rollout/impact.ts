import type { Command } from 'commander'
import type pg from 'pg'
import { asAdmin } from '../admin.js'
import type { Io } from '../io.js'
import { table } from '../table.js'
import { command, json, positive, type RolloutOptions } from './command.js'
import { inOrder } from './states.js'
import { rolloutsOf } from './tables.js'

interface Reader {
  readonly reader: string
  readonly reads_today: number
  readonly keeps: number
  readonly loses: number
}

interface ImpactOptions extends RolloutOptions {
  readonly limit: number
}

/** `tenantry rollout impact`: who would lose what. */
export function impactCommand(io: Io): Command {
  return command(
    'impact',
    'Show who would lose how many rows once a table is strict, the most first.',
  )
    .argument('[table...]', 'only these (default: every declared rollout)')
    .option('--limit <n>', 'how many readers of each table', positive, 20)
    .action((tables: string[], options: ImpactOptions) =>
      asAdmin(io, options, async (client) => {
        const impacts = []
        for (const { table: name, state } of inOrder(await rolloutsOf(client, tables))) {
          const readers = await readersOf(client, name)
          const losing = readers.filter(({ loses }) => loses > 0).length
          impacts.push({
            table: name,
            state,
            readers: readers.slice(0, options.limit),
            losing,
            total: readers.length,
          })
        }
        if (options.json) return io.out(json(impacts))
        for (const { table: name, readers, losing, total } of impacts) {
          io.out(`${name}: ${String(losing)} of ${String(total)} readers would lose rows\n`)
          // They come first; the others are counted above, and listed by --json.
          const shown = readers.filter(({ loses }) => loses > 0)
          if (shown.length > 0) io.out(readerTable(shown, io.columns))
          const left = losing - shown.length
          if (left > 0) io.out(`… and ${String(left)} more: --limit ${String(losing)}\n`)
        }
      }),
    )
}

async function readersOf(client: pg.Client, name: string): Promise<Reader[]> {
  const { rows } = await client.query<Reader>(
    `select reader, reads_today::float8 as reads_today, keeps::float8 as keeps, loses::float8 as loses
       from tenantry.rollout_impact($1::text::pg_catalog.regclass)
      order by loses desc, reads_today desc, reader collate "C"`,
    [name],
  )
  return rows
}

function readerTable(readers: readonly Reader[], columns: number): string {
  return table(
    ['reader', 'reads today', 'keeps', 'loses'],
    readers.map((each) => [each.reader, each.reads_today, each.keeps, each.loses]),
    columns,
  )
}
