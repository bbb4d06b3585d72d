import { isSessionName } from './names.js'
import type { RelationInfo } from './snapshot.js'

/** Properties on the session: bare in the default schema, which comes first, `schema_table` elsewhere. */
export function tableProperties(
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
