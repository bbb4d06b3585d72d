import { Option, type Command } from 'commander'
import { asAdmin } from '../admin.js'
import type { Io } from '../io.js'
import { command, json, type RolloutOptions } from './command.js'

interface ResolveOptions extends RolloutOptions {
  readonly owner?: string
  readonly exempt?: boolean
  readonly where?: string
}

/** `tenantry rollout resolve`: somebody decides what the signals could not. */
export function resolveCommand(io: Io): Command {
  return command('resolve', 'Give rows in quarantine an owner, or decide that they have none.')
    .argument('<table>', 'the table')
    .argument('[key...]', 'the values of the primary key of one row, in its order')
    .option('--owner <kind:id>', 'the owner')
    .addOption(
      new Option('--exempt', 'they have no owner, on purpose: nobody will see them').conflicts(
        'owner',
      ),
    )
    .option('--where <condition>', 'all that meet it; t is the row, q its entry in the quarantine')
    .addHelpText(
      'after',
      `
Examples:
  tenantry rollout resolve memories --owner user:6f1c… 1742
  tenantry rollout resolve memories --owner user:6f1c… --where "t.type = 'note' and q.reason = 'no signal'"
  tenantry rollout resolve memories --exempt --where "q.reason = 'no signal'"`,
    )
    .action((name: string, key: string[], options: ResolveOptions, self: Command) => {
      const { owner, exempt, where } = options
      if (owner === undefined && !exempt) self.error('error: give --owner <kind:id>, or --exempt')
      if ((where === undefined) === (key.length === 0)) {
        self.error('error: give the key of one row, or --where <condition>')
      }
      return asAdmin(io, options, async (client) => {
        const { rows } = await client.query<{ rows: number }>(
          where === undefined
            ? `select tenantry.rollout_resolve($1::text::pg_catalog.regclass, $2, variadic $3::text[])::float8 as rows`
            : `select tenantry.rollout_resolve_where($1::text::pg_catalog.regclass, $2, $3)::float8 as rows`,
          [name, owner ?? null, where ?? key],
        )
        const decided = rows[0]?.rows ?? 0
        if (options.json) return io.out(json({ table: name, owner: owner ?? null, rows: decided }))
        const what = owner === undefined ? 'have no owner, on purpose' : `belong to ${owner} now`
        io.out(`${String(decided)} rows of ${name} ${what}.\n`)
      })
    })
}
