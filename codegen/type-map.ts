import type { ValueEncoding } from '../src/accessors/definition.js'
import type { DomainInfo, Snapshot, TypeInfo, TypeRef } from './snapshot.js'

/** How one type of the catalog appears in TypeScript. */
export interface TypeMapping {
  /** What accessors return. */
  readonly read: string
  /** What accessors accept. */
  readonly write: string
  /** What node-postgres returns without an accessor's cast. */
  readonly driver: string
  /** What node-postgres writes correctly without an accessor's encoding. */
  readonly driverWrite: string
  readonly comparable: boolean
  readonly array: boolean
  readonly encoding?: ValueEncoding
  /** The cast an accessor reads through. */
  readonly readAs?: string
  /** Not null by the type itself: a domain says so. */
  readonly notNull: boolean
  /** The domain brings a default. */
  readonly hasDefault: boolean
  readonly isDomain: boolean
  /** Enums and domains whose TypeScript names stand in the types above, or in their definitions. */
  readonly names: readonly TypeInfo[]
}

interface Scalar {
  readonly read: string
  readonly write?: string
  readonly driverWrite?: string
  readonly comparable?: false
  readonly encoding?: 'json' | 'point' | 'circle'
}

const text: Scalar = { read: 'string' }
const number: Scalar = { read: 'number' }
const exact: Scalar = { read: 'string', write: 'NumericInput' }
const moment: Scalar = { read: 'Date', write: 'DateInput' }
const json: Scalar = {
  read: 'Json',
  driverWrite: 'JsonObject | string',
  comparable: false,
  encoding: 'json',
}
const shape: Scalar = { read: 'string', comparable: false }

/** What pg 8 returns for the types of pg_catalog; all that are not listed come as text. */
const scalars: Readonly<Record<string, Scalar>> = {
  bool: { read: 'boolean' },
  int2: number,
  int4: number,
  oid: number,
  float4: number,
  float8: number,
  int8: exact,
  numeric: exact,
  date: moment,
  timestamp: moment,
  timestamptz: moment,
  interval: { read: 'Interval', write: 'IntervalInput' },
  bytea: { read: 'Buffer', write: 'BytesInput' },
  json,
  jsonb: json,
  point: { read: 'Point', driverWrite: 'string', comparable: false, encoding: 'point' },
  circle: { read: 'Circle', driverWrite: 'string', comparable: false, encoding: 'circle' },
  box: shape,
  line: shape,
  lseg: shape,
  path: shape,
  polygon: shape,
  xml: shape,
}

/** Element types whose arrays pg 8 parses as it parses the element. */
const parsedArrays = new Set([
  ...['bool', 'bytea', 'int2', 'int4', 'oid', 'int8', 'float4', 'float8', 'point'],
  ...['text', 'varchar', 'bpchar', 'uuid', 'inet', 'cidr', 'macaddr', 'money', 'numrange'],
  ...['date', 'timestamp', 'timestamptz', 'time', 'timetz', 'interval', 'json', 'jsonb'],
])

/** Resolves the types of one snapshot; `nameOf` gives the alias of an enum or a domain. */
export function typeMapper(
  snapshot: Snapshot,
  nameOf: (type: TypeInfo) => string,
): (ref: TypeRef) => TypeMapping {
  const declared = new Map(snapshot.types.map((type) => [key(type), type]))

  return function map(ref: TypeRef): TypeMapping {
    const type = ref.schema === 'pg_catalog' ? undefined : declared.get(key(ref))
    const element =
      type?.kind === 'domain'
        ? domain(type, map(type.base), nameOf(type))
        : type?.kind === 'enum'
          ? { ...scalar({ read: nameOf(type) }), names: [type] }
          : scalar((ref.schema === 'pg_catalog' ? scalars[ref.name] : undefined) ?? text)
    return ref.array ? array(baseOf({ ...ref, array: false }, declared), element) : element
  }
}

function scalar(type: Scalar): TypeMapping {
  const write = type.write ?? type.read
  return {
    read: type.read,
    write,
    driver: type.read,
    driverWrite: type.driverWrite ?? write,
    comparable: type.comparable ?? true,
    array: false,
    notNull: false,
    hasDefault: false,
    isDomain: false,
    names: [],
    ...(type.encoding && { encoding: type.encoding }),
  }
}

function domain(type: DomainInfo, base: TypeMapping, alias: string): TypeMapping {
  return {
    ...base,
    read: alias,
    // A plain alias of the base: whatever the base accepts, the domain may.
    write: base.write === base.read ? alias : base.write,
    isDomain: true,
    names: [...base.names, type],
    notNull: type.notNull || base.notNull,
    hasDefault: type.default !== null || base.hasDefault,
  }
}

/**
 * Arrays may hold NULL elements, which the element type leaves out: nearly no column has them, and
 * every reader of every array would pay. Arrays pg cannot parse exactly are read through a cast to
 * one it can; numeric[] is among them, because pg makes rounded numbers of it.
 */
function array(base: TypeRef, element: TypeMapping): TypeMapping {
  const builtin = base.schema === 'pg_catalog' && !base.array
  // The elements of box[] are separated by semicolons, which pg neither reads nor writes.
  if (builtin && base.name === 'box') return { ...scalar(shape), array: true }
  const parsed = builtin && parsedArrays.has(base.name)
  // Read as text, an element stays what it was only if it was text in the first place.
  const textual =
    base.array || (!parsed && builtin && (scalars[base.name] ?? text).read !== 'string')
  const lossy = builtin && base.name === 'numeric'
  return {
    read: many(textual ? 'string' : element.read),
    write: `readonly ${many(textual ? 'string' : element.write)}`,
    driver: element.isDomain
      ? 'string'
      : lossy
        ? 'number[]'
        : parsed
          ? many(element.read)
          : 'string',
    driverWrite: element.encoding ? 'string' : `readonly ${many(element.driverWrite)}`,
    comparable: element.comparable,
    array: true,
    notNull: false,
    hasDefault: false,
    isDomain: false,
    names: textual ? [] : element.names,
    ...(element.encoding && !textual && { encoding: arrayEncoding(element.encoding) }),
    ...(parsed && !element.isDomain
      ? {}
      : { readAs: `pg_catalog.${parsed ? base.name : 'text'}[]` }),
  }
}

function arrayEncoding(encoding: ValueEncoding): ValueEncoding {
  return encoding === 'point' ? 'point[]' : 'json[]'
}

function many(type: string): string {
  return /^\w+$/.test(type) ? `${type}[]` : `(${type})[]`
}

/** What the elements of an array are made of, once domains are taken off. */
function baseOf(ref: TypeRef, declared: ReadonlyMap<string, TypeInfo>): TypeRef {
  const type = declared.get(key(ref))
  return type?.kind === 'domain' ? baseOf(type.base, declared) : ref
}

function key(type: { readonly schema: string; readonly name: string }): string {
  return JSON.stringify([type.schema, type.name])
}
