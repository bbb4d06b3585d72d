import { AsyncResource } from 'node:async_hooks'
import type { Callback, QuerySpec } from './pg-internals.js'

/** The parameters of `query()` in the forms pg takes. */
export interface QueryArguments {
  readonly spec: QuerySpec
  readonly callback: Callback | undefined
}

interface Config extends QuerySpec {
  callback?: Callback
}

/** Something that writes to the connection itself: a cursor, a stream, a `pg.Query`. */
export interface Submittable {
  submit(connection: never): unknown
}

export function isSubmittable(config: unknown): config is Submittable {
  return typeof (config as { submit?: unknown } | null)?.submit === 'function'
}

/**
 * Reads `(text | config, values?, callback?)` without touching the caller's objects.
 *
 * @throws TypeError where pg throws one
 */
export function readArguments(config: unknown, second?: unknown, third?: unknown): QueryArguments {
  if (config === null || config === undefined) {
    throw new TypeError('Client was passed a null or undefined query')
  }
  const values = typeof second === 'function' ? undefined : second
  const given = typeof second === 'function' ? second : third
  if (typeof config === 'string') {
    return { spec: { text: config, values: values as unknown[] }, callback: bound(given) }
  }
  const from = config as Config
  return {
    spec: {
      text: from.text,
      values: (values ?? from.values) as unknown[] | undefined,
      name: from.name,
      rowMode: from.rowMode,
      types: from.types,
      binary: from.binary,
      rows: from.rows,
      portal: from.portal,
      query_timeout: from.query_timeout,
    },
    callback: bound(given ?? from.callback),
  }
}

/**
 * Ties a callback to the caller's asynchronous context. pg calls it from the socket's, which is
 * that of whoever happened to open the connection: a query made inside the callback would run
 * under a stranger's identity.
 */
export function bound(callback: unknown): Callback | undefined {
  if (callback === undefined || callback === null) return undefined
  if (typeof callback !== 'function') throw new TypeError('callback is not a function')
  return AsyncResource.bind(callback as Callback)
}
