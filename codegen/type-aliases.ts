import { pascalCase, type IdentifierPool } from './names.js'
import type { RelationRef, TypeInfo } from './snapshot.js'

/** The TypeScript names of enums and domains, and which of them the generated file needs. */
export interface TypeAliases {
  nameOf(type: TypeInfo): string
  /** Remembers that the file mentions the type. */
  use(type: TypeInfo): void
  /** The types of one sort that are mentioned, by schema and name. */
  used<K extends TypeInfo['kind']>(kind: K): readonly Named<Extract<TypeInfo, { kind: K }>>[]
}

export interface Named<T> {
  readonly info: T
  readonly typeName: string
}

export function typeAliases(identifiers: IdentifierPool, defaultSchema: string): TypeAliases {
  const names = new Map<TypeInfo, string>()
  const mentioned = new Set<TypeInfo>()
  const nameOf = (type: TypeInfo): string => {
    const name = names.get(type) ?? identifiers.take(stemOf(type, defaultSchema))
    names.set(type, name)
    return name
  }
  return {
    nameOf,
    use: (type) => void mentioned.add(type),
    used: <K extends TypeInfo['kind']>(kind: K) =>
      [...mentioned]
        .filter((type): type is Extract<TypeInfo, { kind: K }> => type.kind === kind)
        .sort((a, b) => compare(a.schema, b.schema) || compare(a.name, b.name))
        .map((info) => ({ info, typeName: nameOf(info) })),
  }
}

/** What generated names begin with: the schema's name too, unless it is the default one. */
export function stemOf(named: RelationRef, defaultSchema: string): string {
  return pascalCase(named.schema === defaultSchema ? named.name : `${named.schema}_${named.name}`)
}

/** By code unit, never by locale. */
function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
