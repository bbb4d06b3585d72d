import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { repositoryRoot } from '../support/repository.js'
import { testDatabase, type TestDatabase } from '../support/database.js'
import { damages } from './support/corpus/drift.js'
import { logging } from './support/corpus/logging.js'
import { ongoing, subscriptions } from './support/corpus/ongoing.js'
import { roles } from './support/corpus/roles.js'
import { secrets } from './support/corpus/secrets.js'
import { tables } from './support/corpus/tables.js'

// A code of check() without a case in the corpus, or a case of a code that is no more, turns this red.

/** Codes whose cases are not in a list, and where they are. */
const elsewhere: Readonly<Record<string, string>> = {
  audit_head:
    'acting/audit.test.ts: no finding, but a hash to note down, wherever something was set up',
  pgaudit_parameters: 'check-logging-settings.test.ts: no server of the tests has pgaudit',
  server_outdated: 'check-server.test.ts: hangs on the version of the server',
}

let db: TestDatabase
beforeAll(async () => {
  db = await testDatabase()
})
afterAll(() => db.drop())

const sql = join(repositoryRoot, 'extension', 'sql')
const sources = readdirSync(sql, { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.sql'))
  .map((name) => readFileSync(join(sql, name), 'utf8'))
  .join('\n')

/** Whatever the sources give a finding as its code. */
function emitted(): string[] {
  const severity = `'(?:critical|warning|info)'`
  const patterns = [
    /\bcode\s*:= '(\w+)'/g,
    // rows of values, and findings that a query returns
    new RegExp(`${severity},\\s+'([a-z_]+)',\\s`, 'g'),
  ]
  return patterns
    .flatMap((pattern) => [...sources.matchAll(pattern)].map((match) => match[1]!))
    .filter((code) => !['critical', 'warning', 'info'].includes(code))
}

const distinct = (codes: readonly string[]) => [...new Set(codes)].sort()

it('every code is named by the comment of the function that finds it, and by no other', async () => {
  const { rows } = await db.admin.query<{ comment: string }>(`
    select obj_description(oid, 'pg_proc') as comment from pg_proc
     where pronamespace = 'tenantry_private'::regnamespace and proname like '%\\_findings'`)
  const named = rows.flatMap(({ comment }) => {
    expect(comment).toMatch(/^Findings? [a-z_, ]+\.$/)
    return comment.replace(/^Findings? |\.$/g, '').split(', ')
  })
  expect(named.toSorted()).toEqual(distinct(emitted()))
})

it('every code has a case in the corpus', () => {
  const found = [
    ...tables,
    ...roles,
    ...secrets,
    ...ongoing,
    ...subscriptions(15),
    ...subscriptions(18),
  ].flatMap(({ found: one, beside = [] }) => [one, ...beside].map((each) => each.split(' ')[1]!))
  const drifted = damages.flatMap(({ found: all }) => all)
  const logged = logging.flatMap(({ found: all }) => all.map((each) => each.split(' ')[1]!))
  expect(distinct([...found, ...drifted, ...logged, ...Object.keys(elsewhere)])).toEqual(
    distinct(emitted()),
  )
})

it('the definer functions that everybody may call are those that were meant for everybody', async () => {
  const { rows } = await db.admin.query<{ meant: string[]; open: string[] }>(`
    select tenantry_private.for_everybody()::text[] as meant,
           array(select distinct p.proname::text from pg_proc p
                  where p.pronamespace in ('tenantry'::regnamespace, 'tenantry_private'::regnamespace) and p.prosecdef
                    and p.prorettype not in ('trigger'::regtype, 'event_trigger'::regtype)
                    and exists (select from aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a where a.grantee = 0)) as open`)
  expect(rows[0]!.meant.toSorted()).toEqual(rows[0]!.open.toSorted())
})
