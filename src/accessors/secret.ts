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

  /** Whether it is this value; how much of it agrees does not show in the time this takes. */
  equals(other: T | Secret<T>): boolean {
    const [mine, theirs] = [textOf(this.#value), textOf(plain(other))]
    let difference = mine.length ^ theirs.length
    for (let at = 0; at < mine.length; at += 1) {
      difference |= mine.charCodeAt(at) ^ theirs.charCodeAt(at % (theirs.length || 1))
    }
    return difference === 0
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

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : (JSON.stringify(value) ?? '')
}
