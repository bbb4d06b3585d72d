import { everything, explain } from '../logging.js'

export interface LoggingCase {
  readonly name: string
  readonly database?: readonly string[]
  readonly login?: readonly string[]
  /** In the order in which they are fixed. */
  readonly found: readonly string[]
  readonly leaves: readonly string[]
  readonly only?: 15 | 18
}

/** Settings that log what they should not; check-logging.test.ts runs them. */
export const logging: readonly LoggingCase[] = [
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
