import type { ColumnModel } from './model.js'
import type { ColumnInfo, RegisteredSecret, RelationInfo } from './snapshot.js'
import type { TypeMapping } from './type-map.js'

/** A view's column says in its comment that it is never null; the catalog cannot. */
const notNullTag = /(^|\s)@notNull\b\s*/

interface ColumnContext {
  readonly property: string
  readonly mapping: TypeMapping
  /** The branded id type the column carries. */
  readonly brand: string | null
  /** tenantry fills the column with the owner, and keeps it. */
  readonly isOwner: boolean
  /** Its values are sealed. */
  readonly secret: RegisteredSecret | null
}

export function columnModel(
  relation: RelationInfo,
  column: ColumnInfo,
  { property, mapping, brand, isOwner, secret }: ColumnContext,
): ColumnModel {
  const computed = isComputed(relation, column)
  const notNull = column.notNull || mapping.notNull || notNullTag.test(column.comment ?? '')
  return {
    name: column.name,
    property,
    sqlType: column.sqlType,
    comment: column.comment?.replace(notNullTag, '$1') ?? null,
    // What the database fills an owner column with is its own affair.
    default: isOwner ? null : column.default,
    origin: secret
      ? 'a secret: sealed in the database, decrypted only where it is selected by name'
      : originOf(column, isOwner),
    notNull,
    optional:
      !notNull ||
      column.default !== null ||
      column.identity !== null ||
      mapping.hasDefault ||
      isOwner,
    read: secret ? `Secret<${mapping.read}>` : (brand ?? nested(mapping.read, column)),
    write: secret
      ? `${mapping.write} | Secret<${mapping.write}>`
      : (brand ?? nested(mapping.write, column)),
    driver: brand ?? nested(mapping.driver, column),
    driverWrite: brand ?? nested(mapping.driverWrite, column),
    comparable: mapping.comparable,
    array: mapping.array,
    encoding: mapping.encoding ?? null,
    readAs: mapping.readAs ?? null,
    secret: secret && {
      opens: secret.opens,
      ring: secret.ring,
      returning: secret.returning,
      index:
        secret.indexColumn === null ? null : { column: secret.indexColumn, id: secret.columnId },
    },
    may: {
      select: column.privileges?.select ?? false,
      insert: !computed && (column.privileges?.insert ?? false),
      update: !computed && !isOwner && (column.privileges?.update ?? false),
    },
  }
}

/** Nobody can give it a value. */
export function isComputed(relation: RelationInfo, column: ColumnInfo): boolean {
  const writable = relation.kind === 'table' || relation.kind === 'partitioned'
  return column.generated !== null || column.identity === 'always' || !writable
}

function originOf(column: ColumnInfo, isOwner: boolean): string | null {
  if (isOwner) return 'the owner; filled in by the database and never changed'
  if (column.generated) return `generated: ${column.generation ?? ''}`
  if (column.identity) return `identity, generated ${column.identity}`
  return null
}

/**
 * `integer[][]` as declared. PostgreSQL does not hold values to it, but nobody declares two
 * dimensions and stores one.
 */
function nested(type: string, { dimensions }: ColumnInfo): string {
  if (dimensions < 2 || !type.endsWith('[]')) return type
  const readonly = type.startsWith('readonly ')
  let result = type
  for (let depth = 1; depth < dimensions; depth += 1) {
    result = readonly ? `readonly (${result})[]` : `${result}[]`
  }
  return result
}
