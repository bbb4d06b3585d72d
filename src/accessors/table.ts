import type {
  ColumnDefinition,
  SecretDefinition,
  TableDefinition,
  ValueEncoding,
} from './definition.js'
import { ArgumentError, show } from './errors.js'
import { quote } from './identifier.js'

/** A column ready for use in statements. */
export interface Column {
  readonly property: string
  /** Quoted. */
  readonly sql: string
  /** Quoted, behind the alias `t` every statement gives its table. */
  readonly qualified: string
  /** As an entry of a select list or a RETURNING clause, named by its property. */
  readonly output: string
  /** The same in a RETURNING clause. */
  readonly returned: string
  /** Its values are sealed. */
  readonly secret: SecretDefinition | undefined
  readonly encoding: ValueEncoding | undefined
  readonly notNull: boolean
  readonly array: boolean
  readonly comparable: boolean
  readonly insertable: boolean
  readonly updatable: boolean
  /** An upsert takes it over only where it is told to: whose a row is does not change by the way. */
  readonly kept: boolean
}

/** A table ready for use in statements; made once per schema. */
export interface Table {
  /** As it is called in messages. */
  readonly label: string
  /** Schema-qualified and quoted: no search_path can point it elsewhere. */
  readonly sql: string
  readonly columns: ReadonlyMap<string, Column>
  /** What a call returns unless told otherwise: all readable columns but secrets. */
  readonly all: readonly Column[]
  readonly selectable: ReadonlySet<string>
  /** Properties whose values are secrets. */
  readonly secrets: readonly string[]
  readonly primaryKey: readonly Column[]
  readonly uniques: ReadonlyMap<string, readonly Column[]>
}

export function prepareTable(definition: TableDefinition): Table {
  const columns = new Map<string, Column>()
  const selectable = new Set<string>()
  for (const entry of definition.columns) {
    const column = prepareColumn(entry)
    columns.set(column.property, column)
    if (entry.select !== false) selectable.add(column.property)
  }
  const label = definition.property
  const named = (names: readonly string[]): Column[] =>
    names.map((name) => columnOf({ label, columns }, name, 'schema'))
  return {
    label,
    sql: `${quote(definition.schema)}.${quote(definition.name)}`,
    columns,
    all: [...selectable].map((name) => columns.get(name)!).filter(({ secret }) => !secret),
    selectable,
    secrets: [...columns.values()].flatMap(({ secret, property }) => (secret ? [property] : [])),
    primaryKey: named(definition.primaryKey ?? []),
    uniques: new Map((definition.uniques ?? []).map((key) => [key.name, named(key.columns)])),
  }
}

/** The same table as the reach path shows it, where secrets stay sealed. */
export function prepareReach(definition: TableDefinition): Table {
  const { schema, name, columns: differing = {} } = definition.reach!
  const columns = definition.columns.flatMap((entry): ColumnDefinition[] => {
    const property = entry.as ?? entry.name
    const here = Object.hasOwn(differing, property) ? differing[property]! : {}
    if (here === false) return []
    const kept = entry.update === false && here.update === true
    return [{ ...entry, ...here, kept, ...(entry.secret && { secret: sealed(entry.secret) }) }]
  })
  const shown = new Set(
    columns.flatMap(({ name: column, as, select }) => (select === false ? [] : [as ?? column])),
  )
  const usable = (key: readonly string[]): boolean => key.every((property) => shown.has(property))
  const { primaryKey = [], uniques = [] } = definition
  return prepareTable({
    property: `reach.${definition.property}`,
    schema,
    name,
    columns,
    primaryKey: usable(primaryKey) ? primaryKey : [],
    uniques: uniques.filter((key) => usable(key.columns)),
  })
}

/** Without its blind index: who may not open a secret may not try values on it either. */
function sealed({ opens, ring, returning }: SecretDefinition): SecretDefinition {
  return { opens, ring, returning }
}

function prepareColumn(definition: ColumnDefinition): Column {
  const property = definition.as ?? definition.name
  const sql = quote(definition.name)
  const qualified = `t.${sql}`
  const { secret } = definition
  const cast = (read: string): string =>
    definition.readAs ? `${read}::${definition.readAs}` : read
  // A replacement text would give `$` a meaning, and a name may hold one.
  const opened = (ring: string): string => secret!.opens.replaceAll('$ring$', () => ring)
  const named = (read: string): string =>
    secret || definition.readAs || definition.as ? `${read} as ${quote(property)}` : read
  return {
    property,
    sql,
    qualified,
    output: named(cast(secret ? opened(`(select ${secret.ring})`) : qualified)),
    returned: named(cast(secret ? opened(secret.returning) : qualified)),
    secret,
    encoding: definition.encoding,
    notNull: definition.notNull ?? false,
    array: definition.array ?? false,
    comparable: definition.comparable ?? true,
    insertable: definition.insert ?? true,
    updatable: definition.update ?? true,
    kept: definition.kept ?? false,
  }
}

/** Finds a column by the name callers use. */
export function columnOf(
  table: Pick<Table, 'label' | 'columns'>,
  property: unknown,
  call: string,
): Column {
  const column = typeof property === 'string' ? table.columns.get(property) : undefined
  if (column) return column
  throw new ArgumentError(call, `${show(table.label)} has no column ${show(property)}`)
}

/** The columns that a call returns. */
export function selectedColumns(
  table: Table,
  select: readonly unknown[] | undefined,
  call: string,
): readonly Column[] {
  if (select === undefined) return table.all
  if (!Array.isArray(select) || select.length === 0) {
    throw new ArgumentError(call, 'select takes an array with at least one column')
  }
  return select.map((name) => {
    const column = columnOf(table, name, call)
    if (table.selectable.has(column.property)) return column
    throw new ArgumentError(call, `the column ${show(name)} may not be read`)
  })
}
