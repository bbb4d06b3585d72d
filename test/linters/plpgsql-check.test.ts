import { beforeAll, afterAll, describe, expect, inject, it, type TestContext } from 'vitest'
import { elizaosTemplate } from '../fixtures/elizaos/template.js'
import { databaseOn } from '../support/database/clone.js'
import type { TestDatabase } from '../support/database.js'
import { SourceUnavailable, startServer, type TestServer } from '../support/servers.js'
import { skipWithReason } from '../support/skip.js'
import { exceptionsBelow, judged } from './exceptions.js'

// plpgsql_check reads every PL/pgSQL function of an installation in use, those that are made for a table included. Debian has
// it for the machine's PostgreSQL, so that is the server here.

let server: TestServer | undefined
let db: TestDatabase | undefined
let missing = 'the machine has no PostgreSQL of this major version'

beforeAll(async () => {
  const { major } = inject('server')
  try {
    server = await startServer({ major, sources: ['machine'] })
  } catch (error) {
    if (error instanceof SourceUnavailable || /can be started here/.test(String(error))) return
    throw error
  }
  db = await databaseOn(server, { template: elizaosTemplate({ rooms: true }) })
  const { rowCount } = await db.admin.query(
    `select from pg_available_extensions where name = 'plpgsql_check'`,
  )
  if (rowCount === 0) missing = 'plpgsql_check is not installed'
  else {
    await db.admin.query('create extension plpgsql_check')
    missing = ''
  }
})
afterAll(async () => {
  await db?.drop()
  await server?.stop()
})

/** Which functions, and by which table where they are triggers of one. */
const routines = `
  select p.oid, coalesce(t.tgrelid, case when p.prorettype = 'trigger'::regtype then 'memories'::regclass else 0 end) as relation
    from pg_proc p
    join pg_language l on l.oid = p.prolang and l.lanname = 'plpgsql'
    left join lateral (select g.tgrelid from pg_trigger g where g.tgfoid = p.oid order by 1 limit 1) t on p.prorettype = 'trigger'::regtype
   where p.pronamespace in ('tenantry'::regnamespace, 'tenantry_private'::regnamespace)`

async function findings(functions: string): Promise<{ finding: string; where: string }[]> {
  const { rows } = await db!.admin.query<{ finding: string; where: string }>(`
    select distinct split_part(c.functionid::regprocedure::text, '(', 1) as "where",
           concat_ws(' ', c.level, c.sqlstate, regexp_replace(c.message, '\\s+', ' ', 'g')) as finding
      from (${functions}) f
     cross join lateral plpgsql_check_function_tb(f.oid, f.relation, fatal_errors => false, extra_warnings => true, security_warnings => true,
       oldtable => case when f.oid::regproc::text ~ 'check_references_' then 'old_rows' end,
       newtable => case when f.oid::regproc::text ~ 'check_references_' then 'new_rows' end) c
     order by 1, 2`)
  return rows
}

describe('plpgsql_check', () => {
  const orSkip = (context: Pick<TestContext, 'skip'>) => {
    if (missing !== '') skipWithReason(context, missing)
  }

  it('finds what is wrong where something is', async (context) => {
    orSkip(context)
    await db!.admin.query(`create function wrong(given text) returns int language plpgsql as $$
      declare nobody int;
      begin execute 'select ' || given; perform missing from memories; end $$`)
    const found = await findings(`select 'wrong'::regproc::oid as oid, 0 as relation`)
    const messages = found.map(({ finding }) => finding).join('\n')
    for (const part of [
      'column "missing" does not exist',
      'without RETURN',
      'unused variable "nobody"',
      'not sanitized',
    ])
      expect(messages).toContain(part)
  })

  it('is content with every function, but for what linters.md names', async (context) => {
    orSkip(context)
    const all = await db!.admin.query<{ n: number }>(
      `select count(*)::int as n from (${routines}) f`,
    )
    expect(all.rows[0]!.n).toBeGreaterThan(300)
    expect(judged(await findings(routines), exceptionsBelow('plpgsql_check'))).toEqual({
      open: [],
      idle: [],
    })
  })
})
