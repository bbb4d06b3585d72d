import { createInterface } from 'node:readline'
import type pg from 'pg'
import { describe } from '../errors.js'
import type { Io } from '../io.js'
import { split } from '../split.js'
import { runSql, type SqlOptions } from './session.js'

const help = `Statements end with a semicolon and may take several lines.
  \\d          list tables and views
  \\as ENTITY  work as an entity from now on (\\as alone: as nobody)
  \\q          quit
`

const listTables = `
  select n.nspname as schema, c.relname as name,
         case c.relkind when 'v' then 'view' when 'm' then 'materialized view' else 'table' end as kind
    from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
   where c.relkind in ('r', 'p', 'v', 'm') and not c.relispartition
     and n.nspname not in ('pg_catalog', 'information_schema', 'tenantry_private')
   order by 1, 2;`

/** A small psql: reads statements until `\q` or the end of the input. */
export async function prompt(io: Io, client: pg.Client, options: SqlOptions): Promise<void> {
  const database = client.database ?? 'postgres'
  let session = options
  let buffer = ''
  const lines = createInterface({
    input: io.input,
    ...(io.interactive ? { output: process.stderr } : {}),
    terminal: io.interactive,
  })
  const ask = () => {
    lines.setPrompt(`${session.as ?? database}${buffer === '' ? '=> ' : '-> '}`)
    lines.prompt()
  }
  io.err('\\? shows help.\n')
  ask()
  for await (const line of lines) {
    const command = buffer === '' ? line.trim() : ''
    if (command === '\\q') break
    if (command === '\\?') io.out(help)
    else if (command === '\\d') await attempt(io, client, listTables, {})
    else if (command.startsWith('\\as'))
      session = { as: command.slice(3).trim() || undefined } as SqlOptions
    else if (command.startsWith('\\')) io.err(`There is no ${command}; \\? shows help.\n`)
    else {
      buffer += `${line}\n`
      if (buffer.trim() === '') buffer = ''
      else if (await complete(buffer)) {
        await attempt(io, client, buffer, session)
        buffer = ''
      }
    }
    ask()
  }
  lines.close()
}

/** A semicolon at the end ends a statement, unless the text only makes sense with more to come. */
async function complete(buffer: string): Promise<boolean> {
  if (!buffer.trimEnd().endsWith(';')) return false
  try {
    await split(buffer)
    return true
  } catch (error) {
    // Inside $$ … $$ or a string, the grammar asks for its end; any other mistake is reported.
    return !/unterminated/.test((error as Error).message)
  }
}

async function attempt(io: Io, client: pg.Client, sql: string, options: SqlOptions): Promise<void> {
  try {
    await runSql(io, client, sql, options)
  } catch (error) {
    io.err(`${describe(error)}\n`)
  }
}
