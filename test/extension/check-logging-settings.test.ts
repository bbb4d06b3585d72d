import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  everything,
  explain,
  loggingFindings,
  loggingStage,
  type LoggingStage,
} from './support/logging.js'
import { quoted, type Finding } from './support/stage.js'

// Which settings check() goes by: those that new sessions get, of what there is to leak.

let on: LoggingStage
beforeAll(async () => {
  on = await loggingStage()
})
afterAll(() => on.drop())

const database = () => quoted(on.db.name)

describe('whose settings count', () => {
  const both = async (run: (client: Pick<pg.ClientBase, 'query'>) => Promise<void>) => {
    for (const client of [on.db.admin, on.setUp]) await run(client)
  }

  it(`those of the server, below the database's`, async () => {
    try {
      await on.system('log_statement', 'all')
      expect(await on.left()).toEqual(everything)
      await both(async (client) => {
        expect((await loggingFindings(client)).map(on.short)).toEqual([
          'warning logging_parameters database',
          'info logging_statements database',
        ])
      })
      for (const { fix } of await loggingFindings(on.db.admin)) await on.db.admin.query(fix)
      await both(async (client) => expect(await loggingFindings(client)).toEqual([]))
      expect(await on.left()).toEqual([])
    } finally {
      await on.db.admin.query(`alter database ${database()} reset all`)
      await on.system('log_statement', null)
    }
  })

  it('those of new sessions, not those with which the one that asks began', async () => {
    await on.db.admin.query(`alter database ${database()} set log_statement = 'all'`)
    const admins = [new pg.Client(on.db.url()), await on.owner.connect()]
    try {
      await admins[0]!.connect()
      for (const admin of admins) expect(await loggingFindings(admin)).toHaveLength(2)
      await on.db.admin.query(`alter database ${database()} reset log_statement`)
      for (const admin of admins) {
        expect((await admin.query('show log_statement')).rows).toEqual([{ log_statement: 'all' }])
        expect(await loggingFindings(admin)).toEqual([])
      }
    } finally {
      await on.db.admin.query(`alter database ${database()} reset all`)
      for (const admin of admins) await admin.end()
    }
  })

  it('are in check(), which an admin may ask', async () => {
    const ask = `select severity, code from tenantry.check('info') where object = $1 order by 1, 2`
    try {
      await on.db.admin.query(`alter database ${database()} set log_statement = 'all'`)
      await both(async (client) => {
        const { rows } = await client.query<Finding>(ask, [on.db.name])
        expect(rows.map(({ severity, code }) => `${severity} ${code}`)).toEqual(
          expect.arrayContaining(['warning logging_parameters', 'info logging_statements']),
        )
      })
    } finally {
      await on.db.admin.query(`alter database ${database()} reset all`)
    }
  })
})

it('reports nothing where there is nothing to leak, and no more than there is', async () => {
  const { admin, name } = on.elsewhere
  const set = (setting: string) => admin.query(`alter database ${quoted(name)} set ${setting}`)
  const found = async () =>
    (await loggingFindings(admin)).map(({ severity, code }) => `${severity} ${code}`)
  await set(`log_statement = 'all'`)
  expect(await found()).toEqual([])
  await admin.query(`select tenantry.register_issuer('k', '\\x${'ab'.repeat(32)}')`)
  expect(await found()).toEqual(['warning logging_parameters', 'info logging_statements'])
  expect((await loggingFindings(admin))[0]?.problem).toMatch(/which carry credentials$/)
  // Credentials are not written to tables, so what writes does not show them.
  await set(`log_statement = 'mod'`)
  expect(await found()).toEqual(['info logging_statements'])
  // Without encrypted columns a plan has no secret in its conditions, and may be logged.
  for (const setting of explain) await set(setting)
  await set('auto_explain.log_verbose = on')
  const [first] = await loggingFindings(admin)
  const cures = ['auto_explain.log_verbose = off', 'auto_explain.log_parameter_max_length = 0']
  expect(first).toMatchObject({
    code: 'auto_explain_values',
    fix: cures
      .slice(0, on.server.major < 16 ? 1 : 2)
      .map((cure) => `alter database ${name} set ${cure};`)
      .join(' '),
  })
  await admin.query(first!.fix)
  expect(await found()).toEqual(['info logging_statements'])
})

// What pgaudit 1.7 was seen to log under these settings; no server of the tests has it.
it.each([
  [{ log: 'none' }, null],
  [{ log: 'ddl, role, misc_set' }, null],
  [{ log: 'READ , ddl' }, 'credentials, key shares, secrets'],
  [{ log: 'write' }, 'secrets'],
  [{ log: 'function' }, 'credentials, key shares'],
  [{ log: 'misc' }, 'key shares'],
  [{ log: 'all' }, 'credentials, key shares, secrets'],
  [{ log: 'all, -read, -function, -misc' }, 'secrets'],
  [{ log: 'all, none' }, null],
  [{ log: 'none', role: 'auditor' }, 'secrets'],
  [{ log: 'all', log_statement: 'off' }, null],
])('pgaudit with %o would log %s', async (given, carried) => {
  const all = { log_statement: 'on', log_parameter: 'on', role: '', ...given }
  const settings = (what: object) =>
    Object.fromEntries(Object.entries(what).map(([name, value]) => [`pgaudit.${name}`, value]))
  const leaks = async (what: object) =>
    (
      await on.db.admin.query<{ code: string; problem: string; cure: string[] }>(
        'select code, problem, cure from tenantry_private.logging_leaks($1, true, true, true)',
        [{ log_min_messages: 'warning', ...settings(what) }],
      )
    ).rows
  const text = { code: 'logging_statements', cure: ['pgaudit.log_statement = off'] }
  const parameters = { code: 'pgaudit_parameters', cure: ['pgaudit.log_parameter = off'] }
  const found = await leaks(all)
  expect(found).toMatchObject(carried === null ? [] : [parameters, text])
  if (carried === null) return
  expect(found[0]?.problem.split('which carry ')[1]).toBe(carried)
  expect(await leaks({ ...all, log_parameter: 'off' })).toMatchObject([text])
  expect(await leaks({ ...all, log_statement: 'off' })).toEqual([])
})
