import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type TestDatabase, testDatabase } from '../support/database.js'

// A procedure that commits cannot have a search_path of its own: whatever it names, it names with its schema.

let db: TestDatabase
let procedures: { name: string; source: string }[]

beforeAll(async () => {
  db = await testDatabase()
  procedures = (
    await db.admin.query<{ name: string; source: string }>(
      `select p.oid::regprocedure::text as name, p.prosrc as source
         from pg_proc p join pg_namespace n on n.oid = p.pronamespace
        where n.nspname in ('tenantry', 'tenantry_private') and p.prokind = 'p'
          and not exists (select from unnest(p.proconfig) s where s like 'search_path=%')
          and (select l.lanname from pg_language l where l.oid = p.prolang) = 'plpgsql'`,
    )
  ).rows
})
afterAll(() => db.drop())

/** Types that mean the same whatever the search_path is: with their schema, or known to the grammar itself. */
const fixed = (...more: string[]): RegExp =>
  new RegExp(
    `^(?:${[String.raw`(?:pg_catalog|tenantry|tenantry_private)\..*`, 'integer', 'bigint', 'boolean', 'numeric', 'interval', ...more].join('|')})$`,
  )
const fixedCast = fixed('double precision')
const fixedDeclaration = fixed('double', 'record')
/** What looks like a call and is part of the language. */
const syntax =
  /^(in|and|or|not|exists|array|coalesce|greatest|least|nullif|any|all|operator|values|row|when|if|elsif|loop|execute|using|call)$/i

/** What in a procedure the search_path decides. */
function decidedByPath(source: string): string[] {
  const code = source
    .replace(/--.*$/gm, '')
    .replace(/'(?:[^']|'')*'/g, "''")
    .replace(/OPERATOR\s*\(pg_catalog\.[^)]+\)/gi, ' , ')
    .replace(/:=|=>|\.\./g, ' ; ')
    .replace(/\b(?:hint|errcode|detail)\s*=/g, ' ; ')
    // the sign of a number, which the grammar takes
    .replace(/(?<=\b(?:then|else)\s+)-(?=\d)/g, '')
  const operators = code.match(/[-+*/<>=~!@#%^&|`?]+/g) ?? []
  const casts = [...code.matchAll(/::\s*([a-z_][\w.]*(?: precision)?)/gi)]
    .map(([, type]) => type!)
    .filter((type) => !fixedCast.test(type))
  const calls = [...code.matchAll(/(?<![\w.])([a-z_]\w*)\s*\(/gi)]
    .map(([, name]) => name!)
    .filter((name) => !syntax.test(name))
  const [declarations = ''] = /declare([\s\S]*?)\bbegin\b/i.exec(code)?.slice(1) ?? []
  const types = [...declarations.matchAll(/^\s*\w+\s+(?:constant\s+)?([a-z_][\w.]*)/gim)]
    .map(([, type]) => type!)
    .filter((type) => !fixedDeclaration.test(type))
  return [...operators, ...casts, ...calls, ...types]
}

describe('procedures without a search_path', () => {
  it('are those that commit', () => {
    expect(procedures.length).toBeGreaterThan(5)
    expect(procedures.map(({ name }) => name)).toContain(
      'tenantry.rollout_to(regclass,text,integer)',
    )
  })

  it('leave nothing to the one of whoever calls them', () => {
    const found = procedures.map(({ name, source }) => [name, decidedByPath(source)])
    expect(found.filter(([, decided]) => decided!.length > 0)).toEqual([])
  })

  it.each([
    [`begin perform pg_catalog.now() = now(); end`, ['=', 'now']],
    [`begin x := a || b; end`, ['||']],
    [`begin x := a OPERATOR(pg_catalog.||) b::text; end`, ['text']],
    [`declare x timestamptz; begin null; end`, ['timestamptz']],
    [`declare x pg_catalog.text := ''; begin case when y then z := 1; end case; end`, []],
  ])('which would be seen in %s', (source, decided) => {
    expect(decidedByPath(source)).toEqual(decided)
  })
})
