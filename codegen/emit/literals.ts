import { ts } from 'ts-morph'

/** What a literal may be made of; `undefined` members are left out. */
export type Literal =
  string | number | boolean | readonly Literal[] | { readonly [key: string]: Literal | undefined }

const file = ts.createSourceFile('literal.ts', '', ts.ScriptTarget.ES2022)
const printer = ts.createPrinter({ newLine: ts.NewLineKind.LineFeed })
const identifier = /^[A-Za-z_$][\w$]*$/

/**
 * A value as TypeScript source, escaped by the compiler's own printer. Lists of objects take a line
 * for each, everything else stays together.
 */
export function literal(value: Literal): string {
  return printer.printNode(ts.EmitHint.Expression, expression(value), file)
}

/** A property name: bare where that is legal, a string literal elsewhere. */
export function propertyName(name: string): string {
  return identifier.test(name) ? name : literal(name)
}

/** A union of string literal types; `never` when there is none. */
export function stringUnion(names: readonly string[]): string {
  return names.length === 0 ? 'never' : names.map((name) => literal(name)).join(' | ')
}

function expression(value: Literal): ts.Expression {
  if (typeof value === 'string') return text(value)
  if (typeof value === 'number') return ts.factory.createNumericLiteral(value)
  if (typeof value === 'boolean') return value ? ts.factory.createTrue() : ts.factory.createFalse()
  if (isList(value)) {
    const deep = isDeep(value)
    return ts.factory.createArrayLiteralExpression(commas(value.map(expression), deep), deep)
  }
  const members = Object.entries(value).filter((entry): entry is [string, Literal] => {
    return entry[1] !== undefined
  })
  const properties = members.map(([key, member]) =>
    ts.factory.createPropertyAssignment(identifier.test(key) ? key : text(key), expression(member)),
  )
  const deep = isDeep(value)
  return ts.factory.createObjectLiteralExpression(commas(properties, deep), deep)
}

/** A comma after the last line too, so that a new line changes no other. */
function commas<T extends ts.Node>(nodes: readonly T[], trailing: boolean): ts.NodeArray<T> {
  return ts.factory.createNodeArray(nodes, trailing)
}

function isDeep(value: Literal | undefined): boolean {
  if (typeof value !== 'object') return false
  if (isList(value)) return value.some((element) => typeof element === 'object')
  return Object.values(value).some(isDeep)
}

function isList(value: Literal): value is readonly Literal[] {
  return Array.isArray(value)
}

function text(value: string): ts.StringLiteral {
  const node = ts.factory.createStringLiteral(value, true)
  // Names in other scripts stay legible; what could be invisible is still escaped.
  return /[\u2028\u2029\u200b-\u200f\u202a-\u202e\ufeff]/.test(value)
    ? node
    : ts.setEmitFlags(node, ts.EmitFlags.NoAsciiEscaping)
}
