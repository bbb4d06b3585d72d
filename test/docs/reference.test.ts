import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { testDatabase, type TestDatabase } from '../support/database.js'
import { repositoryRoot } from '../support/repository.js'

// extension/doc/reference.md is written from the comments in the database: `vitest run -u test/docs` writes it anew.

interface Documented {
  signature: string
  result: string
  comment: string
}

const functions = `
  select format('%I.%I(%s)', n.nspname, p.proname, pg_get_function_arguments(p.oid)) as signature,
         coalesce(pg_get_function_result(p.oid), 'nothing: a procedure, to call') as result,
         obj_description(p.oid, 'pg_proc') as comment
    from pg_proc p
    join pg_namespace n on n.oid = p.pronamespace
   where n.nspname = 'tenantry' or p.proname = 'enter_for_pass'
   order by p.proname collate "C", p.pronargs, pg_get_function_arguments(p.oid)`

const views = `
  select format('tenantry.%I', c.relname) as signature,
         (select string_agg(a.attname || ' ' || format_type(a.atttypid, a.atttypmod), ', ' order by a.attnum)
            from pg_attribute a where a.attrelid = c.oid and a.attnum > 0) as result,
         obj_description(c.oid, 'pg_class') as comment
    from pg_class c
   where c.relnamespace = 'tenantry'::regnamespace and c.relkind = 'v'
   order by c.relname collate "C"`

let db: TestDatabase
beforeAll(async () => {
  db = await testDatabase()
})
afterAll(() => db.drop())

const section = ({ signature, result, comment }: Documented, arrow: string) =>
  `### \`${signature}\`\n\n${arrow} \`${result}\`\n\n${comment}\n`

test('reference.md says what the database says', async () => {
  const [calls, shown] = await Promise.all([
    db.admin.query<Documented>(functions),
    db.admin.query<Documented>(views),
  ])
  expect(calls.rows.length).toBeGreaterThan(30)
  const text = [
    '# Reference\n',
    'Written from the comments in the database, which `\\df+` and `\\d+` show too. Errors are SQLSTATEs: see',
    '[errors.md](errors.md).\n',
    '## Functions\n',
    ...calls.rows.map((row) => section(row, 'returns')),
    '## Views\n',
    ...shown.rows.map((row) => section(row, 'columns')),
  ].join('\n')
  await expect(text).toMatchFileSnapshot(join(repositoryRoot, 'extension/doc/reference.md'))
})
