import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import {
  everything,
  explain,
  loggingFindings,
  loggingStage,
  type LoggingStage,
} from './support/logging.js'
import { quoted } from './support/stage.js'

// Each setting of which check() says that it logs something is proved to log just that, and its fix to end it.

let on: LoggingStage
beforeAll(async () => {
  on = await loggingStage()
})
afterAll(() => on.drop())

const database = () => quoted(on.db.name)
const login = () => quoted(on.app.name)

interface Case {
  readonly name: string
  readonly database?: readonly string[]
  readonly login?: readonly string[]
  /** In the order in which they are fixed. */
  readonly found: readonly string[]
  readonly leaves: readonly string[]
  readonly only?: 15 | 18
}

const every: readonly Case[] = [
  { name: 'nothing', found: [], leaves: [] },
  {
    name: 'every statement',
    database: [`log_statement = 'ALL'`],
    found: ['warning logging_parameters database', 'info logging_statements database'],
    leaves: everything,
  },
  {
    name: 'statements that write',
    database: [`log_statement = 'mod'`],
    found: ['warning logging_parameters database', 'info logging_statements database'],
    leaves: ['written', 'failing'],
  },
  {
    name: 'slow statements of one login',
    login: [`log_min_duration_statement = '0s'`],
    found: ['warning logging_parameters login', 'info logging_statements login'],
    leaves: everything,
  },
  {
    name: 'a sample of the statements',
    database: ['log_min_duration_sample = 0', 'log_statement_sample_rate = 1'],
    found: ['warning logging_parameters database', 'info logging_statements database'],
    leaves: everything,
  },
  {
    name: 'a sample of the transactions',
    database: ['log_transaction_sample_rate = 1'],
    found: ['warning logging_parameters database', 'info logging_statements database'],
    leaves: everything,
  },
  {
    name: 'statements without their parameters',
    database: [`log_statement = 'all'`, `log_parameter_max_length = '0B'`],
    found: ['info logging_statements database'],
    leaves: ['in text'],
  },
  {
    name: 'a login that has its parameters logged against what the database says',
    database: [`log_statement = 'all'`, 'log_parameter_max_length = 0'],
    login: ['log_parameter_max_length = -1'],
    found: ['warning logging_parameters login', 'info logging_statements database'],
    leaves: everything,
  },
  {
    name: 'a login that is not cured with its database',
    database: [`log_statement = 'all'`],
    login: ['log_parameter_max_length = 100'],
    found: [
      'warning logging_parameters database',
      'warning logging_parameters login',
      'info logging_statements database',
    ],
    leaves: everything.filter((what) => what !== 'credential'),
  },
  {
    name: 'parameters of what fails',
    login: ['log_parameter_max_length_on_error = -1'],
    found: ['warning logging_parameters_on_error login'],
    leaves: ['failing'],
  },
  {
    name: 'plans of the debugger',
    database: [`debug_print_plan = 'yes'`],
    found: ['warning debug_print database'],
    leaves: everything,
  },
  {
    name: 'query trees before planning',
    database: ['debug_print_parse = on', 'debug_print_rewritten = 1'],
    found: ['info debug_print database'],
    leaves: ['in text'],
  },
  {
    name: 'plans, which show what is sought',
    database: explain,
    found: ['warning auto_explain_values database', 'info logging_statements database'],
    leaves: ['sought', 'in text'],
    only: 15,
  },
  {
    name: 'plans with parameters, as is the default',
    database: explain,
    found: ['warning auto_explain_values database', 'info logging_statements database'],
    leaves: ['credential', 'share', 'written', 'sought', 'in text'],
    only: 18,
  },
  {
    name: 'plans in full',
    login: [...explain, 'auto_explain.log_verbose = on'],
    found: ['warning auto_explain_values login', 'info logging_statements login'],
    leaves: ['credential', 'share', 'written', 'sought', 'in text'],
  },
  {
    name: 'statements that raise warnings',
    database: ['log_min_error_statement = warning'],
    found: ['info logging_statements database'],
    leaves: ['in text'],
  },
  {
    name: 'utility statements in pg_stat_statements',
    database: ['pg_stat_statements.track_utility = on'],
    found: ['info statements_utility database'],
    leaves: ['in text'],
  },
  {
    name: 'all of it by a server that logs nothing less than FATAL',
    database: [`log_statement = 'all'`, 'log_min_messages = fatal', 'debug_print_plan = on'],
    login: ['log_parameter_max_length_on_error = -1', 'log_min_duration_statement = 0'],
    found: [],
    leaves: [],
  },
  {
    name: 'settings that nothing comes of',
    database: ['auto_explain.log_min_duration = 0', `log_min_duration_statement = '-1ms'`],
    login: ['log_min_duration_sample = 0', 'log_statement_sample_rate = 0'],
    found: [],
    leaves: [],
  },
]

const of = inject('server').major < 16 ? 15 : 18
const cases = every.filter(({ only = of }) => only === of)

describe('what a login leaves in the log', () => {
  it.each(cases)('$name', async ({ database: common = [], login: own = [], found, leaves }) => {
    const { admin } = on.db
    try {
      for (const setting of common) await admin.query(`alter database ${database()} set ${setting}`)
      for (const setting of own)
        await admin.query(`alter role ${login()} in database ${database()} set ${setting}`)
      const named = (await loggingFindings(on.db.admin)).map(on.short)
      expect(named.toSorted()).toEqual([...found].toSorted())
      expect(await on.left()).toEqual(leaves)
      let open = named
      for (const which of found) {
        const finding = (await loggingFindings(on.db.admin)).find(
          (each) => on.short(each) === which,
        )
        if (finding === undefined) continue // fixed with the one before it
        await admin.query(finding.fix)
        const after = (await loggingFindings(on.db.admin)).map(on.short)
        expect(after).not.toContain(which)
        expect(open).toEqual(expect.arrayContaining(after))
        open = after
      }
      expect(await loggingFindings(on.db.admin)).toEqual([])
      expect(await on.left()).toEqual([])
    } finally {
      await admin.query(`alter database ${database()} reset all`)
      await admin.query(`alter role ${login()} in database ${database()} reset all`)
    }
  })
})
