import { brandFinder } from './brands.js'
import { columnModel } from './columns.js'
import { CodegenError } from './errors.js'
import {
  reachInfix,
  suffixes,
  type ColumnModel,
  type KindModel,
  type Model,
  type TableModel,
} from './model.js'
import { reachModel } from './reach-model.js'
import { assignProperties, camelCase, IdentifierPool, pascalCase } from './names.js'
import type {
  RegisteredKind,
  RegisteredTable,
  RelationInfo,
  RelationRef,
  Snapshot,
} from './snapshot.js'
import { ownershipOf, tableModel } from './table-model.js'
import { tableProperties } from './table-properties.js'
import { stemOf, typeAliases } from './type-aliases.js'
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
  const relations = usableRelations(snapshot, defaultSchema)
  if (relations.length === 0) throw nothingToGenerate(snapshot)

  const aliases = typeAliases(identifiers, defaultSchema)
  const mapType = typeMapper(snapshot, (type) => aliases.nameOf(type))
  const brandOf = brandFinder(snapshot)

  // Kinds are named everywhere, by hand, so they get their names before the tables.
  const named = snapshot.registry.kinds.filter((kind) => !isAnonymous(kind))
  const kinds = named.map(({ kind, idType, relation }): KindModel => ({
    kind,
    constant: identifiers.take(convert(kind)),
    idType: identifiers.take(`${pascalCase(kind)}Id`),
    base: idType === 'integer' || idType === 'smallint' ? 'number' : 'string',
    table: relation && `${relation.schema}.${relation.name}`,
  }))

  const columnsOf = (
    relation: RelationInfo,
    registered: RegisteredTable | undefined,
  ): ColumnModel[] => {
    const properties = assignProperties(
      relation.columns.map(({ name }) => name),
      // The one name that no object literal can give a value to.
      (name) => (name === '__proto__' ? '__proto' : convert(name)),
    )
    const secrets = snapshot.registry.secrets.filter((secret) => same(secret, relation))
    const concealed = snapshot.registry.concealed.filter((beside) => same(beside, relation))
    return relation.columns.flatMap((column) => {
      if (concealed.some((beside) => beside.column === column.name)) return []
      const mapping = mapType(column.type)
      const brand = brandOf(relation, column.name)
      const kind = kinds.find((each) => each.kind === brand)
      const model = columnModel(relation, column, {
        property: properties.get(column.name)!,
        mapping,
        brand: kind && kind.base === mapping.driver && !mapping.array ? kind.idType : null,
        isOwner: column.name === registered?.ownerColumn,
        secret: secrets.find((secret) => secret.column === column.name) ?? null,
      })
      if (!model.may.select && !model.may.insert && !model.may.update) return []
      mapping.names.forEach(aliases.use)
      return [model]
    })
  }

  const properties = tableProperties(relations, defaultSchema, convert)
  const tables = relations.map((relation): TableModel => {
    const registered = snapshot.registry.tables.find((table) => same(table, relation))
    const { schema, name } = relation
    const view = registered?.reach ?? null
    const endings = view
      ? [...suffixes, ...suffixes.map((suffix) => reachInfix + suffix)]
      : suffixes
    const table = tableModel(relation, columnsOf(relation, registered), {
      property: properties.get(relation)!,
      kyselyName: schema === defaultSchema ? name : `${schema}.${name}`,
      stem: identifiers.takeStem(stemOf(relation, defaultSchema), endings),
      ownership: ownershipOf(registered),
    })
    return { ...table, reach: reachModel(relation, table, view) }
  })

  const constantOf = (typeName: string): string =>
    identifiers.take(`${typeName.charAt(0).toLowerCase()}${typeName.slice(1)}Values`)
  return {
    defaultSchema,
    kinds,
    enums: aliases
      .used('enum')
      .map((named) => ({ ...named, constant: constantOf(named.typeName) })),
    domains: aliases
      .used('domain')
      .map((named) => ({ ...named, base: mapType(named.info.base).read })),
    tables,
  }
}

/** Relations the role can reach and do something with; those of the default schema first. */
function usableRelations(snapshot: Snapshot, defaultSchema: string): readonly RelationInfo[] {
  const open = new Set(snapshot.schemas.filter(({ usage }) => usage).map(({ name }) => name))
  const usable = snapshot.relations.filter(({ schema, columns, privileges }) => {
    const some = columns.some(({ privileges: may }) => may?.select || may?.insert || may?.update)
    return open.has(schema) && (some || privileges?.delete)
  })
  return [
    ...usable.filter(({ schema }) => schema === defaultSchema),
    ...usable.filter(({ schema }) => schema !== defaultSchema),
  ]
}

/** Whoever nobody has said who they are has no id to be told apart by; the runtime exports the identity. */
function isAnonymous({ kind, relation }: RegisteredKind): boolean {
  return kind === 'anonymous' && relation === null
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

function same(a: RelationRef, b: RelationRef): boolean {
  return a.schema === b.schema && a.name === b.name
}
