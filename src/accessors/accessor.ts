import { ZeroRowsError, isServerError, mapAccessorError, withoutContext } from '../errors.js'
import { ArgumentError, show } from './errors.js'
import type { Executor, QueryRows } from './executor.js'
import { isPlainObject } from './plain-object.js'
import { countStatement, selectStatement, type ReadOptions, type Statement } from './read.js'
import { Secret } from './secret.js'
import type { Column, Table } from './table.js'
import {
  deleteStatement,
  insertStatements,
  returningClause,
  updateStatement,
  upsertStatement,
  type Values,
} from './write.js'

type Row = Record<string, unknown>

interface SelectOption {
  readonly select?: readonly unknown[]
}

interface TargetOption {
  readonly where?: unknown
  readonly all?: unknown
}

interface UpsertOption extends SelectOption {
  readonly onConflict?: unknown
  readonly update?: readonly unknown[]
}

/**
 * One table on one identity. Untyped here, typed by the generated interfaces; a class because a
 * session carries one per table and must not make a closure per method for each.
 */
export class TableAccessor {
  readonly #table: Table
  readonly #execute: Executor

  constructor(table: Table, execute: Executor) {
    this.#table = table
    this.#execute = execute
  }

  async findMany(options: ReadOptions = {}): Promise<Row[]> {
    const call = this.#call('findMany')
    return (await this.#run(selectStatement(this.#table, options, call))).rows
  }

  async findFirst(options: ReadOptions = {}): Promise<Row | null> {
    const first = { ...options, limit: 1 }
    const { rows } = await this.#run(selectStatement(this.#table, first, this.#call('findFirst')))
    return rows[0] ?? null
  }

  async findById(id: unknown, options: SelectOption = {}): Promise<Row | null> {
    const call = this.#call('findById')
    const one = { ...options, where: this.#byKey(id, call) }
    return (await this.#run(selectStatement(this.#table, one, call))).rows[0] ?? null
  }

  async count(options: { readonly where?: unknown } = {}): Promise<number> {
    const statement = countStatement(this.#table, options.where, this.#call('count'))
    const { rows } = await this.#run(statement)
    return Number(rows[0]?.['count'])
  }

  async insert(values: Values, options: SelectOption = {}): Promise<Row> {
    const call = this.#call('insert')
    const [statement] = insertStatements(this.#table, [values], options.select, call)
    return one(await this.#run(statement!), call)
  }

  async insertMany(rows: readonly Values[], options: SelectOption = {}): Promise<Row[]> {
    const call = this.#call('insertMany')
    if (!Array.isArray(rows)) throw new ArgumentError(call, 'takes an array of rows')
    if (rows.length === 0) return []
    const statements = insertStatements(this.#table, rows, options.select, call)
    if (statements.length === 1) return (await this.#run(statements[0]!)).rows
    return uniform(
      this.#execute.transaction(async (tx) => {
        const stored: Row[] = []
        for (const statement of statements) {
          for (const row of (await this.#run(statement, tx)).rows) stored.push(row)
        }
        return stored
      }),
    )
  }

  async update(target: TargetOption & { readonly set: Values }): Promise<number> {
    const call = this.#call('update')
    const where = targetOf(target, call)
    return affected(await this.#run(updateStatement(this.#table, target.set, where, call)))
  }

  async updateById(id: unknown, set: Values, options: SelectOption = {}): Promise<Row> {
    const call = this.#call('updateById')
    const { text, values } = updateStatement(this.#table, set, this.#byKey(id, call), call)
    const returning = returningClause(this.#table, options.select, call)
    return one(await this.#run({ text: text + returning, values }), call)
  }

  async upsert(values: Values, options: UpsertOption = {}): Promise<Row> {
    const call = this.#call('upsert')
    const conflict = { key: this.#conflictKey(options.onConflict, call), update: options.update }
    return one(
      await this.#run(upsertStatement(this.#table, values, conflict, options.select, call)),
      call,
    )
  }

  async delete(target: TargetOption): Promise<number> {
    const call = this.#call('delete')
    const where = targetOf(target, call)
    return affected(await this.#run(deleteStatement(this.#table, where, call)))
  }

  async deleteById(id: unknown): Promise<void> {
    const call = this.#call('deleteById')
    const result = await this.#run(deleteStatement(this.#table, this.#byKey(id, call), call))
    if (affected(result) === 0) throw new ZeroRowsError(call)
  }

  #call(method: string): string {
    return `${this.#table.label}.${method}`
  }

  #run(statement: Statement, execute: Executor = this.#execute): Promise<QueryRows<Row>> {
    const result = execute.query<Row>(statement.text, statement.values)
    return uniform(this.#table.secrets.length > 0 ? this.#concealed(result) : result)
  }

  /** Decrypted values leave as secrets, which do not print; nor does an error print given ones. */
  async #concealed(result: Promise<QueryRows<Row>>): Promise<QueryRows<Row>> {
    const found = await result.catch((error: unknown) => {
      throw isServerError(error) ? withoutContext(error) : error
    })
    for (const property of this.#table.secrets) {
      for (const row of found.rows) {
        const value = row[property]
        if (value !== undefined && value !== null) row[property] = new Secret(value)
      }
    }
    return found
  }

  /** The filter that finds one row. */
  #byKey(id: unknown, call: string): Row {
    const [first, ...others] = this.#table.primaryKey
    if (!first) throw new ArgumentError(call, `${show(this.#table.label)} has no primary key`)
    if (others.length === 0) return { [first.property]: keyPart(first, id, call) }
    if (typeof id !== 'object' || id === null) {
      throw new ArgumentError(call, 'the primary key has several columns: give them as an object')
    }
    return Object.fromEntries(
      this.#table.primaryKey.map(({ property }, index) => {
        const part = keyPart(this.#table.primaryKey[index]!, (id as Row)[property], call)
        return [property, part]
      }),
    )
  }

  #conflictKey(name: unknown, call: string): readonly Column[] {
    if (name !== undefined) {
      const key = typeof name === 'string' ? this.#table.uniques.get(name) : undefined
      if (key) return key
      throw new ArgumentError(call, `${show(this.#table.label)} has no unique key ${show(name)}`)
    }
    if (this.#table.primaryKey.length > 0) return this.#table.primaryKey
    throw new ArgumentError(
      call,
      `${show(this.#table.label)} has no primary key`,
      'Name a unique key with onConflict.',
    )
  }
}

/** Errors as every accessor raises them, whichever executor it runs on. */
async function uniform<T>(result: Promise<T>): Promise<T> {
  try {
    return await result
  } catch (error) {
    throw mapAccessorError(error)
  }
}

/** A missing part of a key must not become a wider filter, nor an operator. */
function keyPart(column: Column, value: unknown, call: string): unknown {
  if (value !== undefined && value !== null && !isPlainObject(value)) return value
  throw new ArgumentError(call, `the primary key needs a value for ${show(column.property)}`)
}

/** Changing every row must be asked for in words: a filter that came out empty is a mistake. */
function targetOf(target: TargetOption, call: string): unknown {
  const hint = 'Give a filter in where, or all: true for every row.'
  if (typeof target !== 'object' || target === null) {
    throw new ArgumentError(call, 'takes an object', hint)
  }
  if (target.all === true && target.where === undefined) return undefined
  const { where } = target
  if (typeof where === 'object' && where !== null && Object.keys(where).length > 0) return where
  throw new ArgumentError(call, 'there is no filter', hint)
}

function one(result: QueryRows<Row>, call: string): Row {
  const row = result.rows[0]
  if (row) return row
  // A table that may be written but not read returns nothing, and that is no failure.
  if (affected(result) > 0) return {}
  throw new ZeroRowsError(call)
}

function affected(result: QueryRows<Row>): number {
  return result.rowCount ?? result.rows.length
}
