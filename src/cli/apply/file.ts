import { undecidedMark } from '../../survey/index.js'
import { CliError } from '../errors.js'
import { split, unquoted, type Statement } from '../split.js'

/** One step of a file: a statement with the name it is reported under. */
export interface Step {
  readonly statement: Statement
  readonly title: string
}

/** Functions whose presence decides a table. */
const deciding = new Set(['protect', 'share', 'exempt'])

/** What would break the promise that every statement has a transaction of its own. */
const transactionControl = new Set(['TransactionStmt'])

/** Reads a file into its steps, refusing what apply cannot carry out before anything runs. */
export async function readSteps(sql: string): Promise<Step[]> {
  const statements = await split(sql)
  const control = statements.find((each) => transactionControl.has(each.kind))
  if (control) {
    throw new CliError(
      'TRANSACTION_CONTROL',
      `line ${control.line}: apply gives every statement a transaction of its own; take ${firstWords(control.text)} out.`,
    )
  }
  return statements.map((statement) => ({ statement, title: title(statement) }))
}

/** Tables marked as undecided for which the file has no statement. */
export function undecidedTables(sql: string, steps: readonly Step[]): string[] {
  const decided = new Set(
    steps.flatMap(({ statement: { call } }) =>
      call?.target && deciding.has(call.name) ? [unquoted(call.target)] : [],
    ),
  )
  return sql
    .split('\n')
    .filter((line) => line.startsWith(undecidedMark))
    .map((line) => line.slice(undecidedMark.length).trim())
    .filter((table) => !decided.has(table))
}

function title(statement: Statement): string {
  const { call } = statement
  if (!call) return firstWords(statement.text)
  return call.target === null ? call.name : `${call.name} ${call.target}`
}

function firstWords(text: string): string {
  const line = text.replace(/\s+/g, ' ')
  return line.length > 60 ? `${line.slice(0, 59)}…` : line
}
