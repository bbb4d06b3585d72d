import { ArgumentError } from './errors.js'
import { isPlainObject } from './plain-object.js'

const printed = '[secret]'
// Node's own name for it, without depending on Node: accessors run wherever their executor does.
const inspect: unique symbol = Symbol.for('nodejs.util.inspect.custom') as never

/**
 * A decrypted value that does not print: not in a template, a log, JSON or an error. `reveal()`
 * gives it, in one place that a reviewer can look for.
 */
export class Secret<T> {
  readonly #value: T

  constructor(value: T) {
    this.#value = value
  }

  /** The value itself. */
  reveal(): T {
    return this.#value
  }

  /**
   * Whether it is this value; how much of it agrees does not show in the time this takes. JSON is
   * compared by what it says, in whatever order its keys come.
   */
  equals(other: T | Secret<T>): boolean {
    const [mine, theirs] = [textOf(this.#value), textOf(plain(other))]
    let difference = mine.length ^ theirs.length
    for (let at = 0; at < mine.length; at += 1) {
      difference |= mine.charCodeAt(at) ^ theirs.charCodeAt(at % theirs.length)
    }
    return difference === 0
  }

  /**
   * Called by node-postgres where a secret is given as a bind parameter, which would otherwise send,
   * and store, what it prints as.
   *
   * @throws ArgumentError always
   */
  toPostgres(): never {
    throw new ArgumentError(
      'bind parameter',
      'a Secret is not sent as it is',
      'Give what reveal() returns, or write it by an accessor to a column that is sealed.',
    )
  }

  toString(): string {
    return printed
  }

  toJSON(): string {
    return printed
  }

  [Symbol.toPrimitive](): string {
    return printed
  }

  [inspect](): string {
    return printed
  }
}

/** Wraps a value so that it does not print: `accessor.insert({ token: secret(given) })`. */
export function secret<T>(value: T): Secret<T> {
  return new Secret(value)
}

/** The value of a secret; anything else as it is. */
export function plain(value: unknown): unknown {
  return value instanceof Secret ? (value.reveal() as unknown) : value
}

/** A text for each value, never empty and never the same for a string, bytes and JSON. */
function textOf(value: unknown): string {
  if (typeof value === 'string') return `t${value}`
  if (value instanceof Uint8Array) {
    let text = 'b'
    for (const byte of value) text += String.fromCharCode(byte)
    return text
  }
  return `j${JSON.stringify(value, sorted) ?? ''}`
}

/** jsonb gives keys back in an order of its own. */
function sorted(_: string, value: unknown): unknown {
  if (!isPlainObject(value)) return value
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))
  // No assignment: a key may be called __proto__.
  return Object.fromEntries(entries)
}
