/** Members of an object that stand in for its own. */
export type Overrides = Record<string, unknown>

/**
 * A view of `target` with some members replaced and all others passed through, so that
 * `instanceof` and every property an ORM looks at hold. Methods run on the target itself; where
 * one returns its `this`, as event emitters do, the view comes back, never the bare object.
 */
export function facade<T extends object>(target: T, overrides: Overrides): T {
  const methods = new Map<PropertyKey, { from: unknown; method: unknown }>()
  const view: T = new Proxy(target, {
    get(_, property) {
      if (typeof property === 'string' && Object.hasOwn(overrides, property)) {
        return overrides[property]
      }
      const value: unknown = Reflect.get(target, property, target)
      if (typeof value !== 'function' || isClass(property)) return value
      const known = methods.get(property)
      if (known?.from === value) return known.method
      const method = (...args: unknown[]): unknown => {
        const result: unknown = Reflect.apply(value, target, args)
        return result === target ? view : result
      }
      methods.set(property, { from: value, method })
      return method
    },
    set(_, property, value) {
      // An application that wraps `query` or `release` wraps what it was given, not what lies below.
      if (typeof property === 'string' && Object.hasOwn(overrides, property)) {
        overrides[property] = value
        return true
      }
      return Reflect.set(target, property, value, target)
    },
  })
  return view
}

/** `pool.Client`, `pool.Promise`, `constructor`: not methods of the object. */
function isClass(property: PropertyKey): boolean {
  return typeof property === 'string' && (/^[A-Z]/.test(property) || property === 'constructor')
}
