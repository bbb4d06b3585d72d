import { ts } from 'ts-morph'

/** Names that the session, or JavaScript on any object, already uses. */
const sessionNames = new Set([
  ...[
    'as',
    'client',
    'end',
    'for',
    'identity',
    'insertMany',
    'kysely',
    'pool',
    'query',
    'reach',
    'run',
  ],
  ...['session', 'transaction', 'catch', 'finally', 'then', 'constructor', 'hasOwnProperty'],
  ...['isPrototypeOf', 'propertyIsEnumerable', 'prototype', 'toJSON', 'toLocaleString'],
  ...['toString', 'valueOf', '__proto__'],
])

/** A table's property must leave the session's own members alone. */
export function isSessionName(name: string): boolean {
  return sessionNames.has(name)
}

/** Words and globals a generated type or constant must not be called. */
const reserved = new Set([
  ...['any', 'as', 'asserts', 'async', 'await', 'bigint', 'boolean', 'break', 'case', 'catch'],
  ...['class', 'const', 'continue', 'debugger', 'declare', 'default', 'delete', 'do', 'else'],
  ...['enum', 'export', 'extends', 'false', 'finally', 'for', 'from', 'function', 'get', 'if'],
  ...['implements', 'import', 'in', 'infer', 'instanceof', 'interface', 'is', 'keyof', 'let'],
  ...['module', 'namespace', 'never', 'new', 'null', 'number', 'object', 'of', 'package'],
  ...['private', 'protected', 'public', 'readonly', 'require', 'return', 'satisfies', 'set'],
  ...['static', 'string', 'super', 'switch', 'symbol', 'this', 'throw', 'true', 'try', 'type'],
  ...['typeof', 'undefined', 'unique', 'unknown', 'using', 'var', 'void', 'while', 'with'],
  ...['yield', 'arguments', 'eval', 'globalThis', 'NaN', 'Infinity', 'Array', 'Boolean'],
  ...['Buffer', 'Date', 'Function', 'Number', 'Object', 'Omit', 'Promise', 'Record', 'String'],
  ...['Symbol', 'Accessors', 'ReachAccessors', 'DB', 'schema'],
])

/** Hands out TypeScript identifiers, each once: first come keeps the plain name. */
export class IdentifierPool {
  readonly #taken: Set<string>

  constructor(taken: Iterable<string>) {
    this.#taken = new Set([...reserved, ...taken])
  }

  take(wanted: string): string {
    return this.takeStem(wanted, [''])
  }

  /** A stem of which no combination with the suffixes is taken; takes them all. */
  takeStem(wanted: string, suffixes: readonly string[]): string {
    const free = (stem: string): boolean => !suffixes.some((end) => this.#taken.has(stem + end))
    let stem = wanted
    for (let count = 2; !free(stem); count += 1) stem = `${wanted}${count}`
    for (const suffix of suffixes) this.#taken.add(stem + suffix)
    return stem
  }
}

/** `user_characters` → `UserCharacters`; whatever no identifier may hold separates words. */
export function pascalCase(name: string): string {
  const letters = Array.from(name, (letter) => (isPart(letter) ? letter : '_')).join('')
  const words = letters.split(/_+/).filter((word) => word !== '')
  const joined = words.map(capitalised).join('')
  return isStart(joined) ? joined : `T${joined}`
}

// Node may know letters, and capitals of letters, that TypeScript does not know yet.
const isStart = (text: string): boolean =>
  ts.isIdentifierStart(text.codePointAt(0) ?? 0, ts.ScriptTarget.ES2022)
const isPart = (letter: string): boolean =>
  ts.isIdentifierPart(letter.codePointAt(0) ?? 0, ts.ScriptTarget.ES2022)

function capitalised(word: string): string {
  const capital = word.charAt(0).toUpperCase()
  return (isStart(capital) ? capital : word.charAt(0)) + word.slice(1)
}

/** `created_at` → `createdAt`; leading and trailing underscores stay. */
export function camelCase(name: string): string {
  return name.replace(/(?<=[^_])_+([^_])/g, (_, next: string) => next.toUpperCase())
}

/**
 * Gives every name a property of its own. A name that stays as it is has precedence over one that
 * becomes the same by conversion.
 */
export function assignProperties(
  names: readonly string[],
  convert: (name: string) => string,
): ReadonlyMap<string, string> {
  const assigned = new Map<string, string>()
  const taken = new Set<string>()
  const assign = (name: string, wanted: string): void => {
    let property = wanted
    for (let count = 2; taken.has(property); count += 1) property = `${wanted}${count}`
    taken.add(property)
    assigned.set(name, property)
  }
  const stable = names.filter((name) => convert(name) === name)
  for (const name of stable) assign(name, name)
  for (const name of names) if (!assigned.has(name)) assign(name, convert(name))
  return assigned
}
