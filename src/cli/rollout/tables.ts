import type pg from 'pg'
import { CliError } from '../errors.js'
import type { Rollout } from './states.js'

// Signals name tables with their schemas, whatever the search path of a session is.
const declared = `
  with named as (
    select r.relation, r.relation::text as "table", r.state, r.relation::oid as oid,
           pg_catalog.format('%I.%I', n.nspname, c.relname) as full_name
      from tenantry.rollout_status r
      join pg_catalog.pg_class c on c.oid = r.relation
      join pg_catalog.pg_namespace n on n.oid = c.relnamespace)
  select t."table", t.state,
         array(select p."table"
                 from named p
                where p.oid <> t.oid
                  and exists (select from tenantry.rollout_signals s
                               where s.relation = t.relation
                                 and s.query ~* ('\\m(join|from) '
                                     || pg_catalog.regexp_replace(p.full_name, '([.*+?^$(){}|\\[\\]\\\\])', '\\\\\\1', 'g') || '(\\s|\\)|$)'))) as reads
    from named t
   where $1::text[] is null or t.relation = any ($1::text[]::pg_catalog.regclass[])
   order by t."table"`

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
