import type pg from 'pg'
import { deriveSigningKey, mintCredential } from '../../credential.js'
import { identityOf, type Entity } from '../../identity.js'
import type { Io } from '../io.js'
import { split, type Statement } from '../split.js'
import { table } from '../table.js'

export interface SqlOptions {
  readonly as?: string
  readonly for?: string
}

/** Runs statements one by one and prints what each returns. */
export async function runSql(io: Io, client: pg.Client, sql: string, options: SqlOptions) {
  for (const statement of await split(sql)) {
    io.out(printed(io, await runOne(io, client, statement, options)))
  }
}

async function runOne(io: Io, client: pg.Client, statement: Statement, options: SqlOptions) {
  const query = { text: statement.text, rowMode: 'array' as const }
  if (options.as === undefined) return client.query(query)
  // A context lives as long as its transaction, so each statement gets one of its own.
  await client.query('begin')
  try {
    await enter(io, client, options.as, options.for)
    const result = await client.query(query)
    await client.query('commit')
    return result
  } catch (error) {
    await client.query('rollback').catch(() => undefined)
    throw error
  }
}

/** With TENANTRY_SECRET as the application does, without it as an admin. */
async function enter(io: Io, client: pg.Client, actor: string, principal = actor): Promise<void> {
  const who = identityOf(actor as Entity, principal as Entity)
  const secret = io.env['TENANTRY_SECRET']
  if (!secret) {
    await client.query('select tenantry.assume($1, $2)', [who.principal, who.actor])
    return
  }
  const { rows } = await client.query<{ audience: string }>(
    'select tenantry.audience() as audience',
  )
  const credential = mintCredential(deriveSigningKey(secret), who, {
    audience: rows[0]?.audience ?? '',
    expiresAt: Math.floor(Date.now() / 1000) + 60,
  })
  await client.query('select tenantry.enter($1)', [credential])
}

function printed(io: Io, result: pg.QueryArrayResult): string {
  if (result.fields.length === 0) {
    return `${result.command ?? 'OK'}${result.rowCount === null ? '' : ` ${result.rowCount}`}\n`
  }
  const rows = result.rows.length === 1 ? '1 row' : `${result.rows.length} rows`
  return `${table(
    result.fields.map((field) => field.name),
    result.rows,
    io.columns,
  )}(${rows})\n`
}
