import { brandFinder } from './brands.js'
import { columnModel } from './columns.js'
import { CodegenError } from './errors.js'
import { suffixes, type ColumnModel, type KindModel, type Model, type TableModel } from './model.js'
import { assignProperties, camelCase, IdentifierPool, isSessionName, pascalCase } from './names.js'
import type {
  DomainInfo,
  EnumInfo,
  RelationInfo,
  RelationRef,
  Snapshot,
  TypeInfo,
} from './snapshot.js'
import { typeMapper } from './type-map.js'

export interface ModelOptions {
  /** Its tables go by their bare names. Default: `public`, or the first there is. */
  readonly defaultSchema?: string
  /** camelCase properties; the columns keep their names in SQL. */
  readonly camel?: boolean
  /** Identifiers the generated file imports. */
  readonly imported?: readonly string[]
}

/** Decides every name and type of the generated file. */
export function buildModel(snapshot: Snapshot, options: ModelOptions = {}): Model {
  const convert = options.camel ? camelCase : (name: string) => name
  const identifiers = new IdentifierPool(options.imported ?? [])
  const defaultSchema = options.defaultSchema ?? chooseDefaultSchema(snapshot)
  const brandOf = brandFinder(snapshot)

  // Kinds are few and written by hand everywhere, so they get their names before the tables.
  const aliases = new Map<TypeInfo, { typeName: string; used: boolean }>()
  const mapType = typeMapper(snapshot, (type) => aliasOf(type).typeName)
  const kinds = snapshot.registry.kinds.map((kind): KindModel => {
    const column = relationOf(snapshot, kind.relation)?.columns.find(
      ({ name }) => name === kind.idColumn,
    )
    return {
      kind: kind.kind,
      constant: identifiers.take(convert(kind.kind)),
      idType: identifiers.take(`${pascalCase(kind.kind)}Id`),
      base: column ? mapType(column.type).driver : 'string',
      table: kind.relation && `${kind.relation.schema}.${kind.relation.name}`,
    }
  })
  const kindsByName = new Map(kinds.map((kind) => [kind.kind, kind]))

  const usable = snapshot.relations.filter((relation) => isUsable(snapshot, relation))
  const inDefault = (relation: RelationInfo): boolean => relation.schema === defaultSchema
  const relations = [
    ...usable.filter(inDefault),
    ...usable.filter((relation) => !inDefault(relation)),
  ]
  if (relations.length === 0) throw nothingToGenerate(snapshot)
  const properties = tableProperties(relations, defaultSchema, convert)
  const tables = relations.map((relation): TableModel => {
    const registered = snapshot.registry.tables.find((table) => same(table, relation))
    const owner = registered?.ownerColumn ?? null
    const names = assignProperties(
      relation.columns.map(({ name }) => name),
      (name) => (name === '__proto__' ? '__proto' : convert(name)),
    )
    const columns = relation.columns.flatMap((column) => {
      const kind = kindsByName.get(brandOf(relation, column.name) ?? '')
      const mapping = mapType(column.type)
      const model = columnModel(relation, column, {
        property: names.get(column.name)!,
        mapping,
        brand: kind && kind.base === mapping.driver && !mapping.array ? kind.idType : null,
        isOwner: column.name === owner,
      })
      const { select, insert, update } = model.may
      if (!select && !insert && !update) return []
      for (const type of mapping.names) aliasOf(type).used = true
      return [model]
    })
    return tableModel(relation, columns, {
      property: properties.get(relation)!,
      kyselyName:
        relation.schema === defaultSchema ? relation.name : `${relation.schema}.${relation.name}`,
      stem: identifiers.takeStem(stemOf(relation, defaultSchema), suffixes),
      ownership: ownershipOf(registered),
    })
  })

  function aliasOf(type: TypeInfo): { typeName: string; used: boolean } {
    const known = aliases.get(type)
    if (known) return known
    const alias = { typeName: identifiers.take(stemOf(type, defaultSchema)), used: false }
    aliases.set(type, alias)
    return alias
  }
  const used = [...aliases].filter(([, alias]) => alias.used)
  const byName = <T extends TypeInfo>(kind: T['kind']) =>
    used
      .filter((entry): entry is [T, { typeName: string; used: boolean }] => entry[0].kind === kind)
      .sort(([a], [b]) => compare(a.schema, b.schema) || compare(a.name, b.name))

  return {
    defaultSchema,
    kinds,
    enums: byName<EnumInfo>('enum').map(([info, { typeName }]) => ({
      info,
      typeName,
      constant: identifiers.take(`${typeName.charAt(0).toLowerCase()}${typeName.slice(1)}Values`),
    })),
    domains: byName<DomainInfo>('domain').map(([info, { typeName }]) => ({
      info,
      typeName,
      base: mapType(info.base).read,
    })),
    tables,
  }
}

function tableModel(
  relation: RelationInfo,
  columns: readonly ColumnModel[],
  names: Pick<TableModel, 'property' | 'kyselyName' | 'stem' | 'ownership'>,
): TableModel {
  const readable = (wanted: readonly string[]): readonly ColumnModel[] | null => {
    const found = wanted.map((name) => columns.find((column) => column.name === name))
    return found.every((column) => column?.may.select) ? (found as ColumnModel[]) : null
  }
  const primaryKey = relation.primaryKey && readable(relation.primaryKey.columns)
  const uniques = uniqueKeys(relation).flatMap((key) => {
    const found = readable(key.columns)
    return found ? [{ name: key.name, columns: found }] : []
  })
  const writable = relation.kind === 'table' || relation.kind === 'partitioned'
  // Without every column that needs a value, an insert could only fail.
  const complete = relation.columns.every((column) => {
    const model = columns.find(({ name }) => name === column.name)
    const needed =
      column.notNull && column.default === null && !column.identity && !column.generated
    return !needed || model?.optional || model?.may.insert
  })
  const select = columns.some((column) => column.may.select)
  const insert = writable && complete && columns.some((column) => column.may.insert)
  const update = writable && columns.some((column) => column.may.update)
  const landing = relation.primaryKey?.deferrable === false && primaryKey !== null
  return {
    schema: relation.schema,
    name: relation.name,
    kind: relation.kind,
    ...names,
    comment: relation.comment,
    columns,
    primaryKey,
    uniques,
    may: {
      select,
      insert,
      update,
      upsert: !(select && insert && update)
        ? null
        : landing
          ? 'any'
          : uniques.length > 0
            ? 'key'
            : null,
      delete: writable && (relation.privileges?.delete ?? false),
    },
  }
}

/**
 * Unique constraints and indexes an ON CONFLICT can name by their columns. One that contains the
 * primary key says nothing new: such keys exist for composite references to point at.
 */
function uniqueKeys(relation: RelationInfo): { name: string; columns: readonly string[] }[] {
  const deferrable = new Set(
    relation.uniques.filter((key) => key.deferrable).map(({ name }) => name),
  )
  return relation.indexes.flatMap(({ name, columns, ...index }) => {
    const usable =
      index.unique &&
      !index.primary &&
      index.valid &&
      index.predicate === null &&
      !deferrable.has(name)
    const plain = columns.every((column) => column !== null)
    const redundant = relation.primaryKey?.columns.every((column) => columns.includes(column))
    return usable && plain && !redundant ? [{ name, columns }] : []
  })
}

/** Properties on the session: bare in the default schema, which comes first, `schema_table` elsewhere. */
function tableProperties(
  relations: readonly RelationInfo[],
  defaultSchema: string,
  convert: (name: string) => string,
): ReadonlyMap<RelationInfo, string> {
  const wanted = (relation: RelationInfo): string =>
    relation.schema === defaultSchema ? relation.name : `${relation.schema}_${relation.name}`
  const taken = new Set<string>()
  const properties = new Map<RelationInfo, string>()
  for (const relation of relations) {
    const name = convert(wanted(relation))
    const base = isSessionName(name) ? convert(`${wanted(relation)}_table`) : name
    let property = base
    for (let count = 2; taken.has(property); count += 1) property = `${base}${count}`
    taken.add(property)
    properties.set(relation, property)
  }
  return properties
}

function isUsable(snapshot: Snapshot, relation: RelationInfo): boolean {
  const schema = snapshot.schemas.find(({ name }) => name === relation.schema)
  const any = relation.columns.some(
    ({ privileges: may }) => may && (may.select || may.insert || may.update),
  )
  return Boolean(schema?.usage) && (any || Boolean(relation.privileges?.delete))
}

function chooseDefaultSchema(snapshot: Snapshot): string {
  const names = snapshot.schemas.map(({ name }) => name)
  return names.includes('public') ? 'public' : (names[0] ?? 'public')
}

function nothingToGenerate(snapshot: Snapshot): CodegenError {
  return new CodegenError(
    'NOTHING_TO_GENERATE',
    `The role ${JSON.stringify(snapshot.role)} may not use any table here. ` +
      'Protect or share tables first (tenantry.protect, tenantry.share grant what is needed), ' +
      'or name another role with --role.',
  )
}

function ownershipOf(
  registered: Snapshot['registry']['tables'][number] | undefined,
): string | null {
  if (registered?.ownerColumn && registered.ownerKind) {
    return `Every row belongs to one ${registered.ownerKind}, named in \`${registered.ownerColumn}\`.`
  }
  return registered?.class === 'shared' ? 'Shared: everybody reads the same rows.' : null
}

function stemOf(named: RelationRef, defaultSchema: string): string {
  return pascalCase(named.schema === defaultSchema ? named.name : `${named.schema}_${named.name}`)
}

function relationOf(snapshot: Snapshot, ref: RelationRef | null): RelationInfo | undefined {
  return ref ? snapshot.relations.find((relation) => same(relation, ref)) : undefined
}

function same(a: RelationRef, b: RelationRef): boolean {
  return a.schema === b.schema && a.name === b.name
}

/** By code unit, never by locale. */
function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
