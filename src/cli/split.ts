import { parse } from 'libpg-query'
import { CliError } from './errors.js'

/** One statement of a file. */
export interface Statement {
  readonly text: string
  /** Line of the file it begins on, counted from 1. */
  readonly line: number
  /** PostgreSQL's name for what it is: `SelectStmt`, `CreateStmt` … */
  readonly kind: string
  /** Whether it cannot run inside a transaction: it commits by itself, or works concurrently. */
  readonly alone: boolean
  /** The tenantry function a `select` calls, with its first argument. */
  readonly call: { readonly name: string; readonly target: string | null } | null
}

interface Node {
  readonly [key: string]: unknown
}

/**
 * Splits SQL by PostgreSQL's own grammar, so that semicolons in strings, comments and function
 * bodies are what they are.
 *
 * @throws CliError `SYNTAX` with the line, before anything was run
 */
export async function split(sql: string): Promise<Statement[]> {
  const bytes = Buffer.from(sql)
  const parsed = await parse(sql).catch((error: unknown) => {
    throw syntaxError(sql, error)
  })
  const statements = (parsed.stmts ?? []) as {
    stmt?: Node
    stmt_location?: number
    stmt_len?: number
  }[]
  return statements.map(({ stmt, stmt_location: from = 0, stmt_len: length }) => {
    // Locations count bytes, and begin right behind the last semicolon.
    const raw = bytes.subarray(from, length ? from + length : bytes.length).toString()
    const lead = leadingSpaceAndComments(raw)
    const before = bytes.subarray(0, from).toString() + raw.slice(0, lead)
    const node = stmt ?? {}
    return {
      text: raw.slice(lead).trimEnd(),
      line: before.split('\n').length,
      kind: Object.keys(node)[0] ?? '',
      alone: runsAlone(node),
      call: tenantryCall(node),
    }
  })
}

function syntaxError(sql: string, error: unknown): CliError {
  const { message, sqlDetails } = error as Error & { sqlDetails?: { cursorPosition?: number } }
  const position = sqlDetails?.cursorPosition
  const line = position === undefined ? undefined : sql.slice(0, position).split('\n').length
  return new CliError('SYNTAX', `${line === undefined ? '' : `line ${line}: `}${message}`, {
    hint: 'Nothing was carried out.',
  })
}

function leadingSpaceAndComments(text: string): number {
  return /^(?:\s+|--[^\n]*(?:\n|$)|\/\*[\s\S]*?\*\/)*/.exec(text)?.[0].length ?? 0
}

/** Procedures may commit; the others PostgreSQL refuses inside a transaction block. */
function runsAlone(node: Node): boolean {
  const [kind = '', body] = Object.entries(node)[0] ?? []
  if (['CallStmt', 'VacuumStmt', 'CreatedbStmt', 'DropdbStmt', 'AlterSystemStmt'].includes(kind)) {
    return true
  }
  return ['IndexStmt', 'DropStmt'].includes(kind) && (body as Node)['concurrent'] === true
}

/** `select tenantry.f('x', …)` and `select * from tenantry.f('x', …)`. */
function tenantryCall(node: Node): Statement['call'] {
  const select = node['SelectStmt'] as Node | undefined
  if (!select) return null
  const call = find(select, 'FuncCall')
  const name = (call?.['funcname'] as { String?: { sval?: string } }[] | undefined)?.map(
    (part) => part.String?.sval ?? '',
  )
  if (!call || name?.length !== 2 || name[0] !== 'tenantry') return null
  const first = (call['args'] as Node[] | undefined)?.[0]
  const constant = first && ((first['A_Const'] ?? find(first, 'A_Const')) as Node | undefined)
  const target = (constant?.['sval'] as { sval?: string } | undefined)?.sval ?? null
  return { name: name[1] ?? '', target }
}

function find(value: unknown, key: string): Node | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  for (const [name, child] of Object.entries(value)) {
    if (name === key) return child as Node
    const found = find(child, key)
    if (found) return found
  }
  return undefined
}

/** A relation as written (`public."Order"`, `orders`) as `schema.name` or `name`, without quotes. */
export function unquoted(relation: string): string {
  return [...relation.matchAll(/"((?:[^"]|"")*)"|([^".\s]+)/g)]
    .map((match) => match[1]?.replaceAll('""', '"') ?? match[2]?.toLowerCase() ?? '')
    .join('.')
}
