/**
 * The shapes in which node-postgres hands over and takes values, under its default type parsers.
 * An application that calls `pg.types.setTypeParser` changes them, and makes these types untrue.
 */

/** Any value json and jsonb can hold. */
export type Json = string | number | boolean | null | JsonObject | readonly Json[]

/** An object inside a json or jsonb value. */
export interface JsonObject {
  readonly [key: string]: Json | undefined
}

/** What an `interval` column reads as. */
export interface Interval {
  years?: number
  months?: number
  days?: number
  hours?: number
  minutes?: number
  seconds?: number
  milliseconds?: number
  toPostgres(): string
  toISO(): string
  toISOString(): string
}

/** What a `point` column reads as. */
export interface Point {
  x: number
  y: number
}

/** What a `circle` column reads as. */
export interface Circle extends Point {
  radius: number
}

/** Accepted for int8 and numeric, which read as exact strings. */
export type NumericInput = string | number | bigint

/**
 * Accepted for date and timestamp columns, which read as `Date`: a date as midnight in the
 * process's time zone, `infinity` as a number that the types leave out.
 */
export type DateInput = Date | string

/** Accepted for bytea, which reads as `Buffer`. */
export type BytesInput = Uint8Array | string

/** Accepted for intervals. */
export type IntervalInput = Interval | string

declare const kind: unique symbol

/** Marks an id with the kind of entity it belongs to, at compile time only. */
export interface Brand<K extends string> {
  readonly [kind]: K
}
