import type { RelationInfo, RelationRef, Snapshot } from './snapshot.js'

/**
 * Which kind of entity each column names the id of: the id columns of kinds, the owner columns
 * declared to tenantry, and whatever refers to one of these by foreign keys, however far away.
 */
export function brandFinder(
  snapshot: Snapshot,
): (relation: RelationRef, column: string) => string | null {
  const relations = new Map(snapshot.relations.map((relation) => [key(relation), relation]))
  const declared = declaredBrands(snapshot)
  const known = new Map<string, string | null>()

  return function find(relation: RelationRef, column: string): string | null {
    const place = key(relation, column)
    const settled = declared.get(place) ?? known.get(place)
    if (settled !== undefined) return settled
    // Also ends the walk where foreign keys form a circle.
    known.set(place, null)
    const targets = new Set<string>()
    for (const target of references(relations.get(key(relation)), column)) {
      const brand = find(target.relation, target.column)
      if (brand !== null) targets.add(brand)
    }
    // Ids of two kinds at once: no brand would be true of the value.
    const brand = targets.size === 1 ? [...targets][0]! : null
    known.set(place, brand)
    return brand
  }
}

function declaredBrands({ registry }: Snapshot): ReadonlyMap<string, string> {
  const brands = new Map<string, string>()
  const declare = (relation: RelationRef | null, column: string | null, kind: string | null) => {
    if (!relation || column === null || kind === null) return
    if (!brands.has(key(relation, column))) brands.set(key(relation, column), kind)
  }
  for (const kind of registry.kinds) declare(kind.relation, kind.idColumn, kind.kind)
  for (const table of registry.tables) declare(table, table.ownerColumn, table.ownerKind)
  for (const kind of registry.kinds) declare(kind.relation, kind.ownerColumn, kind.ownerKind)
  return brands
}

function references(
  relation: RelationInfo | undefined,
  column: string,
): { relation: RelationRef; column: string }[] {
  return (relation?.foreignKeys ?? []).flatMap((foreignKey) => {
    const target = foreignKey.references.columns[foreignKey.columns.indexOf(column)]
    return target === undefined ? [] : [{ relation: foreignKey.references, column: target }]
  })
}

function key(relation: RelationRef, column?: string): string {
  return JSON.stringify([relation.schema, relation.name, column])
}
