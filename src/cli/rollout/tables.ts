import type pg from 'pg'
import { CliError } from '../errors.js'
import type { Rollout } from './states.js'

const declared = `
  select t.relation::text as "table", t.state,
         array(select d.source::text from tenantry_private.rollout_readers() d where d.reader = t.relation order by 1) as reads,
         array(select d.source::text from tenantry_private.rollout_readers() d where d.reader = t.relation and d.takes_owners order by 1) as takes
    from tenantry.rollout_status t
   where $1::text[] is null or t.relation = any ($1::text[]::pg_catalog.regclass[])
   order by 1`

/**
 * The declared rollouts, or those of some tables.
 *
 * @throws CliError `NO_ROLLOUT`
 */
export async function rolloutsOf(
  client: pg.Client,
  tables: readonly string[],
): Promise<readonly Rollout[]> {
  const { rows } = await client.query<Rollout>(declared, [tables.length === 0 ? null : tables])
  if (tables.length === 0) {
    if (rows.length > 0) return rows
    throw notDeclared('No rollout is declared.', '<table>')
  }
  const { rows: missing } = await client.query<{ table: string }>(
    `select pg_catalog.quote_literal(t.name) as "table"
       from pg_catalog.unnest($1::text[]) as t (name)
      where not exists (select from tenantry.rollout_status r where r.relation = t.name::pg_catalog.regclass)`,
    [tables],
  )
  if (missing[0]) {
    throw notDeclared(`No rollout is declared for ${missing[0].table}.`, missing[0].table)
  }
  return rows
}

function notDeclared(message: string, table: string): CliError {
  const literal = table.startsWith("'") ? table : `'${table}'`
  return new CliError('NO_ROLLOUT', message, {
    hint: `Run: select tenantry.rollout(${literal}, owner_column => '…', owner_kind => '…');`,
  })
}
